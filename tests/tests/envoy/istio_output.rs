//! What is generated for Istio, on the Envoy under test: it refuses fields and types that it does not know. istiod is not here; the
//! patches of the `EnvoyFilter`s are put into a plain gateway as Istio's documentation says what they do. `make test-mesh` has a real
//! one, with one version of everything.

use std::{collections::BTreeSet, process::Command};

use mooring_tests::{Bootstrap, Envoy, Pod, Site, settings};
use serde_json::{Value, json};

const VERSIONS: [&str; 4] = ["1.28", "1.29", "1.30", "1.31"];

/// The `VirtualService` in `everything.yaml`, whose last route takes what the others do not.
const HOST: &str = "classic.example";
const LAST_ROUTE: &str = "rest";

/// Where the last route leads.
const FIRST: &str = "outbound|80|v1|web.default.svc.cluster.local";
const SECOND: &str = "outbound|80|v2|web.default.svc.cluster.local";

/// What is generated for one gateway: the patches of its `EnvoyFilter`s, and its `WasmPlugin`.
struct Generated {
    patches: Vec<Value>,
    plugin: Value,
}

/// Everything that the generator can write: for one Gateway of Gateway API and one of Istio's own.
fn everything(version: &str) -> Vec<Generated> {
    let input = settings::workspace().join("generator/tests/data/everything.yaml");
    let output = Command::new(settings::mooring())
        .args([
            "generate",
            "-o",
            "json",
            "--wasm",
            "https://registry.example/mooring.wasm",
            "-f",
        ])
        .arg(&input)
        .args(["--istio-version", version])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {stderr}", input.display());
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of_kind = |kind: &'static str| {
        let items = list["items"].as_array().unwrap().iter();
        items.filter(move |item| item["kind"] == kind)
    };
    let generated = of_kind("WasmPlugin").map(|plugin| {
        let name = format!("{}-http", plugin["metadata"]["name"].as_str().unwrap());
        let filters = of_kind("EnvoyFilter").filter(|filter| {
            let metadata = &filter["metadata"];
            metadata["namespace"] == plugin["metadata"]["namespace"]
                && metadata["name"].as_str().unwrap().starts_with(&name)
        });
        let patches = filters.flat_map(|filter| filter["spec"]["configPatches"].as_array().unwrap().clone());
        Generated {
            patches: patches.collect(),
            plugin: plugin["spec"].clone(),
        }
    });
    generated.collect()
}

impl Generated {
    fn of(&self, apply_to: &str) -> impl Iterator<Item = &Value> {
        self.patches.iter().filter(move |patch| patch["applyTo"] == apply_to)
    }

    /// A gateway with these patches and this plugin. All routes of the user lead to the same two clusters.
    fn bootstrap(&self, site: Site, pods: [&Pod; 2]) -> Bootstrap {
        let routes = self.route_configuration();
        let mut clusters = BTreeSet::from([FIRST.to_owned(), SECOND.to_owned()]);
        collect_clusters(&routes, &mut clusters);
        let clusters = clusters.iter().map(|name| {
            let pods = pods.iter().zip([FIRST, SECOND]).filter(|(_, cluster)| name == cluster);
            let endpoints = pods.map(|(pod, _)| json!({ "endpoint": { "address": address(pod.socket()) } }));
            let endpoints: Vec<Value> = endpoints.collect();
            json!({
                "name": name,
                "type": "STATIC",
                "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": endpoints }] },
            })
        });
        let clusters: Vec<Value> = clusters.collect();
        let listener = json!({
            "name": "gateway",
            "address": address(site.listen),
            "filter_chains": [{ "filters": [self.connection_manager(&routes)] }],
        });
        let bootstrap = json!({
            "admin": { "address": address(site.admin) },
            "static_resources": { "listeners": [listener], "clusters": clusters },
        });
        Bootstrap::parse(&bootstrap.to_string()).unwrap()
    }

    fn connection_manager(&self, routes: &Value) -> Value {
        let manager = filter_type("network.http_connection_manager.v3.HttpConnectionManager");
        let mut manager = json!({
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": manager,
                "stat_prefix": "gateway",
                "http_filters": self.http_filters(),
                "route_config": routes,
            },
        });
        for patch in self.of("NETWORK_FILTER") {
            assert_eq!(patch["patch"]["operation"], "MERGE");
            merge(&mut manager, &patch["patch"]["value"]);
        }
        manager
    }

    fn http_filters(&self) -> Vec<Value> {
        let stock =
            |name: &str, config: &str| json!({ "name": name, "typed_config": { "@type": filter_type(config) } });
        let mut filters = vec![
            self.module(),
            stock("envoy.filters.http.cors", "http.cors.v3.Cors"),
            stock("envoy.filters.http.fault", "http.fault.v3.HTTPFault"),
            stock("envoy.filters.http.router", "http.router.v3.Router"),
        ];
        for patch in self.of("HTTP_FILTER") {
            let position = match patch["patch"]["operation"].as_str() {
                Some("INSERT_FIRST") => 0,
                Some("INSERT_BEFORE") => {
                    let anchor = &patch["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"];
                    filters.iter().position(|filter| filter["name"] == *anchor).unwrap()
                }
                other => panic!("{other:?}"),
            };
            filters.insert(position, patch["patch"]["value"].clone());
        }
        filters
    }

    /// As istiod makes it of a `WasmPlugin`, under the name by which the patches turn it off.
    fn module(&self) -> Value {
        let off = self.of("ROUTE_CONFIGURATION").next().unwrap();
        let off = off["patch"]["value"]["typed_per_filter_config"].as_object().unwrap();
        let [name] = off.keys().collect::<Vec<_>>()[..] else {
            panic!("{off:?}")
        };
        json!({
            "name": name,
            "typed_config": {
                "@type": filter_type("http.wasm.v3.Wasm"),
                "config": {
                    "name": "gateway",
                    "root_id": self.plugin["pluginName"],
                    "failure_policy": "FAIL_CLOSED",
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": self.plugin["pluginConfig"].to_string(),
                    },
                    "vm_config": {
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": { "local": { "filename": settings::wasm() } },
                        "environment_variables": { "host_env_keys": ["MOORING_KEYS"] },
                    },
                },
            },
        })
    }

    fn route_configuration(&self) -> Value {
        let hosts = self.of("VIRTUAL_HOST").map(|patch| {
            assert_eq!(patch["patch"]["operation"], "MERGE");
            let name = patch["match"]["routeConfiguration"]["vhost"]["name"].as_str().unwrap();
            let (domain, _port) = name.rsplit_once(':').unwrap();
            let mut host = json!({ "name": name, "domains": [domain], "routes": self.routes(name) });
            merge(&mut host, &patch["patch"]["value"]);
            host
        });
        let mut routes = json!({ "name": "http.80", "virtual_hosts": hosts.collect::<Vec<_>>() });
        for patch in self.of("ROUTE_CONFIGURATION") {
            assert_eq!(patch["patch"]["operation"], "MERGE");
            merge(&mut routes, &patch["patch"]["value"]);
        }
        routes
    }

    /// The routes of a virtual host: for each of the user's that a patch names, what is inserted before it and then itself.
    fn routes(&self, host: &str) -> Vec<Value> {
        let mut routes = Vec::new();
        let split = json!({ "clusters": [{ "name": FIRST, "weight": 1 }, { "name": SECOND, "weight": 1 }] });
        for patch in self.of("HTTP_ROUTE") {
            let vhost = &patch["match"]["routeConfiguration"]["vhost"];
            if vhost["name"] != host {
                continue;
            }
            assert_eq!(patch["patch"]["operation"], "INSERT_BEFORE");
            let name = &vhost["route"]["name"];
            let path = if name == LAST_ROUTE {
                "/".to_owned()
            } else {
                format!("/{name}")
            };
            let user = json!({ "name": name, "match": { "prefix": path }, "route": { "weighted_clusters": split } });
            if routes.last() != Some(&user) {
                routes.push(user);
            }
            routes.insert(routes.len() - 1, patch["patch"]["value"].clone());
        }
        routes
    }
}

/// Adds fields, and to lists what is in the other; scalars are replaced.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from.iter().cloned()),
        (into, from) => *into = from.clone(),
    }
}

fn collect_clusters(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("cluster").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| collect_clusters(field, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_clusters(value, found)),
        _ => {}
    }
}

fn filter_type(name: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.filters.{name}")
}

fn address(socket: std::net::SocketAddr) -> Value {
    json!({ "socket_address": { "address": socket.ip(), "port_value": socket.port() } })
}

/// Both gateways serve, and a session on a route of the `VirtualService` stays on its backend by the inserted route.
#[tokio::test]
async fn what_is_generated_for_each_istio_is_taken() {
    let (first, second) = (Pod::start("first").await, Pod::start("second").await);
    for version in VERSIONS {
        let gateways = everything(version);
        assert_eq!(gateways.len(), 2);
        for gateway in &gateways {
            let site = Site::fresh();
            // It panics with Envoy's log if Envoy does not serve.
            let envoy = Envoy::builder()
                .start_on(site, gateway.bootstrap(site, [&first, &second]))
                .await;
            assert_eq!(deprecated(&envoy.log()), Vec::<&str>::new(), "{version}");
            if gateway.of("HTTP_ROUTE").next().is_some() {
                sessions_stay(&envoy, version).await;
            }
        }
    }
}

/// What Envoy says of fields that it will not know any more, except for the one that istiod itself writes on each route.
fn deprecated(log: &str) -> Vec<&str> {
    let lines = log.lines().filter(|line| line.contains("Using deprecated option"));
    lines
        .filter(|line| !line.contains("RouteAction.max_grpc_timeout"))
        .collect()
}

async fn sessions_stay(envoy: &Envoy, version: &str) {
    let client = envoy.client();
    for _client in 0..4 {
        let first = client.request("/").host(HOST).send().await.ok();
        let cookies = first.set_cookies();
        let [cookie] = &cookies[..] else { panic!("{cookies:?}") };
        let cookie = cookie.stripped().to_string();
        for _request in 0..16 {
            let again = client.request("/").host(HOST).cookie(&cookie).send().await.ok();
            assert_eq!(again.pod(), first.pod(), "{version}");
        }
    }
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_new_total"), 4, "{version}: {stats:?}");
    assert_eq!(stats.mooring("mooring_session_route_missed_total"), 0, "{version}");
}
