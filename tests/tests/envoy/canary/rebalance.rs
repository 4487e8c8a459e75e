//! Sessions that follow the weights when the canary gets more.

use std::collections::BTreeMap;

use mooring_tests::{Browser, Canary, Envoy, Manifests, Reply, Rule, Update};

use super::{Versions, version};
use crate::shop::{COOKIE, persistence};

/// The number of sessions.
const SESSIONS: u32 = 300;

/// Both versions, with sessions on their pods and a policy that rebalances them.
fn shop(versions: &Versions, stable: u32, canary: u32) -> Manifests {
    let rule = Rule::split(&[("stable", stable), ("canary", canary)]).persistence(persistence());
    versions
        .rule(rule)
        .canary(&Canary::on("shop").rebalance("OnWeightIncrease"))
}

/// Sends a request of each client. The pods that answered, and how many answers had a token.
async fn ask(browsers: &mut [Browser]) -> (Vec<String>, usize) {
    let (mut pods, mut tokens) = (Vec::new(), 0);
    for browser in browsers {
        let reply: Reply = browser.get("/").await.ok();
        tokens += usize::from(reply.set_cookie(COOKIE).is_some());
        pods.push(reply.pod());
    }
    (pods, tokens)
}

fn is_canary(pod: &str) -> bool {
    pod.starts_with("canary")
}

/// How many of the sessions are on the canary.
fn on_canary(pods: &[String]) -> u32 {
    u32::try_from(pods.iter().filter(|pod| is_canary(pod)).count()).unwrap()
}

/// Asserts that a count of trials of this probability is within three standard deviations.
#[track_caller]
fn is_plausible(count: u32, trials: u32, probability: f64) {
    let expected = f64::from(trials) * probability;
    let deviation = (expected * (1.0 - probability)).sqrt();
    assert!(
        (f64::from(count) - expected).abs() <= 3.0 * deviation,
        "{count} of {trials}, {expected} expected"
    );
}

#[tokio::test]
async fn sessions_follow_the_weights_up_and_none_leaves_the_canary() {
    let versions = Versions::start().await;
    let mut envoy = Envoy::builder().dynamic().start(&shop(&versions, 100, 0)).await;
    let mut browsers: Vec<Browser> = (0..SESSIONS).map(|_| envoy.browser()).collect();
    let (mut pods, tokens) = ask(&mut browsers).await;
    assert_eq!((on_canary(&pods), tokens), (0, browsers.len()));

    let mut moved_before = 0;
    // Of the sessions on stable, these parts must leave it: a quarter, and then a third.
    for (canary, leave) in [(25, 0.25), (50, 1.0 / 3.0)] {
        assert_eq!(envoy.apply(&shop(&versions, 100 - canary, canary)).await, Update::Taken);
        let (after, tokens) = ask(&mut browsers).await;
        let on_stable = SESSIONS - on_canary(&pods);
        let moved = pods.iter().zip(&after).filter(|(before, after)| before != after);
        let mut kinds = BTreeMap::<(bool, bool), u32>::new();
        for (before, after) in moved {
            *kinds.entry((is_canary(before), is_canary(after))).or_default() += 1;
        }
        // Whoever stayed kept the pod, and nobody left the canary.
        let moved = kinds.remove(&(false, true)).unwrap_or_default();
        assert_eq!(kinds, BTreeMap::new());
        println!("at {canary}%: {moved} of {on_stable} sessions left stable");
        is_plausible(moved, on_stable, leave);
        is_plausible(on_canary(&after), SESSIONS, f64::from(canary) / 100.0);
        // Each session gets a token with the new share, once.
        assert_eq!(tokens, browsers.len());
        assert_eq!(ask(&mut browsers).await, (after.clone(), 0));
        let stats = envoy.stats().await;
        moved_before += u64::from(moved);
        assert_eq!(stats.mooring("mooring_session_rebalanced_total"), moved_before);
        assert_eq!(stats.mooring("mooring_session_moved_total"), moved_before);
        pods = after;
    }

    // Back: those who leave the canary do so by a draw as well.
    assert_eq!(envoy.apply(&shop(&versions, 75, 25)).await, Update::Taken);
    let (after, _) = ask(&mut browsers).await;
    for (before, after) in pods.iter().zip(&after) {
        assert!(
            before == after || (is_canary(before) && !is_canary(after)),
            "{before} {after}"
        );
    }
    is_plausible(on_canary(&after), on_canary(&pods), 0.5);
    assert_eq!(version(&browsers[0].get("/").await.ok()), version_of(&after[0]));
}

fn version_of(pod: &str) -> &str {
    pod.split('-').next().unwrap_or_default()
}
