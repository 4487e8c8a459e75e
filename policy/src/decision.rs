//! What to do with a request, and then with its response, and why.
//!
//! A request is decided in the order of its tokens: version, binding, issue time, absolute timeout, idle timeout. A live
//! session keeps its backend, whatever the weights say; all others are placed by weight. Which host a request reaches is
//! Envoy's choice; the response tells whether it is another than the session's, and then a token is due.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    cookie,
    keys::KeyRing,
    rule::{Backend, Rule, Secure, Session, Transport},
    session::Standing,
    token::{NONCE_LENGTH, Rejection, SealError, Token},
};

/// How many tokens of one request are looked at.
pub const MAX_TOKENS: usize = 4;

/// What to do with one request, and why.
#[derive(Debug)]
pub struct Decision {
    outcome: Outcome,
    backend: usize,
    reason: Reason,
    session: Option<Token>,
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
    /// The weights chose it.
    Split,
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

/// Decides a request. `tokens` are the values that the client sent for the rule's session, `now` is in seconds since the
/// Unix epoch, and `random` is asked for a number only when the weights have to choose.
pub fn decide<'a>(
    rule: &Rule,
    keys: Option<&KeyRing>,
    tokens: impl Iterator<Item = &'a [u8]>,
    now: u64,
    random: impl FnOnce() -> u64,
) -> Decision {
    let (mut outcome, session) = match (rule.session(), keys) {
        (Some(session), Some(keys)) => read_tokens(session, keys, tokens, now),
        _ => (Outcome::Stateless, None),
    };
    let (backend, reason) = match session.as_ref().map(|token| rule.backend(&token.backend)) {
        Some(Some(backend)) => (backend, Reason::Session),
        gone_or_none => {
            if gone_or_none.is_some() {
                outcome = Outcome::BackendGone;
            }
            place(rule, random)
        }
    };
    Decision {
        outcome,
        backend,
        reason,
        session,
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

fn place(rule: &Rule, random: impl FnOnce() -> u64) -> (usize, Reason) {
    match rule.backends() {
        [_] => (0, Reason::Single),
        _ => (rule.draw(random()), Reason::Split),
    }
}

impl Decision {
    /// What the tokens of the request came to.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The position of the chosen backend in the rule.
    #[must_use]
    pub fn backend(&self) -> usize {
        self.backend
    }

    /// Why that backend.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The value of `x-mooring-backend`. None where the rule leaves no choice.
    #[must_use]
    pub fn backend_header<'a>(&self, rule: &'a Rule) -> Option<&'a str> {
        match rule.backends() {
            [_] => None,
            backends => backends.get(self.backend).map(Backend::key),
        }
    }

    /// The value of `x-mooring-host`, as Envoy's header session state reads it: `ip:port` in standard base64. None where
    /// Envoy is to choose a host.
    #[must_use]
    pub fn host_header(&self) -> Option<String> {
        let pinned = self.pinned()?;
        Some(STANDARD.encode(&pinned.host))
    }

    /// The session whose host the request is sent to.
    fn pinned(&self) -> Option<&Token> {
        self.session.as_ref().filter(|_| self.reason == Reason::Session)
    }

    /// Whether [`Self::due`] wants to know the request's scheme, which a response no longer tells.
    #[must_use]
    pub fn wants_scheme(&self, rule: &Rule) -> bool {
        let cookie_by_scheme =
            |session: &Session| session.transport() == Transport::Cookie && session.cookie().secure() == Secure::Auto;
        self.outcome != Outcome::Stateless && self.session.is_none() && rule.session().is_some_and(cookie_by_scheme)
    }

    /// The token that is due to the client after a response from the backend, if any. `host` is the host that answered
    /// where Envoy says that it is a new one, `https` whether the request came by https.
    #[must_use]
    pub fn due(&self, rule: &Rule, host: Option<&[u8]>, https: bool, now: u64) -> Option<Due> {
        let session = rule.session().filter(|_| self.outcome != Outcome::Stateless)?;
        let backend = || -> Box<[u8]> {
            let key = rule.backends().get(self.backend).map_or("", Backend::key);
            key.as_bytes().into()
        };
        let (issue, token) = match (&self.session, host) {
            (None, Some(host)) => {
                let secure = match session.cookie().secure() {
                    Secure::Auto => https,
                    Secure::Always => true,
                    Secure::Never => false,
                };
                let token = Token {
                    issued: now,
                    seen: now,
                    secure,
                    backend: backend(),
                    host: host.into(),
                };
                (Issue::New, token)
            }
            // An app can send Envoy's header itself: a host that is the session's own is no news.
            (Some(old), Some(host)) if self.reason != Reason::Session || *old.host != *host => {
                let token = Token {
                    seen: now,
                    backend: backend(),
                    host: host.into(),
                    ..old.clone()
                };
                (Issue::Repinned, token)
            }
            (Some(old), _) if self.outcome == Outcome::RefreshDue => {
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

    /// Whether [`Self::due`] may want to send a token although the host is the session's.
    #[must_use]
    pub fn refresh_due(&self) -> bool {
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
        let secure = self.token.secure;
        Ok(IssuedHeader {
            name: "set-cookie",
            value: cookie::set_cookie(session.name(), &sealed, session.cookie(), secure, max_age),
        })
    }
}

#[cfg(test)]
mod tests;
