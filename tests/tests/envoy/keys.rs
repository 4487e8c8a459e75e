//! Keys: gateways that share one share sessions, rotation loses none, and no key or token appears in a log or an object.

use std::process::Command;

use mooring_tests::{Browser, Envoy, Pod, Reply, keys, settings};

use crate::shop::{COOKIE, cart, persistence};

/// The next request is answered by the pod of the first, and sets no cookie.
async fn goes_on(browser: &mut Browser, first: &Reply) {
    let reply = browser.get("/").await.ok();
    assert_eq!(reply.pod(), first.pod());
    assert!(reply.set_cookies().is_empty(), "{reply:?}");
}

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
        goes_on(&mut browser, &first).await;
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
        goes_on(&mut browser, &first).await;
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
    goes_on(&mut browser, &first).await;
    let sealed_by = |reply: &Reply| crate::tokens::bytes(reply.set_cookie(COOKIE).unwrap().value())[1];
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
    goes_on(&mut browser, &first).await;
    // The first valid key seals.
    let new = envoy.client().get("/").await.ok();
    assert_eq!(crate::tokens::bytes(new.set_cookie(COOKIE).unwrap().value())[1], 2);
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_keys_rejected"), 3);
    assert_eq!(stats.mooring("mooring_sessions_off"), 0);

    let log = envoy.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("MOORING_KEYS")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for position in ["key 1 ", "key 3 ", "key 4 "] {
        assert!(lines[0].contains(position), "{lines:?}");
    }
    for hidden in ["secret-junk", &"A".repeat(43), twice.split_at(3).1] {
        assert!(!log.contains(hidden), "{log}");
    }
}

#[tokio::test]
async fn neither_keys_nor_tokens_are_in_the_log() {
    let pods = Pod::start_several("cart", 2).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let client = envoy.client();
    let token = client
        .get("/")
        .await
        .ok()
        .set_cookie(COOKIE)
        .unwrap()
        .value()
        .to_owned();
    for sent in [
        token.clone(),
        token.chars().take(60).collect(),
        format!("{token}x"),
        token.replace('A', "B"),
    ] {
        client.request("/").cookie(format!("{COOKIE}={sent}")).send().await.ok();
    }
    let secret = keys::key(1).split_once(':').unwrap().1.to_owned();
    let log = envoy.log();
    assert!(!log.is_empty());
    let beginning: String = token.chars().take(40).collect();
    for hidden in [&secret, &token, &beginning] {
        assert!(!log.contains(hidden), "{log}");
    }
}

#[tokio::test]
async fn the_generated_objects_name_the_keys_and_do_not_hold_them() {
    let pods = Pod::start_several("cart", 1).await;
    let directory = tempfile::tempdir().unwrap();
    let manifests = cart(&pods, persistence());
    std::fs::write(directory.path().join("shop.yaml"), manifests.text()).unwrap();
    let secret = keys::key(1).split_once(':').unwrap().1.to_owned();
    for (target, wasm) in [("istio", "file:///etc/mooring.wasm"), ("envoy", "mooring.wasm")] {
        let output = Command::new(settings::mooring())
            .env("MOORING_KEYS", keys::key(1))
            .args(["generate", "--target", target, "--wasm", wasm, "-f"])
            .arg(directory.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("MOORING_KEYS"), "{text}");
        assert!(!text.contains(&secret), "{text}");
    }
}
