//! `mooring explain` says what Envoy does: both get the same questions.

mod questions;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

use fastrand::Rng;
use mooring_generator::{
    diagnostic::Report,
    document::{self, Applied, RawObjects},
    explain::{ConfigSource, Explainer, Explanation, Input, Outcome},
    ir::ProxyGroup,
    mesh::Mesh,
    resources::Resources,
    simulate::{self, Proxy, Request},
    source::Sources,
    translate,
};
use mooring_policy::{
    headers::Headers,
    keys::KeyRing,
    token::{Binding, NONCE_LENGTH, Token},
};
use mooring_tests::{Bootstrap, Client, Envoy, Manifests, Pod, Reply, Service, keys};
use serde_json::{Value, json};

use self::questions::Question;

/// How many questions are asked.
const QUESTIONS: usize = 500;

/// The seed of the questions. The environment variable `QUESTIONS_SEED` asks others, which need not be balanced.
const SEED: u64 = 19;

/// What some of the answers are.
const WORDS: [&str; 20] = [
    "refreshed",
    "routed",
    "no-route",
    "split",
    "session",
    "single",
    "hash",
    "canary:tester",
    "canary:contains",
    "canary:choice",
    "canary:staff",
    "canary:preview",
    "new",
    "resumed",
    "moved",
    "backend-removed",
    "expired-idle",
    "expired-absolute",
    "rejected-foreign",
    "rejected-malformed",
];

/// The Services, each with one pod of its name.
const SERVICES: [&str; 5] = ["a", "b", "c", "stable", "canary"];

/// What Envoy did with a request.
#[derive(Debug)]
struct Observed {
    status: u16,
    /// The name of the route that Envoy took in the end, and its position in the virtual host.
    route: Option<(String, usize)>,
    /// The Service that answered.
    service: Option<String>,
    /// Whether the response carries a token.
    token: bool,
}

#[tokio::test]
async fn envoy_and_explain_agree_on_500_questions() {
    let mut pods = Vec::new();
    for name in SERVICES {
        pods.push(Pod::start(name).await);
    }
    let routes = Manifests::of(include_str!("explain/routes.yaml")).ports(&[80, 81]);
    let manifests = pods
        .iter()
        .fold(routes, |all, pod| all.service(&Service::new(pod.name(), [pod])));
    let envoy = Envoy::builder().edit(label_routes).start(&manifests).await;
    let hosts = questions::virtual_hosts(envoy.generate(&manifests).json());
    let other = std::env::var("QUESTIONS_SEED").ok().map(|seed| seed.parse().unwrap());
    let mut rng = Rng::with_seed(other.unwrap_or(SEED));
    let mut all = questions::random(&mut rng, &hosts, QUESTIONS);
    let joins_headers = envoy.version().await.starts_with("1.36.");
    for question in &mut all {
        if joins_headers {
            questions::without_repeated_headers(question);
        }
        add_token(&mut rng, question, &pods);
    }
    let (explained, balance) = explain(&manifests.text(), &all);
    let clients = BTreeMap::from([80, 81].map(|port| (port, Client::http1(envoy.address_of(port)))));
    let mut wrong = Vec::new();
    for (question, explanation) in all.iter().zip(&explained) {
        let observed = ask(&clients[&question.port], question).await;
        if let Err(difference) = compare(&observed, explanation) {
            wrong.push(format!(
                "{difference}\n  {question:?}\n  {observed:?}\n  {}",
                mooring_generator::explain::text(explanation)
            ));
        }
    }
    let count = wrong.len();
    wrong.truncate(5);
    assert_eq!(
        count,
        0,
        "{count} of {QUESTIONS} questions have two answers, such as\n{}",
        wrong.join("\n")
    );
    if other.is_none() {
        balance.check();
    }
    balance.print();
}

/// Makes each response name the route that Envoy took.
fn label_routes(bootstrap: &mut Bootstrap) {
    let listeners = bootstrap.json_mut().pointer_mut("/static_resources/listeners").unwrap();
    for listener in listeners.as_array_mut().unwrap() {
        let config = listener.pointer_mut("/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts");
        for host in config.unwrap().as_array_mut().unwrap() {
            for (position, route) in (1..).zip(host["routes"].as_array_mut().unwrap()) {
                let name = route["name"].as_str().unwrap().to_owned();
                let value = format!("{position} {name}").replace('%', "%%");
                let header = json!({"header": {"key": "x-route", "value": value}});
                let headers = &mut route["response_headers_to_add"];
                match headers.as_array_mut() {
                    Some(headers) => headers.push(header),
                    None => *headers = json!([header]),
                }
            }
        }
    }
}

async fn ask(client: &Client, question: &Question) -> Observed {
    let request = client
        .request(&question.target)
        .host(&question.host)
        .method(&question.method);
    let request = question
        .headers
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value));
    let reply = request.send().await;
    let text = |reply: &Reply, name: &str| {
        reply
            .header(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    };
    let route = text(&reply, "x-route");
    let route = route.map(|route| {
        let (position, name) = route.split_once(' ').unwrap();
        (name.to_owned(), position.parse().unwrap())
    });
    Observed {
        status: reply.status(),
        route,
        service: text(&reply, "x-pod"),
        token: !reply.set_cookies().is_empty() || reply.header("x-session").is_some(),
    }
}

/// Explains all questions by the library, which reads the manifests once.
fn explain(manifests: &str, questions: &[Question]) -> (Vec<Explanation>, Balance) {
    let mut sources = Sources::default();
    sources.add("routes.yaml", manifests.to_owned());
    let mut report = Report::default();
    let resources = Resources::new(document::read(&sources, &mut report), &sources, Mesh::default());
    let ir = translate::translate(&resources, &mut report);
    assert!(!report.has_errors(), "{:?}", report.sorted());
    let raw = RawObjects::new(&sources);
    let keys = keys::key(1);
    let input = Input {
        sources: &sources,
        resources: &resources,
        ir: &ir,
        raw: &raw,
    };
    let explainer = Explainer::new(input, Applied::read(&sources), ConfigSource::Auto, Some(&keys));
    let mut explainer = explainer.unwrap();
    let now = now();
    let explain = |question: &Question| {
        let answer = explainer.explain(&request(question), now);
        answer.unwrap_or_else(|reason| panic!("{question:?}: {reason}"))
    };
    let answers: Vec<Explanation> = questions.iter().map(explain).collect();
    let proxies = simulate::proxies(&ir, &resources, &raw, ProxyGroup::config, || None).unwrap();
    let balance = Balance::new(&answers, questions, &proxies);
    (answers, balance)
}

/// A question as a request. Its host header may have another port than the one it goes to.
fn request(question: &Question) -> Request {
    let url = format!("http://{}{}", question.host, question.target);
    let mut request = Request::new(&question.method, &url).unwrap();
    request.listener_port = Some(question.port);
    let headers = question.headers.iter();
    headers.fold(request, |request, (name, value)| request.with_header(name, value))
}

#[expect(
    clippy::disallowed_methods,
    reason = "tokens for an Envoy, whose clock is that of the machine"
)]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Adds a session to some of the requests for rules with sessions: live, expired, of another rule, for a backend that is gone, or
/// not a token at all.
fn add_token(rng: &mut Rng, question: &mut Question, pods: &[Pod]) {
    let (rule, name, by_header) = match question.host.as_str() {
        "session.example.com" if question.target.starts_with("/app") => {
            ("HTTPRoute/shop/session/main", "shop-session", false)
        }
        "session.example.com" if question.target.starts_with("/api") => {
            ("HTTPRoute/shop/session/by-header", "x-session", true)
        }
        host if host.ends_with(".versions.example.com") => {
            ("VirtualService/shop/versions/main", "versions-session", false)
        }
        _ => return,
    };
    if rng.u8(..5) == 0 {
        return;
    }
    let service = *rng.choice(&["stable", "canary"]).unwrap();
    let pod = pods.iter().find(|pod| pod.name() == service).unwrap();
    let now = now();
    let live = Token {
        issued: now - 100,
        seen: now,
        secure: false,
        backend: format!("{service}.shop:80").into_bytes().into(),
        version: Box::default(),
        share: None,
        host: pod.socket().to_string().into_bytes().into(),
    };
    let seal = |rule: &str, token: &Token| {
        let keys = KeyRing::parse(&keys::key(1)).unwrap();
        token.seal(&keys, &Binding::new(rule, name), [7; NONCE_LENGTH]).unwrap()
    };
    let value = match rng.u8(..10) {
        9 => seal(rule, &Token { seen: now - 60, ..live }),
        0 => seal(
            rule,
            &Token {
                seen: now - 4_000,
                issued: now - 4_000,
                ..live
            },
        ),
        1 => seal(
            rule,
            &Token {
                issued: now - 100_000,
                ..live
            },
        ),
        2 => seal("HTTPRoute/shop/other/rule", &live),
        3 => seal(
            rule,
            &Token {
                backend: b"gone.shop:80".as_slice().into(),
                ..live
            },
        ),
        4 => "junk".to_owned(),
        _ => seal(rule, &live),
    };
    if by_header {
        question.headers.push((name.to_owned(), value));
        return;
    }
    let value = format!("{name}={value}");
    match question.headers.iter_mut().find(|(name, _)| name == "cookie") {
        Some((_, cookies)) => *cookies = format!("{cookies}; {value}"),
        None => question.headers.push(("cookie".to_owned(), value)),
    }
}

/// Whether an explanation is what Envoy did.
fn compare(observed: &Observed, explanation: &Explanation) -> Result<(), String> {
    let json = serde_json::to_value(explanation).unwrap();
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str);
    let equal = |what: &str, envoy: &dyn std::fmt::Debug, explain: &dyn std::fmt::Debug| {
        let (envoy, explain) = (format!("{envoy:?}"), format!("{explain:?}"));
        if envoy == explain {
            Ok(())
        } else {
            Err(format!("{what}: Envoy {envoy}, explain {explain}"))
        }
    };
    if explanation.outcome != Outcome::Routed {
        return equal(
            "status and route",
            &(observed.status, &observed.route),
            &(404, None::<(String, usize)>),
        );
    }
    let Some((taken, position)) = &observed.route else {
        return Err("Envoy has no route, and explain has one".to_owned());
    };
    let rule = text("/route/rule").unwrap();
    let backend = text("/decision/backend");
    let of_rule = taken.strip_prefix(rule).and_then(|rest| rest.strip_prefix('/'));
    if let Some(key) = of_rule.filter(|key| key.contains(':')) {
        equal("backend of the session route", &Some(key), &backend)?;
    } else {
        let expected = (
            text("/route/name").unwrap(),
            json["route"]["position"].as_u64().unwrap(),
        );
        equal("route", &(taken, position), &expected)?;
    }
    let key = observed.service.as_ref().map(|service| format!("{service}.shop:80"));
    if let (Some(key), Some(backend)) = (&key, backend) {
        equal("backend", key, &backend)?;
    }
    if let Some(key) = &key {
        let odds = json["odds"].as_array().cloned().unwrap_or_default();
        let known = odds.iter().any(|one| one["backend"] == json!(key)) || backend == Some(key);
        equal("backend among those of the route", &known, &true)?;
    }
    equal(
        "token in the response",
        &observed.token,
        &text("/decision/token").is_some(),
    )
}

/// How often the rules, the words of the answers and the conditions came up.
struct Balance {
    /// The rules that took requests.
    rules: BTreeSet<String>,
    /// The rules of the proxies.
    known: BTreeSet<String>,
    words: BTreeMap<String, usize>,
    /// How many requests missed and met each condition.
    conditions: BTreeMap<String, [usize; 2]>,
}

impl Balance {
    fn new(explained: &[Explanation], questions: &[Question], proxies: &[Proxy]) -> Self {
        let routes = proxies
            .iter()
            .flat_map(|proxy| &proxy.virtual_hosts)
            .flat_map(|host| &host.routes);
        let mut balance = Self {
            rules: BTreeSet::new(),
            known: routes.map(|route| route.rule.id.clone()).collect(),
            words: BTreeMap::new(),
            conditions: BTreeMap::new(),
        };
        for explanation in explained {
            let json = serde_json::to_value(explanation).unwrap();
            let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str);
            balance.rules.extend(text("/route/rule").map(str::to_owned));
            let found = ["/outcome", "/decision/reason", "/decision/session", "/decision/token"];
            for word in found.into_iter().filter_map(text) {
                *balance.words.entry(word.to_owned()).or_default() += 1;
            }
        }
        for question in questions {
            balance.count(question, proxies);
        }
        balance
    }

    /// Counts which conditions of its virtual host a request meets.
    fn count(&mut self, question: &Question, proxies: &[Proxy]) {
        let request = request(question);
        let lines = request.lines();
        let headers = Headers::from(lines.as_slice());
        let proxies = proxies.iter().filter(|proxy| proxy.ports().contains(&question.port));
        let routes = proxies
            .filter_map(|proxy| proxy.virtual_host(&request))
            .flat_map(|host| &host.routes);
        for route in routes.filter(|route| route.session_backend.is_none()) {
            let conditions = route.conditions.conditions().iter();
            for condition in conditions.filter(|condition| !condition.is_trivial()) {
                let counts = self
                    .conditions
                    .entry(format!("{}: {condition}", route.rule.id))
                    .or_default();
                counts[usize::from(condition.holds(&headers))] += 1;
            }
        }
    }

    fn print(&self) {
        let fewest = self.conditions.values().flatten().min().unwrap();
        println!("{} rules took requests; {:?}", self.rules.len(), self.words);
        println!(
            "{} conditions, each met and missed by {fewest} requests or more",
            self.conditions.len()
        );
    }

    /// Every rule that can take a request took one, each condition was met and missed, and each word was an answer.
    fn check(&self) {
        // It matches the same requests as a rule of an older object.
        let unreachable = "VirtualService/shop/younger/theirs";
        let unused: Vec<&String> = self.known.difference(&self.rules).collect();
        assert_eq!(unused, [unreachable]);
        assert!(self.rules.len() > 55, "{} rules", self.rules.len());
        let one_sided = self.conditions.iter().filter(|(_, counts)| counts.contains(&0));
        assert_eq!(
            one_sided.collect::<Vec<_>>(),
            [],
            "conditions that no request met, or that none missed"
        );
        for word in WORDS {
            assert!(self.words.contains_key(word), "no answer is {word}: {:?}", self.words);
        }
    }
}
