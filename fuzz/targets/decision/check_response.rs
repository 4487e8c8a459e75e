//! Checks the decision about a response, and the token that it sends.

use mooring_fuzz::reference;
use mooring_policy::{
    change::Change,
    config::{self, BoundTo, SameSite, Transport},
    decision::{Decision, IssueReason, Reason, Response, SessionOutcome},
    internal_headers::HOST_HEADER,
    memory_host::MemoryHost,
    reachability::{Reachability, UnreachableCause},
    timeouts::SessionState,
    token::Token,
};

use crate::{
    client::Client,
    input::{Answer, Host, Outage, Request},
};

impl Client<'_> {
    /// The backend that answers, with the name of its cluster.
    pub(crate) fn answered(&self, request: &Request, decision: &Decision) -> (Option<usize>, String) {
        let backends = &self.raw.backends;
        let of_rule = |position: u8| usize::from(position) % backends.len();
        let position = match request.answer {
            Answer::Asked(other) => decision.backend().unwrap_or(of_rule(other)),
            Answer::Any(position) => of_rule(position),
            Answer::Foreign | Answer::Outage(_) => {
                let foreign = "outbound|80||z.shop.svc.cluster.local";
                assert_eq!(self.rule.backend_of_cluster(foreign.as_bytes()), None);
                return (None, foreign.to_owned());
            }
        };
        let clusters = reference::clusters(&backends[position].key).expect("it is a key of Istio's");
        let cluster = &clusters[usize::from(request.duration) % clusters.len()];
        let found = self.rule.backend_of_cluster(cluster.as_bytes());
        assert_eq!(found, Some(position), "{cluster}");
        (found, cluster.clone())
    }

    /// The answer of the backend, and the token that comes with it.
    pub(crate) fn answer(&mut self, request: &Request, decision: &Decision, old: Option<&Token>) {
        // What it was for the request.
        let bound = self.bound(old);
        let asked = self.now;
        self.now = asked.saturating_add(request.duration.into());
        let asked_for = decision.backend().filter(|_| self.raw.backends.len() > 1);
        let (answered, cluster) = self.answered(request, decision);
        let host = request.host.map(Host::text);
        let outage = match request.answer {
            Answer::Outage(outage) => Some(outage),
            _ => None,
        };
        let envoy = MemoryHost {
            now: self.now,
            random: request.nonce.into(),
            cluster_name: Some(cluster.into_bytes()),
            code_details: Some(outage.map_or(b"via_upstream".as_slice(), Outage::details).into()),
            upstream_address: host.map(Into::into),
            response: host.iter().map(|_| (HOST_HEADER.to_owned(), b"x".to_vec())).collect(),
            ..MemoryHost::default()
        };
        let response = decision.respond(&self.gateway, if outage.is_some() { 1 } else { 9 }, &envoy);
        let response = response.expect("the host answers, and no token is too long");
        if let Some(outage) = outage {
            let names_host = bound.is_some() && bound == decision.backend() && self.pins_hosts();
            let asks_for_host = old.is_some_and(|old| names_host && !old.host.is_empty());
            self.check_outage(outage, &response, asked_for, asks_for_host);
            return;
        }
        self.chosen.extend(response.routed.map(|backend| (backend, self.now)));
        self.check_counts(decision, &response, asked_for, answered);
        let missed = asked_for.is_some() && asked_for != answered;
        let minted = response.issued.is_some_and(|issue| issue != IssueReason::Refreshed);
        assert!(
            !minted || answered.is_some(),
            "{response:?} for a backend that is not the rule's"
        );
        // The next request may find the session route again.
        assert!(
            !minted || !missed || bound.is_none(),
            "{response:?} of a session that missed its route"
        );
        if answered.is_some() && self.binds(request, decision) {
            let expected = match (old, bound) {
                (None, _) => Some(IssueReason::New),
                (Some(old), None) if self.settles(answered) && self.own_backend(old) != answered => {
                    Some(IssueReason::Moved)
                }
                (Some(_), _) => response.issued,
            };
            assert_eq!(response.issued, expected);
        }
        let went_over = |old: &Token| {
            decision.session_outcome() == SessionOutcome::BackendUnreachable && self.own_backend(old) != answered
        };
        let failed_over = response.issued == Some(IssueReason::Moved) && old.is_some_and(went_over);
        let left = response.left_backend == Some(SessionOutcome::BackendUnreachable);
        assert_eq!(left, failed_over, "{response:?}");
        let Some(issue) = response.issued else {
            assert!(response.changes.is_empty());
            assert_ne!(decision.session_outcome(), SessionOutcome::NeedsRefresh);
            return;
        };
        let (Some(session), Some(raw), Some(keys)) = (self.rule.session(), &self.raw.session, &self.gateway.keys)
        else {
            panic!("a token without a session or a key");
        };
        let (text, max_age) = unpack(&response, raw);
        let token = Token::open(text.as_bytes(), keys, session.binding()).expect("it was just sealed");

        assert_eq!(token.seen, self.now);
        match (issue, old) {
            (IssueReason::New, None) => {
                let secure = raw.transport == Transport::Cookie && session.cookie().is_secure(request.https);
                assert_eq!((token.issued, token.secure), (self.now, secure));
            }
            (IssueReason::Moved | IssueReason::Refreshed, Some(old)) => {
                assert_eq!((token.issued, token.secure), (old.issued, old.secure));
            }
            (issue, old) => panic!("{issue:?} of {old:?}"),
        }
        if issue == IssueReason::Refreshed {
            let old = old.expect("it was there");
            assert_eq!((&token.backend, &token.host), (&old.backend, &old.host));
        } else {
            let backend = &self.raw.backends[answered.expect("it is bound to one")];
            assert_eq!(*token.backend, *backend.key.as_bytes());
            let written = if raw.bound_to == BoundTo::Host {
                host.expect("it is bound to one")
            } else {
                b""
            };
            assert_eq!(*token.host, *written);
        }
        // A session whose backend is reachable stays with it, regardless of match rules.
        if let (Some(old), Some(_)) = (old, bound) {
            assert_eq!(token.backend, old.backend);
        }
        let permanent = raw.cookie.lifetime_type == config::LifetimeType::Permanent;
        let absolute = raw.absolute_timeout.and_then(|timeout| timeout.whole_seconds().ok());
        let age = self.now.saturating_sub(token.issued);
        assert_eq!(
            max_age,
            absolute
                .filter(|_| permanent)
                .map(|timeout| timeout.saturating_sub(age))
        );
        self.check_next(&text, &token);
        self.own = Some((text, token));
    }

    /// Whether the answer of a backend begins a session, or moves one whose backend is gone.
    pub(crate) fn binds(&self, request: &Request, decision: &Decision) -> bool {
        let forced = matches!(decision.reason(), Reason::CanaryRule(_));
        let has_one = if self.pins_hosts() {
            request.host.is_some()
        } else {
            !forced
        };
        decision.session_outcome() != SessionOutcome::Stateless && has_one
    }

    /// An answer of Envoy's own to a request for a session route closes its backend, and begins no session. A strict session
    /// fails where its host is gone.
    pub(crate) fn check_outage(&self, outage: Outage, response: &Response, asked: Option<usize>, asks_for_host: bool) {
        let is_strict = self.raw.session.as_ref().is_some_and(|session| session.strict);
        let cause = outage
            .cause()
            .filter(|cause| asked.is_some() && (!is_strict || *cause == UnreachableCause::NoRoute));
        assert_eq!(response.unreachable, cause);
        assert_eq!(response.missed_session_route, cause == Some(UnreachableCause::NoRoute));
        let ends = is_strict && asks_for_host && outage.cause() == Some(UnreachableCause::NoHost);
        assert_eq!(response.issued, ends.then_some(IssueReason::Ended));
        assert!(response.changes.is_empty() != ends && response.left_backend.is_none());
        if let (Some(asked), Some(_)) = (asked, cause) {
            let reach = self
                .gateway
                .reachability
                .reachability(self.rule.position(), asked, self.now);
            assert!(matches!(reach, Reachability::Unreachable(_)), "{reach:?}");
        }
    }

    /// Whether a session that lost its backend can stay at this one.
    pub(crate) fn settles(&self, answered: Option<usize>) -> bool {
        let reach = |backend| {
            self.gateway
                .reachability
                .reachability(self.rule.position(), backend, self.now)
        };
        answered.map(reach) != Some(Reachability::Unreachable(UnreachableCause::NoRoute))
    }

    /// What is counted of a response is what happened.
    pub(crate) fn check_counts(
        &self,
        decision: &Decision,
        response: &Response,
        asked: Option<usize>,
        answered: Option<usize>,
    ) {
        let missed = asked.is_some() && asked != answered;
        assert!(!response.missed_session_route || missed, "{response:?}");
        assert!(!response.unknown_backend || answered.is_none(), "{response:?}");
        assert_eq!(response.routed, answered.filter(|_| decision.backend().is_none()));
        if decision.backend().is_none() {
            assert_eq!(response.unknown_backend, answered.is_none());
        }
    }

    /// The session goes on with the next request, unless it ended while the backend worked.
    pub(crate) fn check_next(&mut self, text: &str, token: &Token) {
        let raw = self.raw.session.as_ref().expect("it has a token");
        let line = match raw.transport {
            Transport::Header => (raw.name.clone(), text.to_owned()),
            Transport::Cookie => ("cookie".to_owned(), format!("{}={text}", raw.name)),
        };
        self.look();
        // The cookie goes with requests below its path.
        let path = (":path".to_owned(), raw.cookie.path.clone());
        let next = self.decide(&[path, line].as_slice().into(), 0, None);
        match reference::session_state(raw, token, self.now) {
            SessionState::Live { needs_refresh } => {
                assert!(!needs_refresh, "it is due to be renewed at once");
                let bound = self.bound(Some(token));
                let expected = bound.map_or_else(|| self.lost(token), |_| SessionOutcome::Resumed);
                assert_eq!(next.session_outcome(), expected);
                if next.reason() == Reason::Session {
                    assert_eq!(next.backend(), bound);
                }
            }
            SessionState::ExpiredAbsolute => assert_eq!(next.session_outcome(), SessionOutcome::ExpiredAbsolute),
            // A request may be answered by a gateway whose clock is behind.
            SessionState::Rejected(rejection) => {
                assert_eq!(next.session_outcome(), SessionOutcome::Rejected(rejection))
            }
            SessionState::ExpiredIdle => panic!("it was just seen"),
        }
    }
}

/// The token in the headers of a response, and its `Max-Age`.
fn unpack(response: &Response, session: &config::SessionConfig) -> (String, Option<u64>) {
    let Some((Change::Add(name, value), others)) = response.changes.split_first() else {
        panic!("{response:?}");
    };
    let value = str::from_utf8(value).expect("it is text");
    let is_private = |change: &Change| matches!(change, Change::SetField(field) if *field.name == *"cache-control" && *field.value == *b"private");
    assert_eq!(others.iter().any(is_private), session.cookie.private_cache);
    if session.transport == Transport::Header {
        assert_eq!(*name, session.name);
        return (value.to_owned(), None);
    }
    assert_eq!(*name, "set-cookie");
    let parsed = ::cookie::Cookie::parse(value).expect("it is a cookie");
    // Browsers drop such a cookie without it.
    let attributes = &session.cookie;
    let demanded = attributes.partitioned || attributes.same_site == SameSite::None || is_prefixed(&session.name);
    assert!(parsed.secure() == Some(true) || !demanded, "{value}");
    let max_age = parsed
        .max_age()
        .map(|age| u64::try_from(age.whole_seconds()).expect("it is not negative"));
    (parsed.value().to_owned(), max_age)
}

/// Whether a cookie's name says that it has the attribute `Secure`.
fn is_prefixed(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("__host-") || name.starts_with("__secure-")
}
