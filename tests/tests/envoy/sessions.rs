//! A session from its first response on: the cookie, its attributes, and the pod that it keeps.

use cookie::SameSite;
use mooring_tests::{Dialect, Envoy, Manifests, Persistence, Pod, Policy, Request, Route, Rule, Service, Update};
use time::Duration;

use crate::shop::{COOKIE, cart, persistence, strangers};

#[tokio::test]
async fn the_first_response_sets_the_cookie_and_200_more_requests_reach_the_same_pod() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();
    assert!(first.set_cookie(COOKIE).is_some(), "{first:?}");
    for _ in 0..200 {
        let reply = browser.get("/").await.ok();
        assert_eq!(reply.pod(), first.pod());
        assert!(
            reply.set_cookies().is_empty(),
            "a live session needs no cookie: {reply:?}"
        );
    }
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_new_total"), 1);
    assert_eq!(stats.mooring("mooring_session_resumed_total"), 200);
    assert_eq!(stats.mooring("mooring_error_total"), 0);
}

#[tokio::test]
async fn requests_without_the_cookie_are_spread_over_the_pods() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let answered = strangers(&envoy.client(), 200).await;
    assert_eq!(answered.len(), 3, "{answered:?}");
    // The cluster's own balancing decides; a random one would give 66.7 on average, with a deviation of 6.7.
    assert!(answered.values().all(|count| *count >= 33), "{answered:?}");
}

#[tokio::test]
async fn the_cookie_is_safe_by_default_and_does_not_show_the_pod() {
    let pods = Pod::start_several("cart", 1).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let reply = envoy.client().get("/").await.ok();
    let cookie = reply.set_cookie(COOKIE).unwrap();
    assert_eq!(cookie.path(), Some("/"));
    assert_eq!(cookie.http_only(), Some(true));
    assert_eq!(cookie.same_site(), Some(SameSite::Lax));
    assert_eq!(cookie.secure(), None, "this request came by http");
    assert_eq!(cookie.domain(), None);
    let address = pods[0].socket().to_string();
    for hidden in [address.as_bytes(), &pods[0].ip().octets(), b"cart.shop"] {
        let shown = crate::tokens::bytes(cookie.value())
            .windows(hidden.len())
            .any(|window| window == hidden);
        assert!(!shown, "{hidden:?} can be read in the cookie");
    }
}

#[tokio::test]
async fn cookie_attributes_follow_the_annotations() {
    let pods = Pod::start_several("cart", 1).await;
    let strict = persistence()
        .annotation("cookie-same-site", "Strict")
        .annotation("cookie-secure", "Always");
    let envoy = Envoy::serve(&cart(&pods, strict)).await;
    let cookie = envoy.client().get("/").await.ok().set_cookie(COOKIE).unwrap();
    assert_eq!(cookie.same_site(), Some(SameSite::Strict));
    assert_eq!(cookie.secure(), Some(true));
}

#[tokio::test]
async fn a_head_request_gets_a_cookie_too() {
    let pods = Pod::start_several("cart", 1).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let reply = envoy.client().request("/").method("HEAD").send().await.ok();
    assert!(reply.set_cookie(COOKIE).is_some(), "{reply:?}");
}

#[tokio::test]
async fn a_session_cookie_has_no_lifetime_even_with_an_absolute_timeout() {
    let pods = Pod::start_several("cart", 1).await;
    let envoy = Envoy::serve(&cart(&pods, persistence().absolute("1h").idle("5m"))).await;
    let cookie = envoy.client().get("/").await.ok().set_cookie(COOKIE).unwrap();
    assert_eq!((cookie.max_age(), cookie.expires()), (None, None));
}

#[tokio::test]
async fn changing_the_policy_changes_the_lifetime_of_new_cookies() {
    let pods = Pod::start_several("cart", 1).await;
    let mut envoy = Envoy::builder()
        .dynamic()
        .start(&cart(&pods, persistence().absolute("1h").permanent()))
        .await;
    let client = envoy.client();
    let cookie = client.get("/").await.ok().set_cookie(COOKIE).unwrap();
    assert_eq!(cookie.max_age(), Some(Duration::HOUR));

    let shorter = cart(&pods, persistence().absolute("10s").permanent());
    assert_eq!(envoy.apply(&shorter).await, Update::Taken);
    let cookie = client.get("/").await.ok().set_cookie(COOKIE).unwrap();
    assert_eq!(cookie.max_age(), Some(Duration::seconds(10)));

    let session = cart(&pods, persistence().absolute("10s"));
    assert_eq!(envoy.apply(&session).await, Update::Taken);
    let cookie = client.get("/").await.ok().set_cookie(COOKIE).unwrap();
    assert_eq!((cookie.max_age(), cookie.expires()), (None, None));
}

#[tokio::test]
async fn every_dialect_gives_the_same_session() {
    let pods = Pod::start_several("cart", 2).await;
    let lasting = || Persistence::cookie(COOKIE).absolute("30m").permanent();
    let service = Service::new("cart", &pods);
    let by_policy = |dialect| {
        Manifests::new()
            .service(&service)
            .route(&Route::to("cart"))
            .policy(&Policy::on("cart", lasting()).dialect(dialect))
    };
    let inline = Route::new("cart").rule(Rule::to("cart").persistence(lasting()));
    for manifests in [
        by_policy(Dialect::BackendLb),
        by_policy(Dialect::XBackendTraffic),
        Manifests::new().service(&service).route(&inline),
    ] {
        let envoy = Envoy::serve(&manifests).await;
        let mut browser = envoy.browser();
        let first = browser.get("/").await.ok();
        let cookie = first.set_cookie(COOKIE).unwrap();
        assert_eq!(cookie.max_age(), Some(Duration::minutes(30)), "{}", manifests.text());
        for _ in 0..10 {
            assert_eq!(browser.get("/").await.ok().pod(), first.pod(), "{}", manifests.text());
        }
    }
}

#[tokio::test]
async fn a_route_without_a_policy_has_no_sessions() {
    let pods = Pod::start_several("cart", 2).await;
    let manifests = Manifests::new()
        .service(&Service::new("cart", &pods))
        .route(&Route::to("cart"));
    let envoy = Envoy::serve(&manifests).await;
    let reply = envoy.client().get("/").await.ok();
    assert!(reply.set_cookies().is_empty(), "{reply:?}");
    assert_eq!(strangers(&envoy.client(), 20).await.len(), 2);
}

#[tokio::test]
async fn requests_beside_the_path_of_the_cookie_leave_the_session_alone() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence().annotation("cookie-path", "/app"))).await;
    let client = envoy.client();
    let first = client.get("/app").await.ok();
    let cookie = first.set_cookie(COOKIE).unwrap();
    assert_eq!(cookie.path(), Some("/app"));
    let cookie = cookie.stripped().to_string();
    for beside in ["/favicon.ico", "/", "/apple", "/?/app", "/App/"] {
        // As a browser sends it, and as one does that knows no paths.
        for sent in [None, Some(&cookie)] {
            let request = client.request(beside);
            let request = sent.into_iter().fold(request, Request::cookie);
            let reply = request.send().await.ok();
            assert!(reply.set_cookies().is_empty(), "{beside}: {reply:?}");
            assert!(reply.echo().cookie().is_none(), "{beside}: {reply:?}");
        }
    }
    for below in ["/app", "/app/", "/app/cart?x=1", "/app?/"] {
        let reply = client.request(below).cookie(&cookie).send().await.ok();
        assert_eq!(reply.pod(), first.pod(), "{below}");
        assert!(reply.set_cookies().is_empty(), "{below}: {reply:?}");
    }
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_new_total"), 1);
    assert_eq!(stats.mooring("mooring_session_resumed_total"), 4);
}
