//! Decides where a request goes, what its response sends to the client, and why.
//!
//! - Each token of a request is checked in this order: version, key, binding, seal, issue time, absolute timeout, idle timeout.
//!   If several are valid, the newest counts.
//! - A live session keeps its backend, regardless of the weights. Without a session, the weights of the route select the backend.
//! - A session with a version follows its version to another backend. If no backend has it, the session is decided like none.
//! - If the policy rebalances sessions and the share of a session's backend has fallen, the session may be drawn again.
//! - A match rule of a canary takes precedence over both as long as it matches. It leaves a live session unchanged.
//! - The response shows which backend and host a request reached. If the session is bound to another one, the response sends a
//!   token.
//! - If a backend is unreachable, one request after each pause probes it. The others go to another backend.

use std::rc::Rc;

use crate::{
    canary::{Budget, Selection},
    config::Transport,
    cookie,
    gateway::Gateway,
    headers::Headers,
    host::Host,
    rule::Rule,
    sampler,
    session::Session,
};

mod backends;
mod event;
mod pending_token;
mod placement;
mod reason;
mod rebalance;
mod request;
mod response;
mod tokens;
mod versions;

use self::{backends::Backends, placement::Placement};
pub use self::{
    event::Event,
    pending_token::IssueReason,
    reason::{Reason, SessionOutcome},
    request::Decision,
    response::Response,
    tokens::MAX_TOKENS,
};

/// Decides about a request by its headers. `host.random` selects another backend if a match rule excludes
/// one, and the sessions that are drawn again.
pub fn decide<H: Host>(rule: &Rc<Rule>, gateway: &Gateway, headers: &Headers, host: &H) -> Result<Decision, H::Error> {
    let now = host.now()?;
    let session = rule.session().filter(|session| applies_to(session, headers));
    let (mut session_outcome, session) = match (session, &gateway.keys) {
        (Some(session), Some(keys)) => tokens::read(session, keys, headers, now),
        _ => (SessionOutcome::Stateless, None),
    };
    let mut needs_refresh = session_outcome == SessionOutcome::NeedsRefresh;
    let backends = Backends { rule, gateway, now };
    let mut placement = match &session {
        Some(token) => backends.place(token, host)?,
        None => Placement::default(),
    };
    let mut budget = Budget::for_request();
    let selected = select_backend(&backends, headers, &mut placement, &mut budget, host)?;
    let selected = backends.reconsider(&mut placement, selected, host)?;
    let bound = placement.bound;
    if let Some(lost) = placement.lost {
        session_outcome = lost;
    } else if backends.has_new_version(session.as_ref(), bound) || backends.has_new_share(session.as_ref(), &placement)
    {
        session_outcome = SessionOutcome::NeedsRefresh;
        needs_refresh = true;
    }
    let (backend, reason) = match selected {
        (Some(backend), _) if backends.is_unreachable(backend) => match bound.filter(|bound| *bound != backend) {
            Some(bound) => (Some(bound), Reason::Session),
            None => backends.alternative(host)?,
        },
        (None, _) if session_outcome == SessionOutcome::BackendUnreachable => backends.alternative(host)?,
        selected => selected,
    };
    Ok(Decision {
        rule: Rc::clone(rule),
        session_outcome,
        backend,
        reason,
        diverted: bound.is_some_and(|bound| backend != Some(bound)),
        needs_refresh,
        undrawn: placement.fall.is_some(),
        inspection: backends.inspection(backend, host)?,
        session,
        budget,
        lacks_sanitizer: gateway.routes.lacks_sanitizer(),
        decided_at: now,
        access_log: gateway.routes.has_access_log(),
        https: headers.first(":scheme") == Some(b"https"),
        local_reply_headers: local_reply_headers(rule, backend, headers),
    })
}

/// The usual number of headers of a local reply to a request for this backend. It matters, and the content type is looked up,
/// only if the request asks for a session route or its session is strict.
fn local_reply_headers(rule: &Rule, backend: Option<usize>, headers: &Headers) -> usize {
    let matters = (backend.is_some() && rule.has_session_routes()) || rule.session().is_some_and(Session::strict);
    let grpc = matters && headers.first("content-type").is_some_and(is_grpc);
    sampler::local_reply_headers(grpc)
}

/// Whether this is a content type of gRPC. It is not for gRPC-Web, which gets the same local replies as other requests.
fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+"))
}

/// Whether the session applies to a request. Browsers send a cookie only with requests below its path. In the response to any
/// other request, a new cookie would replace the cookie of the session, so that the session would move with each such request.
fn applies_to(session: &Session, headers: &Headers) -> bool {
    let path = session.cookie().path();
    session.transport() == Transport::Header
        || path == "/"
        || cookie::is_sent_to(path, headers.first(":path").unwrap_or_default())
}

/// Selects the backend of a request: by a match rule, else by the live session unless it is drawn again, else by the hash of the
/// client. None: the route selects the backend.
fn select_backend<H: Host>(
    backends: &Backends,
    headers: &Headers,
    placement: &mut Placement,
    budget: &mut Budget,
    host: &H,
) -> Result<(Option<usize>, Reason), H::Error> {
    let (rule, bound) = (backends.rule, placement.bound);
    let canary = rule.canary();
    let selection = canary
        .filter(|canary| bound.is_none() || canary.overrides_sessions())
        .map_or(Selection::Any, |canary| canary.select(headers, budget));
    let by_hash = || {
        let client = canary.and_then(|canary| canary.client_hash(headers, rule.backends().len()))?;
        // While the backend of the client is unreachable, the client always goes to the same other backend.
        client.select(rule.backends(), |backend| !backends.is_unreachable(backend))
    };
    Ok(match (selection, bound) {
        (Selection::Only { rule, backend }, _) => (Some(backend), Reason::CanaryRule(rule)),
        (Selection::Except { backend, .. }, Some(bound)) if bound != backend => (Some(bound), Reason::Session),
        (
            Selection::Except {
                rule: match_rule,
                backend,
            },
            _,
        ) => {
            let random = u64::from_ne_bytes(host.random()?);
            let other = rule.select_other(random, backend);
            (Some(other), Reason::CanaryRule(match_rule))
        }
        (Selection::Any, Some(bound)) => backends.rebalance(placement, bound, by_hash, host)?,
        (Selection::Any, None) if rule.backends().len() == 1 => (Some(0), Reason::Single),
        (Selection::Any, None) => by_hash().map_or((None, Reason::Split), |backend| (Some(backend), Reason::Hash)),
    })
}

#[cfg(test)]
mod tests;
