//! The whole way of a client: any configuration, several requests with any headers, and tokens that are its own, somebody
//! else's or nobody's, at any time. What is decided is what the configuration says when it is read slowly.

#![no_main]

use std::rc::Rc;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mooring_fuzz::{reference, ring, shape};
use mooring_policy::{
    canary::Selection,
    change::Change,
    config::{self, BoundTo, Override, SameSite, Transport},
    cookie,
    decision::{Decision, IssueReason, Reason, Response, SessionOutcome, decide},
    gateway::Gateway,
    headers::Headers,
    internal_headers::{BACKEND_HEADER, HOST_HEADER},
    memory_host::MemoryHost,
    reachability::{Reachability, UnreachableCause},
    routes::RouteTable,
    rule::Rule,
    timeouts::SessionState,
    token::{Binding, NONCE_LENGTH, Token},
};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    rule: shape::Rule,
    keys: Keys,
    start: u32,
    requests: Vec<Request<'a>>,
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Keys {
    None,
    One,
    Two,
}

#[derive(Debug, Arbitrary)]
struct Request<'a> {
    /// Seconds since the answer to the one before. Clocks of gateways differ.
    later: i16,
    much_later: Option<i64>,
    tokens: Vec<Sent<'a>>,
    path: Path<'a>,
    headers: shape::Headers,
    random: u64,
    /// The backend that the weights of the route choose, if it is one of the rule's.
    picked: Option<u8>,
    answer: Answer,
    /// Where Envoy sent it, if that is news.
    host: Option<Host<'a>>,
    https: bool,
    /// Seconds until the answer.
    duration: u8,
    nonce: [u8; NONCE_LENGTH],
}

/// Where a request goes: below the path of the cookie, or anywhere.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Path<'a> {
    Below,
    Any(&'a str),
}

/// Who answers a request.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Answer {
    /// The backend whose session route was asked for, else the one at this position.
    Asked(u8),
    /// The backend at this position, where the request missed the session route.
    Any(u8),
    /// A backend that is not one of the rule's.
    Foreign,
    /// Envoy itself, since the route leads nowhere or the backend has no host.
    Outage(Outage),
}

/// Why Envoy answers itself.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Outage {
    NoHost,
    DirectResponse,
    ClusterNotFound,
    RouteNotFound,
    /// What says nothing about a backend.
    Other,
}

impl Outage {
    fn details(self) -> &'static [u8] {
        match self {
            Self::NoHost => b"no_healthy_upstream",
            Self::DirectResponse => b"direct_response",
            Self::ClusterNotFound => b"cluster_not_found",
            Self::RouteNotFound => b"route_not_found",
            Self::Other => b"response_timeout",
        }
    }

    fn cause(self) -> Option<UnreachableCause> {
        match self {
            Self::NoHost => Some(UnreachableCause::NoHost),
            Self::DirectResponse | Self::ClusterNotFound | Self::RouteNotFound => Some(UnreachableCause::NoRoute),
            Self::Other => None,
        }
    }
}

/// A token that a client sends.
#[derive(Debug, Arbitrary)]
enum Sent<'a> {
    /// The last one that it was given.
    Own,
    /// That one, with a bit of it changed.
    Changed(u16),
    /// Anything.
    Text(&'a [u8]),
    /// What another gateway with the same keys may have sealed.
    Sealed {
        issued: i16,
        seen: i16,
        backend: Backend<'a>,
        host: Host<'a>,
        secure: bool,
        with_second_key: bool,
    },
    /// The same for another rule.
    Foreign,
}

#[derive(Debug, Arbitrary)]
enum Backend<'a> {
    OfRule(u8),
    Any(&'a [u8]),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Host<'a> {
    First,
    Second,
    Any(&'a [u8]),
}

impl<'a> Host<'a> {
    fn text(self) -> &'a [u8] {
        match self {
            Self::First => b"10.0.0.1:80",
            Self::Second => b"10.0.0.2:80",
            Self::Any(text) => &text[..text.len().min(64)],
        }
    }
}

fuzz_target!(|input: Input| {
    let shape::Rule { rule: mut raw, canary } = input.rule;
    // What becomes of sessions on a released backend is a property test of the policy.
    for backend in &mut raw.backends {
        backend.released = false;
    }
    let config = config::Config {
        version: config::VERSION,
        canaries: canary.iter().cloned().collect(),
        rules: vec![raw.clone()],
    };
    let Ok(table) = RouteTable::new(&config) else {
        return;
    };
    let keys = match input.keys {
        Keys::None => None,
        Keys::One => Some(ring(&[1])),
        Keys::Two => Some(ring(&[1, 2])),
    };
    let mut client = Client {
        rule: table.rules().next().expect("there is one"),
        raw: &raw,
        canary: canary.as_ref(),
        gateway: Gateway {
            keys,
            ..Gateway::default()
        },
        now: input.start.into(),
        own: None,
        out: Vec::new(),
        chosen: Vec::new(),
    };
    for request in input.requests.iter().take(8) {
        client.send(request);
    }
});

struct Client<'a> {
    rule: &'a Rc<Rule>,
    raw: &'a config::RuleConfig,
    canary: Option<&'a config::CanaryConfig>,
    gateway: Gateway,
    now: u64,
    /// The text of the last token that it was given, and what is in it.
    own: Option<(String, Token)>,
    /// Which backends cannot be reached, before the request.
    out: Vec<bool>,
    /// The backends that the route has chosen, and when.
    chosen: Vec<(usize, u64)>,
}

impl Client<'_> {
    fn send(&mut self, request: &Request) {
        let later = request.much_later.unwrap_or(request.later.into());
        self.now = self.now.saturating_add_signed(later);
        let texts: Vec<Vec<u8>> = request.tokens.iter().take(6).map(|sent| self.text(sent)).collect();
        let mut headers = request.headers.0.clone();
        headers.push((
            ":scheme".to_owned(),
            if request.https { "https" } else { "http" }.into(),
        ));
        let path = match (request.path, &self.raw.session) {
            (Path::Below, Some(session)) => format!("{}?x=/", session.cookie.path),
            (Path::Below, None) => "/".to_owned(),
            (Path::Any(path), _) => path.to_owned(),
        };
        headers.insert(0, (":path".to_owned(), path.clone().into_bytes()));
        let tokens = self.carry(&texts, &mut headers);
        let sent = Headers::from(headers.as_slice());
        self.look();
        let backends = self.raw.backends.len();
        let picked = request.picked.map(|picked| usize::from(picked) % backends);
        self.chosen.extend(picked.map(|picked| (picked, self.now)));
        let decision = self.decide(&sent, request.random, picked);
        let changes = decision.request_changes(&sent);

        let session = self.check_outcome(&decision, &tokens, &path);
        self.check_backend(&decision, &changes, session.as_ref(), &headers, picked);
        self.check_host(&decision, &changes, session.as_ref());
        self.check_cookies(&changes, &headers);
        self.answer(request, &decision, session.as_ref());
    }

    /// What is known of the backends now.
    fn look(&mut self) {
        let reach = |backend| {
            self.gateway
                .reachability
                .reachability(self.rule.position(), backend, self.now)
        };
        let out = (0..self.raw.backends.len()).map(|backend| matches!(reach(backend), Reachability::Unreachable(_)));
        self.out = out.collect();
    }

    fn decide(&self, headers: &Headers, random: u64, picked: Option<usize>) -> Decision {
        let cluster = picked.and_then(|picked| reference::clusters(&self.raw.backends[picked].key)?.pop());
        let host = MemoryHost {
            now: self.now,
            random: random.to_ne_bytes().into(),
            cluster_name: cluster.map(String::into_bytes),
            ..MemoryHost::default()
        };
        decide(self.rule, &self.gateway, headers, &host).expect("the host answers")
    }

    /// The text of a token that is sent.
    fn text(&self, sent: &Sent) -> Vec<u8> {
        let own = self.own.as_ref().map_or(b"".as_slice(), |(text, _)| text.as_bytes());
        match sent {
            Sent::Own => own.to_vec(),
            Sent::Changed(bit) => {
                let mut text = own.to_vec();
                let byte = usize::from(bit / 8) % text.len().max(1);
                if let Some(byte) = text.get_mut(byte) {
                    *byte ^= 1 << (bit % 8);
                }
                text
            }
            Sent::Text(text) => text.to_vec(),
            Sent::Sealed {
                issued,
                seen,
                backend,
                host,
                secure,
                with_second_key,
            } => {
                let backend = match backend {
                    Backend::OfRule(position) => {
                        let backends = self.rule.backends();
                        backends[usize::from(*position) % backends.len()].key().as_bytes()
                    }
                    Backend::Any(key) => &key[..key.len().min(64)],
                };
                let token = Token {
                    issued: self.now.saturating_add_signed((*issued).into()),
                    seen: self.now.saturating_add_signed((*seen).into()),
                    secure: *secure,
                    backend: backend.into(),
                    host: host.text().into(),
                };
                self.seal(&token, self.raw, if *with_second_key { 2 } else { 1 })
            }
            Sent::Foreign => {
                let other = config::RuleConfig {
                    id: format!("{}/other", self.raw.id),
                    ..self.raw.clone()
                };
                let token = Token {
                    backend: self.rule.backends()[0].key().as_bytes().into(),
                    ..Token::new(self.now, false)
                };
                self.seal(&token, &other, 1)
            }
        }
    }

    fn seal(&self, token: &Token, rule: &config::RuleConfig, key: u8) -> Vec<u8> {
        let Some(session) = &rule.session else {
            return Vec::new();
        };
        let binding = Binding::new(&rule.id, &session.name);
        let sealed = token.seal(&ring(&[key]), &binding, [7; NONCE_LENGTH]);
        sealed.expect("it is short").into_bytes()
    }

    /// Puts the tokens into the request's headers, as a client does, and takes them out again, as the filter does.
    fn carry(&self, texts: &[Vec<u8>], headers: &mut Vec<(String, Vec<u8>)>) -> Vec<Vec<u8>> {
        let Some(session) = self.rule.session() else {
            return Vec::new();
        };
        let name = session.name();
        if session.transport() == Transport::Header {
            headers.retain(|(header, _)| !header.eq_ignore_ascii_case(name));
            headers.extend(texts.iter().map(|text| (name.to_owned(), text.clone())));
            return texts.to_vec();
        }
        for text in texts {
            headers.push((
                "cookie".to_owned(),
                [name.as_bytes(), b"=", text, b"; other=1"].concat(),
            ));
        }
        let lines = headers
            .iter()
            .filter(|(header, _)| header.eq_ignore_ascii_case("cookie"));
        let found: Vec<Vec<u8>> = lines
            .flat_map(|(_, line)| cookie::values(line, name))
            .map(<[u8]>::to_vec)
            .collect();
        assert_eq!(found, reference::cookies(headers, name));
        found
    }

    /// What became of the tokens: the last sealed one that lives, else what the first ended one came to, else the first. Returns
    /// the session that lives.
    fn check_outcome(&self, decision: &Decision, tokens: &[Vec<u8>], path: &str) -> Option<Token> {
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

    /// The position of a session's backend, if the rule still has it and it can be reached.
    fn bound(&self, session: Option<&Token>) -> Option<usize> {
        self.own_backend(session?).filter(|backend| !self.is_out(*backend))
    }

    /// What becomes of a session that is not bound.
    fn lost(&self, session: &Token) -> SessionOutcome {
        match self.own_backend(session) {
            Some(_) => SessionOutcome::BackendUnreachable,
            None => SessionOutcome::BackendRemoved,
        }
    }

    /// The position of a session's backend in the rule.
    fn own_backend(&self, session: &Token) -> Option<usize> {
        let mut backends = self.raw.backends.iter();
        backends.position(|backend| *backend.key.as_bytes() == *session.backend)
    }

    /// Whether a backend is taken for unreachable. A rule with one backend has no session route that could lead nowhere.
    fn is_out(&self, backend: usize) -> bool {
        self.raw.backends.len() > 1 && self.out[backend]
    }

    /// A forcing rule first, else the session, else who the client is; else the route decides.
    fn check_backend(
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

    fn of_weight(&self, backends: &[usize]) -> Vec<usize> {
        let has_weight = |backend: &&usize| self.raw.backends[**backend].weight.is_some_and(|weight| weight > 0);
        backends.iter().filter(has_weight).copied().collect()
    }

    /// One of these backends is chosen for this reason; in place of one that cannot be reached the session is, or the route
    /// decides.
    fn check_choice(
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
    fn check_elsewhere(&self, chosen: (Option<usize>, Reason), picked: Option<usize>) {
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

    /// A request is pinned to the host of its session, unless it goes to another backend.
    fn check_host(&self, decision: &Decision, changes: &[Change], session: Option<&Token>) {
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
    fn check_cookies(&self, changes: &[Change], headers: &reference::Lines) {
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

    fn pins_hosts(&self) -> bool {
        let session = self.raw.session.as_ref();
        session.is_some_and(|session| session.bound_to == BoundTo::Host)
    }

    /// The backend that answers, with the name of its cluster.
    fn answered(&self, request: &Request, decision: &Decision) -> (Option<usize>, String) {
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
    fn answer(&mut self, request: &Request, decision: &Decision, old: Option<&Token>) {
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
            let pinned = bound.is_some() && bound == decision.backend() && self.pins_hosts();
            let asks_for_host = old.is_some_and(|old| pinned && !old.host.is_empty());
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
        assert_eq!(response.failed_over, failed_over, "{response:?}");
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
        // Whatever a forcing rule says, a session whose backend can be reached stays with it.
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
    fn binds(&self, request: &Request, decision: &Decision) -> bool {
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
    fn check_outage(&self, outage: Outage, response: &Response, asked: Option<usize>, asks_for_host: bool) {
        let is_strict = self.raw.session.as_ref().is_some_and(|session| session.strict);
        let cause = outage
            .cause()
            .filter(|cause| asked.is_some() && (!is_strict || *cause == UnreachableCause::NoRoute));
        assert_eq!(response.unreachable, cause);
        assert_eq!(response.missed_session_route, cause == Some(UnreachableCause::NoRoute));
        let ends = is_strict && asks_for_host && outage.cause() == Some(UnreachableCause::NoHost);
        assert_eq!(response.issued, ends.then_some(IssueReason::Ended));
        assert!(response.changes.is_empty() != ends && !response.failed_over);
        if let (Some(asked), Some(_)) = (asked, cause) {
            let reach = self
                .gateway
                .reachability
                .reachability(self.rule.position(), asked, self.now);
            assert!(matches!(reach, Reachability::Unreachable(_)), "{reach:?}");
        }
    }

    /// Whether a session that lost its backend can stay at this one.
    fn settles(&self, answered: Option<usize>) -> bool {
        let reach = |backend| {
            self.gateway
                .reachability
                .reachability(self.rule.position(), backend, self.now)
        };
        answered.map(reach) != Some(Reachability::Unreachable(UnreachableCause::NoRoute))
    }

    /// What is counted of a response is what happened.
    fn check_counts(&self, decision: &Decision, response: &Response, asked: Option<usize>, answered: Option<usize>) {
        let missed = asked.is_some() && asked != answered;
        assert!(!response.missed_session_route || missed, "{response:?}");
        assert!(!response.unknown_backend || answered.is_none(), "{response:?}");
        assert_eq!(response.routed, answered.filter(|_| decision.backend().is_none()));
        if decision.backend().is_none() {
            assert_eq!(response.unknown_backend, answered.is_none());
        }
    }

    /// The session goes on with the next request, unless it ended while the backend worked.
    fn check_next(&mut self, text: &str, token: &Token) {
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

/// The value of a header that the request gets.
fn set<'a>(changes: &'a [Change], name: &str) -> Option<&'a [u8]> {
    changes.iter().find_map(|change| match change {
        Change::Set(header, value) if *header == name => Some(&**value),
        _ => None,
    })
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
