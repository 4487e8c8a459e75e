//! Policies of Services in other namespaces than the route: how much of them holds for the route's owner.

use crate::common::{Generated, SHOP, without_policy};
use serde_json::{Value, json};

/// The Service `mail/web`, a grant for it, and a policy on it that says this below `sessionPersistence`.
fn mail(persistence: &str, annotations: &str) -> String {
    let labels = "labels: {istio.io/persistent-session: mooring}";
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: mail\n  {labels}\nspec: {{ports: [{{port: \
         80}}]}}\n---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: web, namespace: \
         mail}}\nspec:\n  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}}]\n  to: [{{group: \"\", \
         kind: Service}}]\n---\napiVersion: gateway.networking.k8s.io/v1alpha2\nkind: BackendLBPolicy\nmetadata:\n  name: \
         theirs\n  namespace: mail\n  creationTimestamp: 2020-01-01T00:00:00Z\n{annotations}spec:\n  targetRefs: [{{group: \"\", \
         kind: Service, name: web}}]\n  sessionPersistence: {persistence}\n"
    )
}

/// The backends of the shop's only rule.
fn with_backends(shop: &str, backends: &str) -> String {
    let old = "    - name: web\n      port: 80\n";
    assert!(shop.contains(old));
    shop.replacen(old, backends, 1)
}

/// The session of the only rule, and what was said about it.
fn session(input: &str) -> (Option<Value>, Vec<String>) {
    let run = Generated::istio(input);
    let plugins = run.objects("WasmPlugin").into_iter();
    let mut sessions = plugins.filter_map(|plugin| plugin.pointer("/spec/pluginConfig/rules/0/session"));
    (sessions.next().cloned(), run.findings)
}

#[test]
fn a_policy_of_the_routes_namespace_beats_an_older_one_of_another() {
    let shop = SHOP.replace(
        "  name: sticky\n",
        "  name: sticky\n  creationTimestamp: 2026-01-01T00:00:00Z\n",
    );
    let backends = "    - {name: web, namespace: mail, port: 80, weight: 9}\n    - {name: web, port: 80}\n";
    let input = with_backends(&shop, backends) + &mail("{sessionName: theirs, absoluteTimeout: 9h}", "");
    let (session, findings) = session(&input);
    let session = session.unwrap_or_default();
    assert_eq!(session.pointer("/name"), Some(&json!("shop")));
    assert_eq!(session.pointer("/absoluteTimeout"), Some(&json!("1h")));
    assert_eq!(
        findings,
        [
            "warning[Conflicted]: BackendLBPolicy mail/theirs is not accepted: BackendLBPolicy default/sticky applies \
             to another backend of this rule of HTTPRoute default/web, and is in the namespace of the route",
        ]
    );
}

#[test]
fn a_foreign_policy_holds_where_every_backend_that_gets_new_sessions_has_it() {
    let shop = without_policy(SHOP);
    let backends = "    - {name: web, namespace: mail, port: 80}\n    - {name: web, port: 80, weight: 0}\n";
    let (held, findings) = session(&(with_backends(&shop, backends) + &mail("{absoluteTimeout: 9h}", "")));
    assert_eq!(held.unwrap_or_default().pointer("/absoluteTimeout"), Some(&json!("9h")));
    assert_eq!(findings, [""; 0]);
}

#[test]
fn a_foreign_policy_at_weight_0_does_not_take_over_the_rule() {
    let shop = without_policy(SHOP);
    for (own, theirs) in [(1, 0), (1, 1), (0, 0)] {
        let backends = format!(
            "    - {{name: web, port: 80, weight: {own}}}\n    - {{name: web, namespace: mail, port: 80, weight: {theirs}}}\n"
        );
        let (held, findings) = session(&(with_backends(&shop, &backends) + &mail("{sessionName: JSESSIONID}", "")));
        assert_eq!(held, None);
        let reason = match own {
            0 => "no backend has a weight above 0",
            _ => "default/web of this rule does not have it",
        };
        let warning = format!(
            "warning[NoEffect]: BackendLBPolicy mail/theirs does not apply to this rule of HTTPRoute default/web: a \
             policy in another namespace than the route applies only if every backend with a weight above 0 has it, \
             and {reason}"
        );
        assert!(findings.contains(&warning), "{findings:#?}");
    }
}

#[test]
fn a_foreign_policy_sets_neither_name_nor_domain_nor_path_nor_strict() {
    let shop = without_policy(SHOP);
    let input = with_backends(&shop, "    - {name: web, namespace: mail, port: 80}\n");
    let annotations = "  annotations:\n    mooring.dev/cookie-domain: example.com\n    mooring.dev/cookie-path: /mail\n    \
                       mooring.dev/strict: \"true\"\n";
    let (held, findings) = session(&(input.clone() + &mail("{sessionName: cart, idleTimeout: 5m}", annotations)));
    let (default, _) = session(&(input + &mail("{idleTimeout: 5m}", "")));
    assert!(held.is_some());
    assert_eq!(held, default);
    let warnings = ["the session name", "the cookie's Domain", "the cookie's Path", "strict"].map(|what| {
        format!(
            "warning[NoEffect]: {what} that BackendLBPolicy mail/theirs sets is ignored for HTTPRoute default/web: \
             the policy is in another namespace than the route, so the default applies"
        )
    });
    for warning in &warnings {
        assert!(findings.contains(warning), "{warning}\n{findings:#?}");
    }
    assert_eq!(findings.len(), warnings.len(), "{findings:#?}");
}

#[test]
fn a_name_that_applications_use_is_warned_of() {
    for name in ["JSESSIONID", "PHPSESSID", "asp.net_sessionid", "connect.sid", "session"] {
        let (held, findings) = session(&SHOP.replace("sessionName: shop", &format!("sessionName: {name}")));
        assert_eq!(held.unwrap_or_default().pointer("/name"), Some(&json!(name)));
        assert_eq!(
            findings,
            [format!(
                "warning[Conflicted]: the session name `{name}` is the name of a cookie in which applications keep their own \
                 sessions: an application's cookie of that name is replaced in the browser, and never reaches the application"
            )]
        );
    }
    let header = SHOP.replace("sessionName: shop", "sessionName: session\n    type: Header");
    let header = header.replace("    cookieConfig:\n      lifetimeType: Permanent\n", "");
    assert_eq!(session(&header).1, [""; 0]);
}
