//! Sessions that bind a client to a version, and to no pod of it.

use std::collections::BTreeSet;

use mooring_tests::{Browser, Canary, Envoy, Source, Update};

use super::{Versions, canary_for_vijay, counted, send, version};
use crate::shop::{client_on, strangers, within_five_sigma};

const COOKIE: &str = "shop-version";

fn policy() -> Canary {
    Canary::on("shop").sticky(COOKIE)
}

/// The pods that answer a client's next requests, none of which sets a cookie.
async fn pods_of(browser: &mut Browser, requests: u32) -> BTreeSet<String> {
    let mut pods = BTreeSet::new();
    for _ in 0..requests {
        let reply = browser.get("/").await.ok();
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
        assert!(reply.echo().cookie().is_none(), "the pod does not see it: {reply:?}");
        pods.insert(reply.pod());
    }
    pods
}

#[tokio::test]
async fn a_client_stays_on_its_version_and_is_spread_over_its_pods() {
    let versions = Versions::start().await;
    let envoy = Envoy::serve(&versions.split(50, 50).canary(&policy())).await;
    for wanted in ["stable", "canary"] {
        let mut browser = client_on(&envoy, wanted).await;
        let pods = pods_of(&mut browser, 100).await;
        assert!(pods.iter().all(|pod| pod.starts_with(wanted)), "{pods:?}");
        assert_eq!(pods.len(), 3, "{pods:?}");
    }
    assert_eq!(envoy.stats().await.mooring("mooring_session_moved_total"), 0);
}

#[tokio::test]
async fn a_client_stays_on_its_version_when_the_weights_turn_and_new_ones_follow_them() {
    let versions = Versions::start().await;
    let shop = |stable, canary| versions.split(stable, canary).canary(&policy());
    let mut envoy = Envoy::builder().dynamic().start(&shop(90, 10)).await;
    let answered = strangers(&envoy.client(), 500).await;
    let to_canary: u32 = versions.canary.iter().filter_map(|pod| answered.get(pod.name())).sum();
    println!("90/10: {to_canary} of 500 new sessions to the canary");
    assert!(within_five_sigma(to_canary, 500, 0.1), "{answered:?}");

    let mut on_stable = client_on(&envoy, "stable").await;
    let mut on_canary = client_on(&envoy, "canary").await;
    for (stable, canary) in [(0, 100), (100, 0)] {
        assert_eq!(envoy.apply(&shop(stable, canary)).await, Update::Taken);
        let pods = pods_of(&mut on_stable, 50).await;
        assert!(pods.iter().all(|pod| pod.starts_with("stable")), "{pods:?}");
        let pods = pods_of(&mut on_canary, 50).await;
        assert!(pods.iter().all(|pod| pod.starts_with("canary")), "{pods:?}");
        let wanted = if canary > 0 { "canary" } else { "stable" };
        let answered = strangers(&envoy.client(), 50).await;
        assert!(answered.keys().all(|pod| pod.starts_with(wanted)), "{answered:?}");
    }
}

#[tokio::test]
async fn a_client_keeps_its_version_and_its_cookie_when_pods_come_and_go() {
    let mut versions = Versions::start().await;
    let shop = |versions: &Versions| versions.split(50, 50).canary(&policy());
    let mut envoy = Envoy::builder().dynamic().start(&shop(&versions)).await;
    let mut browser = client_on(&envoy, "canary").await;
    let gone: Vec<_> = versions.canary.drain(..2).collect();
    assert_eq!(envoy.apply(&shop(&versions)).await, Update::Taken);
    let pods = pods_of(&mut browser, 20).await;
    assert_eq!(pods.into_iter().collect::<Vec<_>>(), ["canary-3"]);
    versions.canary.extend(gone);
    assert_eq!(envoy.apply(&shop(&versions)).await, Update::Taken);
    let pods = pods_of(&mut browser, 100).await;
    assert_eq!(pods.len(), 3, "{pods:?}");
    assert!(pods.iter().all(|pod| pod.starts_with("canary")), "{pods:?}");
}

#[tokio::test]
async fn a_version_is_kept_in_a_header_too() {
    let versions = Versions::start().await;
    let policy = Canary::on("shop").sticky_header("x-shop-version");
    let envoy = Envoy::serve(&versions.split(50, 50).canary(&policy)).await;
    let client = envoy.client();
    for _ in 0..10 {
        let first = client.get("/").await.ok();
        let token = String::from_utf8(first.header("x-shop-version").unwrap().to_vec()).unwrap();
        for _ in 0..10 {
            let reply = send(&client, &[("x-shop-version", &token)]).await;
            assert_eq!(version(&reply), version(&first));
            assert_eq!(reply.header("x-shop-version"), None, "{reply:?}");
        }
    }
}

#[tokio::test]
async fn force_diverts_a_sticky_client_and_binds_nobody() {
    let versions = Versions::start().await;
    let policy = canary_for_vijay().sticky(COOKIE);
    let envoy = Envoy::serve(&versions.split(100, 0).canary(&policy)).await;
    let client = envoy.client();
    // Without a session a forced request begins none: when the header is gone, the weights decide.
    let forced = send(&client, &[("end-user", "vijay")]).await;
    assert_eq!(version(&forced), "canary");
    assert!(forced.set_cookies().is_empty(), "{forced:?}");

    let first = client.get("/").await.ok();
    let cookie = first.set_cookie(COOKIE).unwrap().stripped().to_string();
    for _ in 0..10 {
        let forced = send(&client, &[("cookie", &cookie), ("end-user", "vijay")]).await;
        assert_eq!(version(&forced), "canary");
        let back = send(&client, &[("cookie", &cookie)]).await;
        assert_eq!(version(&back), "stable");
        assert!(forced.set_cookies().is_empty() && back.set_cookies().is_empty());
    }
}

#[tokio::test]
async fn a_sticky_session_beats_the_hash_and_who_has_none_follows_it() {
    let versions = Versions::start().await;
    let policy = policy().hash_on(Source::Header("user"));
    let shop = |stable, canary| versions.split(stable, canary).canary(&policy);
    let mut envoy = Envoy::builder().dynamic().start(&shop(100, 0)).await;
    let client = envoy.client();
    let first = send(&client, &[("user", "anna")]).await;
    let cookie = first.set_cookie(COOKIE).unwrap().stripped().to_string();
    assert_eq!(envoy.apply(&shop(0, 100)).await, Update::Taken);
    for _ in 0..10 {
        let stays = send(&client, &[("user", "anna"), ("cookie", &cookie)]).await;
        assert_eq!(version(&stays), "stable");
        let new = send(&client, &[("user", "anna")]).await;
        assert_eq!(version(&new), "canary");
    }
    let counted = counted(&envoy.stats().await);
    let count = |backend: &str, reason: &str| counted.get(&(backend.to_owned(), reason.to_owned())).copied();
    assert_eq!(count("stable", "session"), Some(10), "{counted:?}");
    assert_eq!(count("canary", "hash"), Some(10), "{counted:?}");
}
