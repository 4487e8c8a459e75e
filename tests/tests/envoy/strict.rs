//! Sessions that answer 503 where their pod is gone, instead of moving.

use mooring_tests::{Answer, Bootstrap, Envoy, Persistence, Pod, Reply, Update};
use serde_json::{Value, json};

use crate::shop::{COOKIE, cart, persistence, strangers};

fn strict() -> Persistence {
    persistence().annotation("strict", "true")
}

/// The pods other than the one with this name.
fn others<'a>(pods: &'a [Pod], name: &str) -> Vec<&'a Pod> {
    pods.iter().filter(|pod| pod.name() != name).collect()
}

fn pod_of<'a>(pods: &'a [Pod], reply: &Reply) -> &'a Pod {
    let name = reply.pod();
    pods.iter().find(|pod| pod.name() == name).unwrap()
}

#[tokio::test]
async fn a_strict_session_ends_with_one_503_when_its_pod_is_gone() {
    let pods = Pod::start_several("cart", 3).await;
    let cookie = || strict().annotation("cookie-path", "/shop").absolute("1h").permanent();
    let mut envoy = Envoy::builder().dynamic().start(&cart(&pods, cookie())).await;
    let mut browser = envoy.browser();
    let first = browser.get("/shop").await.ok();
    let left = cart(others(&pods, &first.pod()), cookie());
    assert_eq!(envoy.apply(&left).await, Update::Taken);

    let lost = browser.get("/shop").await;
    assert_eq!(lost.status(), 503, "{lost:?}");
    assert!(lost.header("x-mooring-host").is_none(), "{lost:?}");
    assert_eq!(lost.header_all("cache-control"), ["private"]);
    // The cookie of the session is replaced: every attribute is the same.
    let (end, begun) = (lost.set_cookie(COOKIE).unwrap(), first.set_cookie(COOKIE).unwrap());
    assert_ne!(end.value(), begun.value());
    assert_eq!(
        (end.path(), end.domain(), end.secure(), end.same_site()),
        (begun.path(), begun.domain(), begun.secure(), begun.same_site())
    );
    assert!(end.max_age().is_some());

    // The next request begins a session, which has nothing to do with the pod of before.
    let again = browser.get("/shop").await.ok();
    assert!(again.set_cookie(COOKIE).is_some(), "{again:?}");
    assert_eq!(envoy.apply(&cart(&pods, cookie())).await, Update::Taken);
    for _ in 0..10 {
        let reply = browser.get("/shop").await.ok();
        assert_eq!(reply.pod(), again.pod());
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_lost_total"), 1);
    assert_eq!(stats.mooring("mooring_session_new_total"), 2);
    assert_eq!(
        stats.sum("wasmcustom.mooring_token_rejected"),
        0,
        "{:?}",
        stats.of_mooring()
    );
}

#[tokio::test]
async fn a_strict_header_session_ends_so_too() {
    const HEADER: &str = "x-cart-session";
    let pods = Pod::start_several("cart", 3).await;
    let session = || Persistence::header(HEADER).annotation("strict", "true");
    let mut envoy = Envoy::builder().dynamic().start(&cart(&pods, session())).await;
    let client = envoy.client();
    let token = |reply: &Reply| reply.header(HEADER).unwrap_or_else(|| panic!("{reply:?}")).to_vec();
    let first = client.get("/").await.ok();
    let left = cart(others(&pods, &first.pod()), session());
    assert_eq!(envoy.apply(&left).await, Update::Taken);
    let lost = client.request("/").header(HEADER, token(&first)).send().await;
    assert_eq!(lost.status(), 503, "{lost:?}");
    let again = client.request("/").header(HEADER, token(&lost)).send().await.ok();
    for _ in 0..10 {
        let reply = client.request("/").header(HEADER, token(&again)).send().await.ok();
        assert_eq!(reply.pod(), again.pod());
        assert!(reply.header(HEADER).is_none(), "{reply:?}");
    }
    assert_eq!(strangers(&envoy.client(), 20).await.len(), 2, "new sessions are served");
}

fn retries() -> Value {
    let previous = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";
    json!({
        "retry_on": "5xx,connect-failure",
        "num_retries": 3,
        "retry_host_predicate": [{"name": "previous", "typed_config": {"@type": previous}}],
        "host_selection_retry_max_attempts": 30,
    })
}

/// Has every route try again on another pod, whatever went wrong.
fn try_again(bootstrap: &mut Bootstrap) {
    fn walk(value: &mut Value, routes: &mut usize) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::Object(route)) = fields.get_mut("route")
                    && (route.contains_key("cluster") || route.contains_key("weighted_clusters"))
                {
                    route.insert("retry_policy".to_owned(), retries());
                    *routes += 1;
                }
                fields.values_mut().for_each(|value| walk(value, routes));
            }
            Value::Array(values) => values.iter_mut().for_each(|value| walk(value, routes)),
            _ => {}
        }
    }
    let mut routes = 0;
    walk(bootstrap.json_mut(), &mut routes);
    assert!(routes > 0);
}

#[tokio::test]
async fn a_strict_session_is_never_tried_on_another_pod() {
    let mut pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::builder().edit(try_again).start(&cart(&pods, strict())).await;
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();
    let pod = pod_of(&pods, &first);
    pod.answer(Answer::status(503));
    for _ in 0..5 {
        let reply = browser.get("/").await;
        assert_eq!(reply.status(), 503, "{reply:?}");
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
    // The header that forbids it is for Envoy alone.
    assert!(
        pod.echoes()
            .iter()
            .all(|echo| echo.header("x-envoy-max-retries").is_empty())
    );

    // A pod that refuses connections may come back: the session waits for it.
    let at = pods.iter().position(|pod| pod.name() == first.pod()).unwrap();
    pods[at].answer(Answer::default());
    pods[at].stop().await;
    let refused = browser.get("/").await;
    assert_eq!(refused.status(), 503, "{refused:?}");
    assert!(refused.set_cookies().is_empty(), "{refused:?}");
    pods[at].resume().await;
    assert_eq!(browser.get("/").await.ok().pod(), first.pod());
}

#[tokio::test]
async fn new_sessions_and_those_that_are_not_strict_are_tried_elsewhere() {
    for persistence in [strict(), persistence()] {
        let pods = Pod::start_several("cart", 3).await;
        let envoy = Envoy::builder()
            .edit(try_again)
            .start(&cart(&pods, persistence.clone()))
            .await;
        pods[0].answer(Answer::status(503));
        for _ in 0..20 {
            assert_ne!(envoy.client().get("/").await.ok().pod(), pods[0].name());
        }
    }
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::builder()
        .edit(try_again)
        .start(&cart(&pods, persistence()))
        .await;
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();
    pod_of(&pods, &first).answer(Answer::status(503));
    let moved = browser.get("/").await.ok();
    assert!(moved.set_cookie(COOKIE).is_some(), "{moved:?}");
    assert_ne!(moved.pod(), first.pod());
}
