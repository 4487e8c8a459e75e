//! Threats of `docs/threat-model.md` that no other topic has a test for.

use std::process::Command;

use mooring_tests::{Envoy, Manifests, NAMESPACE, Pod, Policy, Route, Rule, Service, Site, Update, keys, settings};

use crate::{
    shop::{COOKIE, cart, persistence},
    tokens::Forge,
};

/// Carts and tills, each with a rule of its own; sessions on the carts.
fn carts_and_tills(carts: &[&Pod], tills: &[&Pod]) -> Manifests {
    Manifests::new()
        .service(&Service::new("cart", carts.iter().copied()))
        .service(&Service::new("till", tills.iter().copied()))
        .route(
            &Route::new("shop")
                .rule(Rule::to("cart"))
                .rule(Rule::to("till").below("/till")),
        )
        .policy(&Policy::on("cart", persistence()))
}

#[tokio::test]
async fn a_session_does_not_follow_its_pods_address_to_another_service() {
    let pods = Pod::start_several("pod", 3).await;
    let [first, second, third] = [&pods[0], &pods[1], &pods[2]];
    let mut envoy = Envoy::builder()
        .dynamic()
        .start(&carts_and_tills(&[first, second], &[third]))
        .await;
    let mut browser = envoy.browser();
    let begun = browser.get("/").await.ok().pod();
    // The cart's pod is gone; a pod of the other Service gets its address.
    let (gone, left) = if begun == first.name() {
        (first, second)
    } else {
        (second, first)
    };
    let moved = carts_and_tills(&[left], &[third, gone]);
    assert_eq!(envoy.apply(&moved).await, Update::Taken);
    for _ in 0..20 {
        assert_eq!(browser.get("/").await.ok().pod(), left.name());
    }
    assert_eq!(envoy.stats().await.mooring("mooring_session_repinned_total"), 1);
}

#[tokio::test]
async fn a_token_sealed_with_the_right_key_reaches_no_pod_outside_the_rule() {
    let carts = Pod::start_several("cart", 2).await;
    let outside = Pod::start("outside").await;
    let site = Site::fresh();
    let mut bootstrap = cart(&carts, persistence()).generate(site).bootstrap();
    let forge = Forge::of(&mut bootstrap);
    let envoy = Envoy::builder().start_on(site, bootstrap).await;
    let client = envoy.client();
    // As from an environment with the same keys and names, but other pods.
    for _ in 0..20 {
        let cookie = format!("{COOKIE}={}", forge.token(&outside, 0, 0));
        let reply = client.request("/").cookie(&cookie).send().await.ok();
        assert!(reply.pod().starts_with("cart"), "{reply:?}");
        assert!(reply.set_cookie(COOKIE).is_some(), "{reply:?}");
    }
    assert!(outside.echoes().is_empty());
    assert_eq!(envoy.stats().await.mooring("mooring_session_repinned_total"), 20);
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

#[tokio::test]
async fn the_name_of_a_rule_makes_no_label_of_a_counter() {
    let pods = Pod::start_several("cart", 1).await;
    let forged = "a;.;mooring_reason=.=forged;.;b";
    let gateway = format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: web, namespace: {NAMESPACE}}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: {NAMESPACE}}}
spec:
  hosts: ['*']
  gateways: [web]
  http: [{{name: '{forged}', route: [{{destination: {{host: cart}}}}]}}]
"
    );
    let manifests = Manifests::of(&gateway)
        .service(&Service::new("cart", &pods))
        .policy(&Policy::on("cart", persistence()));
    let envoy = Envoy::serve(&manifests).await;
    assert!(envoy.client().get("/").await.ok().set_cookie(COOKIE).is_some());
    let prometheus = envoy.ask("/stats/prometheus").await;
    let counted = |line: &&str| line.starts_with("mooring_backend_requests_total{");
    let lines: Vec<&str> = prometheus.lines().filter(counted).collect();
    let rule = format!("VirtualService/{NAMESPACE}/web/a%3B.%3Bmooring_reason%3D.%3Dforged%3B.%3Bb");
    let labels = format!(r#"{{mooring_route="{rule}",mooring_backend="cart.shop:80",mooring_reason="single"}}"#);
    assert_eq!(lines, [format!("mooring_backend_requests_total{labels} 1")]);
}
