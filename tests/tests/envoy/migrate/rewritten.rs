//! `rewrite-target`, routes that exist already, and `DestinationRule`s with consistent hashing.

use mooring_tests::{Envoy, Manifests, Route, Rule, Service};

use super::{Ingress, Versions, ask, cookie_of, host, migrated_yaml, stays, version};

#[tokio::test]
async fn rewrite_target_replaces_the_path_or_the_prefix() {
    let versions = Versions::start().await;
    let envoy = versions
        .serve(&[
            Ingress::to("whole", "stable")
                .paths(&[("/something", "Prefix", "stable")])
                .with("rewrite-target", "/new/path"),
            Ingress::to("prefix", "stable")
                .paths(&[("/app(/|$)(.*)", "ImplementationSpecific", "stable")])
                .sticky()
                .with("rewrite-target", "/$2"),
        ])
        .await;
    let client = envoy.client();
    for (name, path, expected) in [
        ("whole", "/something", "/new/path"),
        ("whole", "/something/x?a=b", "/new/path?a=b"),
        ("prefix", "/app", "/"),
        ("prefix", "/app/", "/"),
        ("prefix", "/app/x/y?a=b", "/x/y?a=b"),
    ] {
        assert_eq!(ask(&client, name, path, &[]).await.echo().target, expected, "{path}");
    }
    let first = ask(&client, "prefix", "/app/x", &[]).await;
    stays(&client, "prefix", "/app/y", &cookie_of(&first), &first.pod()).await;
}

#[tokio::test]
async fn a_route_that_exists_gets_sessions_and_the_canary() {
    let versions = Versions::start().await;
    let rule = Rule::split(&[("stable", 100), ("canary", 0)]);
    let shop = versions
        .services()
        .route(&Route::new("shop").host(&host("shop")).rule(rule));
    let ingresses = [
        Ingress::to("shop", "stable")
            .sticky()
            .with("session-cookie-name", "route")
            .with("session-cookie-max-age", "3600"),
        Ingress::canary("shop", "canary").with("canary-by-cookie", "tester"),
    ];
    let yaml = ingresses.map(|ingress| ingress.yaml()).join("---\n");
    let envoy = Envoy::serve(&migrated_yaml(shop, &yaml)).await;
    let client = envoy.client();
    let first = ask(&client, "shop", "/", &[]).await;
    assert_eq!(
        first.set_cookie("route").and_then(|cookie| cookie.max_age()),
        Some(time::Duration::HOUR)
    );
    stays(&client, "shop", "/", &cookie_of(&first), &first.pod()).await;
    assert_eq!(version(&client, "shop", &[]).await, "stable");
    assert_eq!(version(&client, "shop", &[("cookie", "tester=always")]).await, "canary");
}

/// A `DestinationRule` for the Service `stable`.
const HASH: &str = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: stable, namespace: shop}\nspec:\n  \
                    host: stable\n  trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: user, path: /, ttl: \
                    172800s}}}}\n";

#[tokio::test]
async fn the_cookie_of_a_consistent_hash_becomes_a_session_of_a_virtual_service() {
    let versions = Versions::start().await;
    let route = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: shop, namespace: shop}\nspec:\n  \
                 gateways: [web]\n  hosts: [shop.example.com]\n  http: [{name: all, route: [{destination: {host: stable}}]}]\n";
    let shop = Manifests::istio()
        .service(&Service::new("stable", &versions.stable))
        .yaml(route)
        .yaml(HASH);
    let envoy = Envoy::serve(&migrated_yaml(shop, "")).await;
    let client = envoy.client();
    let first = ask(&client, "shop", "/", &[]).await;
    assert!(first.set_cookie("user-mooring").is_some(), "{first:?}");
    stays(&client, "shop", "/", &cookie_of(&first), &first.pod()).await;
}

#[tokio::test]
async fn the_cookie_of_a_consistent_hash_becomes_a_session() {
    let versions = Versions::start().await;
    let shop = versions.services().route(&Route::to("stable").host(&host("shop")));
    let envoy = Envoy::serve(&migrated_yaml(shop.yaml(HASH), "")).await;
    let client = envoy.client();
    let first = ask(&client, "shop", "/", &[]).await;
    let cookie = first.set_cookie("user-mooring").unwrap();
    assert_eq!(
        (cookie.path(), cookie.max_age()),
        (Some("/"), Some(time::Duration::days(2)))
    );
    stays(&client, "shop", "/", &cookie_of(&first), &first.pod()).await;
}
