//! What the page shows of a visitor.

use std::collections::VecDeque;

use serde::Serialize;

/// A visitor after the last request.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Visit {
    pub id: &'static str,
    /// Whether the visitor asks for the canary.
    pub tester: bool,
    /// The last answers, the newest last.
    pub trail: VecDeque<Answer>,
    /// The session cookie.
    pub cookie: Option<String>,
    /// What the gateway sealed into the cookie.
    pub session: Option<Session>,
}

/// An answer to a visitor.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The pod that answered. None: the gateway did, or no answer came.
    pub pod: Option<String>,
    /// The status code. 0: no answer came.
    pub status: u16,
    /// Whether the answer set the session cookie.
    pub cookie: bool,
}

/// The content of a token.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    /// When the session began, in seconds since the Unix epoch.
    pub issued: u64,
    /// When the session was last seen, in seconds since the Unix epoch.
    pub seen: u64,
    /// The key of the backend.
    pub backend: String,
    /// The address of the pod.
    pub host: String,
}
