//! Istio's own objects: what comes of them for an Istio gateway, and for a local Envoy.

use crate::common::{
    Generated, annotations,
    istio_api::{ISTIO_API, istio_api_with},
    mooring, texts,
};
use serde_json::{Value, json};

const STICKY: &str = "  sticky: {cookie: {name: version}}\n";

/// The objects without the canary policy, with a session policy on the Service instead.
fn with_service_policy(kind: &str, api_version: &str) -> String {
    let (rest, _) = ISTIO_API.split_once("---\napiVersion: mooring.dev").unwrap();
    format!(
        "{rest}---\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: pods, namespace: bookinfo}}\nspec:\n  targetRefs: \
         [{{group: \"\", kind: Service, name: reviews}}]\n  sessionPersistence: {{type: Cookie}}\n"
    )
}

const HOST: &str = "reviews.example.com:80";

/// The session routes that are inserted: the route of the user's before which each stands, and its own name.
fn inserted(run: &Generated) -> Vec<(&str, &str)> {
    let patches = run.patches("HTTP_ROUTE");
    for patch in &patches {
        assert_eq!(patch["patch"]["operation"], "INSERT_BEFORE", "{patch:#}");
        assert_eq!(patch["match"]["context"], "GATEWAY", "{patch:#}");
        assert_eq!(patch["match"]["routeConfiguration"]["vhost"]["name"], HOST, "{patch:#}");
    }
    let before = texts(&patches, "/match/routeConfiguration/vhost/route/name");
    before.into_iter().zip(texts(&patches, "/patch/value/name")).collect()
}

/// The names of the Envoy routes that have rules in the plugin configuration. Each names its virtual host.
fn managed_routes(run: &Generated) -> Vec<&str> {
    let rules = run.first("WasmPlugin")["spec"]["pluginConfig"]["rules"]
        .as_array()
        .unwrap();
    assert!(
        rules.iter().all(|rule| rule["virtualHosts"] == json!([HOST])),
        "{rules:?}"
    );
    texts(&rules.iter().collect::<Vec<_>>(), "/route")
}

#[test]
fn the_pods_of_a_gateway_are_found_by_its_selector() {
    let run = Generated::istio(ISTIO_API);
    let metadata = json!({
        "annotations": annotations(&[]),
        "labels": { "app.kubernetes.io/managed-by": "mooring" },
        "name": "mooring-ingressgateway",
        "namespace": "bookinfo",
    });
    let (plugin, filter) = (run.first("WasmPlugin"), run.first("EnvoyFilter"));
    assert_eq!(plugin["metadata"], metadata);
    assert_eq!(
        plugin["spec"]["selector"],
        json!({ "matchLabels": { "istio": "ingressgateway" } })
    );
    assert_eq!(plugin["spec"].get("targetRefs"), None);
    assert_eq!(filter["metadata"]["name"], "mooring-ingressgateway-http");
    assert_eq!(filter["metadata"]["namespace"], "bookinfo");
    assert_eq!(
        filter["spec"]["workloadSelector"],
        json!({ "labels": { "istio": "ingressgateway" } })
    );
    assert_eq!(run.findings, [""; 0]);
}

#[test]
fn the_namespace_of_the_pods_comes_from_the_command_line() {
    let run = Generated::istio_with(&["--gateway-namespace", "istio-system"], ISTIO_API);
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
        .stdin(ISTIO_API)
        .assert();
    refused
        .code(2)
        .stderr_eq("error: --gateway-namespace can only be used with --target istio\n...\n");
}

#[test]
fn subsets_are_backends_of_their_own() {
    let run = Generated::istio(ISTIO_API);
    let backends = json!([
        { "key": "reviews.bookinfo:9080/v1" },
        { "key": "reviews.bookinfo:9080/v2" },
        { "key": "reviews.bookinfo:9080/v3" },
    ]);
    assert_eq!(run.rule(0).get("backends"), Some(&backends));
    assert_eq!(
        run.rule(0).get("id"),
        Some(&json!("VirtualService/bookinfo/reviews/everyone"))
    );
    assert_eq!(run.rule(0).pointer("/canary/backends/0"), Some(&json!(1)));
    let patches = run.patches("HTTP_ROUTE");
    assert_eq!(
        texts(&patches, "/patch/value/route/cluster"),
        ["v1", "v2", "v3"].map(|subset| format!("outbound|9080|{subset}|reviews.bookinfo.svc.cluster.local"))
    );
}

/// Before the user's route, so that the weights stay there.
#[test]
fn a_split_has_a_session_route_for_each_destination() {
    let run = Generated::istio(ISTIO_API);
    let key = |subset: &str| format!("VirtualService/bookinfo/reviews/everyone/reviews.bookinfo:9080/{subset}");
    let (one, two, three) = (key("v1"), key("v2"), key("v3"));
    assert_eq!(
        inserted(&run),
        [
            ("everyone", one.as_str()),
            ("everyone", two.as_str()),
            ("everyone", three.as_str())
        ]
    );
    assert_eq!(
        run.patches("HTTP_ROUTE")[0]["patch"]["value"]["match"],
        json!({ "prefix": "/", "headers": [{ "name": "x-mooring-backend", "string_match": { "exact": one } }] })
    );
    assert_eq!(run.virtual_hosts(), [HOST]);
    let kinds: Vec<&Value> = run
        .at("/items")
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["kind"])
        .collect();
    assert_eq!(kinds, ["EnvoyFilter", "WasmPlugin"], "no other VirtualService");
    assert_eq!(
        run.first("EnvoyFilter")["metadata"]["annotations"],
        annotations(&[(
            "envoyfilter.istio.io/referenced-services",
            "bookinfo/reviews.bookinfo.svc.cluster.local"
        )])
    );
    let weights = ISTIO_API
        .replace("weight: 60", "weight: 10")
        .replace("subset: v3}, weight: 10", "subset: v3}, weight: 60");
    assert_eq!(Generated::istio(&weights).value, run.value);
}

/// The first of the names is that of the Envoy route that is tried first.
#[test]
fn session_routes_stand_before_the_first_route_of_their_rule() {
    let all_named = istio_api_with(
        "    - uri: {prefix: /reviews}\n",
        "    - name: a\n      uri: {prefix: /reviews}\n",
    );
    let run = Generated::istio(&all_named);
    assert_eq!(managed_routes(&run), ["everyone.a", "everyone.bee"]);
    assert!(inserted(&run).iter().all(|(before, _)| *before == "everyone.a"));
    let run = Generated::istio(
        &all_named
            .replace("name: bee", "name: aa")
            .replace("name: a\n", "name: z\n"),
    );
    assert_eq!(managed_routes(&run), ["everyone.aa", "everyone.z"]);
    assert!(inserted(&run).iter().all(|(before, _)| *before == "everyone.z"));
}

#[test]
fn a_match_with_a_name_is_a_route_of_its_own() {
    let run = Generated::istio(ISTIO_API);
    assert_eq!(managed_routes(&run), ["everyone", "everyone.bee"]);
    assert_eq!(run.rule(0).get("id"), run.rule(1).get("id"));
}

#[test]
fn a_policy_for_the_whole_virtual_service_holds_for_all_its_routes() {
    let whole = istio_api_with(", sectionName: everyone}", "}")
        .replace("subset: v2}\n  sticky", "subset: v1}\n  sticky")
        .replace(STICKY, "  sticky: {}\n");
    let run = Generated::istio(&whole);
    assert_eq!(managed_routes(&run), ["home", "everyone", "everyone.bee"]);
    assert_eq!(run.findings, [""; 0]);
    let unnamed = whole.replace("  - name: home\n    match:", "  - match:");
    let run = Generated::istio(&unnamed);
    assert_eq!(managed_routes(&run), ["", "everyone", "everyone.bee"]);
    assert_eq!(run.findings, [""; 0]);
}

#[test]
fn session_policies_of_a_service_hold_for_destinations_there() {
    for (kind, api_version) in [
        ("BackendLBPolicy", "gateway.networking.k8s.io/v1alpha2"),
        ("XBackendTrafficPolicy", "gateway.networking.x-k8s.io/v1alpha1"),
    ] {
        let run = Generated::istio(&with_service_policy(kind, api_version));
        assert_eq!(managed_routes(&run), ["home", "everyone", "everyone.bee"]);
        assert_eq!(run.session(0).get("boundTo"), None);
        let host = run.virtual_host(HOST);
        assert!(
            host["typed_per_filter_config"]
                .get("mooring.stateful_session")
                .is_some(),
            "{host:#}"
        );
    }
}

#[test]
fn hosts_of_a_service_entry_can_be_backends() {
    let entry = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api, namespace: bookinfo}\nspec:\n  \
                 hosts: [api.example.com]\n  ports: [{number: 443, name: tls, protocol: TLS}]\n  resolution: DNS\n";
    let input = istio_api_with("{host: reviews, subset: v3}", "{host: api.example.com}");
    let run = Generated::istio(&format!("{input}{entry}"));
    assert_eq!(
        run.rule(0).pointer("/backends/2/key"),
        Some(&json!("api.example.com:443"))
    );
    let route = &run.patches("HTTP_ROUTE")[2]["patch"]["value"];
    assert_eq!(route["route"]["cluster"], "outbound|443||api.example.com");
    assert_eq!(
        route["name"],
        "VirtualService/bookinfo/reviews/everyone/api.example.com:443"
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
    let input = istio_api_with(
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
    let input = istio_api_with("gateways: [front]", "gateways: [bookinfo/front, second, mesh]");
    let run = Generated::istio(&format!("{input}{second}"));
    assert_eq!(run.objects("EnvoyFilter").len(), 1);
    assert_eq!(run.objects("WasmPlugin").len(), 1);
    let hosts = [HOST, "reviews.example.com:8080"];
    assert_eq!(run.virtual_hosts(), hosts);
    for rule in 0..2 {
        assert_eq!(run.rule(rule)["virtualHosts"], json!(hosts));
    }
    // Each virtual host gets the session routes.
    let patches = run.patches("HTTP_ROUTE");
    let [one, other] = hosts;
    assert_eq!(
        texts(&patches, "/match/routeConfiguration/vhost/name"),
        [one, one, one, other, other, other]
    );
}

#[test]
fn routes_of_one_name_are_told_apart_by_their_virtual_hosts() {
    let other = ISTIO_API
        .split("---\n")
        .find(|document| document.contains("kind: VirtualService\n"))
        .unwrap()
        .replace("name: reviews,", "name: others,")
        .replace("reviews.example.com", "others.example.com");
    let run = Generated::istio(&format!("{ISTIO_API}---\n{other}"));
    let rules = run.first("WasmPlugin")["spec"]["pluginConfig"]["rules"]
        .as_array()
        .unwrap();
    let rules: Vec<String> = rules
        .iter()
        .map(|rule| format!("{} {} {}", rule["route"], rule["virtualHosts"], rule["id"]).replace('"', ""))
        .collect();
    assert_eq!(
        rules,
        [
            "everyone [reviews.example.com:80] VirtualService/bookinfo/reviews/everyone",
            "everyone.bee [reviews.example.com:80] VirtualService/bookinfo/reviews/everyone",
        ]
    );
    assert_eq!(inserted(&run).len(), 3, "none in the virtual host of the other one");
}

#[test]
fn a_local_envoy_has_the_matches_in_their_order() {
    let run = Generated::envoy(ISTIO_API);
    let filters = run.at("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config");
    let routes = filters.pointer("/route_config/virtual_hosts/0/routes").unwrap();
    let of: Vec<String> = routes
        .as_array()
        .unwrap()
        .iter()
        .map(|route| {
            let name = route["name"].as_str().unwrap();
            let headers = route["match"]["headers"].as_array().into_iter().flatten();
            let headers: Vec<&str> = headers.map(|header| header["name"].as_str().unwrap()).collect();
            format!("{} {}", name.rsplit('/').next().unwrap(), headers.join(" "))
        })
        .collect();
    assert_eq!(
        of,
        [
            "home ",
            "v1 :method x-mooring-backend",
            "v2 :method x-mooring-backend",
            "v3 :method x-mooring-backend",
            "v1 end-user x-any x-mooring-backend",
            "v2 end-user x-any x-mooring-backend",
            "v3 end-user x-any x-mooring-backend",
            "everyone :method",
            "everyone.bee end-user x-any",
        ]
    );
    let key = "VirtualService/bookinfo/reviews/everyone/reviews.bookinfo:9080/v2";
    let exact = |name: &str, value: &str| json!({ "name": name, "string_match": { "exact": value } });
    let bee = [
        exact("end-user", "bee"),
        json!({ "name": "x-any", "present_match": true }),
    ];
    let query = json!([{ "name": "q", "string_match": { "safe_regex": { "regex": "a+" } } }]);
    let [one, other] = bee;
    assert_eq!(routes[0]["match"], json!({ "path": "/" }));
    assert_eq!(
        routes[5],
        json!({
            "name": key,
            "match": {
                "prefix": "/",
                "headers": [one, other, exact("x-mooring-backend", key)],
                "query_parameters": query,
            },
            "route": routes[5]["route"],
        })
    );
    assert_eq!(
        routes[5]["route"]["cluster"],
        "outbound|9080|v2|reviews.bookinfo.svc.cluster.local"
    );
    assert_eq!(
        routes[7]["match"],
        json!({ "prefix": "/reviews", "headers": [exact(":method", "GET")] })
    );
    assert_eq!(
        routes[8]["match"],
        json!({ "prefix": "/", "headers": [one, other], "query_parameters": query })
    );
}

#[test]
fn a_local_envoy_has_the_pods_of_a_subset() {
    let run = Generated::envoy(ISTIO_API);
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
    let run = Generated::istio(&istio_api_with(STICKY, ""));
    assert_eq!(run.rule(0).get("session"), None);
}
