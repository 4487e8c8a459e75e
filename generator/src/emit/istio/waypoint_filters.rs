//! The `EnvoyFilter` of a waypoint, for one of its Services.
//!
//! istiod applies no patches to the routes of a waypoint (`buildWaypointInboundHTTPRouteConfig`), so the filters are enabled in the
//! filter chains of the Service's ports. Only sessions that are bound to pods need them: for the others, the module and the session
//! routes suffice.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    filter_patches::{PRIORITY, context, filter_patch, sanitizer_patch},
    object::Object,
};
use crate::{
    emit::{http_filters, json::with},
    ir::{ProxyGroup, VirtualHostFilters, Waypoint},
    kind::GATEWAY_API,
};

/// The `EnvoyFilter`. `None` if no session is bound to pods.
pub fn object<'g>(group: &'g ProxyGroup, waypoint: &Waypoint) -> Option<Object<'g>> {
    let hosts = group.managed_virtual_hosts().into_iter();
    let patches: Vec<Value> = hosts
        .filter(|(_, filters)| filters.stateful_session)
        .flat_map(|(host, filters)| patches(context(group), &waypoint.filter_chain(host.port), filters))
        .collect();
    if patches.is_empty() {
        return None;
    }
    let target = json!([{ "group": GATEWAY_API, "kind": "Gateway", "name": waypoint.item.id.name }]);
    let spec = with(
        json!({ "priority": PRIORITY, "targetRefs": target }),
        "configPatches",
        patches,
    );
    let mut object = Object::new(group, "EnvoyFilter", "-http", spec);
    // Only an object in the namespace of the waypoint applies to it.
    group.namespace().clone_into(&mut object.namespace);
    let bound = group
        .managed_rules()
        .filter(|attached| attached.rule.host_session_filter().is_some());
    let rules: BTreeSet<&str> = bound.map(|attached| attached.rule.id.as_str()).collect();
    object.rules = rules;
    Some(object)
}

/// The patches on the filter chain of a port.
fn patches(context: &str, chain: &str, filters: VirtualHostFilters) -> Vec<Value> {
    let chain = Some(chain);
    let router = Some("envoy.filters.http.router");
    let mut patches = vec![
        sanitizer_patch(context, chain),
        filter_patch(
            context,
            chain,
            "HTTP_FILTER",
            "INSERT_FIRST",
            None,
            &http_filters::enabled_sanitizer_of_responses(),
        ),
    ];
    // Each is inserted directly before the router, so the order stays.
    let before_router = http_filters::enabled_before_router(filters);
    patches.extend(
        before_router
            .iter()
            .map(|filter| filter_patch(context, chain, "HTTP_FILTER", "INSERT_BEFORE", router, filter)),
    );
    patches
}
