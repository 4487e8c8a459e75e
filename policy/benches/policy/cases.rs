//! What a request runs through, ready to be called.

#![expect(
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    reason = "as in a test: the input is written below"
)]

use std::{hint::black_box, rc::Rc};

use mooring_policy::{
    cookie,
    decision::{self, Decision, SessionOutcome},
    gateway::Gateway,
    headers::Headers,
    keys::{Entry, KeyRing},
    memory_host::MemoryHost,
    routes::RouteTable,
    rule::Rule,
    token::{NONCE_LENGTH, Token},
};

const NOW: u64 = 1_763_713_371;
const NAME: &str = "cart";
const HOST: &[u8] = b"10.244.17.211:8080";
const NONCE: [u8; NONCE_LENGTH] = [7; NONCE_LENGTH];

/// A function with its input.
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    run: Box<dyn FnMut()>,
}

impl Case {
    fn new<T>(name: &'static str, mut run: impl FnMut() -> T + 'static) -> Self {
        Self {
            name,
            run: Box::new(move || {
                black_box(run());
            }),
        }
    }

    /// Calls it once.
    pub fn call(&mut self) {
        (self.run)();
    }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Case> {
    let gateway = Rc::new(gateway());
    let rule = rule();
    let text = Rc::new(token(&rule, &gateway));
    let line = |length| line(&text, length);
    vec![
        case(&gateway, &rule, {
            let text = Rc::clone(&text);
            ("unseal", move |gateway: &Gateway, rule: &Rc<Rule>| {
                let session = rule.session().expect("a session");
                Token::open(text.as_bytes(), keys(gateway), session.binding()).is_ok()
            })
        }),
        case(&gateway, &rule, {
            let line = line(0);
            ("decide, live session", move |gateway: &Gateway, rule: &Rc<Rule>| {
                let lines = [(b"cookie".as_slice(), line.as_slice())];
                let headers = lines.as_slice().into();
                let decision = decide(rule, gateway, &headers);
                decision.request_changes(&headers).len()
            })
        }),
        case(
            &gateway,
            &rule,
            ("decide, new session", |gateway: &Gateway, rule: &Rc<Rule>| {
                let lines = [("cookie", "theme=dark; lang=en")];
                decide(rule, gateway, &lines.as_slice().into()).backend()
            }),
        ),
        case(&gateway, &rule, {
            let decision = decide(&rule, &gateway, &Headers::default());
            ("mint", move |gateway: &Gateway, _: &Rc<Rule>| mint(&decision, gateway))
        }),
        cookies("cookies, 100 B", line(0)),
        cookies("cookies, 1 KB", line(1_000)),
        cookies("cookies, 8 KB", line(8_000)),
        configuration("configuration, 1 rule", 1),
        configuration("configuration, 1,000 rules", 1_000),
    ]
}

fn case<T>(
    gateway: &Rc<Gateway>,
    rule: &Rc<Rule>,
    (name, run): (&'static str, impl Fn(&Gateway, &Rc<Rule>) -> T + 'static),
) -> Case {
    let (gateway, rule) = (Rc::clone(gateway), Rc::clone(rule));
    Case::new(name, move || run(&gateway, &rule))
}

/// Finds our cookie in a line, and takes it out.
fn cookies(name: &'static str, line: Vec<u8>) -> Case {
    Case::new(name, move || {
        let found = cookie::values(&line, NAME).map(<[u8]>::len).sum::<usize>();
        (found, cookie::without(&line, NAME))
    })
}

/// Reads a plugin configuration.
fn configuration(name: &'static str, rules: usize) -> Case {
    let json = configuration_of(rules);
    Case::new(name, move || {
        RouteTable::parse(json.as_bytes()).map(|table| table.len())
    })
}

fn gateway() -> Gateway {
    Gateway {
        keys: Some(KeyRing::parse(&Entry::new(1, *b"a secret for figures of 32 bytes").reveal()).expect("a ring")),
        ..Gateway::default()
    }
}

fn keys(gateway: &Gateway) -> &KeyRing {
    gateway.keys.as_ref().expect("a ring")
}

/// A response of the first backend, from a new host.
fn host() -> MemoryHost {
    MemoryHost {
        now: NOW,
        random: NONCE.into(),
        cluster_name: Some(b"outbound|80||store.shop.svc.cluster.local".into()),
        code_details: Some(b"via_upstream".into()),
        upstream_address: Some(HOST.into()),
        ..MemoryHost::default()
    }
}

fn decide(rule: &Rc<Rule>, gateway: &Gateway, headers: &Headers) -> Decision {
    decision::decide(rule, gateway, headers, &host()).expect("the host answers")
}

fn mint(decision: &Decision, gateway: &Gateway) -> usize {
    assert_eq!(decision.session_outcome(), SessionOutcome::New);
    let response = decision.respond(gateway, 8, &host()).expect("the host answers");
    response.changes.len()
}

/// A token of a live session.
fn token(rule: &Rule, gateway: &Gateway) -> String {
    let token = Token {
        backend: b"store.shop:80".as_slice().into(),
        host: HOST.into(),
        ..Token::new(NOW, true)
    };
    let session = rule.session().expect("a session");
    token.seal(keys(gateway), session.binding(), NONCE).expect("a token")
}

/// A `Cookie` line with ours last, after others of about so many bytes.
fn line(token: &str, length: usize) -> Vec<u8> {
    let other = |number| format!("_application_{number:03}=GA1.2.{number:03}314159265.1763713371; ");
    let others: Vec<String> = (0..length / other(0).len()).map(other).collect();
    format!("theme=dark; lang=en; {}{NAME}={token}", others.concat()).into_bytes()
}

fn rule() -> Rc<Rule> {
    let table = RouteTable::parse(configuration_of(1).as_bytes()).expect("a configuration");
    Rc::clone(table.rules().next().expect("a rule"))
}

fn configuration_of(rules: usize) -> String {
    let rule = |number| {
        format!(
            r#"{{"id": "HTTPRoute/shop/store-{number}#0", "route": "shop.store-{number}.0",
            "virtualHosts": ["shop.example:80"], "backends": [{{"key": "store.shop:80"}}, {{"key": "store-canary.shop:80"}}],
            "session": {{"name": "{NAME}", "type": "Cookie", "absoluteTimeout": "1h", "idleTimeout": "10m",
            "cookie": {{"path": "/", "lifetimeType": "Permanent"}}}}}}"#
        )
    };
    let rules: Vec<String> = (0..rules).map(rule).collect();
    format!(r#"{{"version": 3, "rules": [{}]}}"#, rules.join(","))
}
