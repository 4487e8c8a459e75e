//! What became of a request.

/// What became of a request, in the words of metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The identity of the rule that took the request. None: no route did.
    pub rule: Option<String>,
    /// The backend. None: no backend got the request.
    pub backend: Option<String>,
    /// If the weights selected the backend and the case has no draw: the backends with their share of the weights, in percent.
    pub odds: Vec<(String, u8)>,
    /// The host of the backend.
    pub host: Option<String>,
    /// Why the request went to the backend. None: no rule of Mooring decided.
    pub reason: Option<String>,
    /// What became of the session.
    pub session: &'static str,
    /// The value of the `set-cookie` header with the token.
    pub set_cookie: Option<String>,
    /// The name of the response header with the token.
    pub session_header: Option<String>,
    /// The status of the response.
    pub status: u16,
}

/// The word for a rule, a backend, a reason or a session that does not exist.
pub const NONE: &str = "none";

/// The reasons besides `canary:NAME`.
pub const REASONS: [&str; 6] = [NONE, "session", "single", "split", "hash", "failover"];

/// The beginning of the reason of a canary rule.
pub const CANARY: &str = "canary:";
