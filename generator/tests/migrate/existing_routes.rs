//! Ingresses whose hosts and paths a route of the input has already.

use serde_json::{Value, json};

use super::{Run, all, canary, ingress};

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{name: front, namespace: infra}]
  hostnames: [shop.example.com]
  rules:
  - name: all
    matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{name: web, port: 80, weight: 9}, {name: web-v2, port: 80, weight: 1}]
";

#[test]
fn sessions_become_policies_of_the_services_and_the_route_stays() {
    let sticky = ingress(&[
        ("affinity", "cookie"),
        ("session-cookie-secure", "true"),
        ("session-cookie-max-age", "60"),
    ]);
    let input = all(&[
        ROUTE,
        &sticky,
        &canary(&[("canary-by-header", "x-canary"), ("canary-weight", "10")]),
    ]);
    let run = Run::with(&[], &input);
    assert_eq!(run.code, Some(0), "{}", run.said);
    assert!(run.of("HTTPRoute").is_empty());
    assert!(
        run.said
            .contains("the HTTPRoute shop/web has the path `shop.example.com/` already"),
        "{}",
        run.said
    );
    let policies = run.of("XBackendTrafficPolicy");
    let targets: Vec<&Value> = policies
        .iter()
        .map(|policy| &policy["spec"]["targetRefs"][0]["name"])
        .collect();
    assert_eq!(targets, ["web", "web-v2"]);
    assert_eq!(
        policies[0]["metadata"]["annotations"],
        json!({"mooring.dev/cookie-secure": "Always"})
    );
    assert_eq!(policies[0]["spec"]["sessionPersistence"]["absoluteTimeout"], "1m");
    assert_eq!(run.one("CanaryPolicy")["spec"]["targetRef"]["name"], "web");

    let run = Run::with(&["--policy-kind", "BackendLBPolicy"], &input);
    assert_eq!(
        run.of("BackendLBPolicy")[0]["apiVersion"],
        "gateway.networking.k8s.io/v1alpha2"
    );
}

#[test]
fn what_the_route_does_otherwise_is_a_warning() {
    let sticky = ingress(&[("affinity", "cookie"), ("session-cookie-change-on-failure", "false")]);
    let run = Run::with(&[], &all(&[ROUTE, &sticky, &canary(&[("canary-weight", "20")])]));
    assert_eq!((run.code, run.findings().len()), (Some(3), 2), "{}", run.said);
    let expected =
        "gives the canary 1 of 10 requests for `shop.example.com/`, and the Ingress shop/canary gives it 20 of 100";
    assert!(run.said.contains(expected), "{}", run.said);
    assert!(
        run.said.contains("add `retry: {attempts: 0}` to the rule"),
        "{}",
        run.said
    );
}

#[test]
fn a_route_without_the_backend_of_the_canary_is_named() {
    let route = ROUTE.replace(", {name: web-v2, port: 80, weight: 1}", "");
    let run = Run::with(&[], &all(&[&route, &ingress(&[]), &canary(&[("canary-weight", "5")])]));
    assert_eq!(run.code, Some(3));
    assert!(
        run.said
            .contains("the HTTPRoute shop/web has no backend web-v2:80 for `shop.example.com/`"),
        "{}",
        run.said
    );
    assert!(
        run.said
            .contains("add it to the backendRefs of the rule, with the weight 5"),
        "{}",
        run.said
    );
}

#[test]
fn sessions_that_exist_are_not_written_again() {
    let sticky = ingress(&[("affinity", "cookie")]);
    let own = ROUTE.replace(
        "  - name: all\n",
        "  - name: all\n    sessionPersistence: {sessionName: a}\n",
    );
    let run = Run::with(&[], &all(&[&own, &sticky]));
    assert!(run.objects.is_empty(), "{:?}", run.objects);
    let policy = "apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackendTrafficPolicy\nmetadata: {name: a, namespace: \
                  shop}\nspec: {targetRefs: [{group: '', kind: Service, name: web}], sessionPersistence: {sessionName: a}}\n";
    let run = Run::with(&[], &all(&[ROUTE, policy, &sticky]));
    assert!(run.objects.is_empty(), "{:?}", run.objects);
    assert!(
        run.said.contains("the Service shop/web has a session policy already"),
        "{}",
        run.said
    );
}

#[test]
fn a_route_with_another_path_or_host_is_not_the_same() {
    for other in [
        ROUTE.replace("shop.example.com", "other.example.com"),
        ROUTE.replace("value: /", "value: /api"),
        ROUTE.replace("namespace: shop}", "namespace: other}"),
    ] {
        let run = Run::on(&all(&[&other, &ingress(&[])]));
        let route = run.one("HTTPRoute");
        let name = if other.contains("namespace: shop}") {
            "web-2"
        } else {
            "web"
        };
        assert_eq!(route["metadata"]["name"], name);
    }
}
