//! Pods that come and go: the session moves without an error, unless it is told to stay or fail.

use mooring_tests::{
    Answer, Bootstrap, Browser, Endpoint, Envoy, HOSTNAME, Manifests, Pod, Policy, Reply, Route, Service, Stats,
    Update, wait,
};

use crate::shop::{COOKIE, cart, cart_service, persistence, strangers};

/// The pods other than the one with this name.
fn others<'a>(pods: &'a [Pod], name: &str) -> Vec<&'a Pod> {
    pods.iter().filter(|pod| pod.name() != name).collect()
}

/// The Service with one pod in another state and the others ready.
fn with_one(pods: &[Pod], name: &str, state: Endpoint) -> Service {
    pods.iter().fold(Service::new("cart", []), |service, pod| {
        let state = if pod.name() == name { state } else { Endpoint::Ready };
        service.endpoint(pod, state)
    })
}

/// The session has left its pod, was told so once, and stays where it is now. No request failed.
async fn moves_once(browser: &mut Browser, from: &Reply) -> Reply {
    let moved = browser.get("/").await.ok();
    assert_ne!(moved.pod(), from.pod());
    assert!(moved.set_cookie(COOKIE).is_some(), "{moved:?}");
    for _ in 0..20 {
        let reply = browser.get("/").await.ok();
        assert_eq!(reply.pod(), moved.pod());
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
    moved
}

fn healthy(stats: &Stats) -> u64 {
    let gauges = stats.starting_with("cluster.outbound|80||cart");
    gauges
        .filter(|(name, _)| name.ends_with("membership_healthy"))
        .map(|(_, value)| value)
        .sum()
}

async fn until_healthy(envoy: &Envoy, count: u64) {
    let what = format!("Envoy finds {count} healthy pods");
    wait::until(&what, || async {
        (healthy(&envoy.stats().await) == count).then_some(())
    })
    .await;
}

/// Three pods behind a gateway that takes updates, and a client with its first answer.
async fn three_pods_and_a_session() -> (Vec<Pod>, Envoy, Browser, Reply) {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::builder().dynamic().start(&cart(&pods, persistence())).await;
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();
    (pods, envoy, browser, first)
}

#[tokio::test]
async fn a_session_moves_when_its_pod_leaves_the_endpoints() {
    let (pods, mut envoy, mut browser, first) = three_pods_and_a_session().await;
    let left = cart(others(&pods, &first.pod()), persistence());
    assert_eq!(envoy.apply(&left).await, Update::Taken);
    moves_once(&mut browser, &first).await;
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_moved_total"), 1);
    assert_eq!(stats.mooring("mooring_session_new_total"), 1);
}

#[tokio::test]
async fn a_session_moves_when_its_pod_is_not_ready() {
    let (pods, mut envoy, mut browser, first) = three_pods_and_a_session().await;
    let not_ready = cart_service(&with_one(&pods, &first.pod(), Endpoint::NotReady), persistence());
    assert_eq!(envoy.apply(&not_ready).await, Update::Taken);
    moves_once(&mut browser, &first).await;
}

#[tokio::test]
async fn a_session_moves_when_its_pod_fails_its_health_checks_and_stays_there() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::builder()
        .edit(Bootstrap::check_health)
        .start(&cart(&pods, persistence()))
        .await;
    until_healthy(&envoy, 3).await;
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();
    let sick = pods.iter().find(|pod| pod.name() == first.pod()).unwrap();
    sick.set_healthy(false);
    until_healthy(&envoy, 2).await;
    let moved = moves_once(&mut browser, &first).await;

    // It does not go back when the pod has recovered.
    sick.set_healthy(true);
    until_healthy(&envoy, 3).await;
    assert_eq!(browser.get("/").await.ok().pod(), moved.pod());
}

#[tokio::test]
async fn a_session_moves_when_its_pod_dies() {
    let mut pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::builder()
        .edit(Bootstrap::check_health)
        .start(&cart(&pods, persistence()))
        .await;
    until_healthy(&envoy, 3).await;
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();
    let pod = pods.iter_mut().find(|pod| pod.name() == first.pod()).unwrap();
    pod.stop().await;
    until_healthy(&envoy, 2).await;
    moves_once(&mut browser, &first).await;
}

#[tokio::test]
async fn a_session_moves_when_its_pod_refuses_connections_before_anyone_has_noticed() {
    let mut pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();
    let pod = pods.iter_mut().find(|pod| pod.name() == first.pod()).unwrap();
    pod.stop().await;
    // Envoy tries again elsewhere, and the session follows.
    moves_once(&mut browser, &first).await;
}

#[tokio::test]
async fn a_session_moves_when_its_pod_is_draining() {
    let (pods, mut envoy, mut browser, first) = three_pods_and_a_session().await;
    let draining = cart_service(&with_one(&pods, &first.pod(), Endpoint::Draining), persistence());
    assert_eq!(envoy.apply(&draining).await, Update::Taken);
    moves_once(&mut browser, &first).await;
}

#[tokio::test]
async fn a_session_stays_on_a_draining_pod_of_a_persistent_service_and_new_ones_avoid_it() {
    let pods = Pod::start_several("cart", 3).await;
    let labelled = |service: Service| service.label("istio.io/persistent-session", "enabled");
    let mut envoy = Envoy::builder()
        .dynamic()
        .start(&cart_service(&labelled(Service::new("cart", &pods)), persistence()))
        .await;
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();
    let draining = labelled(with_one(&pods, &first.pod(), Endpoint::Draining));
    assert_eq!(
        envoy.apply(&cart_service(&draining, persistence())).await,
        Update::Taken
    );
    for _ in 0..20 {
        let reply = browser.get("/").await.ok();
        assert_eq!(reply.pod(), first.pod());
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
    let answered = strangers(&envoy.client(), 100).await;
    assert_eq!(answered.len(), 2, "{answered:?}");
    assert!(!answered.contains_key(&first.pod()), "{answered:?}");

    // And then it is gone.
    let gone = labelled(Service::new("cart", others(&pods, &first.pod())));
    assert_eq!(envoy.apply(&cart_service(&gone, persistence())).await, Update::Taken);
    moves_once(&mut browser, &first).await;
}

#[tokio::test]
async fn an_answer_of_envoys_own_starts_no_session() {
    let mut pods = Pod::start_several("cart", 1).await;
    let manifests = Manifests::new()
        .service(&Service::new("cart", &pods))
        .route(&Route::to("cart").host(HOSTNAME))
        .policy(&Policy::on("cart", persistence()));
    let envoy = Envoy::serve(&manifests).await;
    pods[0].stop().await;
    let refused = envoy.client().get("/").await;
    assert_eq!(refused.status(), 503, "{refused:?}");
    let unrouted = envoy.client().request("/").host("elsewhere.example.com").send().await;
    assert_eq!(unrouted.status(), 404, "{unrouted:?}");
    for reply in [refused, unrouted] {
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
        assert!(reply.header("x-mooring-host").is_none(), "{reply:?}");
    }
    assert_eq!(envoy.stats().await.mooring("mooring_session_new_total"), 0);

    pods[0].resume().await;
    let reply = envoy.client().get("/").await.ok();
    assert!(reply.set_cookie(COOKIE).is_some(), "{reply:?}");
}

#[tokio::test]
async fn an_error_of_the_pod_starts_a_session_as_any_answer_does() {
    let pods = Pod::start_several("cart", 1).await;
    pods[0].answer(Answer::status(500));
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let reply = envoy.client().get("/").await;
    assert_eq!(reply.status(), 500);
    assert!(reply.set_cookie(COOKIE).is_some(), "{reply:?}");
}
