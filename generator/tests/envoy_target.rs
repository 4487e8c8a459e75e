//! `--target envoy`: listeners, virtual hosts, the order and the matches of routes, clusters and their endpoints.

use crate::common::{Generated, SHOP, mooring, shop_with, without_policy};
use serde_json::{Value, json};

const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// The shop with other rules on its route.
fn with_rules(rules: &str) -> String {
    shop_with("  - backendRefs:\n    - name: web\n      port: 80\n", rules)
}

/// The routes of the first virtual host.
fn routes(run: &Generated) -> Vec<Value> {
    run.at(&format!("{MANAGER}/route_config/virtual_hosts/0/routes"))
        .as_array()
        .unwrap()
        .clone()
}

fn matches(run: &Generated) -> Vec<Value> {
    routes(run).iter().map(|route| route["match"].clone()).collect()
}

fn endpoints(input: &str) -> Value {
    let run = Generated::envoy(input);
    let endpoints = run.at("/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints");
    let short = |endpoint: &Value| {
        let address = &endpoint["endpoint"]["address"]["socket_address"];
        let health = endpoint["health_status"].as_str().unwrap_or("");
        let text = format!(
            "{}:{} {health}",
            address["address"].as_str().unwrap(),
            address["port_value"]
        );
        Value::from(text.trim_end())
    };
    endpoints.as_array().unwrap().iter().map(short).collect()
}

#[test]
fn the_filters_stand_in_their_order() {
    let run = Generated::envoy(SHOP);
    let filters = run.at(&format!("{MANAGER}/http_filters")).as_array().unwrap();
    let names: Vec<&Value> = filters.iter().map(|filter| &filter["name"]).collect();
    assert_eq!(
        names,
        [
            "mooring.header_sanitizer",
            "mooring",
            "mooring.filter_state_headers",
            "mooring.stateful_session",
            "mooring.stateful_session.strict",
            "envoy.filters.http.router"
        ]
    );
    assert_eq!(
        run.at(&format!("{MANAGER}/early_header_mutation_extensions/0/name")),
        "mooring.header_sanitizer"
    );
    let config = run.at(&format!("{MANAGER}/http_filters/1/typed_config/config"));
    let plugin: Value = serde_json::from_str(config["configuration"]["value"].as_str().unwrap()).unwrap();
    let istio = Generated::istio(SHOP);
    assert_eq!(&plugin, istio.at("/items/1/spec/pluginConfig"));
    assert_eq!(config["failure_policy"], "FAIL_RELOAD");
    assert_eq!(
        config["vm_config"]["environment_variables"],
        json!({ "host_env_keys": ["MOORING_KEYS"] })
    );
    assert_eq!(config["vm_config"]["code"]["local"]["filename"], "mooring.wasm");
}

#[test]
fn a_virtual_host_without_sessions_turns_nothing_on() {
    let other = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: plain}\nspec:\n  parentRefs: \
                 [{name: front}]\n  hostnames: [plain.example]\n  rules: [{backendRefs: [{name: plain, port: 80}]}]\n---\n\
                 apiVersion: v1\nkind: Service\nmetadata: {name: plain}\nspec: {ports: [{port: 80}]}\n";
    let run = Generated::envoy(&format!("{SHOP}{other}"));
    let hosts = run.at(&format!("{MANAGER}/route_config/virtual_hosts"));
    let filters = |host: usize| hosts[host].get("typed_per_filter_config");
    assert_eq!(hosts[1]["name"], "plain.example:80");
    assert_eq!((filters(1), hosts[1].get("request_headers_to_remove")), (None, None));
    let names: Vec<&String> = filters(0).unwrap().as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["mooring", "mooring.header_sanitizer", "mooring.stateful_session"]
    );
    // No route says anything to a filter.
    for host in hosts.as_array().unwrap() {
        let routes = host["routes"].as_array().unwrap();
        assert!(
            routes
                .iter()
                .all(|route| route.get("typed_per_filter_config").is_none())
        );
    }
}

#[test]
fn a_rule_that_is_closed_keeps_its_live_sessions() {
    let services = "---\napiVersion: v1\nkind: Service\nmetadata: {name: beta}\nspec: {ports: [{port: 80}]}\n";
    let rules = "  - backendRefs: [{name: web, port: 80, weight: 0}, {name: beta, port: 80, weight: 0}]\n";
    let routes = routes(&Generated::envoy(&format!("{}{services}", with_rules(rules))));
    let clusters: Vec<_> = routes.iter().map(|route| route["route"]["cluster"].clone()).collect();
    let of = |name: &str| json!(format!("outbound|80||{name}.default.svc.cluster.local"));
    assert_eq!(clusters, [of("web"), of("beta"), Value::Null]);
    assert_eq!(routes[2]["direct_response"]["status"], 500);
}

#[test]
fn session_routes_stand_before_their_rule() {
    let services = "---\napiVersion: v1\nkind: Service\nmetadata: {name: beta}\nspec: {ports: [{port: 80}]}\n";
    let rules = "  - matches:\n    - path: {value: /a}\n    - path: {type: Exact, value: /b}\n      headers: [{name: x, value: \
                 z}]\n    backendRefs: [{name: web, port: 80, weight: 9}, {name: beta, port: 80, weight: 0}]\n";
    let run = Generated::envoy(&format!("{}{services}", with_rules(rules)));
    let routes = routes(&run);
    let (one, other) = (
        "HTTPRoute/default/web#0/web.default:80",
        "HTTPRoute/default/web#0/beta.default:80",
    );
    let exact = |name: &str, value: &str| json!({ "name": name, "string_match": { "exact": value } });
    let key = |key: &str| exact("x-mooring-backend", key);
    let cluster = |name: &str| format!("outbound|80||{name}.default.svc.cluster.local");
    let expected = [
        (
            one,
            json!({ "path": "/b", "headers": [exact("x", "z"), key(one)] }),
            "web",
        ),
        (
            other,
            json!({ "path": "/b", "headers": [exact("x", "z"), key(other)] }),
            "beta",
        ),
        (
            "default.web.0",
            json!({ "path": "/b", "headers": [exact("x", "z")] }),
            "web",
        ),
        (
            one,
            json!({ "path_separated_prefix": "/a", "headers": [key(one)] }),
            "web",
        ),
        (
            other,
            json!({ "path_separated_prefix": "/a", "headers": [key(other)] }),
            "beta",
        ),
        ("default.web.0", json!({ "path_separated_prefix": "/a" }), "web"),
    ];
    assert_eq!(routes.len(), expected.len());
    for (route, (name, matched, backend)) in routes.iter().zip(expected) {
        assert_eq!((&route["name"], &route["match"]), (&json!(name), &matched));
        assert_eq!(route["route"]["cluster"], cluster(backend));
    }
}

#[test]
fn without_sessions_envoy_stays_plain() {
    let shop = without_policy(SHOP);
    let text = Generated::envoy(&shop).at("/static_resources/listeners").to_string();
    assert!(!text.contains("mooring"), "{text}");
}

#[test]
fn ports_go_where_the_command_line_says() {
    let bootstrap = |flags: &[&str]| {
        let run = mooring().args(["generate", "-f", "-", "-o", "json", "--target", "envoy", "--wasm", "x"]);
        let run = run.args(flags).stdin(SHOP).assert().success();
        let value: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
        let listener = &value["static_resources"]["listeners"][0]["address"];
        (
            listener["socket_address"].clone(),
            value["admin"]["address"]["socket_address"].clone(),
        )
    };
    let address = |address: &str, port: u16| json!({ "address": address, "port_value": port });
    assert_eq!(
        bootstrap(&[]),
        (address("127.0.0.1", 10080), address("127.0.0.1", 9901))
    );
    assert_eq!(
        bootstrap(&["--listen", "80=[::1]:8080", "--admin", "127.0.0.2:9000"]),
        (address("::1", 8080), address("127.0.0.2", 9000))
    );
}

#[test]
fn each_kind_of_match_becomes_envoys_own() {
    let run = Generated::envoy(&with_rules(
        "  - matches:
    - path: {type: Exact, value: /exact}
    - path: {value: /prefix/}
    - path: {type: PathPrefix, value: /}
      method: POST
    - path: {type: RegularExpression, value: '/re/[0-9]+'}
    - headers: [{name: X-User, value: vijay}, {name: x-user, value: second}, {name: x-re, type: RegularExpression, value: 'a.*'}]
      queryParams: [{name: q, value: '1'}, {name: r, type: RegularExpression, value: '[0-9]'}]
    backendRefs: [{name: web, port: 80}]
",
    ));
    let exact = |name: &str, value: &str| json!({ "name": name, "string_match": { "exact": value } });
    let regex = |name: &str, value: &str| json!({ "name": name, "string_match": { "safe_regex": { "regex": value } } });
    assert_eq!(
        matches(&run),
        [
            json!({ "path": "/exact" }),
            json!({ "path_separated_prefix": "/prefix" }),
            json!({ "prefix": "/", "headers": [exact(":method", "POST")] }),
            json!({
                "prefix": "/",
                "headers": [regex("x-re", "a.*"), exact("x-user", "vijay")],
                "query_parameters": [exact("q", "1"), regex("r", "[0-9]")],
            }),
            json!({ "safe_regex": { "regex": "/re/[0-9]+" } }),
        ]
    );
    assert!(routes(&run).iter().all(|route| route["name"] == "default.web.0"));
}

#[test]
fn routes_are_tried_in_the_order_of_gateway_api() {
    let rule = |name: &str, matches: &str| {
        format!("  - {{name: {name}, matches: [{{{matches}}}], backendRefs: [{{name: web, port: 80}}]}}\n")
    };
    let rules = [
        rule("i-all", ""),
        rule("h-query", "queryParams: [{name: a, value: b}]"),
        rule("g-queries", "queryParams: [{name: a, value: b}, {name: c, value: d}]"),
        rule("f-header", "headers: [{name: a, value: b}]"),
        rule("e-headers", "headers: [{name: a, value: b}, {name: c, value: d}]"),
        rule("d-method", "method: GET"),
        rule("c-prefix", "path: {value: /a}"),
        rule("b-longer", "path: {value: /a/b}"),
        rule("a-exact", "path: {type: Exact, value: /a}"),
        rule("j-regex", "path: {type: RegularExpression, value: '/a/b/c/d'}"),
    ];
    let run = Generated::envoy(&with_rules(&rules.concat()));
    let names: Vec<Value> = routes(&run).iter().map(|route| route["name"].clone()).collect();
    assert_eq!(
        names,
        [
            "a-exact",
            "b-longer",
            "c-prefix",
            "d-method",
            "e-headers",
            "f-header",
            "g-queries",
            "h-query",
            // What comes after it in the list is never tried, and istiod leaves it out.
            "i-all",
        ]
    );
}

#[test]
fn of_equal_matches_the_oldest_route_is_tried_first() {
    let route = |name: &str, created: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: {name}\n{created}spec:\n  parentRefs: \
             [{{name: front}}]\n  rules: [{{matches: [{{path: {{value: /a}}}}], backendRefs: [{{name: web, port: 80}}]}}]\n---\n"
        )
    };
    let input = [
        route("c", "  creationTimestamp: 2026-01-01T00:00:00Z\n"),
        route("b", "  creationTimestamp: 2026-01-02T00:00:00Z\n"),
        route("a", ""),
        SHOP.to_owned(),
    ];
    let run = Generated::envoy(&input.concat());
    let names: Vec<Value> = routes(&run).iter().map(|route| route["name"].clone()).collect();
    assert_eq!(names, ["default.c.0", "default.b.0", "default.a.0", "default.web.0"]);
}

#[test]
fn each_hostname_is_a_virtual_host() {
    let input = shop_with(
        "    protocol: HTTP\n",
        "    protocol: HTTP\n    hostname: \"*.example.com\"\n",
    );
    let input = input.replace(
        "  parentRefs:",
        "  hostnames: [a.example.com, \"*.b.example.com\", example.org]\n  parentRefs:",
    );
    let run = Generated::envoy(&input);
    let hosts = run
        .at(&format!("{MANAGER}/route_config/virtual_hosts"))
        .as_array()
        .unwrap();
    let hosts: Vec<Value> = hosts
        .iter()
        .map(|host| json!([host["name"], host["domains"]]))
        .collect();
    assert_eq!(
        hosts,
        [
            json!(["*.b.example.com:80", ["*.b.example.com"]]),
            json!(["a.example.com:80", ["a.example.com"]])
        ]
    );
}

#[test]
fn several_gateways_have_a_listener_each() {
    let second = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: side}\nspec:\n  gatewayClassName: \
                  istio\n  listeners: [{name: http, port: 8088, protocol: HTTP}]\n";
    let run = Generated::envoy(&format!("{SHOP}{second}"));
    assert_eq!(run.at("/static_resources/listeners/0/name"), "default.front.80");
    assert_eq!(
        run.at("/static_resources/listeners/1/address/socket_address/port_value"),
        8088
    );
    assert_eq!(
        run.at("/static_resources/listeners/1/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts"),
        &json!([])
    );
}

#[test]
fn a_split_without_sessions_is_envoys_own() {
    let shop = without_policy(SHOP);
    let services = "---\napiVersion: v1\nkind: Service\nmetadata: {name: beta}\nspec: {ports: [{port: 80}]}\n---\napiVersion: \
                    v1\nkind: Service\nmetadata: {name: gone}\nspec: {ports: [{port: 80}]}\n";
    let refs = "      port: 80\n      weight: 90\n    - {name: beta, port: 80, weight: 10}\n    - {name: gone, port: 80, weight: \
                0}\n  - name: nothing\n    matches: [{path: {value: /nothing}}]\n    backendRefs: [{name: web, port: 80, weight: \
                0}]\n---";
    let run = Generated::envoy(&format!("{}{services}", shop.replace("      port: 80\n---", refs)));
    let routes = routes(&run);
    assert_eq!(
        routes[1]["route"]["weighted_clusters"],
        json!({ "clusters": [
            { "name": "outbound|80||web.default.svc.cluster.local", "weight": 90 },
            { "name": "outbound|80||beta.default.svc.cluster.local", "weight": 10 },
        ] })
    );
    assert_eq!(routes[0]["direct_response"], json!({ "status": 500 }));
    let empty: Vec<&String> = run
        .findings
        .iter()
        .filter(|finding| finding.contains("has no endpoint"))
        .collect();
    assert_eq!(empty.len(), 2, "{:?}", run.findings);
}

#[test]
fn timeouts_and_retries_are_those_of_istio() {
    let action = routes(&Generated::envoy(SHOP))[0]["route"].clone();
    assert_eq!(action["timeout"], "0s");
    assert_eq!(
        action["retry_policy"]["retry_on"],
        "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    );
    assert_eq!(action["retry_policy"]["num_retries"], 2);
    // Istio does not try again after a 503 unless it is told to, since 1.24.
    assert_eq!(action["retry_policy"].get("retriable_status_codes"), None);
}

#[test]
fn endpoints_are_those_that_istiod_would_send() {
    let slices = |endpoints: &str| shop_with("- addresses: [127.0.9.1]\n", endpoints);
    let conditions = "- {addresses: [127.0.9.9], conditions: {ready: true}}
- {addresses: [127.0.9.2], conditions: {}}
- {addresses: [127.0.9.3, 127.0.9.33]}
- {addresses: [127.0.9.4], conditions: {ready: false}}
- {addresses: [127.0.9.5], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [127.0.9.6], conditions: {ready: false, serving: false, terminating: true}}
- {addresses: [127.0.9.7], conditions: {ready: false, serving: true}}
- {addresses: [127.0.9.2], conditions: {ready: false, serving: true, terminating: true}}
";
    assert_eq!(
        endpoints(&slices(conditions)),
        json!([
            "127.0.9.2:8080",
            "127.0.9.3:8080",
            "127.0.9.5:8080 DRAINING",
            "127.0.9.9:8080"
        ])
    );
    let unlabelled = slices(conditions).replace("  labels:\n    istio.io/persistent-session: mooring\n", "");
    assert_eq!(
        endpoints(&unlabelled),
        json!(["127.0.9.2:8080", "127.0.9.3:8080", "127.0.9.9:8080"])
    );
}

#[test]
fn draining_hosts_keep_their_sessions_where_the_service_says_so() {
    let statuses = "/static_resources/clusters/0/common_lb_config/override_host_status/statuses";
    let run = Generated::envoy(SHOP);
    assert_eq!(run.at(statuses), &json!(["UNKNOWN", "HEALTHY", "DEGRADED", "DRAINING"]));
    let unlabelled = SHOP.replace("  labels:\n    istio.io/persistent-session: mooring\n", "");
    assert_eq!(Generated::envoy(&unlabelled).value.pointer(statuses), None);
}

#[test]
fn the_port_of_a_pod_is_found_by_the_name_of_the_port() {
    let ports = "ports:\n- name: admin\n  port: 9000\n- name: http\n  port: 8081\n";
    assert_eq!(
        endpoints(&shop_with("ports:\n- name: http\n  port: 8080\n", ports)),
        json!(["127.0.9.1:8081"])
    );
    let unnamed = SHOP.replace("  - name: http\n    port: 80\n---", "  - port: 80\n---");
    let unnamed = unnamed.replace(
        "ports:\n- name: http\n  port: 8080\n",
        "ports:\n- name: \"\"\n  port: 8082\n",
    );
    assert_eq!(endpoints(&unnamed), json!(["127.0.9.1:8082"]));
    let six = SHOP
        .replace("addressType: IPv4", "addressType: IPv6")
        .replace("127.0.9.1", "\"::1\"");
    assert_eq!(endpoints(&six), json!(["::1:8080"]));
}

#[test]
fn pods_that_speak_http2_are_spoken_to_in_it() {
    let options = "/static_resources/clusters/0/typed_extension_protocol_options";
    assert_eq!(Generated::envoy(SHOP).value.pointer(options), None);
    let with_port = |port: &str| shop_with("  - name: http\n    port: 80\n---", port);
    for (port, slice_port) in [
        (
            "  - name: http\n    port: 80\n    appProtocol: kubernetes.io/h2c\n---",
            "http",
        ),
        ("  - name: grpc-api\n    port: 80\n---", "grpc-api"),
    ] {
        let input = with_port(port).replace("ports:\n- name: http\n", &format!("ports:\n- name: {slice_port}\n"));
        assert!(Generated::envoy(&input).value.pointer(options).is_some(), "{port}");
    }
    let other = with_port("  - name: http2\n    port: 80\n    appProtocol: http\n---");
    let other = other.replace("ports:\n- name: http\n", "ports:\n- name: http2\n");
    assert_eq!(Generated::envoy(&other).value.pointer(options), None);
}

#[test]
fn the_metrics_of_the_filter_get_their_tags() {
    let run = Generated::envoy(SHOP);
    assert_eq!(
        run.at("/stats_config/stats_tags/0"),
        &json!({ "tag_name": "mooring_route", "regex": r"(mooring_route=\.=(.*?);\.;)" })
    );
}
