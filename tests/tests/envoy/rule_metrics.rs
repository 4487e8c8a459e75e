//! What metrics count by rule: sessions that begin, move, expire and end, and what goes wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use mooring_tests::{Envoy, Manifests, Persistence, Pod, Route, Rule, Service, Site, Stats, Update};

use crate::{
    shop::{COOKIE, client_on, persistence, split},
    tokens::Forge,
};

const PREFIX: &str = "wasmcustom.mooring_rule_events_total.";

/// How often each event of each rule was counted.
pub fn events(stats: &Stats) -> BTreeMap<(String, String), u64> {
    let parts = |name: &str| {
        let rule = name.strip_prefix(PREFIX)?.strip_prefix("mooring_route=.=")?;
        let (rule, event) = rule.split_once(";.;mooring_event=.=")?;
        Some((rule.to_owned(), event.strip_suffix(";.;")?.to_owned()))
    };
    let events = stats.starting_with(PREFIX);
    events
        .map(|(name, count)| (parts(name).unwrap_or_else(|| panic!("{name}")), count))
        .collect()
}

/// The counter without labels of each event.
const TOTALS: [(&str, &str); 14] = [
    ("new", "mooring_session_new_total"),
    ("moved", "mooring_session_moved_total"),
    ("failed_over", "mooring_session_failed_over_total"),
    ("released", "mooring_session_released_total"),
    ("followed", "mooring_session_followed_total"),
    ("version_removed", "mooring_session_version_removed_total"),
    ("rebalanced", "mooring_session_rebalanced_total"),
    ("lost", "mooring_session_lost_total"),
    ("expired_idle", "mooring_session_expired_idle_total"),
    ("expired_absolute", "mooring_session_expired_absolute_total"),
    ("backend_unreachable", "mooring_backend_unreachable_total"),
    ("session_route_missed", "mooring_session_route_missed_total"),
    ("unknown_backend", "mooring_unknown_backend_total"),
    ("canary_budget_exceeded", "mooring_canary_budget_exceeded_total"),
];

/// All rules together have the events that the counters without labels count, and no other events.
#[track_caller]
pub fn add_up(stats: &Stats) -> BTreeMap<(String, String), u64> {
    let events = events(stats);
    for (event, counter) in TOTALS {
        let of_event = events.iter().filter(|((_, other), _)| other == event);
        let sum: u64 = of_event.map(|(_, count)| count).sum();
        assert_eq!(sum, stats.mooring(counter), "{event}: {events:?}");
    }
    let known: BTreeSet<&str> = TOTALS.iter().map(|(event, _)| *event).collect();
    assert!(
        events.keys().all(|(_, event)| known.contains(event.as_str())),
        "{events:?}"
    );
    events
}

fn counted(events: &[(&str, &str, u64)]) -> BTreeMap<(String, String), u64> {
    let rule = |rule: &str| format!("HTTPRoute/shop/{rule}#0");
    let events = events.iter();
    events
        .map(|(name, event, count)| ((rule(name), (*event).to_owned()), *count))
        .collect()
}

/// Routes with sessions of their own to one Service.
fn routes(pods: &[Pod], persistence: impl Fn() -> Persistence, names: &[&str]) -> Manifests {
    let shop = Manifests::new().service(&Service::new("cart", pods));
    names.iter().fold(shop, |shop, name| {
        let rule = Rule::to("cart").below(&format!("/{name}")).persistence(persistence());
        shop.route(&Route::new(name).rule(rule))
    })
}

#[tokio::test]
async fn sessions_are_counted_by_the_rule_that_begins_moves_and_ends_them() {
    let pods = Pod::start_several("cart", 2).await;
    let strict = || persistence().annotation("strict", "true");
    let shop = |pods: &[Pod]| {
        let lenient = routes(pods, persistence, &["a", "b"]);
        let rule = Rule::to("cart").below("/c").persistence(strict());
        lenient.route(&Route::new("c").rule(rule))
    };
    let mut envoy = Envoy::builder().dynamic().start(&shop(&pods)).await;
    // All of them on the pod that goes.
    let mut clients = Vec::new();
    for (rule, wanted) in [("a", 2), ("b", 1), ("c", 1)] {
        let mut begun = 0;
        while begun < wanted {
            let mut browser = envoy.browser();
            let reply = browser.get(&format!("/{rule}")).await.ok();
            if reply.pod() == pods[0].name() {
                clients.push((rule, browser));
                begun += 1;
            }
        }
    }
    let before = add_up(&envoy.stats().await);
    assert!(before.keys().all(|(_, event)| event == "new"), "{before:?}");
    for (rule, browser) in &mut clients {
        for _ in 0..3 {
            browser.get(&format!("/{rule}")).await.ok();
        }
    }
    // A request of a session that goes on is no event.
    assert_eq!(events(&envoy.stats().await), before);

    assert_eq!(envoy.apply(&shop(&pods[1..])).await, Update::Taken);
    for (rule, browser) in &mut clients {
        browser.get(&format!("/{rule}")).await;
    }
    let mut expected = before;
    expected.extend(counted(&[("a", "moved", 2), ("b", "moved", 1), ("c", "lost", 1)]));
    assert_eq!(add_up(&envoy.stats().await), expected);
}

#[tokio::test]
async fn an_expired_session_is_counted_by_its_timeout() {
    let pods = Pod::start_several("cart", 2).await;
    let site = Site::fresh();
    let sessions = || persistence().absolute("8h").idle("2h");
    let mut bootstrap = routes(&pods, sessions, &["a"]).generate(site).bootstrap();
    let forge = Forge::of(&mut bootstrap);
    let envoy = Envoy::builder().start_on(site, bootstrap).await;
    let client = envoy.client();
    for hours in [-3, -3, -9] {
        let token = forge.token(&pods[0], hours * 3_600, hours * 3_600);
        let request = client.request("/a").cookie(format!("{COOKIE}={token}"));
        assert!(request.send().await.ok().set_cookie(COOKIE).is_some());
    }
    let expected = counted(&[("a", "new", 3), ("a", "expired_idle", 2), ("a", "expired_absolute", 1)]);
    assert_eq!(add_up(&envoy.stats().await), expected);
}

#[tokio::test]
async fn a_backend_without_hosts_is_counted_by_its_rule() {
    let stable = Pod::start_several("stable", 1).await;
    let canary = Pod::start_several("canary", 1).await;
    let mut envoy = Envoy::builder()
        .dynamic()
        .start(&split((&stable, 50), (&canary, 50)))
        .await;
    // Where the weights select the empty backend too, the module takes the backend that they selected last for another request.
    client_on(&envoy, "stable").await;
    let mut browser = client_on(&envoy, "canary").await;
    let new = envoy.stats().await.mooring("mooring_session_new_total");
    assert_eq!(envoy.apply(&split((&stable, 50), (&[], 50))).await, Update::Taken);
    assert_eq!(browser.get("/").await.status(), 503);
    // On a busy machine a request can come after the pause, and fail again.
    let mut failed = 1;
    while browser.get("/").await.status() == 503 {
        failed += 1;
        assert!(failed < 20);
    }
    let expected = [
        ("shop", "new", new),
        ("shop", "backend_unreachable", failed),
        ("shop", "moved", 1),
        ("shop", "failed_over", 1),
    ];
    assert_eq!(add_up(&envoy.stats().await), counted(&expected));
}

/// A client can send what it likes: it makes no label, and no more series than events for each rule.
#[tokio::test]
async fn no_client_makes_a_series() {
    let pods = Pod::start_several("cart", 1).await;
    let envoy = Envoy::serve(&routes(&pods, persistence, &["a"])).await;
    let client = envoy.client();
    let forged = "x;.;mooring_event=.=forged;.;y";
    for number in 0..50 {
        let request = client.request(&format!("/a/{number}?mooring_event=.={number};.;"));
        let request = request.cookie(format!("{COOKIE}={forged}{number}; other={forged}"));
        let request = request
            .header("x-mooring-backend", forged)
            .header("x-mooring-host", forged);
        let request = request.header("user-agent", forged).header("mooring_event", "forged");
        request.send().await.ok();
    }
    let stats = envoy.stats().await;
    assert_eq!(add_up(&stats), counted(&[("a", "new", 50)]));
    let labelled = stats
        .starting_with("wasmcustom.mooring_")
        .filter(|(name, _)| name.contains("=.="));
    let names: Vec<&str> = labelled.map(|(name, _)| name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let prometheus = envoy.ask("/stats/prometheus").await;
    let line = "mooring_rule_events_total{mooring_route=\"HTTPRoute/shop/a#0\",mooring_event=\"new\"} 50\n";
    assert!(prometheus.contains(line), "no {line} in {prometheus}");
}

/// The gauges of weights, by backend.
fn weights(stats: &Stats) -> BTreeMap<String, u64> {
    let gauges = stats.starting_with("wasmcustom.mooring_backend_weight.");
    let backend = |name: &str| {
        Some(
            name.split_once(";.;mooring_backend=.=")?
                .1
                .strip_suffix(";.;")?
                .to_owned(),
        )
    };
    gauges
        .map(|(name, weight)| (backend(name).unwrap_or_else(|| panic!("{name}")), weight))
        .collect()
}

fn weighted(weights: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let weights = weights.iter();
    weights
        .map(|(name, weight)| (format!("{name}.shop:80"), *weight))
        .collect()
}

#[tokio::test]
async fn weights_are_those_of_the_last_generation_and_0_for_a_backend_that_left() {
    let pods = Pod::start_several("any", 1).await;
    let shop = |backends: &[(&str, u32)]| {
        let names = ["stable", "canary", "other"].iter();
        let services = names.fold(Manifests::new(), |all, name| all.service(&Service::new(name, &pods)));
        services.route(&Route::new("shop").rule(Rule::split(backends).persistence(persistence())))
    };
    let with = |backends: &[(&str, u32)]| shop(backends).flag("--weight-metric");
    let mut envoy = Envoy::builder()
        .concurrency(2)
        .dynamic()
        .start(&with(&[("stable", 90), ("canary", 10)]))
        .await;
    // Before any request.
    assert_eq!(
        weights(&envoy.stats().await),
        weighted(&[("stable", 90), ("canary", 10)])
    );
    let prometheus = envoy.ask("/stats/prometheus").await;
    let labels = r#"mooring_route="HTTPRoute/shop/shop#0",mooring_backend="canary.shop:80""#;
    let line = format!("mooring_backend_weight{{{labels}}} 10\n");
    assert!(prometheus.contains(&line), "no {line} in {prometheus}");
    let mut browser = client_on(&envoy, "any").await;

    for (generated, expected) in [
        (
            with(&[("stable", 20), ("canary", 80)]),
            weighted(&[("stable", 20), ("canary", 80)]),
        ),
        (
            with(&[("stable", 70), ("other", 30)]),
            weighted(&[("stable", 70), ("canary", 0), ("other", 30)]),
        ),
        // Without the flag nothing has a weight, and no stale one stays.
        (
            shop(&[("stable", 70), ("other", 30)]),
            weighted(&[("stable", 0), ("canary", 0), ("other", 0)]),
        ),
    ] {
        assert_eq!(envoy.apply(&generated).await, Update::Taken);
        browser.get("/").await.ok();
        // The workers load the configuration one after the other.
        mooring_tests::wait::until("all weights are set", || async {
            (weights(&envoy.stats().await) == expected).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn without_the_flag_there_is_no_gauge_of_weights() {
    let stable = Pod::start_several("stable", 1).await;
    let canary = Pod::start_several("canary", 1).await;
    let envoy = Envoy::serve(&split((&stable, 90), (&canary, 10))).await;
    envoy.client().get("/").await.ok();
    assert_eq!(weights(&envoy.stats().await), BTreeMap::new());
}

#[tokio::test]
async fn a_gauge_of_a_module_that_was_replaced_does_not_stay() {
    let pods = Pod::start_several("any", 1).await;
    let shop = |backends: &[(&str, u32)]| {
        let names = ["stable", "canary", "other"].iter();
        let services = names.fold(Manifests::new(), |all, name| all.service(&Service::new(name, &pods)));
        let rule = Rule::split(backends).persistence(persistence());
        services.flag("--weight-metric").route(&Route::new("shop").rule(rule))
    };
    let mut envoy = Envoy::builder()
        .dynamic()
        .start(&shop(&[("stable", 90), ("canary", 10)]))
        .await;
    let mut next = envoy.generate(&shop(&[("stable", 90), ("other", 10)]));
    // A module of other bytes runs in a VM of its own: one more custom section, with the name `other`.
    let mut module = std::fs::read(mooring_tests::settings::wasm()).unwrap();
    module.extend(b"\0\x06\x05other");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), module).unwrap();
    next.module().file(file.path());
    assert_eq!(envoy.apply_bootstrap(next).await, Update::Taken);
    mooring_tests::wait::until("the gauge of the backend that left is gone", || async {
        let found = weights(&envoy.stats().await);
        (found == weighted(&[("stable", 90), ("other", 10)])).then_some(())
    })
    .await;
}
