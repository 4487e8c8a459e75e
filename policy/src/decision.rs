//! What to do with a request, and then with its response, and why.
//!
//! A token is checked in this order: version, key, binding, seal, issue time, absolute timeout, idle timeout. Of several the
//! newest counts.
//!
//! A live session keeps its backend, whatever the weights say; a client without one goes where the route's own weights send it. A
//! forcing canary rule beats both, for as long as it matches: it leaves a live session as it is. Which backend and which
//! host a request reached, the response tells: a token is due where that is not what the session is bound to. A backend that
//! cannot be reached is asked for by one request after each pause; the others go on elsewhere.

use std::rc::Rc;

use crate::{
    canary::{Budget, Verdict},
    cookie,
    gateway::Gateway,
    headers::Headers,
    host::Host,
    rule::{Pin, Rule, Session, Transport},
    token::{Rejection, Token},
    watch,
};

mod failover;
mod request;
mod response;
mod tokens;

use self::failover::Backends;
pub use self::{
    response::{Issue, Response},
    tokens::MAX_TOKENS,
};

/// What to do with one request, and why.
#[derive(Debug)]
pub struct Decision {
    rule: Rc<Rule>,
    outcome: Outcome,
    backend: Option<usize>,
    reason: Reason,
    session: Option<Token>,
    /// A live session goes to another backend than its own for this request, and stays as it is.
    diverted: bool,
    /// The last-seen time of the session is to be renewed.
    refresh_due: bool,
    /// The response gets a close look.
    look: Look,
    /// What is left of the steps for the canary's conditions.
    budget: Budget,
    /// The request came by https.
    https: bool,
    /// How many headers a response of Envoy's own to the request has.
    local_headers: usize,
}

/// What the tokens of a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The rule keeps no sessions, or none for this path, or there is no key to open tokens with.
    Stateless,
    /// The client has no session.
    New,
    /// The session lives.
    Resumed,
    /// The session lives, and its last-seen time is to be renewed.
    RefreshDue,
    /// The session lives, but the rule no longer has its backend.
    BackendGone,
    /// The session lives, but its backend cannot be reached.
    BackendDown,
    /// The session lives, but the policy releases those on its backend, which has no weight any more.
    Released,
    /// The session ended by silence.
    ExpiredIdle,
    /// The session ended by age.
    ExpiredAbsolute,
    /// The token is not believed.
    Rejected(Rejection),
}

/// Why a request goes to its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its session is there.
    Session,
    /// The rule has no other.
    Single,
    /// The weights of the route chose it.
    Split,
    /// The weights chose it, by who the client is.
    Hash,
    /// The forcing canary rule at this position chose it.
    Forced(usize),
    /// The one that it was for and the one that the weights chose cannot be reached.
    Failover,
}

/// Why a response gets a close look that its request does not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It gets none.
    None,
    /// It is the one of this second.
    Watched,
    /// The request finds out whether its backend is back.
    Probe,
}

/// Decides a request by its headers. A canary rule that excludes a backend draws another one by `host.random`.
pub fn decide<H: Host>(rule: &Rc<Rule>, gateway: &Gateway, headers: &Headers, host: &H) -> Result<Decision, H::Error> {
    let now = host.now()?;
    let session = rule.session().filter(|session| goes_with(session, headers));
    let (mut outcome, session) = match (session, &gateway.keys) {
        (Some(session), Some(keys)) => tokens::read(session, keys, headers, now),
        _ => (Outcome::Stateless, None),
    };
    let refresh_due = outcome == Outcome::RefreshDue;
    let backends = Backends { rule, gateway, now };
    let mut bound = session.as_ref().and_then(|token| rule.backend(&token.backend));
    if session.is_some() && bound.is_none() {
        outcome = Outcome::BackendGone;
    } else if bound.is_some_and(|bound| backends.is_closed(bound)) {
        bound = None;
        outcome = Outcome::BackendDown;
    }
    let released = match bound {
        Some(backend) if backends.is_released(backend, host)? => bound.take(),
        _ => None,
    };
    let mut budget = Budget::of_request();
    let choice = choose(&backends, headers, bound, &mut budget, host)?;
    if released.is_some() {
        // A canary rule that sends the request to a released backend is the policy's own wish: the session stays there.
        if matches!(choice, (backend, Reason::Forced(_)) if backend == released) {
            bound = released;
        } else {
            outcome = Outcome::Released;
        }
    }
    let (backend, reason) = match choice {
        (Some(backend), _) if backends.is_closed(backend) => match bound.filter(|bound| *bound != backend) {
            Some(bound) => (Some(bound), Reason::Session),
            None => backends.elsewhere(host)?,
        },
        (None, _) if outcome == Outcome::BackendDown => backends.elsewhere(host)?,
        chosen => chosen,
    };
    let look = backends.look(backend, host)?;
    Ok(Decision {
        rule: Rc::clone(rule),
        outcome,
        backend,
        reason,
        diverted: bound.is_some_and(|bound| backend != Some(bound)),
        refresh_due,
        look,
        session,
        budget,
        https: headers.first(":scheme") == Some(b"https"),
        local_headers: watch::local_headers(headers.first("content-type").is_some_and(is_grpc)),
    })
}

/// Whether a `content-type` is that of gRPC. Envoy's own responses to gRPC-Web are those to any other request.
fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+"))
}

/// Whether the token of a session goes with a request. Browsers send a cookie with requests below its path only. One that is set
/// for another request takes the place of that which they keep, and would move the session with each such request.
fn goes_with(session: &Session, headers: &Headers) -> bool {
    let path = session.cookie().path();
    session.transport() == Transport::Header
        || path == "/"
        || cookie::is_sent_to(path, headers.first(":path").unwrap_or_default())
}

/// The backend of a request: forced, else that of the live session, else by who the client is. None: the route decides.
fn choose<H: Host>(
    backends: &Backends,
    headers: &Headers,
    bound: Option<usize>,
    budget: &mut Budget,
    host: &H,
) -> Result<(Option<usize>, Reason), H::Error> {
    let rule = backends.rule;
    let canary = rule.canary();
    let verdict = canary
        .filter(|canary| bound.is_none() || canary.overrides_sessions())
        .map_or(Verdict::Free, |canary| canary.judge(headers, budget));
    let by_client = || {
        let client = canary.and_then(|canary| canary.client_hash(headers, rule.backends().len()))?;
        // While the client's backend cannot be reached, it always goes to the same other one.
        let open = client.place_among(rule.backends(), |backend| !backends.is_closed(backend));
        open.or_else(|| client.place(rule.backends()))
    };
    Ok(match (verdict, bound) {
        (Verdict::To { rule, backend }, _) => (Some(backend), Reason::Forced(rule)),
        (Verdict::Not { backend, .. }, Some(bound)) if bound != backend => (Some(bound), Reason::Session),
        (Verdict::Not { rule: forcing, backend }, _) => {
            let random = u64::from_ne_bytes(host.random()?);
            (Some(rule.draw(random, backend)), Reason::Forced(forcing))
        }
        (Verdict::Free, Some(bound)) => (Some(bound), Reason::Session),
        (Verdict::Free, None) if rule.backends().len() == 1 => (Some(0), Reason::Single),
        (Verdict::Free, None) => by_client().map_or((None, Reason::Split), |backend| (Some(backend), Reason::Hash)),
    })
}

impl Decision {
    /// The rule that was decided by.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What the tokens of the request came to.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The position of the backend in the rule. None: the route decides, and the response tells.
    #[must_use]
    pub fn backend(&self) -> Option<usize> {
        self.backend
    }

    /// Why that backend.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Whether the canary's conditions would have taken more steps than a request may, so that its rules said nothing.
    #[must_use]
    pub fn over_budget(&self) -> bool {
        self.budget.is_exhausted()
    }

    /// The backend whose session route the request asks for. None where the route decides, or the rule leaves no choice.
    fn asked_backend(&self) -> Option<usize> {
        self.backend.filter(|_| self.rule.has_session_routes())
    }

    /// The host that the request asks for, `ip:port`. None where Envoy is to choose one.
    fn asked_host(&self) -> Option<&[u8]> {
        let stays = self.pins_host() && !self.diverted && !self.lost_backend();
        let token = self.session.as_ref().filter(|_| stays)?;
        (!token.host.is_empty()).then_some(&token.host)
    }

    /// Whether the session lives, and the request does not go to its backend because it cannot.
    fn lost_backend(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::BackendGone | Outcome::BackendDown | Outcome::Released
        )
    }

    fn pins_host(&self) -> bool {
        self.pin() == Some(Pin::Host)
    }

    fn pin(&self) -> Option<Pin> {
        self.rule.session().map(Session::pin)
    }
}

#[cfg(test)]
mod tests;
