//! Several Services by weight.

use mooring_tests::{Envoy, Manifests, Pod, Route, Rule, Service, Update};

use crate::shop::{COOKIE, client_on, first_on, persistence, split, strangers, within_five_sigma};

async fn pods() -> (Vec<Pod>, Vec<Pod>) {
    (
        Pod::start_several("stable", 2).await,
        Pod::start_several("canary", 2).await,
    )
}

#[tokio::test]
async fn two_thousand_new_sessions_follow_the_weights() {
    let (stable, canary) = pods().await;
    let envoy = Envoy::serve(&split((&stable, 90), (&canary, 10))).await;
    let answered = strangers(&envoy.client(), 2_000).await;
    let to_canary: u32 = canary.iter().filter_map(|pod| answered.get(pod.name())).sum();
    assert!(
        within_five_sigma(to_canary, 2_000, 0.1),
        "{to_canary} of 2000 to a Service that should get 10 %: {answered:?}"
    );
    assert_eq!(
        answered.len(),
        4,
        "the pods of each Service share its part: {answered:?}"
    );

    let stats = envoy.stats().await;
    let counted = |backend: &str| -> u64 {
        let wanted = format!("mooring_backend=.={backend}.shop:80;.;mooring_reason=.=split");
        let all = stats.starting_with("wasmcustom.mooring_backend_requests_total");
        all.filter(|(name, _)| name.contains(&wanted))
            .map(|(_, value)| value)
            .sum()
    };
    assert_eq!(counted("canary"), u64::from(to_canary));
    assert_eq!(counted("stable"), u64::from(2_000 - to_canary));
    let labels = r#"{mooring_route="HTTPRoute/shop/shop#0",mooring_backend="canary.shop:80",mooring_reason="split"}"#;
    let line = format!("mooring_backend_requests_total{labels} {to_canary}");
    let prometheus = envoy.ask("/stats/prometheus").await;
    assert!(prometheus.contains(&line), "no {line} in {prometheus}");
}

#[tokio::test]
async fn a_session_keeps_its_service_and_pod_when_the_weights_turn_under_it() {
    let (stable, canary) = pods().await;
    let mut envoy = Envoy::builder()
        .dynamic()
        .start(&split((&stable, 50), (&canary, 50)))
        .await;
    let (mut on_stable, stable_reply) = first_on(&envoy, "stable").await;
    let (mut on_canary, canary_reply) = first_on(&envoy, "canary").await;

    let turned = split((&stable, 0), (&canary, 100));
    assert_eq!(envoy.apply(&turned).await, Update::Taken);
    for (browser, before) in [(&mut on_stable, &stable_reply), (&mut on_canary, &canary_reply)] {
        for _ in 0..20 {
            let reply = browser.get("/").await.ok();
            assert_eq!(reply.pod(), before.pod());
            assert!(reply.set_cookies().is_empty(), "{reply:?}");
        }
    }
    let answered = strangers(&envoy.client(), 50).await;
    assert!(answered.keys().all(|pod| pod.starts_with("canary")), "{answered:?}");
}

#[tokio::test]
async fn a_session_moves_once_when_its_service_leaves_the_rule() {
    let (stable, canary) = pods().await;
    let other = Pod::start_several("other", 2).await;
    let mut envoy = Envoy::builder()
        .dynamic()
        .start(&split((&stable, 50), (&canary, 50)))
        .await;
    let mut browser = client_on(&envoy, "canary").await;

    // The Service is still there, but the rule names another one in its place.
    let rule = Rule::split(&[("stable", 50), ("other", 50)]).persistence(persistence());
    let replaced = [("stable", &stable), ("canary", &canary), ("other", &other)]
        .into_iter()
        .fold(Manifests::new(), |all, (name, pods)| {
            all.service(&Service::new(name, pods))
        })
        .route(&Route::new("shop").rule(rule));
    assert_eq!(envoy.apply(&replaced).await, Update::Taken);
    let moved = browser.get("/").await.ok();
    assert!(!moved.pod().starts_with("canary"));
    assert!(moved.set_cookie(COOKIE).is_some(), "{moved:?}");
    for _ in 0..20 {
        let reply = browser.get("/").await.ok();
        assert_eq!(reply.pod(), moved.pod());
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
    assert_eq!(envoy.stats().await.mooring("mooring_session_moved_total"), 1);
}

#[tokio::test]
async fn a_client_cannot_choose_the_service() {
    let (stable, canary) = pods().await;
    let envoy = Envoy::serve(&split((&stable, 100), (&canary, 0))).await;
    let client = envoy.client();
    for name in [
        "HTTPRoute/shop/shop#0/canary.shop:80",
        "canary.shop:80",
        "outbound|80||canary.shop.svc.cluster.local",
    ] {
        for _ in 0..10 {
            let reply = client.request("/").header("x-mooring-backend", name).send().await.ok();
            assert!(reply.pod().starts_with("stable"), "{name}: {reply:?}");
            assert!(reply.echo().header("x-mooring-backend").is_empty(), "{reply:?}");
        }
    }
}
