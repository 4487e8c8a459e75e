//! New keys for a key ring, and the Kubernetes Secret that holds a ring.

use mooring_policy::keys::{self, ENVIRONMENT_VARIABLE, Entry, InvalidKey, InvalidKeys, SECRET_LENGTH};
use serde_json::json;

use crate::{emit::Output, labels::MANAGED_BY};

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

/// Why no new entry can be made.
#[derive(Debug, thiserror::Error)]
pub enum NoEntry {
    /// The text is not a valid ring.
    #[error("{}", listed(.0))]
    Ring(Vec<InvalidKeys>),
    /// The id is taken: tokens name their key by its id.
    #[error("the ring has a key with the ID {0:02x}; choose another one, or leave out --id")]
    Taken(u8),
    /// All ids are taken: an id is one byte.
    #[error("the ring has a key for each of the 256 IDs; remove those that no session needs")]
    Full,
    /// The operating system provides no random bytes.
    #[error("the operating system provides no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

fn listed(invalid: &[InvalidKeys]) -> String {
    let lines: Vec<String> = invalid.iter().map(InvalidKeys::to_string).collect();
    lines.join("\n")
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

/// A new entry with random bytes from the operating system. Without an `id`, a random one is chosen that no other entry has.
pub fn new_entry(id: Option<u8>, others: &[Entry]) -> Result<Entry, NoEntry> {
    let is_free = |id: &u8| others.iter().all(|other| other.id() != *id);
    let id = match id {
        Some(id) if !is_free(&id) => return Err(NoEntry::Taken(id)),
        Some(id) => id,
        None => {
            let free: Vec<u8> = (0..=u8::MAX).filter(is_free).collect();
            let mut random = [0; 4];
            getrandom::fill(&mut random)?;
            let draw = u32::from_le_bytes(random);
            let position = usize::try_from(draw).unwrap_or_default().checked_rem(free.len());
            *position.and_then(|position| free.get(position)).ok_or(NoEntry::Full)?
        }
    };
    let mut secret = [0; SECRET_LENGTH];
    getrandom::fill(&mut secret)?;
    Ok(Entry::new(id, secret))
}

/// A Kubernetes Secret for the environment of a gateway.
#[must_use]
pub fn secret(namespace: &str, name: &str, ring: &str) -> Output {
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "labels": { MANAGED_BY.0: MANAGED_BY.1 },
            "name": name,
            "namespace": namespace,
        },
        "stringData": { ENVIRONMENT_VARIABLE: ring },
        "type": "Opaque",
    });
    Output::new(format!("secret-{namespace}-{name}"), manifest)
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
    fn a_secret_carries_the_entry_where_gateways_look() {
        let output = secret("istio-ingress", "mooring-keys", "a ring");
        let text = output.value.pointer("/stringData/MOORING_KEYS");
        assert_eq!(text, Some(&json!("a ring")));
        assert_eq!(
            output.value.pointer("/metadata/namespace"),
            Some(&json!("istio-ingress"))
        );
    }
}
