//! Backends that lose all hosts while sessions are on them: the end of a rollout, its abort, a restart of all pods at once. The
//! sessions go on elsewhere and stay there. Up to one request for each worker and interval fails.

use mooring_tests::{Envoy, Pod, Tally, Traffic, Update, wait::Stopwatch};

use super::{CLIENTS, at, many_clients};
use crate::shop::{intervals, split, strangers};

/// How many workers the gateways have.
const WORKERS: u32 = 2;

/// Two backends, and an Envoy in front of them.
struct Shop {
    stable: Vec<Pod>,
    canary: Vec<Pod>,
    envoy: Envoy,
}

impl Shop {
    async fn open(weights: (u32, u32)) -> Self {
        let stable = Pod::start_several("stable", 3).await;
        let canary = Pod::start_several("canary", 2).await;
        let manifests = split((&stable, weights.0), (&canary, weights.1));
        let envoy = Envoy::builder().concurrency(WORKERS).dynamic();
        let envoy = envoy.start(&manifests).await;
        Self { stable, canary, envoy }
    }

    /// The weights of the route, and whether the canary has its pods.
    async fn becomes(&mut self, weights: (u32, u32), with_canary: bool) {
        let canary = if with_canary { self.canary.as_slice() } else { &[] };
        let manifests = split((&self.stable, weights.0), (canary, weights.1));
        assert_eq!(self.envoy.apply(&manifests).await, Update::Taken);
    }

    fn pods(&mut self, backend: &str) -> &mut Vec<Pod> {
        if backend == "stable" {
            &mut self.stable
        } else {
            &mut self.canary
        }
    }

    /// New clients on connections of their own, so that every worker has seen what the route chooses.
    async fn newcomers(&self) {
        for _ in 0..20 {
            strangers(&self.envoy.client(), 10).await;
        }
    }
}

/// What the clients saw since an earlier look.
struct Since {
    before: Tally,
    began: Stopwatch,
}

impl Since {
    fn now(traffic: &Traffic) -> Self {
        Self {
            before: traffic.tally(),
            began: Stopwatch::start(),
        }
    }

    /// No request failed and no client moved.
    #[track_caller]
    fn nothing(&self, traffic: &Traffic) {
        let now = traffic.tally();
        let moved = now.moved - self.before.moved;
        assert_eq!(
            (&now.failed, moved, now.tokens),
            (&self.before.failed, 0, self.before.tokens)
        );
        assert!(now.requests > self.before.requests);
    }

    /// This number of clients moved, each once and with one token, at the price of at most one request for each worker and interval.
    #[track_caller]
    fn moved_once(&self, traffic: &Traffic, clients: u64) {
        let now = traffic.tally();
        let elapsed = self.began.elapsed();
        let failed = now.failures() - self.before.failures();
        let most = u64::from(WORKERS) * intervals(elapsed);
        println!("{clients} of {CLIENTS} clients moved: {failed} requests failed in {elapsed:?}, at most {most} may");
        assert!(failed <= most, "{failed} of {most}: {now:?}");
        assert!(now.failed.keys().all(|what| what == "503"), "{now:?}");
        assert_eq!(now.moved - self.before.moved, clients, "{now:?}");
        assert_eq!(now.tokens - self.before.tokens, clients, "{now:?}");
    }
}

/// A rollout ends: the weights go back first, and the canary's pods a step later. The next one begins with the same Service.
async fn the_canary_is_scaled_to_zero(share: u32) {
    let mut shop = Shop::open((100 - share, share)).await;
    let traffic = many_clients(&[&shop.envoy]).await;
    let on_canary = at(&traffic.seen(), "canary");
    assert!(on_canary > 0);

    let weights_back = Since::now(&traffic);
    shop.becomes((100, 0), true).await;
    traffic.goes_on(5).await;
    weights_back.nothing(&traffic);

    let scaled = Since::now(&traffic);
    shop.becomes((100, 0), false).await;
    traffic.goes_on(20).await;
    scaled.moved_once(&traffic, on_canary);
    assert_eq!(at(&traffic.seen(), "canary"), 0);
    let stats = shop.envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_failed_over_total"), on_canary);
    assert_eq!(stats.mooring("mooring_session_route_missed_total"), 0);

    let next = Since::now(&traffic);
    shop.becomes((100, 0), true).await;
    shop.becomes((100 - share, share), true).await;
    traffic.goes_on(10).await;
    next.nothing(&traffic);
    let tally = traffic.stop().await;
    println!("the canary is scaled to zero after a share of {share} %: {tally:?}");
}

#[tokio::test]
async fn the_end_of_a_flagger_run_moves_the_sessions_of_the_canary_once() {
    the_canary_is_scaled_to_zero(50).await;
}

#[tokio::test]
async fn the_abort_of_a_rollout_moves_the_sessions_of_the_canary_once() {
    the_canary_is_scaled_to_zero(20).await;
}

/// All pods of a backend are replaced at once, while the route goes on choosing it.
async fn all_pods_are_replaced(weights: (u32, u32), restarted: &str) {
    let mut shop = Shop::open(weights).await;
    shop.newcomers().await;
    let traffic = many_clients(&[&shop.envoy]).await;
    let affected = at(&traffic.seen(), restarted);
    assert!(affected > 0 && affected < u64::try_from(CLIENTS).unwrap());

    // Kubernetes takes a pod out of the endpoints when it begins to end it.
    let gone = Since::now(&traffic);
    let old = std::mem::take(shop.pods(restarted));
    shop.becomes(weights, true).await;
    traffic.goes_on(20).await;
    drop(old);
    assert_eq!(at(&traffic.seen(), restarted), 0);
    gone.moved_once(&traffic, affected);

    let back = Since::now(&traffic);
    *shop.pods(restarted) = Pod::start_several(restarted, 2).await;
    shop.becomes(weights, true).await;
    traffic.goes_on(20).await;
    back.nothing(&traffic);
    // They serve new clients.
    let answered = strangers(&shop.envoy.client(), 100).await;
    assert!(answered.keys().any(|pod| pod.starts_with(restarted)), "{answered:?}");
    let tally = traffic.stop().await;
    println!("all pods of {restarted} are replaced, weights {weights:?}: {tally:?}");
}

#[tokio::test]
async fn a_restart_of_all_pods_of_one_half_moves_its_sessions_once() {
    all_pods_are_replaced((50, 50), "canary").await;
}

#[tokio::test]
async fn a_restart_of_all_pods_of_the_larger_part_moves_its_sessions_once() {
    all_pods_are_replaced((90, 10), "stable").await;
}
