//! Cookies of the session's name that others have set: another host of the domain, or another app of the host. The gateway can
//! neither overwrite nor delete them, and they come first if they have a longer path.

use mooring_tests::{Envoy, Pod, Reply, Site, Update};

use crate::{
    shop::{COOKIE, cart, persistence},
    tokens::{Forge, bytes, text},
};

/// A request with these values of the session cookie, in this order.
async fn send(envoy: &Envoy, values: &[&str]) -> Reply {
    let pairs: Vec<String> = values.iter().map(|value| format!("{COOKIE}={value}")).collect();
    envoy.client().request("/").cookie(pairs.join("; ")).send().await
}

/// The session cookie that a response sets.
fn set(reply: &Reply) -> String {
    let cookie = reply
        .set_cookie(COOKIE)
        .unwrap_or_else(|| panic!("no cookie: {reply:?}"));
    cookie.value().to_owned()
}

/// The session is on this pod, whatever is sent before and behind its cookie.
async fn stays(envoy: &Envoy, values: &[&str], pod: &str) {
    for _ in 0..10 {
        let reply = send(envoy, values).await.ok();
        assert_eq!(reply.pod(), pod);
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
        assert!(reply.echo().cookie().is_none(), "the app sees none of them");
    }
}

#[tokio::test]
async fn junk_before_the_cookie_ends_no_session() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let first = send(&envoy, &[]).await.ok();
    let own = set(&first);
    // The last one has the first bytes of a token of the rule, which anyone can have who has a session of one's own.
    let beginning: String = own.chars().take(20).collect();
    let long = "A".repeat(2_000);
    for junk in ["", "junk", "AgEAAAAA", "\"\"", &long, &beginning] {
        let values: Vec<&str> = std::iter::repeat_n(junk, 4_000 / (junk.len() + 20))
            .chain([own.as_str()])
            .collect();
        stays(&envoy, &values, &first.pod()).await;
    }
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_resumed_total"), 60);
    assert_eq!(stats.mooring("mooring_session_new_total"), 1);
    assert_eq!(
        stats.sum("wasmcustom.mooring_token_rejected"),
        0,
        "{:?}",
        stats.of_mooring()
    );
}

#[tokio::test]
async fn as_many_forged_tokens_as_a_browser_holds_end_no_session() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let first = send(&envoy, &[]).await.ok();
    let own = set(&first);
    let mut forged = bytes(&own);
    *forged.last_mut().unwrap() ^= 1;
    let forged = text(&forged);
    let values: Vec<&str> = std::iter::repeat_n(forged.as_str(), 180)
        .chain([own.as_str()])
        .collect();
    stays(&envoy, &values, &first.pod()).await;
}

#[tokio::test]
async fn of_several_sessions_the_one_that_was_sealed_last_counts() {
    let pods = Pod::start_several("cart", 3).await;
    let (envoy, forge) = with_forge(&pods, "false").await;
    let (old, new) = (forge.token(&pods[0], -100, -100), forge.token(&pods[1], -200, -50));
    stays(&envoy, &[&old, &new], pods[1].name()).await;
    stays(&envoy, &[&new, "junk", &old], pods[1].name()).await;
}

/// An Envoy for these pods, strict or not, and one who can seal tokens for it.
async fn with_forge(pods: &[Pod], strict: &str) -> (Envoy, Forge) {
    let manifests = cart(pods, persistence().annotation("strict", strict));
    let site = Site::fresh();
    let mut bootstrap = manifests.generate(site).bootstrap();
    let forge = Forge::of(&mut bootstrap);
    (Envoy::builder().dynamic().start_on(site, bootstrap).await, forge)
}

#[tokio::test]
async fn a_planted_token_is_shaken_off_once_its_pod_is_gone() {
    let pods = Pod::start_several("cart", 3).await;
    let (mut envoy, forge) = with_forge(&pods, "false").await;
    let planted = forge.token(&pods[0], -100, -100);
    stays(&envoy, &[&planted], pods[0].name()).await;

    assert_eq!(envoy.apply(&cart(&pods[1..], persistence())).await, Update::Taken);
    let moved = send(&envoy, &[&planted]).await.ok();
    // The planted cookie is still there, and comes first.
    let own = set(&moved);
    stays(&envoy, &[&planted, &own], &moved.pod()).await;
    // Also when its pod comes back.
    assert_eq!(envoy.apply(&cart(&pods, persistence())).await, Update::Taken);
    stays(&envoy, &[&planted, &own], &moved.pod()).await;
    assert_eq!(envoy.stats().await.mooring("mooring_session_moved_total"), 1);
}

#[tokio::test]
async fn a_planted_token_of_a_strict_session_is_shaken_off_by_one_503() {
    let pods = Pod::start_several("cart", 3).await;
    let (mut envoy, forge) = with_forge(&pods, "true").await;
    let planted = forge.token(&pods[0], -100, -100);
    stays(&envoy, &[&planted], pods[0].name()).await;

    let strict = || persistence().annotation("strict", "true");
    assert_eq!(envoy.apply(&cart(&pods[1..], strict())).await, Update::Taken);
    let lost = send(&envoy, &[&planted]).await;
    assert_eq!(lost.status(), 503, "{lost:?}");
    // What the gateway cannot delete, it outdoes.
    let end = set(&lost);
    let begun = send(&envoy, &[&planted, &end]).await.ok();
    let own = set(&begun);
    stays(&envoy, &[&planted, &own], &begun.pod()).await;
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_lost_total"), 1);
    assert_eq!(stats.mooring("mooring_session_new_total"), 1);
    assert_eq!(stats.mooring("mooring_session_moved_total"), 0);
}
