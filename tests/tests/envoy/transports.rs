//! The ways a token travels: a header instead of a cookie, HTTP/2 instead of HTTP/1.1.

use mooring_tests::{Browser, Envoy, Persistence, Pod};

use crate::shop::{COOKIE, cart, persistence};

const HEADER: &str = "x-cart-session";

#[tokio::test]
async fn a_header_session_travels_in_a_header_of_request_and_response() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, Persistence::header(HEADER))).await;
    let client = envoy.client();
    let first = client.get("/").await.ok();
    assert!(first.set_cookies().is_empty(), "{first:?}");
    let token = first.header(HEADER).unwrap().to_vec();
    for _ in 0..20 {
        let reply = client.request("/").header(HEADER, &token).send().await.ok();
        assert_eq!(reply.pod(), first.pod());
        assert_eq!(reply.header(HEADER), None, "a live session needs no token: {reply:?}");
        assert!(
            reply.echo().header(HEADER).is_empty(),
            "the pod does not see it: {reply:?}"
        );
    }
    let reply = client.request("/").header(HEADER, "garbage").send().await.ok();
    assert!(reply.header(HEADER).is_some(), "{reply:?}");
    assert_eq!(envoy.stats().await.mooring("mooring_token_rejected_malformed_total"), 1);
}

#[tokio::test]
async fn a_header_session_ends_at_its_timeouts_too() {
    let pods = Pod::start_several("cart", 2).await;
    let envoy = Envoy::serve(&cart(&pods, Persistence::header(HEADER).absolute("2s"))).await;
    let client = envoy.client();
    let watch = mooring_tests::wait::Stopwatch::start();
    let token = client.get("/").await.ok().header(HEADER).unwrap().to_vec();
    watch.reaches(std::time::Duration::from_millis(2_100)).await;
    let reply = client.request("/").header(HEADER, &token).send().await.ok();
    assert!(reply.header(HEADER).is_some(), "{reply:?}");
    assert_eq!(envoy.stats().await.mooring("mooring_session_expired_absolute_total"), 1);
}

#[tokio::test]
async fn sessions_work_over_http2() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let mut browser = Browser::new(envoy.client_http2()).with("theme", "dark");
    let first = browser.get("/").await.ok();
    assert!(first.set_cookie(COOKIE).is_some(), "{first:?}");
    for _ in 0..20 {
        let reply = browser.get("/").await.ok();
        assert_eq!(reply.pod(), first.pod());
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
        assert_eq!(reply.echo().cookie().as_deref(), Some(b"theme=dark".as_slice()));
    }
}

#[tokio::test]
async fn http2_clients_may_send_each_cookie_by_itself() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let client = envoy.client_http2();
    let first = client.get("/").await.ok();
    let ours = first.set_cookie(COOKIE).unwrap().stripped().to_string();
    for _ in 0..10 {
        let request = client.request("/").cookie("a=1").cookie(&ours).cookie("b=2");
        let reply = request.send().await.ok();
        assert_eq!(reply.pod(), first.pod());
        assert_eq!(reply.echo().cookie().as_deref(), Some(b"a=1; b=2".as_slice()));
    }
}
