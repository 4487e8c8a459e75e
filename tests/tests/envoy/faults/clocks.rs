//! Gateways whose clocks differ by hours. What a gateway learns of another one's clock, it learns from the times in a
//! token; so the other gateway is a token here, sealed with the gateways' key at that gateway's time. (A preloaded clock
//! is no way: the stock Envoy does not start with one.)

use std::time::Duration;

use mooring_tests::{Clients, Envoy, Pod, Reply, Site, wait::Stopwatch};

use crate::{
    shop::{COOKIE, cart, persistence},
    tokens::Forge,
};

const HOUR: i64 = 3_600;

/// How a token fares that a gateway with another clock has issued to a client that alternates between both.
fn rejected(reply: &Reply) -> bool {
    reply.set_cookie(COOKIE).is_some()
}

#[tokio::test]
async fn a_clock_that_is_hours_off_costs_sessions_at_most_and_never_a_request() {
    let pods = Pod::start_several("cart", 3).await;
    let manifests = cart(&pods, persistence().absolute("8h").idle("2h"));
    let site = Site::fresh();
    let mut bootstrap = manifests.generate(site).bootstrap();
    let forge = Forge::of(&mut bootstrap);
    let envoy = Envoy::builder().start_on(site, bootstrap).await;
    let traffic = mooring_tests::Traffic::start(&[envoy.address()], Clients::steady(50), COOKIE).await;
    let client = envoy.client();
    // How far ahead the other gateway's clock is, and what becomes of its tokens here.
    let cases = [
        (-9 * HOUR, "mooring_session_expired_absolute_total"),
        (-7 * HOUR, "mooring_session_expired_idle_total"),
        (-3 * HOUR, "mooring_session_expired_idle_total"),
        (-HOUR, "mooring_session_resumed_total"),
        (0, "mooring_session_resumed_total"),
        (30, "mooring_session_resumed_total"),
        (HOUR, "mooring_token_rejected_future_total"),
        (12 * HOUR, "mooring_token_rejected_future_total"),
    ];
    let mut lost = 0;
    for (ahead, counter) in cases {
        for pod in &pods {
            let token = forge.token(pod, ahead, ahead);
            let before = envoy.stats().await.mooring(counter);
            let cookie = format!("{COOKIE}={token}");
            let reply = client.request("/").cookie(&cookie).send().await.ok();
            assert!(envoy.stats().await.mooring(counter) > before, "{ahead} s ahead");
            if counter == "mooring_session_resumed_total" {
                assert_eq!(reply.pod(), pod.name(), "{ahead} s ahead");
                continue;
            }
            lost += 1;
            assert!(rejected(&reply), "{ahead} s ahead: {reply:?}");
            // The session that it gets instead is good at once and from then on.
            let mended = reply.set_cookie(COOKIE).unwrap().stripped().to_string();
            let again = client.request("/").cookie(&mended).send().await.ok();
            assert_eq!(again.pod(), reply.pod());
            assert!(again.set_cookies().is_empty(), "{again:?}");
        }
    }
    let tally = traffic.stop().await;
    println!("clocks off by up to 12 hours: {lost} sessions lost; beside them {tally:?}");
    tally.unharmed(50);
}

#[tokio::test]
async fn a_last_seen_time_that_a_wrong_clock_wrote_does_not_suspend_the_idle_timeout() {
    let pods = Pod::start_several("cart", 3).await;
    let site = Site::fresh();
    let mut bootstrap = cart(&pods, persistence().idle("2s")).generate(site).bootstrap();
    let forge = Forge::of(&mut bootstrap);
    let envoy = Envoy::builder().start_on(site, bootstrap).await;
    let client = envoy.client();
    // Begun here, seen by a gateway whose clock is five hours ahead.
    let cookie = format!("{COOKIE}={}", forge.token(&pods[0], -1, 5 * HOUR));
    let reply = client.request("/").cookie(&cookie).send().await.ok();
    assert_eq!(reply.pod(), pods[0].name());
    let mended = reply
        .set_cookie(COOKIE)
        .expect("a token with a good time")
        .stripped()
        .to_string();
    Stopwatch::start().reaches(Duration::from_secs(4)).await;
    let reply = client.request("/").cookie(&mended).send().await.ok();
    assert!(rejected(&reply), "{reply:?}");
    assert_eq!(envoy.stats().await.mooring("mooring_session_expired_idle_total"), 1);
}
