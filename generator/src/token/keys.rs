//! The key ring that opens and seals tokens.

use mooring_policy::keys::{InvalidKeys, KeyRing};

use crate::key_ring::{Existing, NoSecret};

/// A key ring, as text or in a Kubernetes Secret.
#[derive(Debug)]
pub struct Keys {
    ring: KeyRing,
}

/// Why a text is not a key ring. The messages contain nothing of the text.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRing {
    /// It is a manifest, but not that of a Secret with a ring.
    #[error(transparent)]
    Secret(#[from] NoSecret),
    /// It has no valid key.
    #[error(transparent)]
    Keys(#[from] InvalidKeys),
}

impl Keys {
    /// Parses a ring, or the Secret of one in JSON. As in a gateway, valid keys count beside invalid ones.
    pub fn parse(text: &str) -> Result<Self, InvalidRing> {
        let existing = Existing::parse(text).transpose()?;
        let ring = existing.as_ref().map_or(text, Existing::ring);
        let parsed = KeyRing::parse_lossy(ring);
        let invalid = parsed.rejected.into_iter().next().map(InvalidKeys::from);
        let ring = parsed.ring.ok_or_else(|| invalid.unwrap_or(InvalidKeys::Empty))?;
        Ok(Self { ring })
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The ids of the keys, for messages.
    #[must_use]
    pub fn ids(&self) -> String {
        let ids: Vec<String> = self.ring.ids().map(|id| format!("{id:02x}")).collect();
        ids.join(", ")
    }
}
