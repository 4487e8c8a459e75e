//! What a decision makes of the response to its request: which backend and which host answered, whether a token is due to the
//! client, and what else the response teaches.

use super::{Decision, Look, Outcome, Reason};
use crate::{
    cache,
    change::Change,
    cookie,
    gateway::Gateway,
    handover::HOST_HEADER,
    host::Host,
    keys::KeyRing,
    outage::Cause,
    rule::{Backend, Pin, Session, Transport},
    token::{NONCE_LENGTH, SealError, Token},
};

/// What `response.code_details` says of a response that a backend sent.
const FROM_BACKEND: &[u8] = b"via_upstream";

/// Why a token is sent to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Issue {
    /// A session begins.
    New,
    /// A session goes on, on another host or backend.
    Repinned,
    /// A session goes on, and its last-seen time is renewed.
    Refreshed,
    /// A strict session ends, because its host is gone.
    Ended,
}

/// What to do with a response, and what to count.
#[expect(clippy::struct_excessive_bools, reason = "each is counted by itself")]
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Response<'a> {
    /// The changes of its headers.
    pub changes: Vec<Change<'a>>,
    /// Why it carries a token, if it does.
    pub issue: Option<Issue>,
    /// The position of the backend that the route chose, where the decision left the choice to it.
    pub chosen: Option<usize>,
    /// The request asked for a session route and did not reach its backend.
    pub missed: bool,
    /// A cluster answered that is none of the rule's backends.
    pub unknown_backend: bool,
    /// The request asked for a session route, and its backend cannot be reached for this reason.
    pub unreachable: Option<Cause>,
    /// The token is bound to another backend, because that of the session cannot be reached.
    pub failed_over: bool,
    /// The token is bound to another backend, because the sessions on that of the session are released.
    pub released: bool,
}

/// A token that is due to the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) issue: Issue,
    pub(super) token: Token,
}

impl Decision {
    /// Whether the response can need [`Self::respond`].
    #[must_use]
    pub fn awaits_response(&self) -> bool {
        self.outcome != Outcome::Stateless || self.backend.is_none() || self.rule.has_session_routes()
    }

    /// Decides the response to the request, which has so many header lines.
    pub fn respond<H: Host>(&self, gateway: &Gateway, header_count: usize, host: &H) -> Result<Response<'_>, H::Error> {
        // The pin names the host unless it is the one that was asked for.
        let new_host = if self.asked_host().is_some() {
            host.response_header(HOST_HEADER)?.is_some()
        } else {
            self.pins_host()
        };
        let close = self.refresh_due || self.look != Look::None || self.needs_cluster(new_host);
        let asked = self.asked_backend().is_some() || self.is_strict();
        // Asking Envoy whose response it is costs a host call, so it is asked only about those that may be its own.
        let may_be_local = || {
            gateway
                .watch
                .may_be_local(self.rule.position(), header_count, self.local_headers)
        };
        if !close && (!asked || !may_be_local()) {
            return Ok(Response::default());
        }
        // A response of Envoy's own, such as 503 for a refused connection, may name the host that failed.
        match host.code_details()?.as_deref() {
            Some(FROM_BACKEND) if close => self.answered(gateway, new_host, host),
            Some(FROM_BACKEND) | None => Ok(Response::default()),
            Some(details) => self.not_answered(gateway, details, header_count, host),
        }
    }

    /// The response is one of a backend.
    fn answered<H: Host>(&self, gateway: &Gateway, new_host: bool, host: &H) -> Result<Response<'_>, H::Error> {
        let mut response = Response::default();
        let now = host.now()?;
        let mut answered = self.backend;
        if self.needs_cluster(new_host) {
            let cluster = host.cluster_name()?;
            answered = cluster.and_then(|cluster| self.rule.backend_of_cluster(&cluster));
            response.missed = self.missed(answered);
            response.unknown_backend = answered.is_none();
            response.chosen = answered.filter(|_| self.backend.is_none());
        }
        self.learn(gateway, response.chosen, now);
        let (Some(session), Some(keys)) = (self.rule.session(), &gateway.keys) else {
            return Ok(response);
        };
        // The header says that there is something new; what it is, the app could have written itself.
        let address = if new_host { host.upstream_address()? } else { None };
        let settles = answered.filter(|backend| !self.lost_backend() || self.settles(gateway, *backend, now));
        let Some(due) = self.due(settles, address.as_deref(), now) else {
            return Ok(response);
        };
        response.send(&due, session, keys, now, host)?;
        let moved = due.issue == Issue::Repinned && !self.is_own(answered);
        response.failed_over = moved && self.outcome == Outcome::BackendDown;
        response.released = moved && self.outcome == Outcome::Released;
        Ok(response)
    }

    /// Ends a strict session: the client gets a token that says so. To delete the cookie would not do, since a browser that has one
    /// of the same name for another domain or path would send that one for ever.
    pub(super) fn end<'a, H: Host>(
        &'a self,
        gateway: &Gateway,
        response: &mut Response<'a>,
        host: &H,
    ) -> Result<(), H::Error> {
        let (Some(session), Some(keys), Some(old)) = (self.rule.session(), &gateway.keys, &self.session) else {
            return Ok(());
        };
        let now = host.now()?;
        let due = Due {
            issue: Issue::Ended,
            token: Token::begin(now, old.secure),
        };
        response.send(&due, session, keys, now, host)
    }

    /// Whether the request is answered with 503 where the host that it asks for is gone.
    pub(super) fn is_strict(&self) -> bool {
        self.asked_host().is_some() && self.rule.session().is_some_and(Session::strict)
    }

    /// Whether the cluster that answered has to be known. `new_host` says whether the host is another than the session's.
    pub(super) fn needs_cluster(&self, new_host: bool) -> bool {
        let unbound = self.session.is_none() || self.lost_backend();
        let binds = self.outcome != Outcome::Stateless && !self.diverted && (unbound || new_host);
        // Without a host, nothing else tells that another backend answered.
        let unseen = || self.pin() == Some(Pin::Backend);
        binds || self.backend.is_none() || (self.rule.has_session_routes() && unseen())
    }

    /// Whether the request asked for a session route, and another backend than that of the route answered.
    pub(super) fn missed(&self, answered: Option<usize>) -> bool {
        self.asked_backend().is_some_and(|asked| answered != Some(asked))
    }

    /// The token that is due to the client after a response from a backend, if any. `answered` is the backend, where it is one
    /// of the rule's, `host` is the host where Envoy says that it is a new one.
    pub(super) fn due(&self, answered: Option<usize>, host: Option<&[u8]>, now: u64) -> Option<Due> {
        let session = self.rule.session().filter(|_| self.outcome != Outcome::Stateless)?;
        // With a session on a backend alone, any host is as good as another, and none is written down.
        let (host, may_bind) = match session.pin() {
            Pin::Host => (host.unwrap_or_default(), host.is_some()),
            Pin::Backend => (b"".as_slice(), !matches!(self.reason, Reason::Forced(_))),
        };
        let backend = answered.and_then(|answered| self.rule.backends().get(answered));
        let bound = |token: Token, backend: &Backend| Token {
            seen: now,
            backend: backend.key().as_bytes().into(),
            host: host.into(),
            ..token
        };
        let (issue, token) = match (&self.session, backend) {
            (None, Some(backend)) if may_bind => {
                let secure = session.transport() == Transport::Cookie && session.cookie().is_secure(self.https);
                (Issue::New, bound(Token::begin(now, secure), backend))
            }
            (Some(old), Some(backend)) if may_bind && self.moves(old, answered, host) => {
                (Issue::Repinned, bound(old.clone(), backend))
            }
            (Some(old), _) if self.refresh_due => {
                let token = Token {
                    seen: now,
                    ..old.clone()
                };
                (Issue::Refreshed, token)
            }
            _ => return None,
        };
        Some(Due { issue, token })
    }

    /// Whether a live session goes on elsewhere. It does not where its session route was missed: the next request may well
    /// find it, and until then the client would get a token for each request.
    fn moves(&self, old: &Token, answered: Option<usize>, host: &[u8]) -> bool {
        if self.lost_backend() && !self.is_own(answered) {
            return true;
        }
        // An app can send Envoy's header itself: a host that is the session's own is no news. A host in a token is of no
        // account where sessions are no longer bound to hosts.
        let elsewhere = self.pins_host() && *old.host != *host;
        elsewhere && !self.diverted && !self.missed(answered)
    }
}

impl<'a> Response<'a> {
    /// Sends a token to the client, and keeps shared caches from storing it.
    fn send<H: Host>(
        &mut self,
        due: &Due,
        session: &'a Session,
        keys: &KeyRing,
        now: u64,
        host: &H,
    ) -> Result<(), H::Error> {
        self.changes.push(due.seal(session, keys, host.random()?, now)?);
        if session.cookie().private_cache() {
            let fields = host.read_response(|headers| cache::keep_private(headers.lines()))?;
            self.changes.extend(fields.into_iter().map(Change::Field));
        }
        self.issue = Some(due.issue);
        Ok(())
    }
}

impl Due {
    /// Seals the token into the response header that carries it. `nonce` must be random and used once.
    pub(super) fn seal<'a>(
        &self,
        session: &'a Session,
        keys: &KeyRing,
        nonce: [u8; NONCE_LENGTH],
        now: u64,
    ) -> Result<Change<'a>, SealError> {
        let sealed = self.token.seal(keys, session.binding(), nonce)?;
        if session.transport() == Transport::Header {
            return Ok(Change::Add(session.name(), sealed.into_bytes().into()));
        }
        let max_age = session
            .timeouts()
            .remaining(self.token.issued, now)
            .filter(|_| session.permanent());
        // The attributes may be others than those under which the session began.
        let secure = session.cookie().is_secure(self.token.secure);
        let cookie = cookie::set_cookie(session.name(), &sealed, session.cookie(), secure, max_age);
        Ok(Change::Add("set-cookie", cookie.into_bytes().into()))
    }
}
