//! What the unit tests of an example expect (`mooring test`) is what a real Envoy does.

use std::{collections::BTreeMap, process::Command};

use mooring_tests::{Envoy, Manifests, Reply, Update, settings};
use serde::Deserialize;
use serde_json::Value;

use crate::{access_log::Logs, examples::Example};

/// How often a request is sent whose backend the weights select, until they select the expected one. One of ten is enough.
const ATTEMPTS: usize = 500;

/// Up to this time, it makes no difference for a session of half an hour when a request is sent.
const SOON: &str = "10s";

/// What a test file says besides what it expects.
#[derive(Deserialize)]
struct TestFile {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    request: Sent,
    session: Option<String>,
    after: Option<String>,
    #[serde(default)]
    weights: BTreeMap<String, u32>,
    #[serde(default)]
    down: Vec<String>,
}

#[derive(Deserialize)]
struct Sent {
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    cookies: BTreeMap<String, String>,
}

impl Case {
    /// The manifests with what is different in this case.
    fn manifests(&self, example: &Example) -> Manifests {
        let mut text = example.manifests().text();
        for (backend, written) in [("shop-v1", 90), ("shop-v2", 10)] {
            let weight = self.weights.get(backend).copied().unwrap_or(written);
            let reference = |weight| format!("name: {backend}, port: 80, weight: {weight}}}");
            assert!(text.contains(&reference(written)), "{text}");
            text = text.replace(&reference(written), &reference(weight));
        }
        if !self.down.is_empty() {
            assert_eq!(self.down, ["shop-v2"]);
            let (before, slice) = text.split_once("name: shop-v2-1").unwrap();
            text = format!(
                "{before}name: shop-v2-1{}",
                slice.replacen("ready: true", "ready: false", 1)
            );
        }
        Manifests::of(&text).access_log()
    }

    /// The cookies of the client: those of the case, and its session.
    fn cookies(&self, session: Option<&String>) -> Option<String> {
        let own = self.cookies_of_case();
        let all: Vec<String> = own.chain(session.cloned()).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn cookies_of_case(&self) -> impl Iterator<Item = String> {
        let cookies = self.request.cookies.iter();
        cookies.map(|(name, value)| format!("{name}={value}"))
    }
}

/// What became of a request, in Envoy or in the simulation.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    backend: String,
    reason: String,
    session: String,
    set_cookie: bool,
}

impl Outcome {
    fn simulated(found: &Value) -> Self {
        let text = |field: &str| found[field].as_str().unwrap().to_owned();
        Self {
            backend: text("backend"),
            reason: text("reason"),
            session: text("session"),
            set_cookie: !found["setCookie"].is_null(),
        }
    }

    fn seen(reply: &Reply, log: &str, expected: &Self) -> Self {
        let field = |name: &str| {
            let mut fields = log.split(';').filter_map(|field| field.split_once('='));
            fields.find(|(field, _)| *field == name).unwrap().1.to_owned()
        };
        let sent = reply.set_cookie("shop-version").is_some();
        // The log tells what the response made of the session, if it sent a token. How old a session is when this test renews it
        // depends on the machine.
        let (session, set_cookie) = match field("session").as_str() {
            "refreshed" => ("resumed".to_owned(), false),
            "moved" => (expected.session.clone(), sent),
            other => (other.to_owned(), sent),
        };
        Self {
            backend: field("backend"),
            reason: field("reason"),
            session,
            set_cookie,
        }
    }
}

#[tokio::test]
async fn the_unit_tests_of_the_sticky_canary_expect_what_envoy_does() {
    let file = "examples/sticky-canary/tests/mooring-test.yaml";
    let text = std::fs::read_to_string(settings::workspace().join(file)).unwrap();
    let cases: TestFile = serde_saphyr::from_str(&text).unwrap();
    let run = Command::new(settings::mooring())
        .args(["test", "-o", "json", file])
        .current_dir(settings::workspace())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let results: Value = serde_json::from_slice(&run.stdout).unwrap();
    replay(&cases, &results["files"][0]["cases"]).await;
    // Those that are not replayed need half an hour.
    assert_eq!(cases.cases.iter().filter(|case| takes_long(case)).count(), 3);
}

fn takes_long(case: &Case) -> bool {
    case.after.as_ref().is_some_and(|after| after != SOON)
}

async fn replay(file: &TestFile, results: &Value) {
    let example = Example::open("sticky-canary").await;
    let logs = Logs::new();
    let mut current = example.manifests().access_log();
    let mut envoy = logs.envoy().dynamic().start(&current).await;
    let mut sessions: BTreeMap<&str, Option<String>> = BTreeMap::new();
    let mut sent = 0;
    let mut cases: Vec<_> = file.cases.iter().zip(results.as_array().unwrap()).collect();
    // For some time, the module remembers what was down.
    cases.sort_by_key(|(case, _)| !case.down.is_empty());
    for (case, result) in cases {
        assert_eq!(case.name, result["name"]);
        let client = case.session.as_deref().map(|of| sessions.get(of));
        let (false, Some(session)) = (takes_long(case), client.unwrap_or(Some(&None))) else {
            continue;
        };
        let manifests = case.manifests(&example);
        if manifests.text() != current.text() {
            assert_eq!(envoy.apply(&manifests).await, Update::Taken);
            current = manifests;
        }
        let mut after = session.clone();
        for request in result["requests"].as_array().unwrap() {
            let expected = Outcome::simulated(&request["found"]);
            let by_chance = expected.reason == "split";
            let mut seen = Vec::new();
            for _ in 0..if by_chance { ATTEMPTS } else { 1 } {
                sent += 1;
                let id = sent.to_string();
                let reply = send(&envoy, case, &request["request"], session.as_ref(), &id).await;
                // The first request to a backend that is down tells the module so.
                if reply.status() == 200 {
                    let line = logs.line(&id).await;
                    seen.push(Outcome::seen(&reply, line.text().unwrap(), &expected));
                    if let Some(cookie) = reply.set_cookie("shop-version") {
                        after = Some(cookie.stripped().to_string());
                    }
                }
                if seen.last() == Some(&expected) {
                    break;
                }
            }
            assert_eq!(seen.last(), Some(&expected), "{}: {seen:?}", case.name);
        }
        sessions.insert(&case.name, after);
    }
    assert_eq!(sessions.len(), file.cases.len() - 3);
}

async fn send(envoy: &Envoy, case: &Case, request: &Value, session: Option<&String>, id: &str) -> Reply {
    let text = |field: &str| request[field].as_str().unwrap();
    let client = envoy.client();
    let message = client.request(text("path")).method(text("method")).host(text("host"));
    let message = message.header("x-case", id);
    let message = case
        .request
        .headers
        .iter()
        .fold(message, |message, (name, value)| message.header(name, value));
    match case.cookies(session) {
        Some(cookies) => message.cookie(cookies).send().await,
        None => message.send().await,
    }
}
