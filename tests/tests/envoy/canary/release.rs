//! Sessions on a version whose weight is 0: they stay, or they are released.

use mooring_tests::{Canary, Envoy, Manifests, Rule, Traffic, Update, wait};

use super::{Versions, canary_for_vijay, send, version};
use crate::{
    faults::{CLIENTS, at, many_clients},
    shop::{COOKIE, client_on, persistence},
};

fn policy(what: &str) -> Canary {
    Canary::on("shop").when_weight_zero(what)
}

/// Both versions, with sessions on their pods and this policy.
fn shop(versions: &Versions, stable: u32, canary: u32, policy: &Canary) -> Manifests {
    let rule = Rule::split(&[("stable", stable), ("canary", canary)]).persistence(persistence());
    versions.rule(rule).canary(policy)
}

/// The number of clients.
fn all() -> u64 {
    u64::try_from(CLIENTS).unwrap()
}

/// The number of clients on the canary.
fn on_canary(traffic: &Traffic) -> u64 {
    at(&traffic.seen(), "canary")
}

/// A gateway with equal weights and this policy, its clients, and how many of them are on the canary.
async fn half_on_the_canary(versions: &Versions, policy: &Canary) -> (Envoy, Traffic, u64) {
    let envoy = Envoy::builder().dynamic().start(&shop(versions, 50, 50, policy)).await;
    let traffic = many_clients(&[&envoy]).await;
    let before = on_canary(&traffic);
    assert!(before > 5, "{before}");
    (envoy, traffic, before)
}

async fn until_all_are_on_stable(traffic: &Traffic) {
    wait::until("all clients are on stable", || async {
        (on_canary(traffic) == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_release_moves_all_sessions_once_and_fails_none() {
    let versions = Versions::start().await;
    let release = policy("Release");
    let (mut envoy, traffic, before) = half_on_the_canary(&versions, &release).await;

    let back = shop(&versions, 100, 0, &release);
    assert_eq!(envoy.apply(&back).await, Update::Taken);
    until_all_are_on_stable(&traffic).await;
    traffic.goes_on(20).await;
    assert_eq!(on_canary(&traffic), 0);
    let tally = traffic.stop().await;
    println!("{before} of {CLIENTS} clients released: {tally:?}");
    assert!(tally.failed.is_empty(), "{tally:?}");
    // Each moves once and gets one token for it; the others notice nothing.
    assert_eq!((tally.moved, tally.tokens), (before, all() + before), "{tally:?}");
    assert_eq!(envoy.stats().await.mooring("mooring_session_released_total"), before);
}

#[tokio::test]
async fn sessions_are_kept_where_the_policy_does_not_release_them() {
    let versions = Versions::start().await;
    let keep = policy("Keep");
    let (mut envoy, traffic, before) = half_on_the_canary(&versions, &keep).await;
    assert_eq!(envoy.apply(&shop(&versions, 100, 0, &keep)).await, Update::Taken);
    traffic.goes_on(20).await;
    assert_eq!(on_canary(&traffic), before);
    let tally = traffic.stop().await;
    println!("{before} of {CLIENTS} clients kept: {tally:?}");
    tally.unharmed(1_000);
    assert_eq!(tally.tokens, all(), "{tally:?}");
}

/// The module believes that the weight of the canary is 0, and the route sends it a half: no session goes back and forth. When the
/// weight is 0 again, the sessions leave without a new configuration of the module.
#[tokio::test]
async fn an_old_mark_sends_no_session_back_and_forth_and_holds_when_the_weight_is_0_again() {
    let versions = Versions::start().await;
    let release = policy("Release");
    let (mut envoy, traffic, before) = half_on_the_canary(&versions, &release).await;
    let mut stale = envoy.generate(&shop(&versions, 50, 50, &release));
    let back = envoy.generate(&shop(&versions, 100, 0, &release));
    let marked = back.clone().module().read_configuration();
    assert!(marked.contains("\"released\": true"), "{marked}");
    stale.module().configuration(&marked);

    assert_eq!(envoy.apply_bootstrap(stale).await, Update::Taken);
    traffic.goes_on(10).await;
    let first = traffic.tally();
    traffic.goes_on(40).await;
    let (then, stayed) = (traffic.tally(), on_canary(&traffic));
    println!(
        "an old mark: {} of {before} sessions moved, {stayed} stayed",
        then.moved
    );
    assert!(first.moved <= before, "{first:?}");
    assert_eq!((then.moved, stayed), (first.moved, before - first.moved), "{then:?}");
    // New sessions begin there, and stay.
    let mut browser = client_on(&envoy, "canary").await;
    for _ in 0..20 {
        let reply = browser.get("/").await.ok();
        assert_eq!(version(&reply), "canary");
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }

    assert_eq!(envoy.apply_bootstrap(back).await, Update::Taken);
    until_all_are_on_stable(&traffic).await;
    let tally = traffic.stop().await;
    assert!(tally.failed.is_empty(), "{tally:?}");
    assert_eq!(tally.moved, before, "{tally:?}");
}

#[tokio::test]
async fn sessions_on_a_version_alone_are_released_too() {
    let versions = Versions::start().await;
    let release = policy("Release").sticky(COOKIE);
    let weights = |stable, canary| versions.split(stable, canary).canary(&release);
    let mut envoy = Envoy::builder().dynamic().start(&weights(50, 50)).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(client_on(&envoy, "canary").await);
    }
    assert_eq!(envoy.apply(&weights(100, 0)).await, Update::Taken);
    for client in &mut clients {
        let reply = client.get("/").await.ok();
        assert_eq!(version(&reply), "stable");
        assert!(reply.set_cookie(COOKIE).is_some(), "{reply:?}");
        for _ in 0..5 {
            let reply = client.get("/").await.ok();
            assert_eq!(version(&reply), "stable");
            assert!(reply.set_cookies().is_empty(), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn whom_a_rule_sends_to_a_released_version_keeps_the_session_there() {
    let versions = Versions::start().await;
    let release = canary_for_vijay().when_weight_zero("Release");
    let mut envoy = Envoy::builder()
        .dynamic()
        .start(&shop(&versions, 50, 50, &release))
        .await;
    let mut browser = client_on(&envoy, "canary").await;
    let pod = browser.get("/").await.ok().pod();
    let cookie = browser.cookie_header().unwrap();
    assert_eq!(envoy.apply(&shop(&versions, 100, 0, &release)).await, Update::Taken);
    let client = envoy.client();
    for _ in 0..10 {
        let forced = send(&client, &[("cookie", &cookie), ("end-user", "vijay")]).await;
        assert_eq!(forced.pod(), pod);
        assert!(forced.set_cookies().is_empty(), "{forced:?}");
    }
    let free = browser.get("/").await.ok();
    assert_eq!(version(&free), "stable");
    assert!(free.set_cookie(COOKIE).is_some(), "{free:?}");
}
