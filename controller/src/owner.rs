//! The objects of users for which an object is generated: they own it, and events about it are about them.

use mooring_generator::{id::Id, ir::GATEWAY_LABEL, kind::Kind, labels::RULE_ANNOTATION, rule_id::route_of_rule};
use serde_json::Value;

use crate::{key::Key, planned_policy};

/// The route of a session route, and the Gateways of any other object, which are in its namespace. Empty: it is for the pods of callers or of a selector.
#[must_use]
pub fn owners(namespace: &str, generated: &Value) -> Vec<Key> {
    let annotations = generated.pointer("/metadata/annotations");
    if let Some(rule) = annotations.and_then(|annotations| annotations.get(RULE_ANNOTATION)) {
        let route = rule.as_str().and_then(route_of_rule);
        let key = route.and_then(|(kind, id)| planned_policy::key(kind, &id));
        return key.into_iter().collect();
    }
    let labels = ["/spec/selector/matchLabels", "/spec/workloadSelector/labels"];
    let selected = labels
        .into_iter()
        .find_map(|labels| generated.pointer(labels)?.get(GATEWAY_LABEL));
    let targets = generated.pointer("/spec/targetRefs").and_then(Value::as_array);
    let targets = targets.into_iter().flatten();
    let gateways = targets
        .filter(|target| target.get("kind").and_then(Value::as_str) == Some("Gateway"))
        .filter_map(|target| target.get("name"));
    let key = |name: &Value| planned_policy::key(Kind::Gateway, &Id::new(namespace, name.as_str()?));
    selected.into_iter().chain(gateways).filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_owner_is_the_gateway_or_the_route() {
        let labels = json!({ GATEWAY_LABEL: "front" });
        let metadata = json!({ "namespace": "infra", "name": "mooring-front" });
        for (generated, expected) in [
            (
                json!({ "metadata": metadata, "spec": { "selector": { "matchLabels": labels } } }),
                "Gateway infra/front",
            ),
            (
                json!({ "metadata": metadata, "spec": { "workloadSelector": { "labels": labels } } }),
                "Gateway infra/front",
            ),
            (
                json!({ "metadata": metadata, "spec": { "targetRefs": [{ "kind": "Gateway", "name": "way" }] } }),
                "Gateway infra/way",
            ),
            (
                json!({ "metadata": { "annotations": { RULE_ANNOTATION: "HTTPRoute/shop/cart#0" } } }),
                "HTTPRoute shop/cart",
            ),
            (
                json!({ "metadata": { "annotations": { RULE_ANNOTATION: "GRPCRoute/shop/cart/main" } } }),
                "GRPCRoute shop/cart",
            ),
        ] {
            let owners: Vec<String> = owners("infra", &generated).iter().map(ToString::to_string).collect();
            assert_eq!(owners, [expected]);
        }
        let selected = json!({ "metadata": metadata, "spec": { "selector": { "matchLabels": { "app": "x" } } } });
        assert_eq!(owners("infra", &selected), []);
    }
}
