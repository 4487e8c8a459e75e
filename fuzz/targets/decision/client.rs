//! A client that sends requests, keeps its token, and has each decision checked.

use std::rc::Rc;

use mooring_fuzz::{reference, ring};
use mooring_policy::{
    config::{self, BoundTo, Transport},
    cookie,
    decision::{Decision, SessionOutcome, decide},
    gateway::Gateway,
    headers::Headers,
    internal_headers::{BACKEND_HEADER, FILTER_STATE_MARKER, HOST_HEADER, STRICT_HOST_HEADER},
    memory_host::MemoryHost,
    reachability::Reachability,
    rule::Rule,
    token::{Binding, NONCE_LENGTH, Token},
};

use crate::{
    check_request::check_forged,
    input::{Backend, Path, Request, Sent},
};

/// Internal headers of the client.
pub(crate) const FORGED: [(&str, &str); 3] = [
    (BACKEND_HEADER, "HTTPRoute/shop/store#0/a"),
    (HOST_HEADER, FILTER_STATE_MARKER),
    (STRICT_HOST_HEADER, "MTAuMC4wLjE6ODA="),
];

pub(crate) struct Client<'a> {
    pub(crate) rule: &'a Rc<Rule>,
    pub(crate) raw: &'a config::RuleConfig,
    pub(crate) canary: Option<&'a config::CanaryConfig>,
    pub(crate) gateway: Gateway,
    pub(crate) now: u64,
    /// The text of the last token that it was given, and what is in it.
    pub(crate) own: Option<(String, Token)>,
    /// Which backends cannot be reached, before the request.
    pub(crate) out: Vec<bool>,
    /// The backends that the route has chosen, and when.
    pub(crate) chosen: Vec<(usize, u64)>,
}

impl Client<'_> {
    pub(crate) fn send(&mut self, request: &Request) {
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
        if self.gateway.routes.lacks_sanitizer() {
            headers.extend(FORGED.map(|(name, value)| (name.to_owned(), value.into())));
        }
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
        if self.gateway.routes.lacks_sanitizer() {
            check_forged(&changes);
        }
        self.check_host(&decision, &changes, session.as_ref());
        self.check_cookies(&changes, &headers);
        self.answer(request, &decision, session.as_ref());
    }

    /// What is known of the backends now.
    pub(crate) fn look(&mut self) {
        let reach = |backend| {
            self.gateway
                .reachability
                .reachability(self.rule.position(), backend, self.now)
        };
        let out = (0..self.raw.backends.len()).map(|backend| matches!(reach(backend), Reachability::Unreachable(_)));
        self.out = out.collect();
    }

    pub(crate) fn decide(&self, headers: &Headers, random: u64, picked: Option<usize>) -> Decision {
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
    pub(crate) fn text(&self, sent: &Sent) -> Vec<u8> {
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
                version,
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
                    version: version.text().into(),
                    share: None,
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

    pub(crate) fn seal(&self, token: &Token, rule: &config::RuleConfig, key: u8) -> Vec<u8> {
        let Some(session) = &rule.session else {
            return Vec::new();
        };
        let binding = Binding::new(&rule.id, &session.name);
        let sealed = token.seal(&ring(&[key]), &binding, [7; NONCE_LENGTH]);
        sealed.expect("it is short").into_bytes()
    }

    /// Puts the tokens into the request's headers, as a client does, and takes them out again, as the filter does.
    pub(crate) fn carry(&self, texts: &[Vec<u8>], headers: &mut Vec<(String, Vec<u8>)>) -> Vec<Vec<u8>> {
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

    /// The position of a session's backend, if the rule still has it and it can be reached.
    pub(crate) fn bound(&self, session: Option<&Token>) -> Option<usize> {
        self.own_backend(session?).filter(|backend| !self.is_out(*backend))
    }

    /// What becomes of a session that is not bound.
    pub(crate) fn lost(&self, session: &Token) -> SessionOutcome {
        match self.own_backend(session) {
            Some(_) => SessionOutcome::BackendUnreachable,
            None => SessionOutcome::BackendRemoved,
        }
    }

    /// The position of a session's backend in the rule.
    pub(crate) fn own_backend(&self, session: &Token) -> Option<usize> {
        let mut backends = self.raw.backends.iter();
        backends.position(|backend| *backend.key.as_bytes() == *session.backend)
    }

    /// Whether a backend is taken for unreachable. A rule with one backend has no session route that could lead nowhere.
    pub(crate) fn is_out(&self, backend: usize) -> bool {
        self.raw.backends.len() > 1 && self.out[backend]
    }

    pub(crate) fn pins_hosts(&self) -> bool {
        let session = self.raw.session.as_ref();
        session.is_some_and(|session| session.bound_to == BoundTo::Host)
    }
}
