//! The token that a response sends to the client, if it needs one.

use super::{
    reason::{Reason, SessionOutcome},
    request::Decision,
};
use crate::{
    backend::Backend,
    change::Change,
    config::{BoundTo, Transport},
    cookie,
    keys::KeyRing,
    session::Session,
    share::Share,
    token::{NONCE_LENGTH, SealError, Token},
};

/// Why a token is sent to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssueReason {
    /// A session begins.
    New,
    /// A session moves to another host or backend.
    Moved,
    /// The last-seen time of a session is renewed, or the version or the share of its backend.
    Refreshed,
    /// A strict session ends because its host is gone.
    Ended,
}

/// A token for the client that is not sealed yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PendingToken {
    pub(super) reason: IssueReason,
    pub(super) token: Token,
}

impl Decision {
    /// The token for the client after the response of a backend, if it needs one. `responding` is the backend if it belongs to the
    /// rule and the session may be bound to it. `host` is the host if Envoy selected another one than that of the session.
    pub(super) fn pending_token(
        &self,
        responding: Option<usize>,
        host: Option<&[u8]>,
        now: u64,
    ) -> Option<PendingToken> {
        let keeps_session = self.session_outcome != SessionOutcome::Stateless;
        let session = self.rule.session().filter(|_| keeps_session)?;
        // The token of a session that is bound to a backend names no host.
        let (host, may_bind) = match session.bound_to() {
            BoundTo::Host => (host.unwrap_or_default(), host.is_some()),
            BoundTo::Backend => (b"".as_slice(), !matches!(self.reason, Reason::CanaryRule(_))),
        };
        let backend = responding.and_then(|responding| self.rule.backends().get(responding));
        let bound = |token: Token, backend: &Backend| Token {
            seen: now,
            backend: backend.key().as_bytes().into(),
            version: version_on(backend, &token).into(),
            share: self.share_after(&token, backend),
            host: host.into(),
            ..token
        };
        let (reason, token) = match (&self.session, backend) {
            (None, Some(backend)) if may_bind => {
                let secure = session.transport() == Transport::Cookie && session.cookie().is_secure(self.https);
                (IssueReason::New, bound(Token::new(now, secure), backend))
            }
            (Some(old), Some(backend)) if may_bind && self.moves(old, responding, host) => {
                (IssueReason::Moved, bound(old.clone(), backend))
            }
            (Some(old), _) if self.needs_refresh => (IssueReason::Refreshed, self.refreshed(old, now)),
            _ => return None,
        };
        Some(PendingToken { reason, token })
    }

    /// The renewed token of a live session. If the session stays with its backend, the token gets the version of the backend, if
    /// that is known, and its share.
    fn refreshed(&self, old: &Token, now: u64) -> Token {
        let stays = !self.session_outcome.lost_backend();
        let backend = self.rule.backend(&old.backend).filter(|_| stays);
        let backend = backend.and_then(|backend| self.rule.backends().get(backend));
        Token {
            seen: now,
            version: backend.map_or(&*old.version, |backend| version_on(backend, old)).into(),
            share: backend.map_or(old.share, |backend| self.share_after(old, backend)),
            ..old.clone()
        }
    }

    /// The share that a token gets when its session is bound to this backend. A session that has to be drawn again keeps its own.
    fn share_after(&self, token: &Token, backend: &Backend) -> Option<Share> {
        if self.undrawn { token.share } else { backend.share() }
    }

    /// Whether a live session moves to this backend and host. It does not if the request missed the session route: the next
    /// request may find it, and until then each response would send a token.
    fn moves(&self, old: &Token, responding: Option<usize>, host: &[u8]) -> bool {
        if self.session_outcome == SessionOutcome::Followed {
            return !self.diverted && responding == self.backend;
        }
        if self.session_outcome.lost_backend() && !self.is_session_backend(responding) {
            return true;
        }
        // An application can send Envoy's header itself, so the host may be that of the session. If sessions are no longer bound
        // to hosts, the host of an old token does not matter.
        let other_host = self.binds_host() && *old.host != *host;
        other_host && !self.diverted && !self.missed_session_route(responding)
    }

    /// Whether a backend is that of the session.
    pub(super) fn is_session_backend(&self, backend: Option<usize>) -> bool {
        let key = |backend: usize| Some(self.rule.backends().get(backend)?.key().as_bytes());
        let own = self.session.as_ref().map(|token| &*token.backend);
        own.is_some() && backend.and_then(key) == own
    }

    /// Whether the request asked for a session route and another backend responded.
    pub(super) fn missed_session_route(&self, responding: Option<usize>) -> bool {
        self.requested_backend()
            .is_some_and(|requested| responding != Some(requested))
    }
}

/// The version of a session that is bound to this backend. While that of the backend may be outdated, a session that was there before
/// keeps its own, even on another host: the pods of the next version may be there before the next configuration.
fn version_on<'a>(backend: &'a Backend, token: &'a Token) -> &'a [u8] {
    match backend.version_for_tokens() {
        Some(version) => version.as_bytes(),
        None if *token.backend == *backend.key().as_bytes() => &token.version,
        None => b"",
    }
}

impl PendingToken {
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
        // The configured attributes may have changed since the session began.
        let secure = session.cookie().is_secure(self.token.secure);
        let cookie = cookie::set_cookie(session.name(), &sealed, session.cookie(), secure, max_age);
        Ok(Change::Add("set-cookie", cookie.into_bytes().into()))
    }
}
