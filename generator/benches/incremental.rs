//! What one change costs a planner that follows a cluster: `cargo bench --package mooring-generator --bench incremental`, which prints
//! a line of JSON for each shop. Arguments are numbers of routes.
//!
//! The shop is that of `scale`: one `HTTPRoute`, one or two Services and one policy for each route, and either a Gateway for a
//! thousand routes or one Gateway for all. A change gives a route another path, a Service another label, or a policy another
//! timeout; the figure is the median of several changes. The whole run, on the texts that the planner has, is the comparison.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measurement that cannot be made is no measurement"
)]

use std::{fs, time::Instant};

use mooring_generator::{
    emit::{FailStrategy, istio},
    id::Id,
    incremental::Incremental,
    kind::{KnownKind, Reads},
    mesh::Mesh,
    source::Coverage,
};
use serde_json::{Value, json};

const SIZES: [usize; 2] = [1_000, 10_000];

/// How many routes a Gateway has, if there are several.
const OF_GATEWAY: usize = 1_000;

/// How many changes are timed.
const CHANGES: usize = 21;

/// The input becomes very many small values, as in the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // Cargo says `--bench`; whatever else is said are sizes.
    let wanted: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if wanted.is_empty() { SIZES.to_vec() } else { wanted };
    for routes in sizes {
        for of_gateway in [1, OF_GATEWAY, routes] {
            measure(routes, of_gateway);
        }
    }
}

fn measure(routes: usize, of_gateway: usize) {
    let mut plan = Incremental::new(options(), Mesh::default(), Coverage::Everything);
    let start = Instant::now();
    for route in 0..routes {
        for object in objects(route, of_gateway) {
            set(&mut plan, object);
        }
    }
    let read = milliseconds(start);
    let start = Instant::now();
    let step = plan.plan();
    let first = milliseconds(start);
    let memory = memory();
    let changed = |change: &dyn Fn(usize) -> Value, plan: &mut Incremental| {
        let mut times: Vec<f64> = (0..CHANGES)
            .map(|time| {
                let object = change(time * 37 % routes);
                let start = Instant::now();
                set(plan, object);
                let step = plan.plan();
                assert!(step.planned <= 1, "{} components", step.planned);
                milliseconds(start)
            })
            .collect();
        times.sort_by(f64::total_cmp);
        rounded(times.get(CHANGES / 2).copied().unwrap_or(f64::NAN))
    };
    let of_route = changed(&|number| changed_route(number, of_gateway), &mut plan);
    let of_service = changed(&changed_service, &mut plan);
    let of_policy = changed(&changed_policy, &mut plan);
    let nothing = changed(&|number| route(number, of_gateway), &mut plan);
    let start = Instant::now();
    let same = plan.run().0 == *plan.objects();
    let whole = milliseconds(start);
    assert!(same, "the parts are not the whole");
    let figures = json!({
        "routes": routes,
        "routesOfGateway": of_gateway,
        "components": step.components,
        "readMs": rounded(read),
        "firstPlanMs": rounded(first),
        "routeMs": of_route,
        "serviceMs": of_service,
        "policyMs": of_policy,
        "backMs": nothing,
        "wholeRunMs": rounded(whole),
        "memoryMiB": rounded(memory),
        "peakMiB": rounded(peak()),
    });
    println!("{figures}");
}

fn options() -> istio::Options {
    istio::Options {
        url: "oci://registry.example/mooring:1".to_owned(),
        sha256: None,
        fail_strategy: FailStrategy::Open,
        version: istio::IstioVersion::default(),
        prunes: false,
        plugin: istio::Plugin::default(),
        metadata: istio::Metadata::default(),
    }
}

fn set(plan: &mut Incremental, object: Value) {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (version, name) = (text("/apiVersion"), text("/kind"));
    let (group, _) = version.split_once('/').unwrap_or(("", &version));
    let mut kinds = KnownKind::all(Reads::Routing);
    let kind = kinds.find(|kind| (kind.group, kind.name) == (group, &name)).unwrap();
    let id = Id::new(&text("/metadata/namespace"), &text("/metadata/name"));
    let Value::Object(map) = object else { return };
    plan.set(&kind, &id, Some((&version, map)));
}

fn services(number: usize) -> &'static [&'static str] {
    if number.is_multiple_of(5) {
        &["stable", "canary"]
    } else {
        &["web"]
    }
}

/// What a route needs; the first route of a Gateway brings it.
fn objects(number: usize, of_gateway: usize) -> Vec<Value> {
    let mut objects = Vec::new();
    if number.is_multiple_of(of_gateway) {
        objects.push(json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": metadata("edge", &format!("front-{}", number / of_gateway)),
            "spec": { "gatewayClassName": "istio", "listeners": [{
                "name": "http", "port": 80, "protocol": "HTTP",
                "allowedRoutes": { "namespaces": { "from": "All" } },
            }] },
        }));
    }
    objects.push(route(number, of_gateway));
    objects.push(policy(number, "8h"));
    objects.extend(services(number).iter().map(|name| service(number, name, "1")));
    objects
}

fn metadata(namespace: &str, name: &str) -> Value {
    json!({
        "name": name, "namespace": namespace, "creationTimestamp": "2026-01-31T12:00:00Z", "resourceVersion": "1",
        "uid": "cf3e1c71-6f33-4d8a-9a3a-f7ad2e1c9d0b",
    })
}

fn team(number: usize) -> String {
    format!("team-{}", number / 100)
}

fn route(number: usize, of_gateway: usize) -> Value {
    route_to(number, of_gateway, "/")
}

fn changed_route(number: usize, of_gateway: usize) -> Value {
    route_to(number, of_gateway, "/changed")
}

fn route_to(number: usize, of_gateway: usize, path: &str) -> Value {
    let backends = services(number).iter();
    let backends: Vec<Value> = backends
        .map(|name| json!({ "name": format!("{name}-{number}"), "port": 80, "weight": 50 }))
        .collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(&team(number), &format!("route-{number}")),
        "spec": {
            "parentRefs": [{ "name": format!("front-{}", number / of_gateway), "namespace": "edge" }],
            "hostnames": [format!("route-{number}.example.com")],
            "rules": [{
                "matches": [{ "path": { "type": "PathPrefix", "value": path } }],
                "backendRefs": backends,
            }],
        },
    })
}

fn policy(number: usize, timeout: &str) -> Value {
    let targets = services(number).iter();
    let targets: Vec<Value> = targets
        .map(|name| json!({ "group": "", "kind": "Service", "name": format!("{name}-{number}") }))
        .collect();
    let mut metadata = metadata(&team(number), &format!("sticky-{number}"));
    metadata["annotations"] = json!({ "mooring.dev/idle-timeout": "30m" });
    json!({
        "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
        "kind": "XBackendTrafficPolicy",
        "metadata": metadata,
        "spec": {
            "targetRefs": targets,
            "sessionPersistence": { "sessionName": format!("session-{number}"), "absoluteTimeout": timeout },
        },
    })
}

fn changed_policy(number: usize) -> Value {
    policy(number, "9h")
}

fn service(number: usize, name: &str, version: &str) -> Value {
    let mut metadata = metadata(&team(number), &format!("{name}-{number}"));
    metadata["labels"] = json!({ "version": version });
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "selector": { "app": format!("{name}-{number}") },
            "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }],
        },
    })
}

fn changed_service(number: usize) -> Value {
    service(number, services(number).first().unwrap(), "2")
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1_000.0
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// The memory of this process, as the kernel counts it, in MiB.
fn memory() -> f64 {
    status("VmRSS:")
}

fn peak() -> f64 {
    status("VmHWM:")
}

fn status(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes: Option<f64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kibibytes.unwrap_or(0.0) / 1024.0
}
