//! What to do with a request, and then with its response, and why.
//!
//! A request is decided in the order of its tokens: version, binding, issue time, absolute timeout, idle timeout. A live
//! session keeps its backend, whatever the weights say; a client without one goes where the route's own weights send it. A
//! forcing canary rule beats both, for as long as it matches: it leaves a live session as it is. Which backend and which
//! host a request reached, the response tells: a token is due where that is not what the session is bound to.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    canary::Verdict,
    cookie,
    headers::Headers,
    keys::KeyRing,
    outage::Outages,
    rule::{Backend, Pin, Rule, Session, Transport},
    session::Standing,
    token::{NONCE_LENGTH, Rejection, SealError, Token},
};

/// How many tokens of one request are looked at.
pub const MAX_TOKENS: usize = 4;

/// What to do with one request, and why.
#[derive(Debug)]
pub struct Decision {
    outcome: Outcome,
    backend: Option<usize>,
    reason: Reason,
    session: Option<Token>,
    /// A live session goes to another backend than its own for this request, and stays as it is.
    diverted: bool,
}

/// What the tokens of a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The rule keeps no sessions, or there is no key to open tokens with.
    Stateless,
    /// The client has no session.
    New,
    /// The session lives.
    Resumed,
    /// The session lives, and its last-seen time is to be renewed.
    RefreshDue,
    /// The session lives, but the rule no longer has its backend.
    BackendGone,
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
}

/// Why a token is sent to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Issue {
    /// A session begins.
    New,
    /// A session goes on, on another host or backend.
    Repinned,
    /// A session goes on, and its last-seen time is renewed.
    Refreshed,
}

/// A token that is due to the client.
#[derive(Debug, PartialEq, Eq)]
pub struct Due {
    /// Why.
    pub issue: Issue,
    token: Token,
}

/// A response header that carries a token.
#[derive(Debug, PartialEq, Eq)]
pub struct IssuedHeader<'a> {
    /// The header's name.
    pub name: &'a str,
    /// The header's value.
    pub value: String,
}

/// Decides a request. `tokens` are the values that the client sent for the rule's session, `headers` are read only where
/// the rule has canary routing, `outages` are what earlier answers told, `now` is in seconds since the Unix epoch, and
/// `random` is asked for a number only where a client that opted out of a backend is placed.
pub fn decide<'a>(
    rule: &Rule,
    keys: Option<&KeyRing>,
    tokens: impl Iterator<Item = &'a [u8]>,
    headers: &Headers,
    outages: &Outages,
    now: u64,
    random: impl FnOnce() -> u64,
) -> Decision {
    let (mut outcome, session) = match (rule.session(), keys) {
        (Some(session), Some(keys)) => read_tokens(session, keys, tokens, now),
        _ => (Outcome::Stateless, None),
    };
    let mut bound = session.as_ref().and_then(|token| rule.backend(&token.backend));
    let unreachable = |backend: usize| rule.has_session_routes() && outages.has(rule.position(), backend, now);
    if session.is_some() && bound.is_none_or(unreachable) {
        bound = None;
        outcome = Outcome::BackendGone;
    }
    let (backend, reason) = match choose(rule, headers, bound, random) {
        (Some(backend), _) if unreachable(backend) => (None, Reason::Split),
        chosen => chosen,
    };
    Decision {
        outcome,
        backend,
        reason,
        diverted: bound.is_some_and(|bound| backend != Some(bound)),
        session,
    }
}

/// The backend of a request: forced, else that of the live session, else by who the client is. None: the route decides.
fn choose(
    rule: &Rule,
    headers: &Headers,
    bound: Option<usize>,
    random: impl FnOnce() -> u64,
) -> (Option<usize>, Reason) {
    let canary = rule.canary();
    let verdict = canary
        .filter(|canary| bound.is_none() || canary.overrides_sessions())
        .map_or(Verdict::Free, |canary| canary.judge(headers));
    match (verdict, bound) {
        (Verdict::To { rule, backend }, _) => return (Some(backend), Reason::Forced(rule)),
        (Verdict::Not { backend, .. }, Some(bound)) if bound != backend => return (Some(bound), Reason::Session),
        (Verdict::Not { rule: forcing, backend }, _) => {
            return (Some(rule.draw(random(), backend)), Reason::Forced(forcing));
        }
        (Verdict::Free, Some(bound)) => return (Some(bound), Reason::Session),
        (Verdict::Free, None) => {}
    }
    if let [_] = rule.backends() {
        return (Some(0), Reason::Single);
    }
    let hash = canary.and_then(|canary| canary.client_hash(headers));
    match hash.and_then(|client| client.place(rule.backends())) {
        Some(backend) => (Some(backend), Reason::Hash),
        None => (None, Reason::Split),
    }
}

/// The first live session among the tokens; without one, what the first token came to.
fn read_tokens<'a>(
    session: &Session,
    keys: &KeyRing,
    tokens: impl Iterator<Item = &'a [u8]>,
    now: u64,
) -> (Outcome, Option<Token>) {
    let mut first = None;
    for text in tokens.take(MAX_TOKENS) {
        let outcome = match Token::open(text, keys, session.binding()) {
            Err(rejection) => Outcome::Rejected(rejection),
            Ok(token) => match session.timeouts().judge(&token, now) {
                Standing::Live { refresh_due: false } => return (Outcome::Resumed, Some(token)),
                Standing::Live { refresh_due: true } => return (Outcome::RefreshDue, Some(token)),
                Standing::ExpiredIdle => Outcome::ExpiredIdle,
                Standing::ExpiredAbsolute => Outcome::ExpiredAbsolute,
                Standing::Rejected(rejection) => Outcome::Rejected(rejection),
            },
        };
        first.get_or_insert(outcome);
    }
    (first.unwrap_or(Outcome::New), None)
}

impl Decision {
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

    /// The value of `x-mooring-backend`. None where the route decides, or the rule leaves no choice.
    #[must_use]
    pub fn backend_header<'a>(&self, rule: &'a Rule) -> Option<&'a str> {
        let backend = self.backend.filter(|_| rule.has_session_routes())?;
        rule.backends().get(backend).map(Backend::session_key)
    }

    /// The value of the header that names the session's host, as Envoy's header session state reads it: `ip:port` in standard
    /// base64. None where Envoy is to choose a host.
    #[must_use]
    pub fn host_header(&self, rule: &Rule) -> Option<String> {
        let pins_hosts = rule.session().is_some_and(|session| session.pin() == Pin::Host);
        let stays = pins_hosts && !self.diverted && self.outcome != Outcome::BackendGone;
        let pinned = self.session.as_ref().filter(|token| stays && !token.host.is_empty())?;
        Some(STANDARD.encode(&pinned.host))
    }

    /// Whether the response has to be looked at closely: [`Self::due`] may give a token then, the backend is still unknown, or
    /// the session route may have been missed. `new_host` says whether the host is another than the session's.
    #[must_use]
    pub fn needs_response(&self, rule: &Rule, new_host: bool) -> bool {
        self.refresh_due() || self.needs_cluster(rule, new_host)
    }

    /// Whether the cluster that answered has to be known for that.
    #[must_use]
    pub fn needs_cluster(&self, rule: &Rule, new_host: bool) -> bool {
        let unbound = self.session.is_none() || self.outcome == Outcome::BackendGone;
        let binds = self.outcome != Outcome::Stateless && !self.diverted && (unbound || new_host);
        // Without a host, nothing else tells that another backend answered.
        let unseen = || rule.session().is_some_and(|session| session.pin() == Pin::Backend);
        binds || self.backend.is_none() || (rule.has_session_routes() && unseen())
    }

    /// Whether the request asked for a session route, and another backend than that of the route answered.
    #[must_use]
    pub fn missed(&self, rule: &Rule, answered: Option<usize>) -> bool {
        rule.has_session_routes() && self.backend.is_some() && self.backend != answered
    }

    /// The token that is due to the client after a response from a backend, if any. `answered` is the backend, where it is one
    /// of the rule's, `host` is the host where Envoy says that it is a new one, `https` whether the request came by https.
    #[must_use]
    pub fn due(&self, rule: &Rule, answered: Option<usize>, host: Option<&[u8]>, https: bool, now: u64) -> Option<Due> {
        let session = rule.session().filter(|_| self.outcome != Outcome::Stateless)?;
        // With a session on a backend alone, any host is as good as another, and none is written down.
        let (host, may_bind) = match session.pin() {
            Pin::Host => (host.unwrap_or_default(), host.is_some()),
            Pin::Backend => (b"".as_slice(), !matches!(self.reason, Reason::Forced(_))),
        };
        let backend = answered.and_then(|answered| rule.backends().get(answered));
        let bound = |token: Token, backend: &Backend| Token {
            seen: now,
            backend: backend.key().as_bytes().into(),
            host: host.into(),
            ..token
        };
        let (issue, token) = match (&self.session, backend) {
            (None, Some(backend)) if may_bind => {
                let secure = session.transport() == Transport::Cookie && session.cookie().is_secure(https);
                (Issue::New, bound(Token::begin(now, secure), backend))
            }
            (Some(old), Some(backend)) if may_bind && self.moves(rule, session, old, answered, host) => {
                (Issue::Repinned, bound(old.clone(), backend))
            }
            (Some(old), _) if self.refresh_due() => {
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
    fn moves(&self, rule: &Rule, session: &Session, old: &Token, answered: Option<usize>, host: &[u8]) -> bool {
        if self.outcome == Outcome::BackendGone {
            return true;
        }
        // An app can send Envoy's header itself: a host that is the session's own is no news. A host in a token is of no
        // account where sessions are no longer bound to hosts.
        let elsewhere = session.pin() == Pin::Host && *old.host != *host;
        elsewhere && !self.diverted && !self.missed(rule, answered)
    }

    fn refresh_due(&self) -> bool {
        self.outcome == Outcome::RefreshDue
    }
}

impl Due {
    /// Seals the token into the response header that carries it. `nonce` must be random and used once.
    pub fn seal<'a>(
        &self,
        session: &'a Session,
        keys: &KeyRing,
        nonce: [u8; NONCE_LENGTH],
        now: u64,
    ) -> Result<IssuedHeader<'a>, SealError> {
        let sealed = self.token.seal(keys, session.binding(), nonce)?;
        if session.transport() == Transport::Header {
            return Ok(IssuedHeader {
                name: session.name(),
                value: sealed,
            });
        }
        let max_age = session
            .timeouts()
            .remaining(self.token.issued, now)
            .filter(|_| session.permanent());
        // The attributes may be others than those under which the session began.
        let secure = session.cookie().is_secure(self.token.secure);
        Ok(IssuedHeader {
            name: "set-cookie",
            value: cookie::set_cookie(session.name(), &sealed, session.cookie(), secure, max_age),
        })
    }
}

#[cfg(test)]
mod tests;
