//! Checks the decision about a request.

use mooring_fuzz::reference;
use mooring_policy::{
    canary::Selection,
    change::Change,
    config::{Override, Transport},
    decision::{Decision, Reason, SessionOutcome},
    internal_headers::{BACKEND_HEADER, HOST_HEADER},
    reachability::Reachability,
    timeouts::SessionState,
    token::{Binding, Token},
};

use crate::client::{Client, FORGED};

impl Client<'_> {
    /// What became of the tokens: the last sealed one that lives, else what the first ended one came to, else the first. Returns
    /// the session that lives.
    pub(crate) fn check_outcome(&self, decision: &Decision, tokens: &[Vec<u8>], path: &str) -> Option<Token> {
        let (Some(raw), Some(keys)) = (&self.raw.session, &self.gateway.keys) else {
            assert_eq!(decision.session_outcome(), SessionOutcome::Stateless);
            return None;
        };
        if raw.transport == Transport::Cookie && !reference::is_below(&raw.cookie.path, path) {
            assert_eq!(decision.session_outcome(), SessionOutcome::Stateless);
            return None;
        }
        let binding = Binding::new(&self.raw.id, &raw.name);
        let opened: Vec<Result<Token, SessionOutcome>> = tokens
            .iter()
            .map(|text| match Token::open(text, keys, &binding) {
                Err(rejection) => Err(SessionOutcome::Rejected(rejection)),
                Ok(token) => match reference::session_state(raw, &token, self.now) {
                    SessionState::Live { .. } => Ok(token),
                    SessionState::ExpiredIdle => Err(SessionOutcome::ExpiredIdle),
                    SessionState::ExpiredAbsolute => Err(SessionOutcome::ExpiredAbsolute),
                    SessionState::Rejected(rejection) => Err(SessionOutcome::Rejected(rejection)),
                },
            })
            .collect();
        let mut live: Vec<&Token> = opened.iter().flatten().collect();
        // The sort is stable, so that of those that are as new the last one comes last.
        live.sort_by_key(|token| {
            let ahead = token.seen > self.now.saturating_add(60);
            let sealed = if ahead { token.issued } else { token.seen };
            (sealed, token.backend.is_empty(), token.issued)
        });
        if let Some(token) = live.pop() {
            if token.backend.is_empty() {
                assert_eq!(decision.session_outcome(), SessionOutcome::New);
                return None;
            }
            let needs_refresh =
                reference::session_state(raw, token, self.now) == SessionState::Live { needs_refresh: true };
            let expected = match (self.bound(Some(token)), needs_refresh) {
                (None, _) => self.lost(token),
                (Some(_), true) => SessionOutcome::NeedsRefresh,
                (Some(_), false) => SessionOutcome::Resumed,
            };
            assert_eq!(decision.session_outcome(), expected, "{token:?}");
            return Some(token.clone());
        }
        let mut refused: Vec<SessionOutcome> = opened.into_iter().filter_map(Result::err).collect();
        refused.sort_by_key(|outcome| matches!(outcome, SessionOutcome::Rejected(_)));
        assert_eq!(
            decision.session_outcome(),
            refused.first().copied().unwrap_or(SessionOutcome::New)
        );
        None
    }

    /// The order of precedence: a match rule, the session, the identity of the client, the route.
    pub(crate) fn check_backend(
        &self,
        decision: &Decision,
        changes: &[Change],
        session: Option<&Token>,
        headers: &reference::Lines,
        picked: Option<usize>,
    ) {
        let backends = &self.raw.backends;
        let chosen = (decision.backend(), decision.reason());
        let split = backends.len() > 1;
        let header = chosen.0.filter(|_| split);
        // Whatever else: no request asks for what cannot be reached, and a request that finds out is the only one.
        if let Some(asked) = header {
            assert!(!self.is_out(asked), "{chosen:?}");
            let reach = self
                .gateway
                .reachability
                .reachability(self.rule.position(), asked, self.now);
            assert_ne!(reach, Reachability::Probe, "{chosen:?}");
        }
        let header = header.map(|chosen| format!("{}/{}", self.raw.id, backends[chosen].key));
        assert_eq!(set(changes, BACKEND_HEADER), header.as_deref().map(str::as_bytes));

        let bound = self.bound(session);
        let canary = self.canary;
        let selection = match canary.zip(self.raw.canary.as_ref()) {
            // The reference has no budget; the target `canary` is about that.
            _ if decision.over_budget() => Selection::Any,
            Some((canary, of_rule)) if bound.is_none() || canary.override_session == Override::Always => {
                reference::select(canary, of_rule, headers)
            }
            _ => Selection::Any,
        };
        match (selection, bound) {
            (Selection::Only { rule, backend }, _) => {
                self.check_choice(chosen, &[backend], Reason::CanaryRule(rule), bound, picked);
            }
            (Selection::Except { backend, .. }, Some(bound)) if backend != bound => {
                assert_eq!(chosen, (Some(bound), Reason::Session));
            }
            (Selection::Except { rule, backend }, _) => {
                let mut others: Vec<usize> = (0..backends.len()).filter(|other| *other != backend).collect();
                let weighty = self.of_weight(&others);
                if weighty.is_empty() {
                    // The rule has no other backend, or none that has a weight.
                    others.truncate(1);
                } else {
                    others = weighty;
                }
                let others = if split { &others } else { [0].as_slice() };
                self.check_choice(chosen, others, Reason::CanaryRule(rule), bound, picked);
            }
            (Selection::Any, Some(bound)) => assert_eq!(chosen, (Some(bound), Reason::Session)),
            (Selection::Any, None) if !split => assert_eq!(chosen, (Some(0), Reason::Single)),
            (Selection::Any, None) => {
                let source = canary.and_then(|canary| canary.hash_on.as_ref());
                let values = source.map_or(Vec::new(), |source| reference::values(headers, source));
                let all: Vec<usize> = (0..backends.len()).collect();
                let weighty = self.of_weight(&all);
                if values.iter().any(|value| !value.is_empty()) && !weighty.is_empty() {
                    self.check_choice(chosen, &weighty, Reason::Hash, bound, picked);
                    assert!(chosen.1 == Reason::Hash || weighty.iter().all(|backend| self.is_out(*backend)));
                } else if session.is_some_and(|session| self.own_backend(session).is_some()) {
                    self.check_elsewhere(chosen, picked);
                } else {
                    assert_eq!(chosen, (None, Reason::Split));
                }
            }
        }
    }

    pub(crate) fn of_weight(&self, backends: &[usize]) -> Vec<usize> {
        let has_weight = |backend: &&usize| self.raw.backends[**backend].weight.is_some_and(|weight| weight > 0);
        backends.iter().filter(has_weight).copied().collect()
    }

    /// One of these backends is chosen for this reason; in place of one that cannot be reached the session is, or the route
    /// decides.
    pub(crate) fn check_choice(
        &self,
        chosen: (Option<usize>, Reason),
        among: &[usize],
        reason: Reason,
        bound: Option<usize>,
        picked: Option<usize>,
    ) {
        if chosen.1 == reason {
            let backend = chosen.0.expect("it is chosen");
            assert!(among.contains(&backend), "{chosen:?}");
            return;
        }
        assert!(
            among.iter().any(|one| self.is_out(*one)),
            "{chosen:?} and not {reason:?}"
        );
        if chosen.1 == Reason::Session {
            assert_eq!(chosen.0, bound);
        } else {
            assert!(bound.is_none_or(|bound| among.contains(&bound)), "{chosen:?}");
            self.check_elsewhere(chosen, picked);
        }
    }

    /// The route decides. Where it would choose what cannot be reached, another backend may take the request that the route has
    /// chosen within a minute.
    pub(crate) fn check_elsewhere(&self, chosen: (Option<usize>, Reason), picked: Option<usize>) {
        let (Some(backend), reason) = chosen else {
            assert_eq!(chosen.1, Reason::Split);
            return;
        };
        assert_eq!(reason, Reason::Failover);
        assert!(picked.is_some_and(|picked| self.is_out(picked)) && !self.is_out(backend));
        let is_lately = |(other, at): &(usize, u64)| *other == backend && at.abs_diff(self.now) <= 60;
        assert!(
            self.chosen.iter().any(is_lately),
            "{backend} of {:?} at {}",
            self.chosen,
            self.now
        );
    }

    /// A request goes to the host of its session, unless it goes to another backend.
    pub(crate) fn check_host(&self, decision: &Decision, changes: &[Change], session: Option<&Token>) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let bound = self.bound(session);
        let stays = self.pins_hosts() && bound.is_some() && bound == decision.backend();
        let host = session
            .filter(|token| stays && !token.host.is_empty())
            .map(|token| &*token.host);
        let header = set(changes, HOST_HEADER);
        let decoded = header.map(|header| STANDARD.decode(header).expect("it is base64"));
        assert_eq!(decoded.as_deref(), host);
    }

    /// The app gets the cookies of others byte for byte, and none of ours.
    pub(crate) fn check_cookies(&self, changes: &[Change], headers: &reference::Lines) {
        let Some(session) = self
            .rule
            .session()
            .filter(|session| session.transport() == Transport::Cookie)
        else {
            return;
        };
        let lines = |headers: &reference::Lines| -> Vec<Vec<u8>> {
            let lines = headers
                .iter()
                .filter(|(header, _)| header.eq_ignore_ascii_case("cookie"));
            lines.map(|(_, line)| line.clone()).collect()
        };
        let mut left = lines(headers);
        for change in changes {
            match change {
                Change::Remove("cookie") => left.clear(),
                Change::Set("cookie", line) => left = vec![line.to_vec()],
                Change::Add("cookie", line) => left.push(line.to_vec()),
                _ => {}
            }
        }
        if session.forward_token() {
            assert_eq!(left, lines(headers));
            return;
        }
        let left: Vec<(String, Vec<u8>)> = left.into_iter().map(|line| ("cookie".to_owned(), line)).collect();
        assert!(reference::cookies(&left, session.name()).is_empty());
        assert_eq!(
            reference::other_pairs(&left, session.name()),
            reference::other_pairs(headers, session.name())
        );
    }
}

/// The client's internal headers are removed before the filter sets its own, and select nothing. There may be others than these.
pub(crate) fn check_forged(changes: &[Change]) {
    let is_removal = |change: &&Change| matches!(change, Change::Remove(_));
    let removed: Vec<&Change> = changes.iter().take_while(is_removal).collect();
    for (name, _) in FORGED {
        assert!(removed.contains(&&Change::Remove(name)), "{name}: {removed:?}");
    }
    assert!(
        !changes
            .iter()
            .any(|change| matches!(change, Change::SetFilterState(..)))
    );
}

/// The value of a header that the request gets.
fn set<'a>(changes: &'a [Change], name: &str) -> Option<&'a [u8]> {
    changes.iter().find_map(|change| match change {
        Change::Set(header, value) if *header == name => Some(&**value),
        _ => None,
    })
}
