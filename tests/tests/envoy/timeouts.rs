//! Idle and absolute timeouts, enforced by the gateway whatever the client does.
//!
//! Tokens count whole seconds, so an end may come up to a second early; all bounds here leave that second.

use std::time::Duration;

use mooring_tests::{Browser, Envoy, Persistence, Pod, Reply, wait::Stopwatch};

use crate::shop::{COOKIE, cart, persistence};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Sends a request every 50 ms from `watch`'s start until one gives what is wanted; that and when it came. Never longer
/// than ten seconds.
async fn visit_until(
    browser: &mut Browser,
    watch: Stopwatch,
    mut wanted: impl FnMut(&Reply) -> bool,
) -> (Reply, Duration) {
    let mut mark = watch.elapsed();
    loop {
        let reply = browser.get("/").await.ok();
        let elapsed = watch.elapsed();
        if wanted(&reply) {
            return (reply, elapsed);
        }
        assert!(elapsed < seconds(10), "nothing of what was wanted within ten seconds");
        mark += Duration::from_millis(50);
        watch.reaches(mark).await;
    }
}

async fn ends_after_two_seconds(persistence: Persistence) {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence)).await;
    let mut browser = Browser::stubborn(envoy.client());
    let watch = Stopwatch::start();
    let first = browser.get("/").await.ok();
    let old = browser.cookie(COOKIE).unwrap().to_owned();
    let (reply, elapsed) = visit_until(&mut browser, watch, |reply| {
        let over = reply.set_cookie(COOKIE).is_some();
        assert!(over || reply.pod() == first.pod(), "a live session left its pod");
        over
    })
    .await;
    assert!(
        seconds(1) <= elapsed && elapsed <= seconds(3),
        "ended after {elapsed:?}"
    );
    assert_ne!(reply.set_cookie(COOKIE).unwrap().value(), old);
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_expired_absolute_total"), 1);
    assert_eq!(stats.mooring("mooring_session_new_total"), 2);
}

#[tokio::test]
async fn a_session_cookie_ends_at_the_absolute_timeout_although_it_is_in_use() {
    ends_after_two_seconds(persistence().absolute("2s")).await;
}

#[tokio::test]
async fn a_permanent_cookie_ends_at_the_absolute_timeout_although_the_client_ignores_max_age() {
    ends_after_two_seconds(persistence().absolute("2s").permanent()).await;
}

#[tokio::test]
async fn an_idle_session_ends_at_the_idle_timeout() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence().idle("2s"))).await;
    let mut browser = Browser::stubborn(envoy.client());
    let first = browser.get("/").await.ok();

    // A pause that is too short to matter.
    Stopwatch::start().reaches(Duration::from_millis(1500)).await;
    assert_eq!(browser.get("/").await.ok().pod(), first.pod());
    assert_eq!(envoy.stats().await.mooring("mooring_session_expired_idle_total"), 0);

    // And one that is not: silence is counted from the token's last-seen time, in whole seconds.
    Stopwatch::start().reaches(seconds(4)).await;
    let reply = browser.get("/").await.ok();
    assert!(reply.set_cookie(COOKIE).is_some(), "{reply:?}");
    assert_eq!(envoy.stats().await.mooring("mooring_session_expired_idle_total"), 1);
}

#[tokio::test]
async fn a_busy_client_outlives_the_idle_timeout() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence().idle("2s"))).await;
    let mut browser = envoy.browser();
    let watch = Stopwatch::start();
    let first = browser.get("/").await.ok();
    visit_until(&mut browser, watch, |reply| {
        assert_eq!(reply.pod(), first.pod());
        watch.elapsed() > seconds(6)
    })
    .await;
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_new_total"), 1);
    assert_eq!(stats.mooring("mooring_session_expired_idle_total"), 0);
    // Renewed once a second (a twentieth of the timeout, but at least a second), not on every response.
    let refreshed = stats.mooring("mooring_session_refreshed_total");
    assert!((3..=7).contains(&refreshed), "{refreshed} times");
}

#[tokio::test]
async fn the_cookie_is_renewed_when_due_and_its_max_age_is_what_is_left() {
    let pods = Pod::start_several("cart", 2).await;
    let lasting = persistence()
        .absolute("1h")
        .permanent()
        .idle("10m")
        .annotation("refresh-interval", "2s");
    let envoy = Envoy::serve(&cart(&pods, lasting)).await;
    let mut browser = envoy.browser();
    let watch = Stopwatch::start();
    let first = browser.get("/").await.ok();
    assert_eq!(first.set_cookie(COOKIE).unwrap().max_age(), Some(time::Duration::HOUR));
    let mut last_renewal = Duration::ZERO;
    for _ in 0..2 {
        let (renewed, at) = visit_until(&mut browser, watch, |reply| reply.set_cookie(COOKIE).is_some()).await;
        assert_eq!(renewed.pod(), first.pod());
        let interval = at.saturating_sub(last_renewal);
        assert!(seconds(1) <= interval && interval <= seconds(3), "{interval:?}");
        let left = renewed.set_cookie(COOKIE).unwrap().max_age().unwrap();
        let should = time::Duration::HOUR - time::Duration::try_from(at).unwrap();
        assert!((left - should).abs() <= time::Duration::seconds(1), "{left} at {at:?}");
        last_renewal = at;
    }
    assert_eq!(envoy.stats().await.mooring("mooring_session_new_total"), 1);
}

#[tokio::test]
async fn renewing_the_cookie_does_not_move_the_absolute_end() {
    let pods = Pod::start_several("cart", 2).await;
    let both = persistence()
        .absolute("4s")
        .idle("3s")
        .annotation("refresh-interval", "1s");
    let envoy = Envoy::serve(&cart(&pods, both)).await;
    let mut browser = Browser::stubborn(envoy.client());
    let watch = Stopwatch::start();
    browser.get("/").await.ok();
    let mut cookies = 0;
    loop {
        visit_until(&mut browser, watch, |reply| reply.set_cookie(COOKIE).is_some()).await;
        cookies += 1;
        let stats = envoy.stats().await;
        if stats.mooring("mooring_session_expired_absolute_total") == 1 {
            break;
        }
        assert_eq!(stats.mooring("mooring_session_refreshed_total"), cookies);
    }
    let elapsed = watch.elapsed();
    assert!(
        seconds(3) <= elapsed && elapsed <= seconds(5),
        "ended after {elapsed:?}"
    );
    assert!(cookies >= 3, "renewed {} times before the end", cookies - 1);
}
