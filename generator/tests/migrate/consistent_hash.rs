//! `DestinationRule`s with consistent hashing.

use serde_json::{Value, json};

use super::Run;

fn rule(host: &str, hash: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web, namespace: shop}}\nspec:\n  host: {host}\n  \
         trafficPolicy: {{loadBalancer: {{consistentHash: {hash}}}}}\n"
    )
}

#[test]
fn a_cookie_becomes_a_session_policy() {
    for (hash, persistence, annotations) in [
        (
            "{httpCookie: {name: user, path: /shop, ttl: 172800s}}",
            json!({
                "sessionName": "user-mooring",
                "type": "Cookie",
                "absoluteTimeout": "48h",
                "cookieConfig": {"lifetimeType": "Permanent"},
            }),
            json!({"mooring.dev/cookie-path": "/shop"}),
        ),
        (
            "{httpCookie: {name: user, ttl: 0s}}",
            json!({"sessionName": "user-mooring", "type": "Cookie"}),
            Value::Null,
        ),
        (
            "{httpCookie: {name: user, ttl: 1h30m}}",
            json!({
                "sessionName": "user-mooring",
                "type": "Cookie",
                "absoluteTimeout": "1h30m",
                "cookieConfig": {"lifetimeType": "Permanent"},
            }),
            Value::Null,
        ),
    ] {
        for host in ["web", "web.shop.svc.cluster.local"] {
            let run = Run::with(&[], &rule(host, hash));
            assert_eq!((run.code, run.said.as_str()), (Some(0), ""));
            let policy = run.one("XBackendTrafficPolicy");
            assert_eq!(policy["spec"]["sessionPersistence"], persistence);
            assert_eq!(policy["metadata"]["annotations"], annotations);
            assert_eq!(policy["spec"]["targetRefs"][0]["name"], "web");
            assert_eq!(policy["metadata"]["namespace"], "shop");
        }
    }
    let run = Run::with(
        &[],
        &rule("web.other.svc.cluster.local", "{httpCookie: {name: user, ttl: 0s}}"),
    );
    assert_eq!(run.one("XBackendTrafficPolicy")["metadata"]["namespace"], "other");
}

#[test]
fn what_is_no_cookie_of_a_service_is_reported() {
    for (host, hash, expected) in [
        ("web", "{httpHeaderName: x-user}", "`httpHeaderName` is not translated"),
        ("web", "{useSourceIp: true}", "`useSourceIp` is not translated"),
        (
            "web",
            "{httpQueryParameterName: user}",
            "`httpQueryParameterName` is not translated",
        ),
        (
            "api.example.com",
            "{httpCookie: {name: user, ttl: 0s}}",
            "this is not the name of one",
        ),
        ("web", "{httpCookie: {name: user, ttl: often}}", "`often` is not a ttl"),
    ] {
        let run = Run::with(&[], &rule(host, hash));
        assert_eq!(run.code, Some(3), "{}", run.said);
        assert!(run.objects.is_empty());
        assert_eq!(run.findings().len(), 1);
        assert!(run.said.contains(expected), "{expected}: {}", run.said);
    }
}

#[test]
fn a_subset_makes_one_policy_for_the_service() {
    let cookie = "{loadBalancer: {consistentHash: {httpCookie: {name: user, ttl: 0s}}}}";
    let subsets =
        format!("  subsets: [{{name: v1, trafficPolicy: {cookie}}}, {{name: v2, trafficPolicy: {cookie}}}]\n");
    let plain = rule("web", "null");
    let (head, _) = plain.split_once("  trafficPolicy").unwrap();
    let run = Run::with(&[], &format!("{head}{subsets}"));
    run.one("XBackendTrafficPolicy");
    assert!(run.said.contains("and not only to the subset `v1`"), "{}", run.said);
}
