//! `mooring keygen`: a new entry for a key ring, alone or in a Kubernetes Secret.

use mooring_policy::keys::{Entry, SECRET_LENGTH};
use serde_json::json;

use crate::emit::Output;

/// Whether the standard output was closed when the program began: then what is written there is lost. Rust opens `/dev/null` in its
/// place, for reading and writing, where `>/dev/null` opens it for writing only.
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

/// Whether the standard output was closed when the program began, which cannot be told here.
#[cfg(not(unix))]
#[must_use]
pub fn output_is_lost() -> bool {
    false
}

/// A new entry with random bytes from the operating system. `id` is random too unless it is given.
pub fn entry(id: Option<u8>) -> Result<Entry, getrandom::Error> {
    let (mut secret, mut random_id) = ([0; SECRET_LENGTH], [0]);
    getrandom::fill(&mut secret)?;
    getrandom::fill(&mut random_id)?;
    let [random_id] = random_id;
    Ok(Entry::new(id.unwrap_or(random_id), secret))
}

/// A Kubernetes Secret from which a gateway's environment can take the ring.
#[must_use]
pub fn secret(namespace: &str, name: &str, entry: &Entry) -> Output {
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "labels": { "app.kubernetes.io/managed-by": "mooring" },
            "name": name,
            "namespace": namespace,
        },
        "stringData": { "MOORING_KEYS": entry.reveal().as_str() },
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
        let entry = entry(Some(0xa7)).unwrap();
        let text = entry.reveal();
        assert!(text.starts_with("a7:"));
        assert!(KeyRing::parse(&text).is_ok());
    }

    #[test]
    fn no_two_entries_are_the_same() {
        let texts = [entry(Some(1)).unwrap().reveal(), entry(Some(1)).unwrap().reveal()];
        assert_ne!(*texts[0], *texts[1]);
    }

    #[test]
    fn a_secret_carries_the_entry_where_gateways_look() {
        let entry = entry(None).unwrap();
        let output = secret("istio-ingress", "mooring-keys", &entry);
        let text = output
            .value
            .pointer("/stringData/MOORING_KEYS")
            .and_then(|value| value.as_str());
        assert_eq!(text, Some(entry.reveal().as_str()));
        assert_eq!(
            output.value.pointer("/metadata/namespace"),
            Some(&json!("istio-ingress"))
        );
    }
}
