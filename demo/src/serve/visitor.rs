//! A client with a cookie jar: a visitor with buttons on the page, or one of the crowd.

use mooring_policy::{
    keys::KeyRing,
    token::{Binding, Token},
};
use mooring_tests::{Browser, Client, Failure};

use super::visit::{Answer, Session, Visit};

/// The name of the session cookie.
pub const COOKIE: &str = "store-session";
/// The header with which a visitor asks for the canary or, by `never`, not to get it.
pub const TESTER: &str = "x-canary";
/// The header that tells whose request a line of the access log is about.
pub const WHO: &str = "x-visitor";
/// Its value for all visitors in the background.
pub const CROWD: &str = "crowd";

/// How many answers the page shows of a visitor.
const TRAIL: usize = 24;

/// Opens the tokens of the demo's gateway. Only the demo can: it made the key.
pub struct Seal {
    keys: KeyRing,
    binding: Binding,
}

impl Seal {
    /// For the tokens that the gateway seals with this `MOORING_KEYS` for this rule.
    pub fn new(keys: &str, rule_id: &str) -> Self {
        Self {
            keys: KeyRing::parse(keys).expect("the demo's own key"),
            binding: Binding::new(rule_id, COOKIE),
        }
    }

    fn open(&self, token: &str) -> Option<Session> {
        let token = Token::open(token.as_bytes(), &self.keys, &self.binding).ok()?;
        Some(Session {
            issued: token.issued,
            seen: token.seen,
            backend: String::from_utf8_lossy(&token.backend).into_owned(),
            host: String::from_utf8_lossy(&token.host).into_owned(),
        })
    }
}

/// A visitor.
pub struct Visitor {
    browser: Browser,
    seen: Visit,
}

impl Visitor {
    /// A visitor who was never here.
    pub fn new(id: &'static str, client: Client) -> Self {
        Self {
            browser: Browser::new(client),
            seen: Visit { id, ..Visit::default() },
        }
    }

    /// Sends a request. The answer is also the last one of [`Self::seen`].
    pub async fn visit(&mut self) -> Answer {
        let answer = match self.attempt().await {
            // A listener that was replaced closes its connections, maybe just when a request goes out.
            Err(Failure::Broken(_)) => self.attempt().await,
            outcome => outcome,
        };
        let answer = answer.unwrap_or(Answer {
            pod: None,
            status: 0,
            cookie: false,
        });
        self.seen.trail.push_back(answer.clone());
        if self.seen.trail.len() > TRAIL {
            self.seen.trail.pop_front();
        }
        answer
    }

    /// Asks for the canary from now on, or no longer.
    pub fn set_tester(&mut self, tester: bool) {
        self.seen.tester = tester;
    }

    /// Begins again with an empty cookie jar.
    pub fn forget(&mut self, client: Client) {
        self.browser = Browser::new(client);
    }

    /// What is known of the visitor.
    pub fn seen(&self, seal: &Seal) -> Visit {
        let cookie = self.browser.cookie(COOKIE);
        Visit {
            cookie: cookie.map(ToOwned::to_owned),
            session: cookie.and_then(|cookie| seal.open(cookie)),
            ..self.seen.clone()
        }
    }

    async fn attempt(&mut self) -> Result<Answer, Failure> {
        let mut lines = vec![(WHO, self.seen.id)];
        if self.seen.tester {
            lines.push((TESTER, "always"));
        }
        let reply = self.browser.attempt("/", &lines).await?;
        let pod = reply.header("x-pod").map(String::from_utf8_lossy);
        Ok(Answer {
            pod: pod.map(String::from),
            status: reply.status(),
            cookie: reply.set_cookie(COOKIE).is_some(),
        })
    }
}
