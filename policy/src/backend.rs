//! One backend of a route rule.

use crate::{config::BackendConfig, internal_headers::session_key, share::Share};

/// The maximum length of a backend key: a token stores the length in one byte.
const MAX_KEY_LENGTH: usize = 255;

/// The maximum length of a version: that of the value of a label in Kubernetes.
const MAX_VERSION_LENGTH: usize = 63;

/// A checked backend.
#[derive(Debug)]
pub struct Backend {
    key: Box<str>,
    session_key: Box<str>,
    weight: u32,
    released: bool,
    version: Option<Box<str>>,
    weight_zero: bool,
    share: Option<Share>,
}

/// Why a backend is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBackend {
    /// Its key is not a header value or does not fit into a token.
    #[error("`{0}` is not a backend key: it must have 1 to {MAX_KEY_LENGTH} visible ASCII characters")]
    Key(String),
    /// Its version is not the value of a label.
    #[error("`{0}` is not a version: it must have 1 to {MAX_VERSION_LENGTH} visible ASCII characters")]
    Version(String),
}

impl Backend {
    /// Checks a backend of the rule with this id.
    pub fn new(raw: &BackendConfig, rule_id: &str) -> Result<Self, InvalidBackend> {
        if !is_visible(&raw.key, MAX_KEY_LENGTH) {
            return Err(InvalidBackend::Key(raw.key.clone()));
        }
        let invalid = raw
            .version
            .iter()
            .find(|version| !is_visible(version, MAX_VERSION_LENGTH));
        if let Some(version) = invalid {
            return Err(InvalidBackend::Version(version.clone()));
        }
        Ok(Self {
            key: raw.key.as_str().into(),
            session_key: session_key(rule_id, &raw.key).into(),
            weight: raw.weight.unwrap_or(0),
            released: raw.released,
            version: raw.version.as_deref().map(Into::into),
            weight_zero: raw.weight_zero,
            share: None,
        })
    }

    /// The same backend in a rule that rebalances sessions, whose backends have this sum of weights.
    pub(crate) fn with_share(self, total: u64) -> Self {
        Self {
            share: Some(Share::new(self.weight, total)),
            ..self
        }
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

    /// The version of its pods: the value of the label that the policy names. None: unknown.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Whether its weight in the route was 0 when the configuration was written, as far as versions need to know.
    #[must_use]
    pub fn had_weight_zero(&self) -> bool {
        self.weight_zero
    }

    /// Its share of the weights when the configuration was written. None: the rule does not rebalance sessions.
    #[must_use]
    pub fn share(&self) -> Option<Share> {
        self.share
    }

    /// The version that a token for this backend gets. None if the weight of the backend was 0 when the configuration was written: a
    /// session that begins there shows that the weights have changed since, and the version may have changed with them. The token gets it
    /// from the next configuration.
    #[must_use]
    pub fn version_for_tokens(&self) -> Option<&str> {
        self.version().filter(|_| !self.weight_zero)
    }
}

/// Whether a text has at least one character, at most this many, and only visible ones.
fn is_visible(text: &str, max_length: usize) -> bool {
    (1..=max_length).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
