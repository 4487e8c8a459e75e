//! The state of each policy on each ancestor, and what is found about each object.

use crate::common::{SHOP, canary::CANARY, shop_with, with_testers};
use mooring_generator::{
    attachment::Attachments,
    diagnostic::Report,
    document,
    emit::{FailStrategy, istio},
    generate::{self, TargetOptions},
    mesh::Mesh,
    policies,
    resources::Resources,
    source::Sources,
    status::{AncestorState, States, states},
    translate,
};
use snapbox::str;
use std::fmt::Write as _;

/// The states for an input in which each object is a source of its own, as in an input from a cluster.
fn states_of(input: &str, mesh: &Mesh) -> States {
    let mut sources = Sources::default();
    for (position, text) in document::texts(input).into_iter().enumerate() {
        sources.add(&format!("{position}"), text);
    }
    let options = TargetOptions::Istio(istio::Options {
        url: "oci://module".to_owned(),
        sha256: Some("0".repeat(64)),
        fail_strategy: FailStrategy::Open,
        version: istio::IstioVersion::default(),
        prunes: true,
        plugin: istio::Plugin::default(),
        metadata: istio::Metadata::default(),
    });
    let mut report = Report::default();
    let resources = Resources::new(document::read(&sources, &mut report), &sources, options.mesh(mesh));
    let policies = policies::policies(&resources, &mut report);
    let attachments = Attachments::new(&policies, &resources.services, &mut report);
    let mut ir = translate::translate_attached(&resources, &attachments, &mut report);
    let outputs = generate::emit(&mut ir, &resources, &sources, &options, &mut report);
    states(&ir, &resources, &policies, &attachments, &outputs, &report)
}

/// The states as text: a paragraph for each policy on each ancestor, and one for each object with findings.
fn shown(input: &str) -> String {
    let states = states_of(input, &Mesh::default());
    let mut text = String::new();
    for ((kind, id), policy) in &states.policies {
        for (ancestor, state) in &policy.ancestors {
            show(
                &format!("{kind} {id} on {} {}", ancestor.kind, ancestor.id),
                state,
                &mut text,
            );
        }
        if let Some(state) = &policy.unread {
            show(&format!("{kind} {id} on its targets"), state, &mut text);
        }
        if policy.ancestors.is_empty() && policy.unread.is_none() {
            writeln!(text, "{kind} {id}: nothing").unwrap();
        }
    }
    for ((kind, id), notices) in &states.notices {
        for notice in notices {
            writeln!(text, "{kind} {id}: {}", notice.text).unwrap();
        }
    }
    text
}

fn show(title: &str, state: &AncestorState, text: &mut String) {
    writeln!(text, "{title}: {:?}. {}", state.outcome, state.message()).unwrap();
    for object in &state.objects {
        writeln!(text, "  {} {}", object.kind, object.id).unwrap();
    }
    for pods in &state.session_pods {
        writeln!(text, "  keys: {pods}").unwrap();
    }
}

#[track_caller]
fn assert_states(input: &str, expected: impl snapbox::IntoData) {
    snapbox::assert_data_eq!(shown(input), expected.raw());
}

/// A second Gateway, and a policy for it.
const SECOND: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: back}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP}]
";

#[test]
fn a_policy_needs_the_objects_of_its_gateway() {
    assert_states(
        SHOP,
        str![[r#"
BackendLBPolicy default/sticky on Gateway default/front: Applies. The policy applies.
  EnvoyFilter default/mooring-front-http
  WasmPlugin default/mooring-front
  keys: default/gateway.networking.k8s.io/gateway-name=front

"#]],
    );
}

#[test]
fn each_gateway_is_an_ancestor_with_its_own_objects() {
    let shop = shop_with("  - name: front\n  rules:", "  - name: front\n  - name: back\n  rules:");
    assert_states(
        &(shop + SECOND),
        str![[r#"
BackendLBPolicy default/sticky on Gateway default/back: Applies. The policy applies.
  EnvoyFilter default/mooring-back-http
  WasmPlugin default/mooring-back
  keys: default/gateway.networking.k8s.io/gateway-name=back
BackendLBPolicy default/sticky on Gateway default/front: Applies. The policy applies.
  EnvoyFilter default/mooring-front-http
  WasmPlugin default/mooring-front
  keys: default/gateway.networking.k8s.io/gateway-name=front

"#]],
    );
}

#[test]
fn an_error_on_one_gateway_leaves_the_policy_on_the_other() {
    let shop = shop_with("  - name: front\n  rules:", "  - name: front\n  - name: back\n  rules:");
    let shop = shop.replace(
        "  name: sticky\n",
        "  name: sticky\n  annotations: {mooring.dev/cookie-domain: shop.example}\n",
    );
    let shop = shop.replacen(
        "    protocol: HTTP\n",
        "    protocol: HTTP\n    hostname: www.shop.example\n",
        1,
    );
    assert_states(
        &(shop + &SECOND.replace("name: http,", "name: http, hostname: www.other.example,")),
        str![[r#"
BackendLBPolicy default/sticky on Gateway default/back: Invalid. The policy, or each rule that it affects, has an error. HTTPRoute/default/web#0: error[Invalid]: the cookie Domain `shop.example` is neither www.other.example nor a parent domain, so browsers reject the session cookie of the rule HTTPRoute/default/web#0; set a domain that contains all host names of the rule, or none.
BackendLBPolicy default/sticky on Gateway default/front: Applies. The policy applies.
  EnvoyFilter default/mooring-front-http
  WasmPlugin default/mooring-front
  keys: default/gateway.networking.k8s.io/gateway-name=front
BackendLBPolicy default/sticky: error[Invalid]: the cookie Domain `shop.example` is neither www.other.example nor a parent domain, so browsers reject the session cookie of the rule HTTPRoute/default/web#0; set a domain that contains all host names of the rule, or none

"#]],
    );
}

#[test]
fn a_canary_policy_needs_the_session_routes() {
    assert_states(
        CANARY,
        str![[r#"
CanaryPolicy bookinfo/canary on Gateway bookinfo/front: Applies. The policy applies.
  EnvoyFilter bookinfo/mooring-front-http
  HTTPRoute bookinfo/mooring-reviews-c1f755ed
  WasmPlugin bookinfo/mooring-front
  keys: bookinfo/gateway.networking.k8s.io/gateway-name=front

"#]],
    );
}

#[test]
fn an_older_policy_applies() {
    let shop = shop_with(
        "  name: sticky\n",
        "  name: sticky\n  creationTimestamp: 2026-01-01T00:00:00Z\n",
    );
    let later = "---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: BackendLBPolicy
metadata: {name: later, creationTimestamp: 2026-01-02T00:00:00Z}
spec:
  targetRefs: [{group: '', kind: Service, name: web}]
  sessionPersistence: {}
";
    assert_states(
        &(shop + later),
        str![[r#"
BackendLBPolicy default/later on Gateway default/front: Conflicted. Another policy applies. warning[Conflicted]: BackendLBPolicy default/later is not accepted: BackendLBPolicy default/sticky targets the Service default/web too and is older.
BackendLBPolicy default/sticky on Gateway default/front: Applies. The policy applies.
  EnvoyFilter default/mooring-front-http
  WasmPlugin default/mooring-front
  keys: default/gateway.networking.k8s.io/gateway-name=front
BackendLBPolicy default/later: warning[Conflicted]: BackendLBPolicy default/later is not accepted: BackendLBPolicy default/sticky targets the Service default/web too and is older

"#]],
    );
}

#[test]
fn an_invalid_policy_is_reported_on_the_gateways_of_its_target() {
    assert_states(
        &shop_with("idleTimeout: 10m", "idleTimeout: 10 minutes"),
        str![[r#"
BackendLBPolicy default/sticky on Gateway default/front: Invalid. The policy, or each rule that it affects, has an error. error[Invalid]: `10 minutes` is not a duration: a number has no unit right after it; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms.
BackendLBPolicy default/sticky: error[Invalid]: `10 minutes` is not a duration: a number has no unit right after it; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms

"#]],
    );
}

#[test]
fn a_policy_that_cannot_be_read_is_reported_on_its_targets() {
    assert_states(
        &shop_with("sessionName: shop", "sesionName: shop"),
        str![[r#"
BackendLBPolicy default/sticky on its targets: Invalid. The policy, or each rule that it affects, has an error. error[Invalid]: unknown field `sesionName`; allowed here: absoluteTimeout, cookie, cookieConfig, header, idleTimeout, sessionName, type; did you mean `sessionName`?
BackendLBPolicy default/sticky: error[Invalid]: unknown field `sesionName`; allowed here: absoluteTimeout, cookie, cookieConfig, header, idleTimeout, sessionName, type; did you mean `sessionName`?

"#]],
    );
}

#[test]
fn a_target_that_does_not_exist_is_the_ancestor() {
    assert_states(
        &shop_with("kind: Service\n    name: web\n", "kind: Service\n    name: wbe\n"),
        str![[r#"
BackendLBPolicy default/sticky on Service default/wbe: TargetNotFound. The target does not exist. error[TargetNotFound]: BackendLBPolicy default/sticky targets the Service default/wbe, which is not in the cluster; did you mean `web`?
BackendLBPolicy default/sticky: error[TargetNotFound]: BackendLBPolicy default/sticky targets the Service default/wbe, which is not in the cluster; did you mean `web`?

"#]],
    );
}

#[test]
fn the_session_of_a_rule_overrides_the_policy() {
    assert_states(
        &shop_with(
            "  - backendRefs:",
            "  - sessionPersistence: {sessionName: own}\n    backendRefs:",
        ),
        str![[r#"
BackendLBPolicy default/sticky on Gateway default/front: Overridden. A more specific configuration applies. HTTPRoute/default/web#0: the rule's own sessionPersistence applies.

"#]],
    );
}

#[test]
fn an_error_in_a_rule_is_told_on_the_policy_and_on_the_route() {
    assert_states(
        &shop_with(
            "    - name: web\n      port: 80\n---",
            "    - name: web\n      port: 80\n    - name: wob\n      port: 80\n---",
        ),
        str![[r#"
BackendLBPolicy default/sticky on Gateway default/front: Invalid. The policy, or each rule that it affects, has an error. HTTPRoute/default/web#0: error[BackendNotFound]: the Service default/wob is not in the cluster; did you mean `web`?
HTTPRoute default/web: error[BackendNotFound]: the Service default/wob is not in the cluster; did you mean `web`?

"#]],
    );
}

#[test]
fn a_policy_may_apply_to_some_rules_only() {
    assert_states(
        &shop_with(
            "  - backendRefs:",
            "  - matches: [{path: {value: /api}}]\n    sessionPersistence: {sessionName: own}\n    backendRefs:\n    - name: \
             web\n      port: 80\n  - backendRefs:",
        ),
        str![[r#"
BackendLBPolicy default/sticky on Gateway default/front: Applies. The policy applies. HTTPRoute/default/web#0: the rule's own sessionPersistence applies.
  EnvoyFilter default/mooring-front-http
  WasmPlugin default/mooring-front
  keys: default/gateway.networking.k8s.io/gateway-name=front

"#]],
    );
}

#[test]
fn gateways_of_others_get_no_state() {
    assert_states(
        &shop_with("gatewayClassName: istio", "gatewayClassName: cilium"),
        str![[r#"
BackendLBPolicy default/sticky: nothing

"#]],
    );
}

#[test]
fn a_policy_for_retries_is_not_mooring_s() {
    let retries = "---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: retries}
spec:
  targetRefs: [{group: '', kind: Service, name: web}]
  retryConstraint: {budget: {percent: 20, interval: 10s}}
";
    let states = states_of(&(SHOP.to_owned() + retries), &Mesh::default());
    let ancestors: Vec<usize> = states.policies.values().map(|policy| policy.ancestors.len()).collect();
    assert_eq!(ancestors, [1, 0]);
}

#[test]
fn a_session_and_a_canary_of_one_rule_are_different_policies() {
    let shop = shop_with(
        "    - name: web\n      port: 80\n---",
        "    - name: web\n      port: 80\n    - name: web2\n      port: 80\n      weight: 0\n---",
    );
    assert_states(
        &with_testers(&shop),
        str![[r#"
BackendLBPolicy default/sticky on Gateway default/front: Applies. The policy applies.
  EnvoyFilter default/mooring-front-http
  HTTPRoute default/mooring-web-3abf744e
  WasmPlugin default/mooring-front
  keys: default/gateway.networking.k8s.io/gateway-name=front
CanaryPolicy default/testers on Gateway default/front: Applies. The policy applies.
  EnvoyFilter default/mooring-front-http
  HTTPRoute default/mooring-web-3abf744e
  WasmPlugin default/mooring-front

"#]],
    );
}

#[test]
fn the_target_is_the_ancestor_for_callers() {
    let input = shop_with(
        "  - name: front\n  rules:",
        "  - {group: '', kind: Service, name: web, port: 80}\n  rules:",
    );
    let mesh = Mesh {
        callers: std::iter::once("default/app=shop".parse().unwrap()).collect(),
        ..Mesh::default()
    };
    let states = states_of(&input, &mesh);
    let policy = states.policies.values().next().unwrap();
    let ancestors: Vec<String> = policy
        .ancestors
        .keys()
        .map(|ancestor| format!("{} {}", ancestor.kind, ancestor.id))
        .collect();
    assert_eq!(ancestors, ["Service default/web"]);
}
