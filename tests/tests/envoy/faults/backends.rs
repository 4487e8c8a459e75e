//! Backends that are taken away, and pods by the thousand.

use mooring_tests::{Endpoint, Envoy, Manifests, Pod, Route, Rule, Service, Update};

use super::{CLIENTS, at, many_clients};
use crate::shop::{cart, persistence};

#[tokio::test]
async fn a_backend_that_is_taken_from_the_rule_moves_its_sessions_once_and_no_others() {
    let pods = [
        Pod::start_several("stable", 3).await,
        Pod::start_several("canary", 2).await,
        Pod::start_several("third", 2).await,
    ];
    let shop = |names: &[(&str, u32)]| {
        let of = |name: &str| pods.iter().find(|pods| pods[0].name().starts_with(name)).unwrap();
        let services = names.iter().map(|(name, _)| Service::new(name, of(name)));
        let manifests = services.fold(Manifests::new(), |manifests, service| manifests.service(&service));
        manifests.route(&Route::new("shop").rule(Rule::split(names).persistence(persistence())))
    };
    let all = shop(&[("stable", 40), ("canary", 40), ("third", 20)]);
    let mut envoy = Envoy::builder().dynamic().start(&all).await;
    let traffic = many_clients(&[&envoy]).await;
    let on_canary = at(&traffic.seen(), "canary");
    assert!(on_canary > 0);
    let left = envoy.generate(&shop(&[("stable", 40), ("third", 20)]));
    // A Service outlives the rule that names it, and so does its cluster.
    let mut rule_alone = left.clone();
    let canary = envoy.generate(&all).cluster("canary").clone();
    let clusters = rule_alone.json_mut().pointer_mut("/static_resources/clusters").unwrap();
    clusters.as_array_mut().unwrap().push(canary.into());
    for step in [rule_alone, left] {
        assert_eq!(envoy.apply_bootstrap(step).await, Update::Taken);
        traffic.goes_on(5).await;
    }
    assert_eq!(at(&traffic.seen(), "canary"), 0);
    let tally = traffic.stop().await;
    println!("a backend with {on_canary} of {CLIENTS} clients taken away: {tally:?}");
    assert!(tally.failed.is_empty(), "{tally:?}");
    // Each gets one other token. Between the routes and the configuration of the module, a request may go elsewhere without one.
    assert_eq!(tally.tokens, u64::try_from(CLIENTS).unwrap() + on_canary, "{tally:?}");
    assert!(tally.moved >= on_canary, "{tally:?}");
}

/// Pods that come and go at once.
const BATCH: usize = 100;

/// Replaces the pods of a Service besides some that stay, so many times.
async fn churn(batches: usize) {
    let stay = Pod::start_several("stay", 5).await;
    let mut come_and_go = Pod::start_several("go", 3 * BATCH).await;
    for pod in &mut come_and_go {
        pod.stop().await;
    }
    let service = |going: &[Pod]| {
        let service = Service::new("cart", &stay);
        going
            .iter()
            .fold(service, |service, pod| service.endpoint(pod, Endpoint::Ready))
    };
    let mut envoy = Envoy::builder().dynamic().start(&cart(&stay, persistence())).await;
    let traffic = many_clients(&[&envoy]).await;
    let mut churned = 0;
    for number in 0..batches {
        let from = number % 3 * BATCH;
        let coming = &mut come_and_go[from..from + BATCH];
        for pod in coming.iter_mut() {
            pod.resume().await;
        }
        let next = crate::shop::cart_service(&service(coming), persistence());
        assert_eq!(envoy.apply(&next).await, Update::Taken);
        traffic.goes_on(1).await;
        // The ones before are out of the endpoints now.
        let before = (number + 2) % 3 * BATCH;
        for pod in &mut come_and_go[before..before + BATCH] {
            pod.stop().await;
        }
        churned += BATCH;
    }
    traffic.goes_on(3).await;
    let tally = traffic.stop().await;
    println!(
        "{churned} pods came and went: {tally:?}; {} MiB",
        envoy.resident() >> 20
    );
    tally.unharmed(500);
}

#[tokio::test]
async fn a_thousand_pods_come_and_go_and_sessions_on_the_others_stay() {
    churn(10).await;
}

#[tokio::test]
#[ignore = "takes minutes: `make test-long`"]
async fn ten_thousand_pods_come_and_go_and_sessions_on_the_others_stay() {
    churn(100).await;
}
