//! `--target istio`: what stands in the `WasmPlugin` and the `EnvoyFilter`.

use crate::common::{
    Generated, SHOP, SHOP_IS_READ, WASM, annotations, generate, mooring, shop_with, texts, without_policy,
};
use serde_json::{Value, json};

const SPLIT: &str = "      port: 80\n      weight: 1\n    - {name: beta, port: 80, weight: 9}\n    - {name: gone, port: 80, weight: 0}\n---";

fn split() -> String {
    let service = |name: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, labels: {{istio.io/persistent-session: a}}}}\nspec: \
             {{ports: [{{port: 80}}]}}\n"
        )
    };
    let route = shop_with("      port: 80\n---", SPLIT)
        .replace("  - backendRefs:", "  - sessionPersistence: {}\n    backendRefs:");
    let shop = without_policy(&route);
    format!("{shop}{}{}", service("beta"), service("gone"))
}

#[test]
fn the_plugin_goes_to_the_gateway() {
    let run = Generated::istio(SHOP);
    let mut plugin = run.first("WasmPlugin").clone();
    plugin["spec"]["pluginConfig"] = Value::Null;
    assert_eq!(
        plugin,
        json!({
            "apiVersion": "extensions.istio.io/v1alpha1",
            "kind": "WasmPlugin",
            "metadata": {
                "annotations": annotations(&[]),
                "labels": { "app.kubernetes.io/managed-by": "mooring" },
                "name": "mooring-front",
                "namespace": "default",
            },
            "spec": {
                "failStrategy": "FAIL_OPEN",
                "pluginConfig": null,
                "pluginName": "mooring",
                "targetRefs": [{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front" }],
                "url": WASM,
                "vmConfig": { "env": [{ "name": "MOORING_KEYS", "valueFrom": "HOST" }] },
            },
        })
    );
}

#[test]
fn checksum_and_strategy_come_from_the_command_line() {
    let sha256 = "0123456789abcdef".repeat(4);
    let flags = [
        "--wasm",
        "https://x/m.wasm",
        "--wasm-sha256",
        &sha256,
        "--fail-strategy",
        "reload",
    ];
    let run = mooring()
        .args(["generate", "-f", "-", "-o", "json"])
        .args(flags)
        .stdin(SHOP)
        .assert()
        .success();
    let list: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!(list.pointer("/items/1/kind"), Some(&json!("WasmPlugin")));
    assert_eq!(list.pointer("/items/1/spec/sha256"), Some(&json!(sha256)));
    assert_eq!(list.pointer("/items/1/spec/failStrategy"), Some(&json!("FAIL_RELOAD")));
}

#[test]
fn the_patches_reach_the_pods_of_this_gateway_only() {
    for input in [SHOP.to_owned(), split()] {
        let run = Generated::istio(&input);
        let filter = run.first("EnvoyFilter");
        assert_eq!(filter["metadata"]["name"], "mooring-front-http");
        assert_eq!(
            filter["metadata"]["labels"],
            json!({ "app.kubernetes.io/managed-by": "mooring" })
        );
        assert_eq!(
            filter["spec"]["workloadSelector"],
            json!({ "labels": { "gateway.networking.k8s.io/gateway-name": "front" } })
        );
        assert_eq!(filter["spec"]["priority"], 100);
        let operations: Vec<String> = filter["spec"]["configPatches"]
            .as_array()
            .unwrap()
            .iter()
            .map(|patch| {
                format!(
                    "{} {}",
                    patch["applyTo"].as_str().unwrap(),
                    patch["patch"]["operation"].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(
            operations,
            [
                "NETWORK_FILTER MERGE",
                "HTTP_FILTER INSERT_FIRST",
                "ROUTE_CONFIGURATION MERGE",
                "HTTP_FILTER INSERT_BEFORE",
                "HTTP_FILTER INSERT_BEFORE",
                "HTTP_FILTER INSERT_BEFORE",
                "VIRTUAL_HOST MERGE"
            ]
        );
    }
}

/// What an object without patches on routes can break: nothing of the routes.
#[test]
fn no_patch_names_a_route_or_a_cluster() {
    for input in [SHOP.to_owned(), split()] {
        let run = Generated::istio(&input);
        assert_eq!(run.patches("HTTP_ROUTE"), Vec::<&Value>::new());
        assert_eq!(run.virtual_hosts(), ["*:80"]);
        let filter = run.first("EnvoyFilter");
        assert_eq!(filter["metadata"]["annotations"], annotations(&[]));
        for word in ["outbound|", "cluster", "weight", "\"route\":", "default.web.0"] {
            assert!(!filter.to_string().contains(word), "{word}: {filter:#}");
        }
    }
}

#[test]
fn the_filters_stand_before_the_router_and_are_off() {
    let run = Generated::istio(SHOP);
    let filters = run.patches("HTTP_FILTER");
    assert_eq!(
        texts(&filters, "/patch/value/name"),
        [
            "mooring.header_sanitizer",
            "mooring.filter_state_headers",
            "mooring.stateful_session",
            "mooring.stateful_session.strict"
        ]
    );
    for filter in filters {
        assert_eq!(filter["patch"]["value"]["disabled"], true, "{filter:#}");
    }
}

/// By the name that each Istio gives the filter of a `WasmPlugin`.
#[test]
fn the_module_runs_for_the_virtual_hosts_that_turn_it_on_only() {
    for (version, filter) in [
        ("1.28", "extensions.istio.io/wasmplugin/default.mooring-front"),
        ("1.29", "extensions.istio.io/wasmplugin/default.mooring-front"),
        (
            "1.30",
            "extensions.istio.io/trafficextension/default.mooring-front~istio-translated-wasmplugin",
        ),
        (
            "1.32",
            "extensions.istio.io/trafficextension/default.mooring-front~istio-translated-wasmplugin",
        ),
    ] {
        let run = Generated::istio_with(&["--istio-version", version], SHOP);
        let of = "type.googleapis.com/envoy.config.route.v3.FilterConfig";
        let everywhere = run.patches("ROUTE_CONFIGURATION");
        let [everywhere] = everywhere.as_slice() else {
            panic!("{everywhere:?}")
        };
        assert_eq!(everywhere["match"], json!({ "context": "GATEWAY" }));
        assert_eq!(
            everywhere["patch"]["value"],
            json!({ "typed_per_filter_config": { filter: { "@type": of, "disabled": true } } }),
            "{version}"
        );
        let wasm = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
        let on = json!({ "@type": of, "config": { "@type": wasm }, "is_optional": true });
        let host = run.virtual_host("*:80");
        assert_eq!(host["typed_per_filter_config"].get(filter), Some(&on), "{version}");
    }
}

#[test]
fn a_virtual_host_turns_on_what_its_rules_need() {
    let filters = |input: &str| {
        let run = Generated::istio(input);
        let host = run.virtual_host("*:80");
        assert_eq!(
            host["request_headers_to_remove"],
            json!(["x-mooring-backend", "x-mooring-host", "x-mooring-host-strict"])
        );
        let filters = host["typed_per_filter_config"].as_object().unwrap();
        let names = filters.keys().filter(|name| name.starts_with("mooring."));
        names.cloned().collect::<Vec<String>>()
    };
    let (sanitizer, stateful_session) = ("mooring.header_sanitizer", "mooring.stateful_session");
    assert_eq!(filters(SHOP), [sanitizer, stateful_session]);
    let strict = shop_with(
        "  name: sticky\n",
        "  name: sticky\n  annotations: {mooring.dev/strict: \"true\"}\n",
    );
    assert_eq!(
        filters(&strict),
        [sanitizer, stateful_session, "mooring.stateful_session.strict"]
    );
}

#[test]
fn a_rule_with_one_backend_has_no_session_routes() {
    let run = Generated::istio(SHOP);
    assert_eq!(run.objects("HTTPRoute"), Vec::<&Value>::new());
    assert_eq!(run.rule(0)["backends"], json!([{ "key": "web.default:80" }]));
    assert_eq!(run.rule(0)["virtualHosts"], json!(["*:80"]));
}

#[test]
fn a_split_has_a_session_route_for_each_backend() {
    let run = Generated::istio(&split());
    let key = |backend: &str| json!([{ "headers": [{ "name": "x-mooring-backend", "value": format!("HTTPRoute/default/web#0/{backend}") }] }]);
    let route = |name: &str| {
        json!({
            "backendRefs": [{ "name": name, "port": 80 }],
            "matches": key(&format!("{name}.default:80")),
        })
    };
    assert_eq!(
        run.objects("HTTPRoute"),
        [&json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {
                "annotations": annotations(&[("mooring.dev/rule", "HTTPRoute/default/web#0")]),
                "labels": { "app.kubernetes.io/managed-by": "mooring" },
                "name": "mooring-web-3abf744e",
                "namespace": "default",
            },
            "spec": {
                "parentRefs": [{ "name": "front" }],
                "rules": [route("web"), route("beta"), route("gone")],
            },
        })]
    );
    // No client may name a session route, and nothing may ask for one that is not there.
    let kinds: Vec<&Value> = run
        .at("/items")
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["kind"])
        .collect();
    assert_eq!(kinds, ["EnvoyFilter", "HTTPRoute", "WasmPlugin"]);
    let backend = |name: &str| json!({ "key": format!("{name}.default:80") });
    assert_eq!(
        run.rule(0)["backends"],
        json!([backend("web"), backend("beta"), backend("gone")])
    );
}

#[test]
fn weights_stay_where_they_are() {
    let changed = split()
        .replace("weight: 9", "weight: 1")
        .replace("weight: 0", "weight: 50");
    assert_eq!(Generated::istio(&changed).value, Generated::istio(&split()).value);
}

#[test]
fn a_split_without_sessions_is_left_to_envoy() {
    let input = split().replace("  - sessionPersistence: {}\n    backendRefs:", "  - backendRefs:");
    let run = mooring()
        .args(["generate", "-f", "-", "--wasm", "https://x"])
        .stdin(input)
        .assert();
    run.success().stdout_eq("");
}

#[test]
fn rules_of_one_name_are_told_apart_by_their_virtual_hosts() {
    let route = |name: &str, host: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{{name: \
             front}}]\n  hostnames: [{host}]\n  rules:\n  - {{name: all, backendRefs: [{{name: web, port: 80}}]}}\n---\n"
        )
    };
    let input = format!("{}{}{SHOP}", route("a", "a.example"), route("b", "b.example"));
    let run = Generated::istio(&input);
    let rule = |position| {
        let rule = run.rule(position);
        (
            rule["route"].clone(),
            rule["id"].clone(),
            rule.get("virtualHosts").cloned(),
        )
    };
    let expected = |route: &str, id: &str, host: &str| (json!(route), json!(id), Some(json!([host])));
    assert_eq!(rule(0), expected("all", "HTTPRoute/default/a/all", "a.example:80"));
    assert_eq!(rule(1), expected("all", "HTTPRoute/default/b/all", "b.example:80"));
    assert_eq!(rule(2), expected("default.web.0", "HTTPRoute/default/web#0", "*:80"));
    assert_eq!(run.virtual_hosts(), ["*:80", "a.example:80", "b.example:80"]);
}

#[test]
fn a_rule_names_all_its_virtual_hosts() {
    let input = shop_with("  rules:\n", "  hostnames: [b.example, a.example]\n  rules:\n").replace(
        "    protocol: HTTP\n",
        "    protocol: HTTP\n  - {name: other, port: 8080, protocol: HTTP, hostname: a.example}\n",
    );
    let run = Generated::istio(&input);
    let hosts = ["a.example:80", "b.example:80", "a.example:8080"];
    assert_eq!(run.rule(0)["virtualHosts"], json!(hosts));
    assert_eq!(run.virtual_hosts(), hosts);
}

#[test]
fn rules_of_one_name_without_sessions_are_nobodys_trouble() {
    let route = |name: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: \
             [{{name: front}}]\n  rules: [{{name: all, backendRefs: [{{name: plain, port: 80}}]}}]\n"
        )
    };
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: plain}\nspec: {ports: [{port: 80}]}\n";
    let run = Generated::istio(&format!("{SHOP}{}{}{service}", route("a"), route("b")));
    assert_eq!(run.value, Generated::istio(SHOP).value);
}

#[test]
fn a_listener_takes_routes_from_where_it_says() {
    let listener = |allowed: &str| {
        let gateway = "  name: front\n  namespace: infra\n";
        let shop = shop_with("  name: front\n", gateway).replace(
            "  - name: front\n  rules",
            "  - {name: front, namespace: infra}\n  rules",
        );
        let allowed = format!("    protocol: HTTP\n    allowedRoutes: {allowed}\n");
        let run = generate(&shop.replace("    protocol: HTTP\n", &allowed));
        let stderr = crate::common::said(&run);
        (
            run.get_output().status.success(),
            stderr.lines().next().unwrap_or("").to_owned(),
        )
    };
    let excluded = "error[NoMatchingParent]: Gateway infra/front does not accept HTTPRoute default/web: the allowedRoutes of its \
                    listeners exclude it";
    for allowed in [
        "{}",
        "{namespaces: {}}",
        "{namespaces: {from: Same}}",
        "{namespaces: {from: None}}",
        "{namespaces: {from: All}, kinds: [{kind: GRPCRoute}]}",
        "{namespaces: {from: All}, kinds: [{group: example.com, kind: HTTPRoute}]}",
    ] {
        assert_eq!(listener(allowed), (false, excluded.to_owned()), "{allowed}");
    }
    for allowed in [
        "{namespaces: {from: All}}",
        "{namespaces: {from: All}, kinds: [{kind: GRPCRoute}, {kind: HTTPRoute}]}",
    ] {
        assert_eq!(listener(allowed), (true, String::new()), "{allowed}");
    }
    let selector = "{namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}";
    let warning = "warning[NoMatchingParent]: it is unknown whether this listener accepts routes from the namespace \
        `default`, because its selector needs the labels of the Namespace, which is not in the input: the namespace \
        is treated as selected";
    assert_eq!(listener(selector), (true, warning.to_owned()));
}

#[test]
fn a_selector_of_a_listener_selects_namespaces_by_their_labels() {
    let run = |selector: &str, namespaces: &str| {
        let shop = shop_with("  name: front\n", "  name: front\n  namespace: infra\n").replace(
            "  - name: front\n  rules",
            "  - {name: front, namespace: infra}\n  rules",
        );
        let allowed = format!(
            "    protocol: HTTP\n    allowedRoutes: {{namespaces: {{from: Selector, selector: {selector}}}}}\n"
        );
        let run = generate(&format!(
            "{}{namespaces}",
            shop.replace("    protocol: HTTP\n", &allowed)
        ));
        (run.get_output().status.success(), crate::common::said(&run))
    };
    let namespace =
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {team: shop, tier: \"1\"}}\n";
    let requirement = |key: &str, operator: &str, values: &str| {
        format!("{{matchExpressions: [{{key: {key}, operator: {operator}, values: [{values}]}}]}}")
    };
    let by_name = "{matchLabels: {kubernetes.io/metadata.name: default}}";
    let selecting = [
        "{}".to_owned(),
        "{matchLabels: {team: shop}}".to_owned(),
        "{matchLabels: {team: shop, tier: \"1\"}}".to_owned(),
        by_name.to_owned(),
        requirement("team", "In", "other, shop"),
        requirement("team", "NotIn", "other"),
        requirement("absent", "NotIn", "shop"),
        requirement("team", "Exists", ""),
        requirement("absent", "DoesNotExist", ""),
    ];
    for selector in selecting {
        assert_eq!(run(&selector, namespace), (true, String::new()), "{selector}");
    }
    let excluding = [
        "{matchLabels: {team: other}}".to_owned(),
        "{matchLabels: {team: shop, absent: a}}".to_owned(),
        "{matchLabels: {kubernetes.io/metadata.name: other}}".to_owned(),
        requirement("team", "In", "other"),
        requirement("team", "NotIn", "shop"),
        requirement("absent", "Exists", ""),
        requirement("team", "DoesNotExist", ""),
        "null".to_owned(),
    ];
    for selector in excluding {
        let (success, stderr) = run(&selector, namespace);
        assert!(
            !success && stderr.contains("its listeners exclude it"),
            "{selector}: {stderr}"
        );
    }
    // What needs no other label than the name needs no Namespace.
    assert_eq!(run(by_name, ""), (true, String::new()));
    let elsewhere = "{matchLabels: {kubernetes.io/metadata.name: other, team: shop}}";
    assert!(!run(elsewhere, "").0);
}

#[test]
fn a_module_file_is_covered_by_no_fail_strategy() {
    let run = |url: &str, shop: &str| {
        let run = mooring()
            .args(["generate", "-f", "-", "--wasm", url])
            .stdin(shop)
            .assert()
            .success();
        crate::common::said(&run)
    };
    let warning = "warning[NoEffect]: no fail strategy covers a file:// module that is missing when a gateway starts";
    assert!(run("file:///mooring.wasm", SHOP).starts_with(warning));
    assert_eq!(run("file:///mooring.wasm", SHOP).matches("warning[").count(), 1);
    assert_eq!(run("https://registry.example/mooring.wasm", SHOP), "");
}

#[test]
fn the_checksum_of_the_module() {
    let (one, other) = ("1".repeat(64), "2".repeat(64));
    let sha256 = |url: &str, flag: Option<&str>| {
        let flag = flag.map(|flag| ["--wasm-sha256", flag]);
        let run = mooring()
            .args(["generate", "-f", "-", "-o", "json", "--wasm", url])
            .args(flag.iter().flatten())
            .stdin(SHOP)
            .assert();
        let output = run.get_output();
        let value: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        let sha256 = value.map(|value| value.pointer("/items/1/spec/sha256").cloned());
        (sha256, crate::common::said(&run))
    };
    let ok = |text: &str| (Some(Some(json!(text))), String::new());
    assert_eq!(sha256("https://a.example/mooring.wasm", Some(&one)), ok(&one));
    assert_eq!(sha256("oci://a.example/mooring:1", Some(&one)), ok(&one));
    let pinned = format!("oci://a.example/mooring@sha256:{one}");
    assert_eq!(sha256(&pinned, None), ok(&one));
    assert_eq!(sha256(&pinned, Some(&one)), ok(&one));
    let (none, warning) = sha256("oci://a.example/mooring:1", None);
    assert_eq!(none, Some(None));
    assert!(warning.starts_with("warning[Unverified]: "), "{warning}");
    for (url, flag, problem) in [
        (
            pinned.as_str(),
            Some(other.as_str()),
            "differs from the checksum in the URL",
        ),
        (
            "oci://a.example/mooring@sha256:abc",
            None,
            "is not 64 lower-case hexadecimal digits",
        ),
        (
            "file:///mooring.wasm",
            Some(one.as_str()),
            "Istio does not verify the checksum of a file://",
        ),
    ] {
        let (value, stderr) = sha256(url, flag);
        assert_eq!(value, None, "{url}");
        assert!(stderr.contains(problem), "{url}: {stderr}");
    }
}

#[test]
fn each_gateway_gets_its_own_objects() {
    let second = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: side, namespace: infra}\nspec:\n  \
                  gatewayClassName: istio\n  listeners:\n  - {name: https, port: 443, protocol: HTTPS, hostname: \
                  \"*.example.com\", allowedRoutes: {namespaces: {from: All}}}\n";
    let input = shop_with(
        "  - name: front\n  rules",
        "  - name: front\n  - {name: side, namespace: infra}\n  rules",
    );
    let run = Generated::istio(&format!("{input}{second}"));
    let names: Vec<String> = run
        .at("/items")
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            format!(
                "{} {}/{}",
                item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]
            )
            .replace('"', "")
        })
        .collect();
    assert_eq!(
        names,
        [
            "EnvoyFilter default/mooring-front-http",
            "EnvoyFilter infra/mooring-side-http",
            "WasmPlugin default/mooring-front",
            "WasmPlugin infra/mooring-side",
        ]
    );
}

#[test]
fn what_istio_does_itself_is_left_to_it() {
    let rule = "  - filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}]\n    timeouts: \
                {request: 5s}\n    retry: {attempts: 2, codes: [503]}\n    backendRefs:";
    let run = Generated::istio(&shop_with("  - backendRefs:", rule));
    assert_eq!(run.findings, [""; 0]);
    assert_eq!(run.value, Generated::istio(SHOP).value);
}

#[test]
fn a_route_of_the_mesh_keeps_no_sessions_without_callers() {
    let parents = "  - name: front\n  - {group: \"\", kind: Service, name: web}\n  rules";
    let run = Generated::istio(&shop_with("  - name: front\n  rules", parents));
    assert_eq!(
        run.findings,
        [
            "warning[NoEffect]: no sessions are kept on the parent Service default/web: --callers names no pods that call it"
        ]
    );
}

#[test]
fn unrelated_kinds_are_passed_over() {
    let unrelated = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {on: \"1\", y: n}\n---\napiVersion: \
                     networking.istio.io/v1\nkind: Gateway\nmetadata: {name: front}\nspec: {selector: {a: b}}\n---\napiVersion: \
                     serving.knative.dev/v1\nkind: Service\nmetadata: {name: web}\nspec: {}\n---\n# nothing\n---\n";
    assert_eq!(
        Generated::istio(&format!("{SHOP}{unrelated}")).value,
        Generated::istio(SHOP).value
    );
}

#[test]
fn a_module_that_nothing_verifies_is_warned_of() {
    let said = |url: &str, shop: &str| {
        let run = mooring()
            .args(["generate", "-f", "-", "--wasm", url])
            .stdin(shop)
            .assert();
        crate::common::said(&run.success())
    };
    let plain = said("http://a.example/mooring.wasm", SHOP);
    assert!(
        plain.starts_with("warning[Unverified]: the gateways fetch the module over http://"),
        "{plain}"
    );
    for tag in ["oci://a.example/mooring:1", "oci://a.example/mooring"] {
        let said = said(tag, SHOP);
        assert!(
            said.starts_with("warning[Unverified]: the gateways fetch the module by the tag of an image"),
            "{said}"
        );
        assert!(said.contains("--wasm-sha256"), "{said}");
    }
    let digest = format!("oci://a.example/mooring@sha256:{}", "1".repeat(64));
    assert_eq!(said(&digest, SHOP), "");
    assert_eq!(said("https://a.example/mooring.wasm", SHOP), "");
    // Where nothing is generated, no gateway fetches anything.
    let nothing = said("http://a.example/mooring.wasm", &without_policy(SHOP));
    assert!(!nothing.contains("Unverified"), "{nothing}");
    let checked = mooring()
        .args([
            "generate",
            "-f",
            "-",
            "--wasm",
            "http://a.example/mooring.wasm",
            "--wasm-sha256",
            &"1".repeat(64),
        ])
        .stdin(SHOP)
        .assert();
    checked.success().stderr_eq(SHOP_IS_READ);
}
