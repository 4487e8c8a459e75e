//! What becomes of requests for a backend that has no host: of sessions, of clients that canary rules or their identity send
//! there, and of those that the route itself sends there. Failover under load is in `faults/failover.rs`.

use mooring_tests::{Bootstrap, Canary, Envoy, Manifests, Pod, Reply, Source, Update, wait::Stopwatch};
use serde_json::json;

use crate::{
    session_routes::{is_session_route, routes},
    shop::{client_on, intervals, persistence, split_with, strangers, within_five_sigma},
};

/// Two backends, and an Envoy with one worker.
struct Shop {
    envoy: Envoy,
    with: Manifests,
    without: Manifests,
    _pods: [Vec<Pod>; 2],
}

impl Shop {
    async fn open(weights: (u32, u32)) -> Self {
        Self::open_with(weights, |manifests| manifests, |_| {}).await
    }

    /// With changes to the manifests and to what was generated.
    async fn open_with(
        weights: (u32, u32),
        also: impl Fn(Manifests) -> Manifests,
        edit: impl Fn(&mut Bootstrap) + Send + Sync + 'static,
    ) -> Self {
        let stable = Pod::start_several("stable", 2).await;
        let canary = Pod::start_several("canary", 2).await;
        let with = also(split_with((&stable, weights.0), (&canary, weights.1), persistence()));
        let without = also(split_with((&stable, weights.0), (&[], weights.1), persistence()));
        let envoy = Envoy::builder().dynamic().edit(edit).start(&with).await;
        Self {
            envoy,
            with,
            without,
            _pods: [stable, canary],
        }
    }

    async fn canary_goes(&mut self) {
        assert_eq!(self.envoy.apply(&self.without).await, Update::Taken);
    }

    async fn canary_comes_back(&mut self) {
        assert_eq!(self.envoy.apply(&self.with).await, Update::Taken);
    }

    /// A request with header lines.
    async fn send(&self, lines: &[(&str, &str)]) -> Reply {
        let client = self.envoy.client();
        let request = client.request("/");
        let request = lines
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        request.send().await
    }
}

/// The first answer of a pod. On a busy machine a request can come after the pause, and fail to find out.
async fn answered(mut send: impl AsyncFnMut() -> Reply) -> Reply {
    for _ in 0..20 {
        let reply = send().await;
        if reply.header("x-pod").is_some() {
            return reply.ok();
        }
    }
    panic!("twenty requests after the first one failed");
}

#[tokio::test]
async fn new_clients_of_a_backend_without_hosts_get_the_answer_of_their_route() {
    let mut shop = Shop::open((50, 50)).await;
    let mut browser = client_on(&shop.envoy, "canary").await;
    shop.canary_goes().await;
    assert_eq!(browser.get("/").await.status(), 503);
    let moved = answered(async || browser.get("/").await).await;
    assert!(moved.pod().starts_with("stable"), "{moved:?}");
    let client = shop.envoy.client();
    let mut failed = 0;
    for _ in 0..100 {
        let reply = client.get("/").await;
        assert!(reply.status() == 200 || reply.status() == 503, "{reply:?}");
        assert_eq!(reply.status() == 200, !reply.set_cookies().is_empty(), "{reply:?}");
        failed += u32::from(reply.status() == 503);
    }
    assert!(within_five_sigma(failed, 100, 0.5), "{failed} of 100");
}

#[tokio::test]
async fn a_session_that_does_not_come_while_its_backend_is_gone_finds_it_again() {
    let mut shop = Shop::open((50, 50)).await;
    let mut stays_away = client_on(&shop.envoy, "canary").await;
    let mut comes = client_on(&shop.envoy, "canary").await;
    shop.canary_goes().await;
    assert_eq!(comes.get("/").await.status(), 503);
    let moved = answered(async || comes.get("/").await).await;
    assert!(moved.pod().starts_with("stable"), "{moved:?}");
    shop.canary_comes_back().await;
    // A new client shows that it is back.
    client_on(&shop.envoy, "canary").await;
    for (browser, backend) in [(&mut stays_away, "canary"), (&mut comes, "stable")] {
        let reply = browser.get("/").await.ok();
        assert!(reply.pod().starts_with(backend), "{reply:?}");
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
}

#[tokio::test]
async fn a_route_that_adds_headers_to_every_answer_hides_no_outage() {
    let headers = |bootstrap: &mut Bootstrap| {
        for route in routes(bootstrap).into_iter().flatten() {
            let added = (0..12).map(|number| json!({"header": {"key": format!("x-added-{number}"), "value": "1"}}));
            route["response_headers_to_add"] = added.collect();
        }
    };
    let mut shop = Shop::open_with((50, 50), |manifests| manifests, headers).await;
    let mut first = client_on(&shop.envoy, "canary").await;
    let mut second = client_on(&shop.envoy, "canary").await;
    shop.canary_goes().await;
    let failed = first.get("/").await;
    assert_eq!(failed.status(), 503, "{failed:?}");
    assert!(failed.header("x-added-11").is_some(), "{failed:?}");
    // One request a second is looked at whatever its response has.
    let mut failures = 1;
    while first.get("/").await.status() != 200 {
        failures += 1;
        assert!(failures < 10_000);
    }
    println!("{failures} requests failed until the module had a look");
    let moved = answered(async || second.get("/").await).await;
    assert!(moved.pod().starts_with("stable"), "{moved:?}");
}

#[tokio::test]
async fn an_answer_to_grpc_tells_of_an_outage_too() {
    let mut shop = Shop::open((50, 50)).await;
    let browser = client_on(&shop.envoy, "canary").await;
    shop.canary_goes().await;
    let cookie = browser.cookie_header().unwrap();
    let call = [("content-type", "application/grpc"), ("cookie", cookie.as_str())];
    let failed = shop.send(&call).await;
    assert_eq!(failed.header("grpc-status"), Some(b"14".as_slice()), "{failed:?}");
    let moved = answered(async || shop.send(&call).await).await;
    assert!(moved.pod().starts_with("stable"), "{moved:?}");
}

#[tokio::test]
async fn a_strict_session_fails_with_its_host_and_closes_its_backend_to_no_other() {
    let strict = || persistence().annotation("strict", "true");
    let (stable, canary) = (
        Pod::start_several("stable", 2).await,
        Pod::start_several("canary", 2).await,
    );
    let shop = |canary: &[Pod]| split_with((&stable, 50), (canary, 50), strict());
    let mut envoy = Envoy::builder().dynamic().start(&shop(&canary)).await;
    let mut loses = envoy.browser();
    let mut stays = envoy.browser();
    while !loses.get("/").await.ok().pod().starts_with("canary-1") {
        loses = envoy.browser();
    }
    while !stays.get("/").await.ok().pod().starts_with("canary-2") {
        stays = envoy.browser();
    }
    assert_eq!(envoy.apply(&shop(&canary[1..])).await, Update::Taken);
    assert_eq!(loses.get("/").await.status(), 503);
    // The backend has another host, and this session is on it.
    for _ in 0..5 {
        assert_eq!(stays.get("/").await.ok().pod(), "canary-2");
    }
    assert_eq!(envoy.stats().await.mooring("mooring_session_failed_over_total"), 0);
}

#[tokio::test]
async fn a_forced_client_goes_by_weight_while_the_canary_has_no_host() {
    let force = |manifests: Manifests| {
        let tester = Source::Header("x-tester").is("yes");
        manifests.canary(&Canary::on("shop").force("testers", "canary", &[tester]))
    };
    let mut shop = Shop::open_with((100, 0), force, |_| {}).await;
    let tester = [("x-tester", "yes")];
    assert!(shop.send(&tester).await.ok().pod().starts_with("canary"));
    shop.canary_goes().await;
    assert_eq!(shop.send(&tester).await.status(), 503);
    let moved = answered(async || shop.send(&tester).await).await;
    assert!(moved.pod().starts_with("stable"), "{moved:?}");

    // With a session on the other backend, that is where the client goes, and the session stays what it is.
    let mut browser = client_on(&shop.envoy, "stable").await;
    let pod = browser.get("/").await.ok().pod();
    let cookie = browser.cookie_header().unwrap();
    let reply = answered(async || shop.send(&[("x-tester", "yes"), ("cookie", &cookie)]).await).await;
    assert_eq!(reply.pod(), pod);
    assert!(reply.set_cookies().is_empty(), "{reply:?}");
    shop.canary_comes_back().await;
    // Nothing but a tester can find out that it is back: the route does not choose it.
    mooring_tests::wait::until("testers reach the canary again", || async {
        let reply = shop.send(&tester).await.ok();
        reply.pod().starts_with("canary").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_is_split_by_who_it_is_goes_to_the_next_backend_and_always_the_same() {
    let hash = |manifests: Manifests| manifests.canary(&Canary::on("shop").hash_on(Source::Header("x-user")));
    let mut shop = Shop::open_with((50, 50), hash, |_| {}).await;
    let mut user = String::new();
    for number in 0..100 {
        user = format!("user-{number}");
        if shop.send(&[("x-user", &user)]).await.ok().pod().starts_with("canary") {
            break;
        }
    }
    shop.canary_goes().await;
    let began = Stopwatch::start();
    let mut failed = 0;
    for _ in 0..50 {
        let reply = shop.send(&[("x-user", &user)]).await;
        failed += u64::from(reply.status() == 503);
        assert!(reply.status() == 503 || reply.ok().pod().starts_with("stable"));
    }
    let most = intervals(began.elapsed());
    assert!(
        (1..=most).contains(&failed),
        "{failed} of 50 failed, at most {most} may"
    );
    shop.canary_comes_back().await;
    strangers(&shop.envoy.client(), 20).await;
    for _ in 0..5 {
        assert!(shop.send(&[("x-user", &user)]).await.ok().pod().starts_with("canary"));
    }
}

#[tokio::test]
async fn sessions_whose_key_matches_no_route_go_by_weight_and_get_no_token_for_each_request() {
    // The routes of the user turn keys away, and there is no session route for them.
    let without = |bootstrap: &mut Bootstrap| {
        for routes in routes(bootstrap) {
            routes.retain(|route| !is_session_route(route, ""));
            for route in routes {
                route["match"]["headers"] =
                    json!([{"name": "x-mooring-backend", "present_match": true, "invert_match": true}]);
            }
        }
    };
    let shop = Shop::open_with((50, 50), |manifests| manifests, without).await;
    let mut browser = client_on(&shop.envoy, "canary").await;
    let began = Stopwatch::start();
    let (mut failed, mut tokens) = (0, 0);
    for _ in 0..100 {
        let reply = browser.get("/").await;
        failed += u64::from(reply.status() == 404);
        tokens += u64::try_from(reply.set_cookies().len()).unwrap();
    }
    // The key of either backend fails, and the session moves only to one that has not.
    let most = 2 * intervals(began.elapsed());
    assert!(
        failed >= 2 && failed <= most,
        "{failed} of 100 failed, at most {most} may"
    );
    assert!(tokens <= most, "{tokens} tokens");
}
