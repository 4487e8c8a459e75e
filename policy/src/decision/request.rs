//! The decision about a request, and the changes that it makes to the request.

use std::rc::Rc;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::reason::{Inspection, Reason, SessionOutcome};
use crate::{
    access_log,
    backend::Backend,
    canary::Budget,
    change::Change,
    config::{BoundTo, Transport},
    cookie::{self, Remainder},
    headers::Headers,
    internal_headers::{
        self, BACKEND_HEADER, COOKIE_FILTER_STATE, FILTER_STATE_MARKER, HOST_FILTER_STATE, HOST_HEADER,
        STRICT_HOST_FILTER_STATE, STRICT_HOST_HEADER,
    },
    rule::Rule,
    session::Session,
    token::Token,
};

/// Limits Envoy's retries of a request, regardless of the route; Envoy removes the header. The stateful session filter selects
/// the host of a session for the first try only, so a retry would reach another host.
const RETRIES_HEADER: &str = "x-envoy-max-retries";

/// The decision about one request, and what its response needs.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent fact about the request"
)]
#[derive(Debug)]
pub struct Decision {
    pub(super) rule: Rc<Rule>,
    pub(super) session_outcome: SessionOutcome,
    pub(super) backend: Option<usize>,
    pub(super) reason: Reason,
    /// The token of the live session.
    pub(super) session: Option<Token>,
    /// Whether the live session stays unchanged although this request goes to another backend.
    pub(super) diverted: bool,
    /// Whether the token must be renewed: its last-seen time, or the version or the share of its backend.
    pub(super) needs_refresh: bool,
    /// Whether the session has to be drawn again, but not by this request.
    pub(super) undrawn: bool,
    pub(super) inspection: Inspection,
    /// The remaining steps of the canary's conditions.
    pub(super) budget: Budget,
    /// Whether the request may have internal headers of the client.
    pub(super) lacks_sanitizer: bool,
    /// The time of the decision, in seconds since the Unix epoch.
    pub(super) decided_at: u64,
    /// Whether access logs show the decision.
    pub(super) access_log: bool,
    /// Whether the scheme of the request is https.
    pub(super) https: bool,
    /// The usual number of headers of a local reply to this request.
    pub(super) local_reply_headers: usize,
}

impl Decision {
    /// The rule of the request.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What became of the session of the request.
    #[must_use]
    pub fn session_outcome(&self) -> SessionOutcome {
        self.session_outcome
    }

    /// The position of the backend in the rule. None: the route selects the backend, and the response shows which.
    #[must_use]
    pub fn backend(&self) -> Option<usize> {
        self.backend
    }

    /// Why the request goes to its backend.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The seconds since the live session of the request began. None: it has no live session.
    #[must_use]
    pub fn session_age(&self) -> Option<u64> {
        let begun = self.session.as_ref()?.issued;
        Some(self.decided_at.saturating_sub(begun))
    }

    /// The token of the live session. None: the request has none.
    #[must_use]
    pub fn session(&self) -> Option<&Token> {
        self.session.as_ref()
    }

    /// Whether the canary's conditions exceeded the budget, so that its match rules did not apply.
    #[must_use]
    pub fn over_budget(&self) -> bool {
        self.budget.is_exhausted()
    }

    /// The changes to the request with these headers: they remove the token, and name the backend and the host of the session for
    /// Envoy's filters.
    #[must_use]
    pub fn request_changes<'a>(&'a self, headers: &Headers<'a>) -> Vec<Change<'a>> {
        let mut changes = Vec::with_capacity(4);
        if self.lacks_sanitizer {
            changes.extend(internal_headers::remove_all(headers));
        }
        // A client could send the marker as well.
        let filter_state = !self.lacks_sanitizer && uses_filter_state(headers);
        let session = self.rule.session();
        if let Some(session) = session.filter(|session| !session.forward_token()) {
            remove_tokens(session, headers, filter_state, &mut changes);
        }
        if let Some(key) = self.session_key() {
            changes.push(Change::Set(BACKEND_HEADER, key.as_bytes().into()));
        }
        if let (Some(host), Some(session)) = (self.requested_host(), session) {
            let host = STANDARD.encode(host).into_bytes();
            // Both headers are set, because Envoy's update that makes this virtual host strict may be late.
            if session.strict() {
                let (header, property) = (STRICT_HOST_HEADER, STRICT_HOST_FILTER_STATE);
                changes.push(set_host(header, property, host.clone(), filter_state));
                changes.push(Change::Set(RETRIES_HEADER, b"0".as_slice().into()));
            }
            changes.push(set_host(HOST_HEADER, HOST_FILTER_STATE, host, filter_state));
        }
        if self.access_log {
            changes.push(self.access_log_entry(self.backend, self.session_outcome.label()));
        }
        changes
    }

    /// The change that leaves the text for access logs.
    pub(super) fn access_log_entry(&self, backend: Option<usize>, session: &str) -> Change<'static> {
        let entry = access_log::Entry {
            rule: &self.rule,
            reason: &self.reason.label(&self.rule),
            backend,
            session,
            age: self.session_age(),
        };
        entry.change()
    }

    /// The key of the session route that the request asks for.
    pub(super) fn session_key(&self) -> Option<&str> {
        self.rule
            .backends()
            .get(self.requested_backend()?)
            .map(Backend::session_key)
    }

    /// The backend whose session route the request asks for. None if the route selects the backend, or the rule has only one.
    pub(super) fn requested_backend(&self) -> Option<usize> {
        self.backend.filter(|_| self.rule.has_session_routes())
    }

    /// The host that the request asks for, as Envoy names it. None if Envoy selects the host.
    pub(super) fn requested_host(&self) -> Option<&[u8]> {
        let strict = self.rule.session().is_some_and(Session::strict);
        // The backend that a session follows its version to may have the same host.
        let may_have_host = match self.session_outcome {
            SessionOutcome::Followed => !strict,
            outcome => !outcome.lost_backend(),
        };
        let stays = self.binds_host() && !self.diverted && may_have_host;
        let token = self.session.as_ref().filter(|_| stays)?;
        (!token.host.is_empty()).then_some(&token.host)
    }

    /// Whether the request fails with 503 if the host that it asks for is gone.
    pub(super) fn is_strict(&self) -> bool {
        self.requested_host().is_some() && self.rule.session().is_some_and(Session::strict)
    }

    /// Whether sessions are bound to hosts.
    pub(super) fn binds_host(&self) -> bool {
        self.bound_to() == Some(BoundTo::Host)
    }

    pub(super) fn bound_to(&self) -> Option<BoundTo> {
        self.rule.session().map(Session::bound_to)
    }
}

/// Removes the tokens from the request.
fn remove_tokens<'a>(session: &'a Session, headers: &Headers<'a>, filter_state: bool, changes: &mut Vec<Change<'a>>) {
    let name = session.name();
    if session.transport() == Transport::Header {
        changes.extend(headers.first(name).map(|_| Change::Remove(name)));
        return;
    }
    let lines = || headers.values("cookie");
    let remainders: Vec<Remainder> = lines().map(|line| cookie::without(line, name)).collect();
    if remainders.iter().all(|remainder| *remainder == Remainder::Unchanged) {
        return;
    }
    // HTTP/1.1 clients may send several lines.
    if remainders.len() > 1 {
        changes.push(Change::Remove("cookie"));
        changes.extend(lines().zip(remainders).filter_map(|(line, remainder)| match remainder {
            Remainder::Unchanged => Some(Change::Add("cookie", line.into())),
            Remainder::Line(rest) => Some(Change::Add("cookie", rest.into())),
            Remainder::Empty => None,
        }));
        return;
    }
    changes.extend(remainders.into_iter().map(|remainder| match remainder {
        Remainder::Line(rest) if filter_state => Change::SetFilterState(COOKIE_FILTER_STATE, rest.into()),
        Remainder::Line(rest) => Change::Set("cookie", rest.into()),
        Remainder::Empty | Remainder::Unchanged => Change::Remove("cookie"),
    }));
}

/// Names the host of a session for Envoy, by filter state or by a header.
fn set_host<'a>(header: &'static str, property: &'static str, host: Vec<u8>, filter_state: bool) -> Change<'a> {
    if filter_state {
        Change::SetFilterState(property, host.into())
    } else {
        Change::Set(header, host.into())
    }
}

/// Whether Envoy copies the filter state of this request into headers after the filter.
fn uses_filter_state(headers: &Headers) -> bool {
    headers.first(HOST_HEADER) == Some(FILTER_STATE_MARKER.as_bytes())
}
