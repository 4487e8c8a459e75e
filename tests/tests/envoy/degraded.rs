//! A gateway that lacks something serves without sessions rather than not at all.

use mooring_tests::{Bootstrap, Envoy, Pod, Update};

use crate::shop::{COOKIE, cart, persistence, split, strangers, within_five_sigma};

/// Requests are answered by weight, no client gets a cookie, and the gauge is set.
async fn serves_without_sessions(envoy: &Envoy) {
    let client = envoy.client();
    let reply = client.get("/").await.ok();
    assert!(reply.set_cookies().is_empty(), "{reply:?}");
    let cookie = format!("{COOKIE}=garbage");
    assert!(
        client
            .request("/")
            .cookie(cookie)
            .send()
            .await
            .ok()
            .set_cookies()
            .is_empty()
    );
    let answered = strangers(&client, 400).await;
    let to_canary = answered.get("canary-1").copied().unwrap_or_default();
    assert!(within_five_sigma(to_canary, 400, 0.25), "{answered:?} for 75/25");
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_sessions_off"), 1);
    assert_eq!(stats.mooring("mooring_session_new_total"), 0);
    assert_eq!(stats.mooring("mooring_error_total"), 0);
}

#[tokio::test]
async fn without_keys_sessions_are_off_and_the_weights_are_still_followed() {
    let stable = Pod::start_several("stable", 1).await;
    let canary = Pod::start_several("canary", 1).await;
    let envoy = Envoy::builder()
        .no_keys()
        .start(&split((&stable, 75), (&canary, 25)))
        .await;
    serves_without_sessions(&envoy).await;
    let log = envoy.log();
    let lines = log.lines().filter(|line| line.contains("MOORING_KEYS")).count();
    assert_eq!(lines, 1, "one line gives the reason: {log}");
}

#[tokio::test]
async fn with_bad_keys_sessions_are_off_and_the_secret_is_not_logged() {
    let stable = Pod::start_several("stable", 1).await;
    let canary = Pod::start_several("canary", 1).await;
    let secret = "c2VjcmV0LXRoYXQtaXMtdG9vLXNob3J0";
    let envoy = Envoy::builder()
        .keys(&format!("01:{secret}"))
        .start(&split((&stable, 75), (&canary, 25)))
        .await;
    serves_without_sessions(&envoy).await;
    assert!(envoy.log().contains("MOORING_KEYS"), "{}", envoy.log());
    assert!(!envoy.log().contains(secret));
}

#[tokio::test]
async fn with_keys_the_gauge_is_zero() {
    let pods = Pod::start_several("cart", 1).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_sessions_off"), 0);
    assert_eq!(stats.mooring("mooring_config_refused"), 0);
}

#[tokio::test]
async fn a_first_configuration_that_cannot_be_read_lets_everything_pass() {
    let pods = Pod::start_several("cart", 3).await;
    for text in ["", "no JSON", "{}", r#"{"version": 999, "rules": []}"#, "\u{fffd}"] {
        let edit = move |bootstrap: &mut Bootstrap| {
            bootstrap.module().configuration(text);
        };
        let envoy = Envoy::builder().edit(edit).start(&cart(&pods, persistence())).await;
        let reply = envoy.client().get("/").await.ok();
        assert!(reply.set_cookies().is_empty(), "{text}: {reply:?}");
        assert!(reply.header("x-mooring-host").is_none(), "{text}: {reply:?}");
        let stats = envoy.stats().await;
        assert_eq!(stats.mooring("mooring_config_refused"), 1, "{text}");
        assert_eq!(strangers(&envoy.client(), 60).await.len(), 3, "{text}");
    }
}

#[tokio::test]
async fn a_bad_update_is_refused_and_the_good_configuration_keeps_working() {
    let pods = Pod::start_several("cart", 3).await;
    let manifests = cart(&pods, persistence());
    let mut envoy = Envoy::builder().dynamic().start(&manifests).await;
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();

    let mut bad = envoy.generate(&manifests);
    bad.module().configuration("no JSON");
    assert_eq!(envoy.apply_bootstrap(bad).await, Update::Rejected);
    for _ in 0..10 {
        assert_eq!(browser.get("/").await.ok().pod(), first.pod());
    }
    assert!(envoy.client().get("/").await.ok().set_cookie(COOKIE).is_some());

    // And it takes a good one after that.
    let longer = cart(&pods, persistence().absolute("1h").permanent());
    assert_eq!(envoy.apply(&longer).await, Update::Taken);
    let cookie = envoy.client().get("/").await.ok().set_cookie(COOKIE).unwrap();
    assert_eq!(cookie.max_age(), Some(time::Duration::HOUR));
    assert_eq!(browser.get("/").await.ok().pod(), first.pod());
}
