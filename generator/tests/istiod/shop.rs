//! A gateway of Istio's own, two Services, a `VirtualService` that splits between them, and a policy that keeps clients where they are.

use serde_json::Value;

use crate::common::{Generated, mooring, texts};

/// A gateway with a server on port 80 for every host.
pub const GATEWAY: &str = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]
---
";

/// A Service with a port, which lets sessions stay while a pod terminates, so that nothing is said about it.
#[must_use]
pub fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, labels: {{istio.io/persistent-session: a}}}}\nspec: {{ports: \
         [{{name: http, port: 80}}]}}\n---\n"
    )
}

/// Where an http route leads: half of the requests to each of the two Services.
pub const SPLIT: &str =
    "route: [{destination: {host: web}, weight: 50}, {destination: {host: web-canary}, weight: 50}]";

/// A `VirtualService` with these hosts and this http routes, on the gateway.
#[must_use]
pub fn virtual_service(name: &str, hosts: &str, http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\nspec:\n  hosts: {hosts}\n  gateways: \
         [gw]\n  http:\n{http}\n---\n"
    )
}

/// A policy that keeps the clients of a `VirtualService` on their Services.
#[must_use]
pub fn sticky(target: &str) -> String {
    format!(
        "apiVersion: mooring.dev/v1alpha1\nkind: CanaryPolicy\nmetadata: {{name: {target}}}\nspec:\n  targetRef: {{group: \
         networking.istio.io, kind: VirtualService, name: {target}}}\n  sticky: {{type: Cookie}}\n---\n"
    )
}

/// A policy that keeps the clients of two Services on their pods.
pub const SESSIONS: &str = "\
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: sessions}
spec:
  targetRefs: [{group: \"\", kind: Service, name: web}, {group: \"\", kind: Service, name: web-canary}]
  sessionPersistence: {type: Cookie}
---
";

/// What runs the gateway's pods, so that it is known where they are.
const DEPLOYMENT: &str = "\
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: gateway}
spec: {template: {metadata: {labels: {istio: ingressgateway}}}}
---
";

/// The gateway, the Services and these objects.
#[must_use]
pub fn shop(objects: &[&str]) -> String {
    let services = service("web") + &service("web-canary");
    [GATEWAY, &services]
        .into_iter()
        .chain(objects.iter().copied())
        .chain([DEPLOYMENT])
        .collect()
}

/// The same with the gateway and its pods in another namespace.
#[must_use]
pub fn in_namespace(shop: &str, namespace: &str) -> String {
    let shop = shop.replacen("{name: gw}", &format!("{{name: gw, namespace: {namespace}}}"), 1);
    shop.replacen(
        "{name: gateway}",
        &format!("{{name: gateway, namespace: {namespace}}}"),
        1,
    )
}

/// The Envoy routes that the module looks for: `virtual host/route`, sorted.
#[must_use]
pub fn managed(run: &Generated) -> Vec<String> {
    let mut routes = Vec::new();
    for plugin in run.objects("WasmPlugin") {
        for rule in plugin["spec"]["pluginConfig"]["rules"].as_array().unwrap() {
            let hosts = rule["virtualHosts"].as_array().unwrap().iter();
            routes.extend(hosts.map(|host| format!("{}/{}", text(host), text(&rule["route"]))));
        }
    }
    routes.sort();
    routes
}

/// The Envoy routes before which session routes are inserted: `virtual host/route`, sorted, each once.
#[must_use]
pub fn inserted_before(run: &Generated) -> Vec<String> {
    let patches = run.patches("HTTP_ROUTE");
    let hosts = texts(&patches, "/match/routeConfiguration/vhost/name");
    let names = patches.iter().map(|patch| {
        let route = &patch["match"]["routeConfiguration"]["vhost"]["route"];
        // Before the first route that forwards requests, if the route has no name.
        route["name"].as_str().unwrap_or_else(|| {
            assert_eq!(route["action"], "ROUTE");
            ""
        })
    });
    let mut routes: Vec<String> = hosts
        .iter()
        .zip(names)
        .map(|(host, name)| format!("{host}/{name}"))
        .collect();
    routes.sort();
    routes.dedup();
    routes
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// What is said, whatever comes of it: the findings with their places, in order, and the exit status.
#[must_use]
pub fn said(input: &str) -> (String, Option<i32>) {
    let run = mooring()
        .args(["generate", "-f", "-", "--wasm", crate::common::WASM])
        .stdin(input)
        .assert();
    let output = run.get_output();
    (
        String::from_utf8_lossy(&output.stderr).into_owned(),
        output.status.code(),
    )
}
