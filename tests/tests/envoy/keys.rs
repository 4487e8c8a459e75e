//! Gateways that share a key share sessions, and nothing else.

use mooring_tests::{Envoy, Pod, keys};

use crate::shop::{COOKIE, cart, persistence};

#[tokio::test]
async fn a_session_is_valid_on_every_gateway_with_the_key_and_on_no_other() {
    let pods = Pod::start_several("cart", 4).await;
    let manifests = cart(&pods, persistence().absolute("1h").permanent());
    let begun = Envoy::serve(&manifests).await;
    let mut browser = begun.browser();
    let first = browser.get("/").await.ok();

    let same = Envoy::serve(&manifests).await;
    let mut browser = browser.moves_to(same.client());
    for _ in 0..10 {
        let reply = browser.get("/").await.ok();
        assert_eq!(reply.pod(), first.pod());
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }

    // Another key, once with an id of its own and once with the same id.
    let same_id = keys::key(2).replacen("02:", "01:", 1);
    for (key, kind) in [(keys::key(2), "unknown_key"), (same_id, "foreign")] {
        let other = Envoy::builder().keys(&key).start(&manifests).await;
        let sent = browser.cookie_header().unwrap();
        let reply = other.client().request("/").cookie(sent).send().await.ok();
        assert!(reply.set_cookie(COOKIE).is_some(), "{reply:?}");
        let counter = format!("mooring_token_rejected_{kind}_total");
        assert_eq!(other.stats().await.mooring(&counter), 1, "{kind}");
    }
}

#[tokio::test]
async fn a_session_outlives_a_restart_of_the_gateway() {
    let pods = Pod::start_several("cart", 4).await;
    let mut envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();
    envoy.restart().await;
    for _ in 0..10 {
        let reply = browser.get("/").await.ok();
        assert_eq!(reply.pod(), first.pod());
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
    assert_eq!(envoy.stats().await.mooring("mooring_session_resumed_total"), 10);
}

#[tokio::test]
async fn rotating_the_key_loses_no_session() {
    let pods = Pod::start_several("cart", 4).await;
    let manifests = cart(&pods, persistence());
    let old = Envoy::builder().keys(&keys::ring(&[1])).start(&manifests).await;
    let mut browser = old.browser();
    let first = browser.get("/").await.ok();

    // The new key seals, the old one still opens.
    let rotated = Envoy::builder().keys(&keys::ring(&[2, 1])).start(&manifests).await;
    let mut browser = browser.moves_to(rotated.client());
    let reply = browser.get("/").await.ok();
    assert_eq!(reply.pod(), first.pod());
    assert!(reply.set_cookies().is_empty(), "{reply:?}");
    let sealed_by = |reply: &mooring_tests::Reply| crate::tokens::bytes(reply.set_cookie(COOKIE).unwrap().value())[1];
    assert_eq!(sealed_by(&first), 1);
    assert_eq!(sealed_by(&rotated.client().get("/").await.ok()), 2);
}

#[tokio::test]
async fn a_wrong_entry_of_the_ring_costs_that_entry_only() {
    let pods = Pod::start_several("cart", 4).await;
    let manifests = cart(&pods, persistence());
    let old = Envoy::builder().keys(&keys::ring(&[1])).start(&manifests).await;
    let mut browser = old.browser();
    let first = browser.get("/").await.ok();

    let zeros = format!("03:{}", "A".repeat(43));
    let twice = keys::key(4).replacen("04:", "02:", 1);
    let ring = ["secret-junk", &keys::key(2), &zeros, &twice, &keys::key(1)].join(",");
    let envoy = Envoy::builder().keys(&ring).start(&manifests).await;
    let mut browser = browser.moves_to(envoy.client());
    let reply = browser.get("/").await.ok();
    assert_eq!(reply.pod(), first.pod());
    assert!(reply.set_cookies().is_empty(), "{reply:?}");
    // The first one that is sound seals.
    let new = envoy.client().get("/").await.ok();
    assert_eq!(crate::tokens::bytes(new.set_cookie(COOKIE).unwrap().value())[1], 2);
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_keys_rejected"), 3);
    assert_eq!(stats.mooring("mooring_sessions_off"), 0);

    let log = envoy.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("MOORING_KEYS")).collect();
    assert_eq!(told.len(), 1, "{log}");
    for position in ["key 1 ", "key 3 ", "key 4 "] {
        assert!(told[0].contains(position), "{told:?}");
    }
    for hidden in ["secret-junk", &"A".repeat(43), twice.split_at(3).1] {
        assert!(!log.contains(hidden), "{log}");
    }
}
