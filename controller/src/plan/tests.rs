use tokio::time::Instant;

use kube::core::DynamicObject;
use mooring_generator::{
    emit::{FailStrategy, istio},
    mesh::Mesh,
    source::Coverage,
};
use serde_json::{Value, json};

use super::*;

fn planner() -> Planner {
    planner_with(Mesh::default())
}

fn planner_with(mesh: Mesh) -> Planner {
    let options = istio::Options {
        url: "oci://registry.example/mooring:1".to_owned(),
        sha256: None,
        fail_strategy: FailStrategy::Open,
        version: istio::IstioVersion::default(),
        prunes: false,
        plugin: istio::Plugin::default(),
        metadata: istio::Metadata::default(),
    };
    Planner::new(options, mesh, Coverage::Everything)
}

#[test]
fn a_plan_names_the_chosen_gateways() {
    let gateways = |names: &[&str]| {
        let mesh = Mesh {
            gateways: names.iter().map(|name| Id::new("edge", name)).collect(),
            ..Mesh::default()
        };
        planner_with(mesh).plan(Instant::now().into_std()).gateways
    };
    assert_eq!(gateways(&[]), None);
    assert_eq!(gateways(&["b", "a"]).as_deref(), Some("edge/a,edge/b"));
}

fn key(group: &str, kind: &str, name: &str) -> Key {
    Key::new(KindName::find(group, kind).unwrap(), Some("shop"), name)
}

fn set(planner: &mut Planner, object: &Value) {
    let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let types = object.types.clone().unwrap();
    let (group, _) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
    let name = object.metadata.name.clone().unwrap();
    planner.set(&key(group, &types.kind, &name), Some(&object));
}

fn object(version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    let metadata = json!({ "namespace": "shop", "name": name, "uid": format!("uid-{name}"), "generation": 1 });
    json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec })
}

/// A shop with a route, a gateway and a session.
fn shop() -> Planner {
    let mut planner = planner();
    for name in ["front", "side"] {
        let listeners = json!([{ "name": "http", "port": 80, "protocol": "HTTP" }]);
        let spec = json!({ "gatewayClassName": "istio", "listeners": listeners });
        set(
            &mut planner,
            &object("gateway.networking.k8s.io/v1", "Gateway", name, &spec),
        );
        set(&mut planner, &route(name, "/"));
    }
    set(
        &mut planner,
        &object(
            "v1",
            "Service",
            "web",
            &json!({ "ports": [{ "name": "http", "port": 80 }] }),
        ),
    );
    set(&mut planner, &policy("1h"));
    planner
}

fn route(name: &str, path: &str) -> Value {
    let spec = json!({
        "parentRefs": [{ "name": name }],
        "rules": [{
            "matches": [{ "path": { "type": "PathPrefix", "value": path } }],
            "backendRefs": [{ "name": "web", "port": 80 }],
        }],
    });
    object("gateway.networking.k8s.io/v1", "HTTPRoute", name, &spec)
}

fn policy(timeout: &str) -> Value {
    let targets = json!([{ "group": "", "kind": "Service", "name": "web" }]);
    let persistence = json!({ "sessionName": "s", "absoluteTimeout": timeout });
    let spec = json!({ "targetRefs": targets, "sessionPersistence": persistence });
    object(
        "gateway.networking.x-k8s.io/v1alpha1",
        "XBackendTrafficPolicy",
        "sticky",
        &spec,
    )
}

fn plugin(name: &str) -> Key {
    key("extensions.istio.io", "WasmPlugin", &format!("mooring-{name}"))
}

fn sticky() -> Key {
    key("gateway.networking.x-k8s.io", "XBackendTrafficPolicy", "sticky")
}

#[test]
fn only_what_a_change_influences_is_another_object() {
    let mut planner = shop();
    let first = planner.plan(Instant::now().into_std());
    set(&mut planner, &route("front", "/cart"));
    let second = planner.plan(Instant::now().into_std());
    let same =
        |name: &str, one: &Plan, other: &Plan| Arc::ptr_eq(&one.objects[&plugin(name)], &other.objects[&plugin(name)]);
    // The path is not in the configuration of the module.
    assert!(same("front", &first, &second) && same("side", &first, &second));
    assert_eq!(first.weights.len(), 2, "{:?}", first.weights);
    planner.set(&key("gateway.networking.k8s.io", "HTTPRoute", "front"), None);
    let third = planner.plan(Instant::now().into_std());
    assert!(!third.objects.contains_key(&plugin("front")));
    assert!(same("side", &first, &third));
    assert_eq!(third.weights.len(), 1, "{:?}", third.weights);
    set(&mut planner, &policy("2h"));
    assert!(!same("side", &third, &planner.plan(Instant::now().into_std())));
}

#[test]
fn a_status_or_a_version_of_an_object_changes_no_plan() {
    let mut planner = shop();
    let first = planner.plan(Instant::now().into_std());
    let mut changed = policy("1h");
    changed["metadata"]["resourceVersion"] = json!("7");
    changed["metadata"]["managedFields"] = json!([{ "manager": "kubectl" }]);
    changed["status"] = json!({ "ancestors": [] });
    set(&mut planner, &changed);
    let second = planner.plan(Instant::now().into_std());
    assert!(
        first
            .objects
            .iter()
            .all(|(key, planned)| Arc::ptr_eq(planned, &second.objects[key]))
    );
    assert!(Arc::ptr_eq(&first.policies[&sticky()], &second.policies[&sticky()]));
}

#[test]
fn the_state_of_a_policy_has_the_generation_that_was_planned() {
    let mut planner = shop();
    let first = planner.plan(Instant::now().into_std());
    assert_eq!(first.policies[&sticky()].generation, Some(1));
    assert_eq!(first.policies[&sticky()].uid.as_deref(), Some("uid-sticky"));
    assert_eq!(first.policies[&sticky()].state.ancestors.len(), 2);
    let mut changed = policy("1h");
    changed["metadata"]["generation"] = json!(2);
    set(&mut planner, &changed);
    assert_eq!(
        planner.plan(Instant::now().into_std()).policies[&sticky()].generation,
        Some(2)
    );
    planner.set(&sticky(), None);
    assert!(planner.plan(Instant::now().into_std()).policies.is_empty());
}

#[test]
fn an_invalid_policy_keeps_the_objects_of_its_proxies() {
    let mut planner = shop();
    assert!(planner.plan(Instant::now().into_std()).may_remove(&plugin("front")));
    set(&mut planner, &policy("soon"));
    let plan = planner.plan(Instant::now().into_std());
    assert!(plan.objects.is_empty(), "{:?}", plan.objects.keys());
    // It has a state on both gateways, where it would hold.
    let state = &plan.policies[&sticky()].state;
    assert_eq!(state.ancestors.len(), 2);
    assert!(state.ancestors.values().all(|ancestor| !ancestor.outcome.is_accepted()));
    assert!(!plan.may_remove(&plugin("front")));
    let elsewhere = KindName::find("extensions.istio.io", "WasmPlugin").unwrap();
    assert!(plan.may_remove(&Key::new(elsewhere, Some("other"), "mooring-front")));
    planner.set(&sticky(), None);
    assert!(planner.plan(Instant::now().into_std()).may_remove(&plugin("front")));
}

/// With a cost that grows by the square, this takes minutes.
#[test]
fn a_tenant_with_many_policies_for_a_service_does_not_delay_others() {
    let mut planner = shop();
    let one = |name: String| {
        let mut one = policy("1h");
        one["metadata"]["name"] = json!(name);
        one
    };
    for i in 0..1_000 {
        set(&mut planner, &one(format!("z-{i}")));
    }
    let began = Instant::now();
    let plan = planner.plan(Instant::now().into_std());
    let states = plan.policies.values().map(|policy| &policy.state);
    let accepted = states.filter(|state| state.ancestors.values().all(|ancestor| ancestor.outcome.is_accepted()));
    assert_eq!((plan.policies.len(), accepted.count()), (1_001, 1));
    set(&mut planner, &one("z".to_owned()));
    assert_eq!(planner.plan(Instant::now().into_std()).policies.len(), 1_002);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
