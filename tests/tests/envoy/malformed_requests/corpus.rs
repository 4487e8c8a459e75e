//! Thousands of malformed requests against one Envoy that would answer 503 for ever after a single trap. Each is answered
//! as without a session, or refused as the same Envoy without the module refuses it.

use mooring_tests::{
    Bootstrap, Canary, Envoy, Manifests, Persistence, Pod, Reply, Route, Rule, Service, Source,
    raw_http::{Protocol, RawClient},
};
use serde_json::json;

use super::inputs::{self, CANARY, HEADER, Input, OPT_IN};
use crate::shop::{COOKIE, persistence};

/// Sessions in a cookie together with a canary under `/`, sessions in a header under `/api`.
fn shop(stable: &[Pod], canary: &[Pod]) -> Manifests {
    let split = Rule::split(&[("stable", 50), ("canary", 50)]).persistence(persistence());
    let policy = Canary::on("shop")
        .force(
            "user",
            "canary",
            &[Source::Header(CANARY).matches("RegularExpression", "(a|aa)+.?b")],
        )
        .force("tester", "canary", &[Source::Cookie(CANARY).matches("Contains", "xy")])
        .opt_in("choice", "canary", Source::Header(OPT_IN))
        .hash_on(Source::Cookie("b"));
    Manifests::new()
        .service(&Service::new("stable", stable))
        .service(&Service::new("canary", canary))
        .route(&Route::new("shop").rule(split))
        .route(
            &Route::new("api").rule(
                Rule::to("stable")
                    .below("/api")
                    .persistence(Persistence::header(HEADER)),
            ),
        )
        .canary(&policy)
}

const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// A connection that broke the protocol is closed soon, and not after a second.
fn closes_soon(bootstrap: &mut Bootstrap) {
    bootstrap.json_mut().pointer_mut(MANAGER).unwrap()["delayed_close_timeout"] = json!("0.001s");
}

/// The same Envoy, but nothing of it is our code.
fn without_the_module(bootstrap: &mut Bootstrap) {
    let manager = bootstrap.json_mut().pointer_mut(MANAGER).unwrap();
    let filters = manager["http_filters"].as_array_mut().unwrap();
    let before = filters.len();
    filters.retain(|filter| filter["name"] != "mooring");
    assert_eq!(filters.len(), before - 1);
}

/// What a client that has no session gets in an answer.
fn new_token(reply: &Reply) -> Option<String> {
    let cookie = reply.set_cookie(COOKIE).map(|cookie| cookie.value().to_owned());
    cookie.or_else(|| Some(String::from_utf8(reply.header(HEADER)?.to_vec()).unwrap()))
}

/// Good tokens of both sessions.
struct Good {
    cookie: String,
    header: String,
}

impl Good {
    /// Whether Envoy has repaired a token on its way: it drops the CR in the middle of a line of HTTP/1.1.
    fn arrives(&self, reply: &Reply) -> bool {
        let echo = reply.echo();
        let cookie = format!("{COOKIE}={}", self.cookie).into_bytes();
        echo.header("cookie") == [cookie] || echo.header(HEADER) == [self.header.as_bytes()]
    }
}

fn status(reply: Option<&Reply>) -> u16 {
    reply.map_or(0, Reply::status)
}

/// What became of inputs.
#[derive(Default)]
struct Tally {
    refused: u32,
    repaired: u32,
}

/// Sends every input to both Envoys and compares the answers.
async fn compare(envoy: &Envoy, plain: &Envoy, protocol: Protocol, inputs: &[Input], good: &Good) -> Tally {
    let mut gateway = RawClient::new(envoy.address(), protocol);
    let mut without = RawClient::new(plain.address(), protocol);
    let mut tally = Tally::default();
    for input in inputs {
        let what = format!("{protocol:?}, {}", input.what);
        let expected = without.get(input.target, &input.lines).await;
        let reply = gateway.get(input.target, &input.lines).await;
        assert_eq!(status(reply.as_ref()), status(expected.as_ref()), "{what}: {reply:?}");
        let (Some(reply), Some(expected)) = (reply, expected) else {
            tally.refused += 1;
            continue;
        };
        if expected.status() != 200 {
            assert!((400..500).contains(&expected.status()), "{what}: {expected:?}");
            tally.refused += 1;
            continue;
        }
        let arrives = good.arrives(&expected);
        tally.repaired += u32::from(arrives);
        assert_eq!(new_token(&reply).is_none(), arrives, "{what}: {reply:?}");
        let echo = reply.echo();
        let internal = echo
            .header_names()
            .into_iter()
            .find(|name| name.starts_with("x-mooring"));
        assert_eq!(internal, None, "{what}");
    }
    tally
}

/// Sends every input over HTTP/1.1.
async fn send_all(envoy: &Envoy, inputs: &[Input]) {
    let mut gateway = RawClient::new(envoy.address(), Protocol::Http1);
    for input in inputs {
        let reply = gateway.get(input.target, &input.lines).await;
        assert!(status(reply.as_ref()) < 500, "{}: {reply:?}", input.what);
    }
}

#[tokio::test]
async fn thousands_of_malformed_requests_are_answered_as_without_a_session() {
    let (stable, canary) = (
        Pod::start_several("stable", 2).await,
        Pod::start_several("canary", 1).await,
    );
    let manifests = shop(&stable, &canary);
    let envoy = super::fail_closed_with(closes_soon, &manifests).await;
    let plain = Envoy::builder()
        .edit(closes_soon)
        .edit(without_the_module)
        .start(&manifests)
        .await;
    let client = envoy.client();
    let good = Good {
        cookie: new_token(&client.get("/").await.ok()).unwrap(),
        header: new_token(&client.get("/api").await.ok()).unwrap(),
    };
    let inputs = inputs::all(&good.cookie, &good.header);
    assert!(inputs.len() >= 1_000);

    let (http1, http2) = tokio::join!(
        compare(&envoy, &plain, Protocol::Http1, &inputs, &good),
        compare(&envoy, &plain, Protocol::Http2, &inputs, &good)
    );
    let refused = http1.refused + http2.refused;
    let repaired = http1.repaired + http2.repaired;
    // Once more, now that everything has been seen: nothing of it stays in memory.
    let before = envoy.resident();
    send_all(&envoy, &inputs).await;
    let after = envoy.resident();
    println!(
        "{} inputs, each over two protocols; {refused} refused by Envoy itself, {repaired} repaired by it; memory \
         {before} bytes, after the second pass {after}",
        inputs.len(),
    );
    assert!(after <= before + before / 20, "{before} bytes became {after}");

    // The module lives, and what was spoilt is still good.
    let cookie = format!("{COOKIE}={}", good.cookie);
    let reply = client.request("/").cookie(&cookie).send().await.ok();
    assert!(reply.set_cookies().is_empty(), "{reply:?}");
    let reply = client.request("/api").header(HEADER, &good.header).send().await.ok();
    assert_eq!(reply.header(HEADER), None);
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_error_total"), 0);
    assert_eq!(
        stats.mooring("mooring_session_resumed_total"),
        2 + 2 * u64::from(http1.repaired) + u64::from(http2.repaired)
    );
}
