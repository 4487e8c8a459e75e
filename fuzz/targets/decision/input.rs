//! The input: a rule, and the requests of a client with their responses.

use arbitrary::Arbitrary;
use mooring_fuzz::shape;
use mooring_policy::{reachability::UnreachableCause, token::NONCE_LENGTH};

#[derive(Debug, Arbitrary)]
pub(crate) struct Input<'a> {
    pub(crate) rule: shape::Rule,
    pub(crate) keys: Keys,
    pub(crate) start: u32,
    /// Whether internal headers of the client reach the filter. It then sends some with each request.
    pub(crate) lacks_sanitizer: bool,
    pub(crate) requests: Vec<Request<'a>>,
}

#[derive(Clone, Copy, Debug, Arbitrary)]
pub(crate) enum Keys {
    None,
    One,
    Two,
}

#[derive(Debug, Arbitrary)]
pub(crate) struct Request<'a> {
    /// Seconds since the answer to the one before. Clocks of gateways differ.
    pub(crate) later: i16,
    pub(crate) much_later: Option<i64>,
    pub(crate) tokens: Vec<Sent<'a>>,
    pub(crate) path: Path<'a>,
    pub(crate) headers: shape::Headers,
    pub(crate) random: u64,
    /// The backend that the weights of the route choose, if it is one of the rule's.
    pub(crate) picked: Option<u8>,
    pub(crate) answer: Answer,
    /// Where Envoy sent it, if that is news.
    pub(crate) host: Option<Host<'a>>,
    pub(crate) https: bool,
    /// Seconds until the answer.
    pub(crate) duration: u8,
    pub(crate) nonce: [u8; NONCE_LENGTH],
}

/// Where a request goes: below the path of the cookie, or anywhere.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub(crate) enum Path<'a> {
    Below,
    Any(&'a str),
}

/// Who answers a request.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub(crate) enum Answer {
    /// The backend whose session route was asked for, else the one at this position.
    Asked(u8),
    /// The backend at this position, where the request missed the session route.
    Any(u8),
    /// A backend that is not one of the rule's.
    Foreign,
    /// Envoy itself, since the route leads nowhere or the backend has no host.
    Outage(Outage),
}

/// Why Envoy answers itself.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub(crate) enum Outage {
    NoHost,
    DirectResponse,
    ClusterNotFound,
    RouteNotFound,
    /// What says nothing about a backend.
    Other,
}

impl Outage {
    pub(crate) fn details(self) -> &'static [u8] {
        match self {
            Self::NoHost => b"no_healthy_upstream",
            Self::DirectResponse => b"direct_response",
            Self::ClusterNotFound => b"cluster_not_found",
            Self::RouteNotFound => b"route_not_found",
            Self::Other => b"response_timeout",
        }
    }

    pub(crate) fn cause(self) -> Option<UnreachableCause> {
        match self {
            Self::NoHost => Some(UnreachableCause::NoHost),
            Self::DirectResponse | Self::ClusterNotFound | Self::RouteNotFound => Some(UnreachableCause::NoRoute),
            Self::Other => None,
        }
    }
}

/// A token that a client sends.
#[derive(Debug, Arbitrary)]
pub(crate) enum Sent<'a> {
    /// The last one that it was given.
    Own,
    /// That one, with a bit of it changed.
    Changed(u16),
    /// Anything.
    Text(&'a [u8]),
    /// What another gateway with the same keys may have sealed.
    Sealed {
        issued: i16,
        seen: i16,
        backend: Backend<'a>,
        version: Host<'a>,
        host: Host<'a>,
        secure: bool,
        with_second_key: bool,
    },
    /// The same for another rule.
    Foreign,
}

#[derive(Debug, Arbitrary)]
pub(crate) enum Backend<'a> {
    OfRule(u8),
    Any(&'a [u8]),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
pub(crate) enum Host<'a> {
    First,
    Second,
    Any(&'a [u8]),
}

impl<'a> Host<'a> {
    pub(crate) fn text(self) -> &'a [u8] {
        match self {
            Self::First => b"10.0.0.1:80",
            Self::Second => b"10.0.0.2:80",
            Self::Any(text) => &text[..text.len().min(64)],
        }
    }
}
