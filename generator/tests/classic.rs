//! Istio's own objects: what comes of them for an Istio gateway, and for a local Envoy.

#![expect(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use common::{
    Generated,
    classic::{CLASSIC, classic_with},
    mooring,
};
use serde_json::{Value, json};

const STICKY: &str = "  sticky: {cookie: {name: version}}\n";

/// The objects without the canary policy, with a session policy on the Service instead.
fn with_service_policy(kind: &str, api_version: &str) -> String {
    let (rest, _) = CLASSIC.split_once("---\napiVersion: mooring.dev").unwrap();
    format!(
        "{rest}---\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: pods, namespace: bookinfo}}\nspec:\n  targetRefs: \
         [{{group: \"\", kind: Service, name: reviews}}]\n  sessionPersistence: {{type: Cookie}}\n"
    )
}

fn patches(run: &Generated) -> Vec<Value> {
    run.at("/items/1/spec/configPatches").as_array().unwrap().clone()
}

fn patched_routes(run: &Generated) -> Vec<Value> {
    let name = |patch: Value| patch.pointer("/match/routeConfiguration/vhost/route/name").cloned();
    patches(run).into_iter().filter_map(name).collect()
}

#[test]
fn the_pods_of_a_gateway_are_found_by_its_selector() {
    let run = Generated::istio(CLASSIC);
    let metadata = json!({
        "labels": { "app.kubernetes.io/managed-by": "mooring" },
        "name": "mooring-ingressgateway",
        "namespace": "bookinfo",
    });
    assert_eq!(run.at("/items/0/metadata"), &metadata);
    assert_eq!(
        run.at("/items/0/spec/selector"),
        &json!({ "matchLabels": { "istio": "ingressgateway" } })
    );
    assert_eq!(run.at("/items/0/spec").get("targetRefs"), None);
    assert_eq!(
        run.at("/items/1/spec/workloadSelector"),
        &json!({ "labels": { "istio": "ingressgateway" } })
    );
    assert_eq!(run.findings, [""; 0]);
}

#[test]
fn the_namespace_of_the_pods_comes_from_the_command_line() {
    let run = Generated::istio_with(&["--gateway-namespace", "istio-system"], CLASSIC);
    assert_eq!(run.at("/items/0/metadata/namespace"), "istio-system");
    assert_eq!(run.at("/items/1/metadata/namespace"), "istio-system");
    let refused = mooring()
        .args([
            "generate",
            "-f",
            "-",
            "--target",
            "envoy",
            "--wasm",
            "m.wasm",
            "--gateway-namespace",
            "a",
        ])
        .stdin(CLASSIC)
        .assert();
    refused
        .code(2)
        .stderr_eq("error: --gateway-namespace can only be used with --target istio\n...\n");
}

#[test]
fn subsets_are_backends_of_their_own() {
    let run = Generated::istio(CLASSIC);
    let backends = json!([
        { "key": "reviews.bookinfo:9080/v1", "weight": 60 },
        { "key": "reviews.bookinfo:9080/v2", "weight": 30 },
        { "key": "reviews.bookinfo:9080/v3", "weight": 10 },
    ]);
    assert_eq!(run.rule(0).get("backends"), Some(&backends));
    assert_eq!(
        run.rule(0).get("id"),
        Some(&json!("VirtualService/bookinfo/reviews/everyone"))
    );
    assert_eq!(
        run.rule(0).pointer("/canary/rules/0/backend"),
        Some(&json!("reviews.bookinfo:9080/v2"))
    );
    let text = run.value.to_string();
    assert!(
        text.contains("outbound|9080|v2|reviews.bookinfo.svc.cluster.local"),
        "{text}"
    );
}

#[test]
fn a_match_with_a_name_is_a_route_of_its_own() {
    let run = Generated::istio(CLASSIC);
    assert_eq!(patched_routes(&run), ["everyone", "everyone.bee"]);
    assert_eq!(run.rule(0).get("route"), Some(&json!("everyone")));
    assert_eq!(run.rule(1).get("route"), Some(&json!("everyone.bee")));
    assert_eq!(run.rule(0).get("id"), run.rule(1).get("id"));
    let all_named = classic_with(
        "    - uri: {prefix: /reviews}\n",
        "    - name: a\n      uri: {prefix: /reviews}\n",
    );
    assert_eq!(
        patched_routes(&Generated::istio(&all_named)),
        ["everyone.a", "everyone.bee"]
    );
}

#[test]
fn a_policy_for_the_whole_virtual_service_holds_for_its_named_routes() {
    let whole = classic_with(", sectionName: everyone}", "}")
        .replace("subset: v2}\n  sticky", "subset: v1}\n  sticky")
        .replace(STICKY, "  sticky: {}\n");
    let run = Generated::istio(&whole);
    assert_eq!(patched_routes(&run), ["home", "everyone", "everyone.bee"]);
    assert_eq!(run.findings, [""; 0]);
    let unnamed = whole.replace("  - name: home\n    match:", "  - match:");
    let run = Generated::istio(&unnamed);
    assert_eq!(patched_routes(&run), ["everyone", "everyone.bee"]);
    assert_eq!(
        run.findings,
        [
            "warning[NoEffect]: CanaryPolicy bookinfo/canary holds for the named http routes of VirtualService \
          bookinfo/reviews, and this one has no name"
        ]
    );
}

#[test]
fn session_policies_of_a_service_hold_for_destinations_there() {
    for (kind, api_version) in [
        ("BackendLBPolicy", "gateway.networking.k8s.io/v1alpha2"),
        ("XBackendTrafficPolicy", "gateway.networking.x-k8s.io/v1alpha1"),
    ] {
        let run = Generated::istio(&with_service_policy(kind, api_version));
        assert_eq!(patched_routes(&run), ["home", "everyone", "everyone.bee"]);
        assert_eq!(run.session(0).get("pin"), None);
        assert!(run.value.to_string().contains("mooring.pin"), "{:#}", run.value);
    }
}

#[test]
fn hosts_of_a_service_entry_can_be_backends() {
    let entry = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api, namespace: bookinfo}\nspec:\n  \
                 hosts: [api.example.com]\n  ports: [{number: 443, name: tls, protocol: TLS}]\n  resolution: DNS\n";
    let input = classic_with("{host: reviews, subset: v3}", "{host: api.example.com}");
    let run = Generated::istio(&format!("{input}{entry}"));
    assert_eq!(
        run.rule(0).pointer("/backends/2/key"),
        Some(&json!("api.example.com:443"))
    );
    assert!(
        run.value.to_string().contains("outbound|443||api.example.com"),
        "{:#}",
        run.value
    );
}

#[test]
fn the_ports_of_service_entries_for_one_host_add_up_in_any_order() {
    let entry = |namespace: &str, port: u16| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: api, namespace: {namespace}}}\nspec:\n  \
             hosts: [api.example.com]\n  ports: [{{number: {port}, name: http, protocol: HTTP}}]\n"
        )
    };
    let input = classic_with(
        "{host: reviews, subset: v3}",
        "{host: api.example.com, port: {number: 81}}",
    );
    let (one, other) = (entry("bookinfo", 80), entry("other", 81));
    let run = Generated::istio(&format!("{input}{one}{other}"));
    assert_eq!(
        run.rule(0).pointer("/backends/2/key"),
        Some(&json!("api.example.com:81"))
    );
    assert_eq!(run.value, Generated::istio(&format!("{input}{other}{one}")).value);
}

#[test]
fn gateways_with_one_selector_share_their_pods() {
    let second = "---\napiVersion: networking.istio.io/v1beta1\nkind: Gateway\nmetadata: {name: second, namespace: bookinfo}\nspec:\n  \
                  selector: {istio: ingressgateway}\n  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: \
                  ['*']}]\n";
    let input = classic_with("gateways: [front]", "gateways: [bookinfo/front, second, mesh]");
    let run = Generated::istio(&format!("{input}{second}"));
    assert_eq!(run.at("/items").as_array().unwrap().len(), 2);
    assert_eq!(patched_routes(&run), ["everyone", "everyone.bee"]);
}

#[test]
fn routes_of_one_name_are_told_apart_by_their_virtual_hosts() {
    let other = CLASSIC
        .split("---\n")
        .find(|document| document.contains("kind: VirtualService\n"))
        .unwrap()
        .replace("name: reviews,", "name: others,")
        .replace("reviews.example.com", "others.example.com");
    let run = Generated::istio(&format!("{CLASSIC}---\n{other}"));
    assert_eq!(
        run.rule(0).get("virtualHosts"),
        Some(&json!(["reviews.example.com:80"]))
    );
    let hosts = run.rule(1).get("virtualHosts").unwrap();
    assert_eq!(hosts, &json!(["reviews.example.com:80"]));
}

#[test]
fn what_istio_does_stays_istios() {
    let run = Generated::istio(&classic_with(
        "  - name: everyone\n",
        "  - name: everyone\n    timeout: 3s\n    retries: {attempts: 3}\n    mirror: {host: sniffer}\n    fault: {abort: \
         {httpStatus: 503, percentage: {value: 1}}}\n    corsPolicy: {}\n    headers: {request: {set: {a: b}}}\n",
    ));
    assert_eq!(run.value, Generated::istio(CLASSIC).value);
}

#[test]
fn a_local_envoy_has_the_matches_in_their_order() {
    let run = Generated::envoy(CLASSIC);
    let filters = run.at("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config");
    let routes = filters.pointer("/route_config/virtual_hosts/0/routes").unwrap();
    let matches: Vec<(&Value, &Value)> = routes
        .as_array()
        .unwrap()
        .iter()
        .map(|route| (route.get("name").unwrap(), route.get("match").unwrap()))
        .collect();
    assert_eq!(
        matches,
        [
            (&json!("home"), &json!({ "path": "/" })),
            (
                &json!("everyone"),
                &json!({
                    "prefix": "/reviews",
                    "headers": [{ "name": ":method", "string_match": { "exact": "GET" } }],
                })
            ),
            (
                &json!("everyone.bee"),
                &json!({
                    "prefix": "/",
                    "headers": [
                        { "name": "end-user", "string_match": { "exact": "bee" } },
                        { "name": "x-any", "present_match": true },
                    ],
                    "query_parameters": [{ "name": "q", "string_match": { "safe_regex": { "regex": "a+" } } }],
                })
            ),
        ]
    );
}

#[test]
fn a_local_envoy_has_the_pods_of_a_subset() {
    let run = Generated::envoy(CLASSIC);
    let clusters = run.at("/static_resources/clusters").as_array().unwrap();
    let of = |cluster: &Value| {
        let endpoints = cluster.pointer("/load_assignment/endpoints/0/lb_endpoints").unwrap();
        let endpoints = endpoints.as_array().unwrap().iter();
        let address = |one: &Value| one.pointer("/endpoint/address/socket_address/address").unwrap().clone();
        (
            cluster.get("name").unwrap().clone(),
            endpoints.map(address).collect::<Vec<Value>>(),
        )
    };
    let clusters: Vec<(Value, Vec<Value>)> = clusters.iter().map(of).collect();
    assert_eq!(
        clusters,
        [
            (
                json!("outbound|9080|v1|reviews.bookinfo.svc.cluster.local"),
                vec![json!("127.0.9.1")]
            ),
            (
                json!("outbound|9080|v2|reviews.bookinfo.svc.cluster.local"),
                vec![json!("127.0.9.2")]
            ),
            (
                json!("outbound|9080|v3|reviews.bookinfo.svc.cluster.local"),
                vec![json!("127.0.9.3")]
            ),
        ]
    );
}

#[test]
fn a_rule_without_sticky_keeps_no_session() {
    let run = Generated::istio(&classic_with(STICKY, ""));
    assert_eq!(run.rule(0).get("session"), None);
}
