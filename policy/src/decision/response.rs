//! The decision about a response: which backend and host responded, whether the client gets a token, and what the response
//! shows about the backends.

use super::{
    pending_token::{IssueReason, PendingToken},
    reason::{Inspection, SessionOutcome},
    request::Decision,
};
use crate::{
    cache,
    change::Change,
    config::BoundTo,
    gateway::Gateway,
    host::Host,
    internal_headers::HOST_HEADER,
    keys::KeyRing,
    reachability::{Reachability, UnreachableCause},
    session::Session,
    token::Token,
};

/// The `response.code_details` of a response from a backend.
const FROM_BACKEND: &[u8] = b"via_upstream";

/// The changes to a response, and what metrics count.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Response<'a> {
    /// The changes to its headers.
    pub changes: Vec<Change<'a>>,
    /// Why it carries a token. None: it carries none.
    pub issued: Option<IssueReason>,
    /// The position of the backend that the route selected, if the decision left the selection to the route.
    pub routed: Option<usize>,
    /// Whether the request asked for a session route and did not reach its backend.
    pub missed_session_route: bool,
    /// Whether a cluster responded that is not a backend of the rule.
    pub unknown_backend: bool,
    /// Why the backend of the session route that the request asked for is unreachable. None: it is reachable.
    pub unreachable: Option<UnreachableCause>,
    /// Why the session moved to another backend. None: it did not.
    pub left_backend: Option<SessionOutcome>,
}

impl Decision {
    /// Whether the response may need [`Self::respond`].
    #[must_use]
    pub fn awaits_response(&self) -> bool {
        self.session_outcome != SessionOutcome::Stateless || self.backend.is_none() || self.rule.has_session_routes()
    }

    /// The decision about the response, which has this many header lines.
    pub fn respond<H: Host>(&self, gateway: &Gateway, header_count: usize, host: &H) -> Result<Response<'_>, H::Error> {
        let mut response = self.decide_response(gateway, header_count, host)?;
        if self.access_log {
            let entry = self.access_log_entry_after(&response);
            response.changes.extend(entry);
        }
        Ok(response)
    }

    /// The change that replaces the text for access logs after the response. None: the text of the request says all.
    fn access_log_entry_after(&self, response: &Response) -> Option<Change<'static>> {
        let session = response.issued.and_then(|issued| self.session_after(issued));
        if session.is_none() && response.routed.is_none() {
            return None;
        }
        let backend = self.backend.or(response.routed);
        Some(self.access_log_entry(backend, session.unwrap_or_else(|| self.session_outcome.label())))
    }

    /// The word of access logs for the session that gets this token. None: what the request shows tells more, namely why a
    /// session begins, or why it leaves its backend.
    fn session_after(&self, issued: IssueReason) -> Option<&'static str> {
        match (self.session_outcome, issued) {
            (_, IssueReason::Ended) => Some("ended"),
            (SessionOutcome::Resumed | SessionOutcome::NeedsRefresh, IssueReason::Moved) => Some("moved"),
            (SessionOutcome::NeedsRefresh, IssueReason::Refreshed) => Some("refreshed"),
            _ => None,
        }
    }

    fn decide_response<H: Host>(
        &self,
        gateway: &Gateway,
        header_count: usize,
        host: &H,
    ) -> Result<Response<'_>, H::Error> {
        // The stateful session filter names the host in the response unless it is the requested one.
        let new_host = if self.requested_host().is_some() {
            host.response_header(HOST_HEADER)?.is_some()
        } else {
            self.binds_host()
        };
        let inspect = self.needs_refresh || self.inspection != Inspection::None || self.needs_cluster(new_host);
        let may_fail = self.requested_backend().is_some() || self.is_strict();
        // The code details cost a host call, so they are only read if the response may be a local reply.
        let may_be_local_reply = || {
            let (rule, usual) = (self.rule.position(), self.local_reply_headers);
            gateway.sampler.may_be_local_reply(rule, header_count, usual)
        };
        if !inspect && (!may_fail || !may_be_local_reply()) {
            return Ok(Response::default());
        }
        // A local reply, such as 503 after a refused connection, may name the host that failed.
        match host.code_details()?.as_deref() {
            Some(FROM_BACKEND) if inspect => self.on_backend_response(gateway, new_host, host),
            Some(FROM_BACKEND) | None => Ok(Response::default()),
            Some(details) => self.on_local_reply(gateway, details, header_count, host),
        }
    }

    fn on_backend_response<H: Host>(
        &self,
        gateway: &Gateway,
        new_host: bool,
        host: &H,
    ) -> Result<Response<'_>, H::Error> {
        let mut response = Response::default();
        let now = host.now()?;
        let mut responding = self.backend;
        if self.needs_cluster(new_host) {
            let cluster = host.cluster_name()?;
            responding = cluster.and_then(|cluster| self.rule.backend_of_cluster(&cluster));
            response.missed_session_route = self.missed_session_route(responding);
            response.unknown_backend = responding.is_none();
            response.routed = responding.filter(|_| self.backend.is_none());
        }
        self.record_response(gateway, response.routed, now);
        let (Some(session), Some(keys)) = (self.rule.session(), &gateway.keys) else {
            return Ok(response);
        };
        // Only the presence of the response header counts: its value may come from the application.
        let address = if new_host { host.upstream_address()? } else { None };
        let address = address.as_deref().or_else(|| self.followed_host(new_host));
        let bindable = responding
            .filter(|backend| !self.session_outcome.lost_backend() || self.can_move_to(gateway, *backend, now));
        let Some(pending) = self.pending_token(bindable, address, now) else {
            return Ok(response);
        };
        response.send(&pending, session, keys, now, host)?;
        let moved = pending.reason == IssueReason::Moved && !self.is_session_backend(responding);
        response.left_backend = Some(self.session_outcome).filter(|_| moved);
        Ok(response)
    }

    fn on_local_reply<H: Host>(
        &self,
        gateway: &Gateway,
        code_details: &[u8],
        header_count: usize,
        host: &H,
    ) -> Result<Response<'_>, H::Error> {
        let mut response = Response::default();
        let rule = self.rule.position();
        let cause = UnreachableCause::from_code_details(code_details);
        // A strict session fails when its host is gone. That does not indicate that the backend has no other hosts.
        let strict = self.rule.session().is_some_and(Session::strict);
        let backend_cause = cause.filter(|cause| !strict || *cause == UnreachableCause::NoRoute);
        if let (Some(backend), Some(cause)) = (self.requested_backend(), backend_cause) {
            gateway.reachability.record_failure(rule, backend, cause, host.now()?);
            gateway.sampler.record_local_reply(rule, header_count);
            response.missed_session_route = cause == UnreachableCause::NoRoute;
            response.unreachable = Some(cause);
        }
        if self.is_strict() && cause == Some(UnreachableCause::NoHost) {
            gateway.sampler.record_local_reply(rule, header_count);
            self.end_session(gateway, &mut response, host)?;
        }
        Ok(response)
    }

    /// Ends a strict session with a token that is bound to nothing. Deleting the cookie would not suffice: a browser with another
    /// cookie of the same name, for another domain or path, would continue to send that one.
    fn end_session<'a, H: Host>(
        &'a self,
        gateway: &Gateway,
        response: &mut Response<'a>,
        host: &H,
    ) -> Result<(), H::Error> {
        let (Some(session), Some(keys), Some(old)) = (self.rule.session(), &gateway.keys, &self.session) else {
            return Ok(());
        };
        let now = host.now()?;
        let pending = PendingToken {
            reason: IssueReason::Ended,
            token: Token::new(now, old.secure),
        };
        response.send(&pending, session, keys, now, host)
    }

    /// Records what the response of a backend shows. `routed` is the backend if the route selected it.
    fn record_response(&self, gateway: &Gateway, routed: Option<usize>, now: u64) {
        let rule = self.rule.position();
        if let Some(backend) = routed.filter(|_| self.rule.has_session_routes()) {
            gateway.observed.record(rule, backend, now);
            gateway.reachability.record_response(rule, backend, false);
        }
        // Even if another backend responded, requests to the session route no longer fail.
        if let Some(backend) = self
            .requested_backend()
            .filter(|_| self.inspection == Inspection::Probe)
        {
            gateway.reachability.record_response(rule, backend, true);
        }
    }

    /// Whether a session can move to this backend. If the session route of the backend is missing too, it cannot: each response
    /// would send a token.
    fn can_move_to(&self, gateway: &Gateway, backend: usize, now: u64) -> bool {
        let reachability = gateway.reachability.reachability(self.rule.position(), backend, now);
        reachability != Reachability::Unreachable(UnreachableCause::NoRoute)
    }

    /// The host of a session that followed its version to another backend, if it is a host of that backend as well: two Services
    /// can select the same pods.
    fn followed_host(&self, new_host: bool) -> Option<&[u8]> {
        let followed = self.session_outcome == SessionOutcome::Followed && !new_host;
        self.requested_host().filter(|_| followed)
    }

    /// Whether the decision depends on the cluster that responded. `new_host`: the host differs from that of the session.
    pub(super) fn needs_cluster(&self, new_host: bool) -> bool {
        let unbound = self.session.is_none() || self.session_outcome.lost_backend();
        let may_bind = self.session_outcome != SessionOutcome::Stateless && !self.diverted && (unbound || new_host);
        // Without a host, only the cluster shows that another backend responded.
        let only_backend = || self.bound_to() == Some(BoundTo::Backend);
        may_bind || self.backend.is_none() || (self.rule.has_session_routes() && only_backend())
    }
}

impl<'a> Response<'a> {
    /// Sends a token to the client, and keeps shared caches from storing the response.
    fn send<H: Host>(
        &mut self,
        pending: &PendingToken,
        session: &'a Session,
        keys: &KeyRing,
        now: u64,
        host: &H,
    ) -> Result<(), H::Error> {
        self.changes.push(pending.seal(session, keys, host.random()?, now)?);
        if session.cookie().private_cache() {
            let fields = host.read_response(|headers| cache::keep_private(headers.lines()))?;
            self.changes.extend(fields.into_iter().map(Change::SetField));
        }
        self.issued = Some(pending.reason);
        Ok(())
    }
}
