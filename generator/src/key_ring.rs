//! Key rings: new keys, the steps that replace a key, and the Kubernetes Secret that holds a ring.

use std::fmt::Write as _;

use mooring_policy::keys::{self, Entry, InvalidKey, InvalidKeys};

mod entry;
mod rotation;
mod secret;

pub use self::{
    entry::{NoEntry, new_entry},
    rotation::{Impossible, Step},
    secret::{Existing, NoSecret, secret},
};

/// Whether the standard output was closed when the program started, so that any output would be lost.
///
/// Rust then opens `/dev/null` for reading and writing, whereas `>/dev/null` opens it for writing only.
#[cfg(unix)]
#[must_use]
pub fn output_is_lost() -> bool {
    use std::{
        fs::{self, File},
        io::{self, Read as _},
        os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    };

    let is_lost = || -> io::Result<bool> {
        let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let is_null = output.metadata()?.rdev() == fs::metadata("/dev/null")?.rdev();
        Ok(is_null && output.read(&mut [0]).is_ok())
    };
    is_lost().unwrap_or(false)
}

/// Whether the standard output was closed when the program started. That cannot be detected on this platform.
#[cfg(not(unix))]
#[must_use]
pub fn output_is_lost() -> bool {
    false
}

/// The entries of an existing ring. A ring with an invalid entry is an error: the entry would stay invalid in the new ring.
pub fn parse(ring: &str) -> Result<Vec<Entry>, NoEntry> {
    let (entries, rejected) = keys::entries(ring);
    if !rejected.is_empty() {
        let invalid = rejected.into_iter().map(|invalid: InvalidKey| invalid.into());
        return Err(NoEntry::Ring(invalid.collect()));
    }
    // The output of a failed command, for example. A ring with only the new key would end all sessions.
    if entries.is_empty() {
        return Err(NoEntry::Ring(vec![InvalidKeys::Empty]));
    }
    Ok(entries)
}

/// The keys of a ring for people, one a line, without their secrets; and whether the ring has an invalid key.
#[must_use]
pub fn describe(ring: &str) -> (String, bool) {
    let (entries, rejected) = keys::entries(ring);
    let has_invalid = !rejected.is_empty();
    let (mut entries, mut rejected) = (entries.iter(), rejected.iter().peekable());
    let mut text = String::new();
    let mut encrypts = true;
    for position in 1.. {
        let line = if let Some(invalid) = rejected.next_if(|invalid| invalid.position() == position) {
            format!("invalid: {invalid}")
        } else if let Some(entry) = entries.next() {
            let use_of_it = if encrypts {
                "encrypts new tokens"
            } else {
                "decrypts tokens"
            };
            encrypts = false;
            format!("ID {:02x}, {use_of_it}", entry.id())
        } else {
            break;
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "key {position}: {line}");
    }
    (text, has_invalid)
}

#[cfg(test)]
mod tests {
    use mooring_policy::keys::KeyRing;

    use super::*;

    #[test]
    fn a_new_entry_is_a_key_ring() {
        let entry = new_entry(Some(0xa7), &[]).unwrap();
        let text = entry.reveal();
        assert!(text.starts_with("a7:"));
        assert!(KeyRing::parse(&text).is_ok());
    }

    #[test]
    fn two_entries_differ() {
        let texts = [
            new_entry(Some(1), &[]).unwrap().reveal(),
            new_entry(Some(1), &[]).unwrap().reveal(),
        ];
        assert_ne!(*texts[0], *texts[1]);
    }

    #[test]
    fn ids_are_unique() {
        let mut ring = Vec::new();
        for _ in 0..=u8::MAX {
            ring.push(new_entry(None, &ring).unwrap());
        }
        assert!(KeyRing::parse(&keys::reveal(&ring)).is_ok());
        assert!(matches!(new_entry(None, &ring), Err(NoEntry::Full)));
        assert!(matches!(new_entry(Some(7), &ring), Err(NoEntry::Taken(7))));
    }

    #[test]
    fn a_ring_with_an_invalid_entry_is_refused() {
        let good = new_entry(Some(1), &[]).unwrap().reveal();
        assert_eq!(parse(&format!("{}\n", *good)).unwrap().len(), 1);
        let said = |text: &str| parse(text).unwrap_err().to_string();
        assert!(said("\n").contains("is empty"));
        let two = said(&format!("junk {} 02:AA", *good));
        assert!(two.contains("key 1 ") && two.contains("key 3 "), "{two}");
        assert!(!two.contains("junk"), "{two}");
    }

    #[test]
    fn a_ring_is_described_without_its_secrets() {
        let good = |id| new_entry(Some(id), &[]).unwrap().reveal();
        let (first, second) = (good(1), good(0xa7));
        let (text, has_invalid) = describe(&format!("junk, {} {}\n{}", *first, *second, *first));
        let expected = "key 1: invalid: key 1 of the ring is not `ID:SECRET` with an ID of two hexadecimal digits\n\
            key 2: ID 01, encrypts new tokens\n\
            key 3: ID a7, decrypts tokens\n\
            key 4: invalid: key 4 of the ring has the ID 01 of an earlier one; IDs must differ\n";
        assert_eq!((text.as_str(), has_invalid), (expected, true));
        assert_eq!(
            describe(&first),
            ("key 1: ID 01, encrypts new tokens\n".to_owned(), false)
        );
    }
}
