//! From policies to rules: every dialect, annotations, attachment and conflicts.

use crate::common::{Generated, SHOP, generate, said, shop_with, without_policy};
use serde_json::{Value, json};

/// The shop's `sessionPersistence`, below its key.
const PERSISTENCE: &str = "    sessionName: shop
    absoluteTimeout: 1h
    idleTimeout: 10m
    cookieConfig:
      lifetimeType: Permanent
";

fn with_persistence(persistence: &str) -> String {
    shop_with(PERSISTENCE, persistence)
}

fn as_x_policy(input: &str) -> String {
    input
        .replace(
            "gateway.networking.k8s.io/v1alpha2",
            "gateway.networking.x-k8s.io/v1alpha1",
        )
        .replace("BackendLBPolicy", "XBackendTrafficPolicy")
}

fn annotated(annotations: &[&str]) -> String {
    let lines: Vec<String> = annotations
        .iter()
        .map(|line| format!("    mooring.dev/{line}\n"))
        .collect();
    let lines = lines.concat();
    shop_with("  name: sticky\n", &format!("  name: sticky\n  annotations:\n{lines}"))
}

/// The shop with another document behind it.
fn shop_and(document: &str) -> String {
    format!("{SHOP}---\n{document}")
}

fn policy(name: &str, created: Option<&str>, session_name: &str) -> String {
    let created = created.map_or(String::new(), |created| format!("  creationTimestamp: {created}\n"));
    format!(
        "apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: BackendLBPolicy\nmetadata:\n  name: {name}\n{created}spec:\n  \
         targetRefs: [{{group: \"\", kind: Service, name: web}}]\n  sessionPersistence: {{sessionName: {session_name}}}\n"
    )
}

#[test]
fn a_backend_lb_policy() {
    let run = Generated::istio(SHOP);
    assert_eq!(
        run.rule(0),
        &json!({
            "route": "default.web.0",
            "virtualHosts": ["*:80"],
            "id": "HTTPRoute/default/web#0",
            "backends": [{ "key": "web.default:80" }],
            "session": {
                "name": "shop",
                "type": "Cookie",
                "absoluteTimeout": "1h",
                "idleTimeout": "10m",
                "cookie": {
                    "httpOnly": true,
                    "lifetimeType": "Permanent",
                    "partitioned": false,
                    "path": "/",
                    "privateCache": true,
                    "sameSite": "Lax",
                    "secure": "Auto",
                },
            },
        })
    );
    assert_eq!(run.findings, [""; 0]);
}

#[test]
fn an_x_backend_traffic_policy_says_the_same() {
    let (one, other) = (Generated::istio(SHOP), Generated::istio(&as_x_policy(SHOP)));
    assert_eq!(one.value, other.value);
    let retry = "  retryConstraint:\n    budget: {percent: 10, interval: 5s}\n    minRetryRate: {count: 3}\n  sessionPersistence:";
    let other = Generated::istio(&as_x_policy(&shop_with("  sessionPersistence:", retry)));
    assert_eq!(one.value, other.value);
}

#[test]
fn the_shape_after_1_6_says_the_same() {
    let cookie = "    absoluteTimeout: 1h\n    cookie: {name: shop, lifetimeType: Permanent}\n";
    let annotated = as_x_policy(&with_persistence(cookie)).replace(
        "  name: sticky\n",
        "  name: sticky\n  annotations: {mooring.dev/idle-timeout: 10m}\n",
    );
    assert_eq!(Generated::istio(SHOP).value, Generated::istio(&annotated).value);
    let header = Generated::istio(&with_persistence("    type: Header\n    header: {name: x-shop}\n"));
    assert_eq!(header.session(0), &json!({ "name": "x-shop", "type": "Header" }));
    let path = Generated::istio(&with_persistence("    cookie: {path: /shop}\n"));
    assert_eq!(path.session(0).pointer("/cookie/path"), Some(&json!("/shop")));
}

#[test]
fn inline_session_persistence_says_the_same() {
    let shop = without_policy(SHOP);
    let inline = PERSISTENCE.replace("    ", "      ");
    let input = shop.replace(
        "  - backendRefs:",
        &format!("  - sessionPersistence:\n{inline}    backendRefs:"),
    );
    assert_eq!(Generated::istio(SHOP).value, Generated::istio(&input).value);
}

#[test]
fn type_cookie_alone_is_of_the_first_shape() {
    let run = Generated::istio(&with_persistence("    type: Cookie\n"));
    let name = run.session(0).pointer("/name").and_then(Value::as_str).unwrap();
    assert!(name.starts_with("mooring-") && name.len() == 16, "{name}");
}

#[test]
fn each_rule_without_a_name_gets_a_session_name_of_its_own() {
    let rules = "  - matches: [{path: {value: /a}}]\n    backendRefs: [{name: web, port: 80}]\n  - backendRefs:";
    let input = with_persistence("    type: Cookie\n").replace("  - backendRefs:", rules);
    let run = Generated::istio(&input);
    assert_ne!(run.session(0).pointer("/name"), run.session(1).pointer("/name"));
    let [finding] = run.findings.as_slice() else {
        panic!("{:?}", run.findings)
    };
    assert!(finding.starts_with("note[Unnamed]: 2 rules "), "{finding}");
}

#[test]
fn annotations_say_what_gateway_api_has_no_field_for() {
    let run = Generated::istio(&annotated(&[
        "refresh-interval: 30s",
        "strict: \"true\"",
        "cookie-same-site: None",
        "cookie-secure: Always",
        "cookie-http-only: \"false\"",
        "cookie-partitioned: \"true\"",
        "cookie-path: /shop",
        "cookie-domain: example.com",
        "forward-token: \"true\"",
        "private-cache: \"false\"",
    ]));
    assert_eq!(
        run.session(0),
        &json!({
            "name": "shop",
            "type": "Cookie",
            "absoluteTimeout": "1h",
            "idleTimeout": "10m",
            "refreshInterval": "30s",
            "strict": true,
            "forwardToken": true,
            "cookie": {
                "domain": "example.com",
                "httpOnly": false,
                "lifetimeType": "Permanent",
                "partitioned": true,
                "path": "/shop",
                "privateCache": false,
                "sameSite": "None",
                "secure": "Always",
            },
        })
    );
    let strict = |run: &Generated| {
        let filters = run.virtual_host("*:80").get("typed_per_filter_config").cloned();
        filters
            .unwrap_or_default()
            .get("mooring.stateful_session.strict")
            .cloned()
    };
    let filter = strict(&run).unwrap_or_default();
    assert_eq!(filter.pointer("/stateful_session/strict"), Some(&json!(true)));
    let header = "/stateful_session/session_state/typed_config/name";
    assert_eq!(filter.pointer(header), Some(&json!("x-mooring-host-strict")));
    assert_eq!(strict(&Generated::istio(SHOP)), None);
}

#[test]
fn annotations_without_session_persistence_are_reported() {
    let shop = without_policy(SHOP);
    let on_service = shop.replace(
        "  name: web\n  labels",
        "  name: web\n  annotations: {mooring.dev/strict: \"true\"}\n  labels",
    );
    let on_route = on_service.replace(
        "  name: web\nspec",
        "  name: web\n  annotations: {mooring.dev/strict: \"true\"}\nspec",
    );
    assert_eq!(
        Generated::envoy(&on_route).findings,
        [
            "warning[NoEffect]: the annotations `mooring.dev/…` have no effect: there is no sessionPersistence here",
            "warning[NoEffect]: `mooring.dev/strict` has no effect on a Service",
        ]
    );
}

#[test]
fn inline_beats_the_policy_as_a_whole() {
    let input = shop_with(
        "  - backendRefs:",
        "  - sessionPersistence: {idleTimeout: 5m}\n    backendRefs:",
    );
    let run = Generated::istio(&input);
    assert_eq!(run.session(0).pointer("/idleTimeout"), Some(&json!("5m")));
    assert_eq!(run.session(0).pointer("/absoluteTimeout"), None);
    assert_ne!(run.session(0).pointer("/name"), Some(&json!("shop")));
}

#[test]
fn the_older_policy_holds() {
    let policies = |first, second| {
        let shop = SHOP.replace("  name: sticky\n", &format!("  name: sticky\n{first}"));
        Generated::istio(&format!("{shop}---\n{}", policy("a", second, "other")))
    };
    let run = policies(
        "  creationTimestamp: 2026-01-01T00:00:00Z\n",
        Some("2026-01-02T00:00:00Z"),
    );
    assert_eq!(run.session(0).pointer("/name"), Some(&json!("shop")));
    assert_eq!(
        run.findings,
        [
            "warning[Conflicted]: BackendLBPolicy default/a is not accepted: BackendLBPolicy default/sticky targets the Service \
          default/web too and is older"
        ]
    );
    let run = policies(
        "  creationTimestamp: 2026-01-02T00:00:00Z\n",
        Some("2026-01-02T00:00:00Z"),
    );
    assert_eq!(run.session(0).pointer("/name"), Some(&json!("other")));
    assert!(
        run.findings[0]
            .ends_with("targets the Service default/web too and is as old and comes first by namespace and name")
    );
    let run = policies("  creationTimestamp: 2026-01-01T00:00:00Z\n", None);
    assert_eq!(run.session(0).pointer("/name"), Some(&json!("other")));
    assert!(
        run.findings[0].contains("the age of at least one of them is not known"),
        "{:?}",
        run.findings
    );
}

#[test]
fn policies_of_different_kinds_are_in_conflict_too() {
    let other = as_x_policy(&policy("a", None, "other"));
    let run = Generated::istio(&shop_and(&other));
    assert_eq!(run.session(0).pointer("/name"), Some(&json!("other")));
    let retry_only = other.replace(
        "  sessionPersistence: {sessionName: other}\n",
        "  retryConstraint: {}\n",
    );
    let run = Generated::istio(&shop_and(&retry_only));
    assert_eq!(run.session(0).pointer("/name"), Some(&json!("shop")));
    assert_eq!(run.findings, [""; 0]);
}

#[test]
fn a_policy_on_some_backends_holds_for_the_whole_rule() {
    let second = "apiVersion: v1\nkind: Service\nmetadata:\n  name: beta\n  labels: {istio.io/persistent-session: mooring}\nspec:\n  \
                  ports: [{port: 80}]\n";
    let input = shop_with(
        "      port: 80\n---",
        "      port: 80\n      weight: 9\n    - {name: beta, port: 80}\n---",
    );
    let run = Generated::istio(&format!("{input}---\n{second}"));
    assert_eq!(
        run.rule(0).pointer("/backends"),
        Some(&json!([{ "key": "web.default:80" }, { "key": "beta.default:80" }]))
    );
    assert_eq!(
        run.findings,
        [
            "warning[Accepted]: BackendLBPolicy default/sticky applies to all backends of this rule, including default/beta, which \
          it does not target: a session needs one policy for the whole rule"
        ]
    );
}

#[test]
fn a_policy_that_no_route_leads_to_is_reported() {
    let input = shop_and(
        "apiVersion: v1\nkind: Service\nmetadata: {name: batch}\nspec: {ports: [{port: 80}]}\n---\napiVersion: \
         gateway.networking.k8s.io/v1alpha2\nkind: BackendLBPolicy\nmetadata: {name: batch}\nspec:\n  targetRefs: [{kind: \
         Service, name: batch}]\n  sessionPersistence: {}\n",
    );
    assert_eq!(
        Generated::istio(&input).findings,
        [
            "warning[Invalid]: this targetRef has no group; Mooring assumes the core group",
            "warning[NoEffect]: BackendLBPolicy default/batch has no effect on the Service default/batch: no route leads there",
        ]
    );
}

#[test]
fn a_reference_grant_opens_another_namespace() {
    let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: other\n  labels: \
                   {istio.io/persistent-session: mooring}\nspec: {ports: [{port: 80}]}\n";
    let grant = "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: web, namespace: \
                 other}\nspec:\n  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]\n  to: \
                 [{group: \"\", kind: Service, name: web}]\n";
    let route = shop_with("    - name: web\n", "    - name: web\n      namespace: other\n");
    let route = route.replace("  - backendRefs:", "  - sessionPersistence: {}\n    backendRefs:");
    let run = Generated::istio(&format!("{route}---\n{service}---\n{grant}"));
    assert_eq!(run.rule(0).pointer("/backends/0/key"), Some(&json!("web.other:80")));
    for other in [
        grant.replace("name: web}]", "name: api}]"),
        grant.replace("namespace: default", "namespace: prod"),
        grant.replace("HTTPRoute", "GRPCRoute"),
        grant.replace("name: web, namespace: other", "name: web, namespace: third"),
    ] {
        let run = generate(&format!("{route}---\n{service}---\n{other}"));
        let stderr = said(&run.code(3));
        assert!(stderr.starts_with("error[RefNotPermitted]"), "{stderr}");
    }
}

#[test]
fn references_to_one_port_are_one_backend() {
    let input = shop_with(
        "      port: 80\n---",
        "      port: 80\n      weight: 2\n    - {name: web, port: 80, weight: 3}\n---",
    );
    let run = Generated::istio(&input);
    assert_eq!(
        run.rule(0).pointer("/backends"),
        Some(&json!([{ "key": "web.default:80" }]))
    );
    // One backend is no split, so there is nothing to choose.
    assert!(run.objects("HTTPRoute").is_empty());
}

#[test]
fn cookies_that_replace_each_other_are_reported() {
    let rules =
        "  - name: a\n    matches: [{path: {value: /a}}]\n    backendRefs: [{name: web, port: 80}]\n  - backendRefs:";
    let run = Generated::istio(&shop_with("  - backendRefs:", rules));
    let [conflict, unnamed] = run.findings.as_slice() else {
        panic!("{:?}", run.findings)
    };
    assert!(
        unnamed.starts_with("note[Unnamed]: the rule HTTPRoute/default/web#1 "),
        "{unnamed}"
    );
    let message = "warning[Conflicted]: the rules HTTPRoute/default/web/a and HTTPRoute/default/web#1";
    assert!(conflict.starts_with(message), "{conflict}");
}

#[test]
fn what_lets_sessions_stay_on_a_terminating_pod_is_told_once() {
    let input = SHOP.replace("  labels:\n    istio.io/persistent-session: mooring\n", "");
    assert_eq!(
        Generated::istio(&input).findings,
        [
            "note[Draining]: sessions leave a pod as soon as it terminates, since its Service does not let them stay until it is \
          gone"
        ]
    );
}

#[test]
fn the_affinity_of_a_service_is_told_to_have_no_effect() {
    let input = shop_with("spec:\n  ports:", "spec:\n  sessionAffinity: ClientIP\n  ports:");
    assert!(
        Generated::istio(&input).findings[0]
            .starts_with("warning[NoEffect]: sessionAffinity of the Service default/web")
    );
}
