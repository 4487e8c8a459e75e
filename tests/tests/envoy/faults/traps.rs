//! A module that traps: what each failure policy makes of it, and what mends it.

use mooring_tests::{Bootstrap, Browser, Envoy, Manifests, Pod, Traffic, Update, settings, wait};

use super::many_clients;
use crate::{
    malformed_requests,
    shop::{COOKIE, cart, persistence},
};

const SPRING: &str = "x-trap-now";

/// A gateway whose module can trap, and its clients.
struct Trapping {
    envoy: Envoy,
    manifests: Manifests,
    _pods: Vec<Pod>,
    traffic: Traffic,
    browser: Browser,
}

impl Trapping {
    async fn start(policy: &'static str) -> Self {
        let pods = Pod::start_several("cart", 4).await;
        let manifests = cart(&pods, persistence());
        let trapping = move |bootstrap: &mut Bootstrap| {
            let module = bootstrap.module().failure_policy(policy);
            module.file(&settings::trapping_wasm());
        };
        let mut envoy = Envoy::builder().dynamic().edit(trapping).start(&manifests).await;
        envoy.expect_traps();
        let traffic = many_clients(&[&envoy]).await;
        traffic.goes_on(2).await;
        let mut browser = envoy.browser();
        browser.get("/").await.ok();
        traffic.tally().unharmed(100);
        Self {
            envoy,
            manifests,
            _pods: pods,
            traffic,
            browser,
        }
    }

    /// Springs the trap.
    async fn spring(&self) {
        let client = self.envoy.client();
        assert_eq!(client.request("/").header(SPRING, "1").send().await.status(), 503);
        // What was on its way then.
        self.traffic.goes_on(2).await;
    }

    /// Gives the gateway the module as it ships.
    async fn mend(&mut self) {
        let mut bootstrap = self.envoy.generate(&self.manifests);
        bootstrap.module().file(&settings::wasm());
        assert_eq!(self.envoy.apply_bootstrap(bootstrap).await, Update::Taken);
        self.traffic.goes_on(2).await;
    }

    /// From now on no request fails, for some rounds.
    async fn none_fails(&self) {
        let before = self.traffic.tally();
        self.traffic.goes_on(5).await;
        assert_eq!(self.traffic.tally().failed, before.failed);
    }

    async fn report(self, what: &str) -> mooring_tests::Tally {
        let tally = self.traffic.stop().await;
        println!("{what}: {tally:?}");
        tally
    }
}

#[tokio::test]
async fn after_a_trap_fail_closed_refuses_everything_until_the_module_is_replaced() {
    let mut gateway = Trapping::start("FAIL_CLOSED").await;
    gateway.spring().await;
    let before = gateway.traffic.tally();
    gateway.traffic.goes_on(3).await;
    let after = gateway.traffic.tally();
    let refused = after.failures() - before.failures();
    assert_eq!(refused, after.requests - before.requests, "{after:?}");

    gateway.mend().await;
    gateway.none_fails().await;
    let tally = gateway.report("a trap under FAIL_CLOSED").await;
    assert_eq!(tally.moved, 0, "sessions outlive the trap: {tally:?}");
    assert_eq!(tally.failed.keys().collect::<Vec<_>>(), ["503"]);
}

#[tokio::test]
async fn after_a_trap_fail_open_serves_without_sessions_until_the_module_is_replaced() {
    let mut gateway = Trapping::start("FAIL_OPEN").await;
    let client = gateway.envoy.client();
    gateway.spring().await;
    gateway.none_fails().await;
    assert!(client.get("/").await.ok().set_cookies().is_empty());
    let failed = gateway.traffic.tally().failures();
    assert!(failed <= 50, "no more than were on their way: {failed}");

    gateway.mend().await;
    gateway.none_fails().await;
    assert!(client.get("/").await.ok().set_cookie(COOKIE).is_some());
    let first = gateway.browser.get("/").await.ok();
    for _ in 0..10 {
        let reply = gateway.browser.get("/").await.ok();
        assert_eq!(reply.pod(), first.pod());
        assert!(reply.set_cookies().is_empty(), "a session from before: {reply:?}");
    }
    gateway.report("a trap under FAIL_OPEN").await;
}

#[tokio::test]
async fn after_a_trap_fail_reload_comes_back_by_itself_with_all_sessions() {
    let gateway = Trapping::start("FAIL_RELOAD").await;
    gateway.spring().await;
    wait::until("the module is loaded again", || async {
        let reply = gateway.envoy.client().get("/").await;
        reply.set_cookie(COOKIE).map(|_| ())
    })
    .await;
    gateway.traffic.goes_on(2).await;
    gateway.none_fails().await;
    let tally = gateway.report("a trap under FAIL_RELOAD").await;
    assert_eq!(tally.moved, 0, "sessions outlive the trap: {tally:?}");
}

#[tokio::test]
async fn the_module_that_ships_has_no_trap() {
    let holds = |path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(SPRING.len()).any(|window| window == SPRING.as_bytes())
    };
    assert!(holds(settings::trapping_wasm()));
    assert!(!holds(settings::wasm()));
    let pods = Pod::start_several("cart", 1).await;
    let envoy = malformed_requests::fail_closed(&cart(&pods, persistence())).await;
    for _ in 0..3 {
        let reply = envoy.client().request("/").header(SPRING, "1").send().await.ok();
        assert!(reply.set_cookie(COOKIE).is_some(), "{reply:?}");
    }
}
