//! One backend of a route rule.

use crate::{config::BackendConfig, internal_headers::session_key};

/// The maximum length of a backend key: a token stores the length in one byte.
const MAX_KEY_LENGTH: usize = 255;

/// A checked backend.
#[derive(Debug)]
pub struct Backend {
    key: Box<str>,
    session_key: Box<str>,
    weight: u32,
    released: bool,
}

/// The key of a backend is not a header value or does not fit into a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a backend key: it must have 1 to {MAX_KEY_LENGTH} visible ASCII characters")]
pub struct InvalidBackendKey(String);

impl Backend {
    /// Checks a backend of the rule with this id.
    pub fn new(raw: &BackendConfig, rule_id: &str) -> Result<Self, InvalidBackendKey> {
        let visible = raw.key.bytes().all(|byte| byte.is_ascii_graphic());
        if raw.key.is_empty() || raw.key.len() > MAX_KEY_LENGTH || !visible {
            return Err(InvalidBackendKey(raw.key.clone()));
        }
        Ok(Self {
            key: raw.key.as_str().into(),
            session_key: session_key(rule_id, &raw.key).into(),
            weight: raw.weight.unwrap_or(0),
            released: raw.released,
        })
    }

    /// The name of the backend in tokens.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value of `x-mooring-backend` that selects the session route of the backend.
    #[must_use]
    pub fn session_key(&self) -> &str {
        &self.session_key
    }

    /// The weight with which the module itself selects this backend, relative to the other backends.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Whether its sessions are released: its weight in the route was 0 when the configuration was written.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.released
    }
}
