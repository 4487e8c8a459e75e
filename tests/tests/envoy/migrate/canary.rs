//! `canary-…`: who reaches the canary, and who stays there.

use mooring_tests::Client;

use super::{Ingress, Versions, ask, cookie_of, host, version};
use crate::shop::within_five_sigma;

#[tokio::test]
async fn canary_by_header_obeys_always_and_never_and_ignores_other_values() {
    let versions = Versions::start().await;
    let ingress = |name: &str, weight: &str| {
        [
            Ingress::to(name, "stable"),
            Ingress::canary(name, "canary")
                .with("canary-by-header", "CanaryByHeader")
                .with("canary-weight", weight),
        ]
    };
    let ingresses: Vec<Ingress> = ingress("small", "0")
        .into_iter()
        .chain(ingress("large", "100"))
        .collect();
    let envoy = versions.serve(&ingresses).await;
    let client = envoy.client();
    for (name, value, expected) in [
        ("small", "always", "canary"),
        ("small", "never", "stable"),
        ("small", "badheadervalue", "stable"),
        ("large", "always", "canary"),
        ("large", "never", "stable"),
        ("large", "badheadervalue", "canary"),
    ] {
        for _ in 0..5 {
            let found = version(&client, name, &[("CanaryByHeader", value)]).await;
            assert_eq!(found, expected, "{name} {value}");
        }
    }
}

#[tokio::test]
async fn canary_by_header_value_and_pattern_select_and_other_values_fall_through() {
    let versions = Versions::start().await;
    let canary = |name: &str| Ingress::canary(name, "canary").with("canary-by-header", "CanaryByHeader");
    let envoy = versions
        .serve(&[
            Ingress::to("value", "stable"),
            canary("value")
                .with("canary-by-header-value", "DoCanary")
                .with("canary-by-cookie", "CanaryByCookie"),
            Ingress::to("pattern", "stable"),
            canary("pattern").with("canary-by-header-pattern", "^Do[A-Z][a-z]+y$"),
            Ingress::to("inside", "stable"),
            canary("inside").with("canary-by-header-pattern", "beta|rc[0-9]"),
            Ingress::to("both", "stable"),
            canary("both")
                .with("canary-by-header-value", "DoCanary")
                .with("canary-by-header-pattern", "^Do[A-Z][a-z]+y$"),
        ])
        .await;
    let client = envoy.client();
    for (name, value, expected) in [
        ("value", "DoCanary", "canary"),
        ("value", "always", "stable"),
        ("value", "never", "stable"),
        ("value", "otherheadervalue", "stable"),
        ("pattern", "DoCanary", "canary"),
        ("pattern", "Docanary", "stable"),
        ("pattern", "xDoCanary", "stable"),
        ("inside", "version-beta-2", "canary"),
        ("inside", "rc7", "canary"),
        ("inside", "rc", "stable"),
        ("both", "DoCanary", "canary"),
        ("both", "DoCananry", "stable"),
    ] {
        let found = version(&client, name, &[("CanaryByHeader", value)]).await;
        assert_eq!(found, expected, "{name} {value}");
    }
    let lines = [
        ("CanaryByHeader", "otherheadervalue"),
        ("cookie", "CanaryByCookie=always"),
    ];
    assert_eq!(version(&client, "value", &lines).await, "canary");
}

#[tokio::test]
async fn canary_by_cookie_obeys_always_and_never_and_the_header_precedes_it() {
    let versions = Versions::start().await;
    let envoy = versions
        .serve(&[
            Ingress::to("cookie", "stable"),
            Ingress::canary("cookie", "canary").with("canary-by-cookie", "Canary-By-Cookie"),
            Ingress::to("both", "stable"),
            Ingress::canary("both", "canary")
                .with("canary-by-header", "x-canary")
                .with("canary-by-cookie", "canary")
                .with("canary-weight", "100"),
        ])
        .await;
    let client = envoy.client();
    for (cookie, expected) in [
        ("Canary-By-Cookie=always", "canary"),
        ("Canary-By-Cookie=never", "stable"),
        ("Canary-By-Cookie=badcookievalue", "stable"),
        ("other=always", "stable"),
    ] {
        let found = version(&client, "cookie", &[("cookie", cookie)]).await;
        assert_eq!(found, expected, "{cookie}");
    }
    for (header, cookie, expected) in [
        ("never", "canary=always", "stable"),
        ("always", "canary=never", "canary"),
        ("x", "canary=never", "stable"),
        ("x", "canary=x", "canary"),
    ] {
        let lines = [("x-canary", header), ("cookie", cookie)];
        assert_eq!(version(&client, "both", &lines).await, expected, "{header} {cookie}");
    }
}

/// How many of 300 requests the canary answers.
async fn to_canary(client: &Client, name: &str) -> u32 {
    let mut count = 0;
    for _ in 0..300 {
        count += u32::from(version(client, name, &[]).await == "canary");
    }
    count
}

#[tokio::test]
async fn canary_weight_is_a_part_of_canary_weight_total() {
    let versions = Versions::start().await;
    let weights = [
        ("none", "0", None, 0.0),
        ("half", "50", None, 0.5),
        ("all", "100", None, 1.0),
        ("half-of-200", "100", Some("200"), 0.5),
        ("all-of-1000", "1000", Some("1000"), 1.0),
        ("total-below-100", "10", Some("20"), 0.1),
    ];
    let mut ingresses = Vec::new();
    for (name, weight, total, _) in weights {
        ingresses.push(Ingress::to(name, "stable"));
        let canary = Ingress::canary(name, "canary").with("canary-weight", weight);
        ingresses.push(match total {
            Some(total) => canary.with("canary-weight-total", total),
            None => canary,
        });
    }
    let envoy = versions.serve(&ingresses).await;
    let client = envoy.client();
    for (name, _, _, part) in weights {
        let count = to_canary(&client, name).await;
        assert!(within_five_sigma(count, 300, part), "{name}: {count} of 300");
    }
}

#[tokio::test]
async fn affinity_canary_behavior_sticky_keeps_clients_on_their_version_against_weight_and_header() {
    let versions = Versions::start().await;
    let canary = |name: &str| {
        Ingress::canary(name, "canary")
            .with("canary-by-header", "ForceCanary")
            .with("canary-by-header-value", "yes")
            .with("canary-weight", "1")
    };
    let envoy = versions
        .serve(&[
            Ingress::to("default", "stable").sticky(),
            canary("default"),
            Ingress::to("explicit", "stable").sticky(),
            canary("explicit").with("affinity-canary-behavior", "sticky"),
        ])
        .await;
    let client = envoy.client();
    for name in ["default", "explicit"] {
        let forced = ask(&client, name, "/", &[("ForceCanary", "yes")]).await;
        assert!(forced.pod().starts_with("canary"), "{forced:?}");
        super::stays(&client, name, "/", &cookie_of(&forced), &forced.pod()).await;

        // A client with a session on the main Service: ingress-nginx does not look at the header.
        let never = ask(&client, name, "/", &[("ForceCanary", "no")]).await;
        let pod = never.pod();
        let cookie = cookie_of(&never);
        for _ in 0..5 {
            let request = client.request("/").host(&host(name)).header("cookie", &cookie);
            let reply = request.header("ForceCanary", "yes").send().await.ok();
            assert_eq!(reply.pod(), pod, "{reply:?}");
        }
    }
}

#[tokio::test]
async fn a_canary_needs_a_main_ingress() {
    let versions = Versions::start().await;
    let canary = Ingress::canary("shop", "canary").with("canary-by-header", "x-canary");
    let other = Ingress::to("other", "stable");
    let yaml = format!("{}---\n{}", other.yaml(), canary.yaml());
    let input = format!("{}---\n{yaml}", versions.services().text());
    let (code, routes, findings) = super::run(&["migrate", "--gateway", "shop/web", "-f", "-"], &input);
    assert_eq!(code, Some(3), "{findings}");
    assert!(findings.contains("has no main Ingress"), "{findings}");
    let envoy = mooring_tests::Envoy::serve(&versions.services().yaml(&routes)).await;
    let request = envoy.client();
    let reply = request
        .request("/")
        .host(&host("shop"))
        .header("x-canary", "always")
        .send()
        .await;
    assert_eq!(reply.status(), 404, "{reply:?}");
}
