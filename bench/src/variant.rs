//! The configurations that are compared, all of them made out of what `mooring generate` emits.

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use mooring_tests::{
    Bootstrap, Canary, Dialect, HOSTNAME, Manifests, Persistence, Policy, Route, Rule, Service, Site, Source, settings,
};
use serde_json::{Map, Value, json};

use crate::user::SESSION_HEADER;

/// The module that does nothing.
const EMPTY_MODULE: &str = "mooring-bench-empty.wasm";
/// The session's name.
const SESSION: &str = "cart";
/// The label with the version of a Service.
const VERSION: &str = "version";
/// The path of the routes without a rule.
pub(crate) const PLAIN: &str = "/plain";
/// The host name under which there is such a route and no other.
const ELSEWHERE: &str = "elsewhere.example.com";
/// The Service with such a route and no other.
const ELSEWHERE_SERVICE: &str = "elsewhere";

/// What stands in the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Variant {
    /// Envoy's router and nothing else.
    NoFilter,
    /// Envoy's own `stateful_session` in cookie mode.
    Native,
    /// An empty module that is built on the proxy-wasm crate.
    Empty,
    /// The filters that Mooring generates beside its module: header sanitizer and stateful session.
    Filters,
    /// Mooring as it is shipped, where the rule has one backend.
    Mooring,
    /// Mooring as it is shipped, where the rule splits between two backends, each of which has a session route.
    MooringSplit,
    /// The same with canary rules that look at a header and two cookies, and do not match.
    MooringCanary,
    /// The same with sessions that follow the version of their backend and its weight.
    MooringRelease,
    /// Mooring with one backend and `--access-log`, where nothing reads what the module leaves.
    MooringLog,
    /// The same with two backends.
    MooringSplitLog,
}

impl Variant {
    /// All but those with `--access-log`, in the order of the tables.
    pub(crate) const ALL: [Self; 8] = [
        Self::NoFilter,
        Self::Native,
        Self::Empty,
        Self::Filters,
        Self::Mooring,
        Self::MooringSplit,
        Self::MooringCanary,
        Self::MooringRelease,
    ];

    /// As a table names it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::NoFilter => "no filter",
            Self::Native => "native cookie",
            Self::Empty => "empty module",
            Self::Filters => "filters, no module",
            Self::Mooring => "Mooring, one backend",
            Self::MooringSplit => "Mooring, two backends",
            Self::MooringCanary => "Mooring, canary rules",
            Self::MooringRelease => "Mooring, a release",
            Self::MooringLog => "Mooring, one backend, access log",
            Self::MooringSplitLog => "Mooring, two backends, access log",
        }
    }

    /// Whether Mooring's module is in it.
    pub(crate) fn is_mooring(self) -> bool {
        !matches!(self, Self::NoFilter | Self::Native | Self::Empty | Self::Filters)
    }

    /// Whether the module leaves its decisions for access logs.
    fn has_access_log(self) -> bool {
        matches!(self, Self::MooringLog | Self::MooringSplitLog)
    }

    /// Whether it keeps sessions.
    pub(crate) fn keeps_sessions(self) -> bool {
        self.is_mooring() || self == Self::Native
    }
}

/// Whose Envoy it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxy {
    /// A gateway: cookies carry the sessions, and all routes are in one virtual host.
    Gateway,
    /// The sidecar of a caller: a header carries the sessions, and each route has a Service, and so a virtual host, to itself.
    Sidecar,
}

/// What a configuration is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) proxy: Proxy,
    pub(crate) variant: Variant,
    /// How many routes with a session there are. Requests go to the last.
    pub(crate) routes: usize,
}

impl Setup {
    /// One of a gateway.
    pub(crate) fn gateway(variant: Variant, routes: usize) -> Self {
        let proxy = Proxy::Gateway;
        Self { proxy, variant, routes }
    }

    /// One of a sidecar.
    pub(crate) fn sidecar(variant: Variant, routes: usize) -> Self {
        let proxy = Proxy::Sidecar;
        Self { proxy, variant, routes }
    }

    /// As a table names it.
    pub(crate) fn title(self) -> String {
        match self.proxy {
            Proxy::Gateway => self.variant.title().to_owned(),
            Proxy::Sidecar if self.variant == Variant::NoFilter => "sidecar, without Mooring".to_owned(),
            Proxy::Sidecar => format!("sidecar, {}", self.variant.title()),
        }
    }

    /// The host name with the routes that are asked for.
    pub(crate) fn host(self) -> String {
        match self.proxy {
            Proxy::Gateway => HOSTNAME.to_owned(),
            Proxy::Sidecar => numbered(self.routes),
        }
    }

    /// The host name that has a route without a rule and no other.
    pub(crate) fn elsewhere(self) -> &'static str {
        match self.proxy {
            Proxy::Gateway => ELSEWHERE,
            Proxy::Sidecar => ELSEWHERE_SERVICE,
        }
    }

    /// The configuration.
    pub(crate) fn bootstrap(self, site: Site, pods: &[Ipv4Addr]) -> Result<Bootstrap> {
        self.shape(self.generate(site, pods))
    }

    /// What `mooring generate` emits.
    pub(crate) fn generate(self, site: Site, pods: &[Ipv4Addr]) -> Bootstrap {
        let manifests = match self.proxy {
            Proxy::Gateway => gateway(self.variant, self.routes, pods),
            Proxy::Sidecar => sidecar(self.variant, self.routes, pods),
        };
        let manifests = if self.variant.has_access_log() {
            manifests.access_log()
        } else {
            manifests
        };
        manifests.generate(site).bootstrap()
    }

    /// Makes the variant out of what was generated.
    pub(crate) fn shape(self, mut bootstrap: Bootstrap) -> Result<Bootstrap> {
        let manager = manager(&mut bootstrap)?;
        match self.variant {
            Variant::Mooring | Variant::MooringSplit | Variant::MooringCanary | Variant::MooringRelease => {}
            // What Envoy's own log costs depends on its format.
            Variant::MooringLog | Variant::MooringSplitLog => {
                manager.remove("access_log").context("an access log")?;
            }
            Variant::Filters => filters(manager)?.retain(|filter| !is_wasm(filter)),
            Variant::NoFilter => bare(manager, Vec::new())?,
            Variant::Native => bare(manager, vec![native()])?,
            Variant::Empty => {
                let empty = filters(manager)?.iter().find(|filter| is_wasm(filter)).cloned();
                let mut empty = empty.context("a wasm filter")?;
                // Without the virtual hosts' configuration, nothing would turn it on.
                empty.as_object_mut().context("a filter")?.remove("disabled");
                let plugin = empty.pointer_mut("/typed_config/config").context("a plugin")?;
                put(plugin, "/vm_config/code/local/filename", json!(module(EMPTY_MODULE)?))?;
                put(plugin, "/configuration/value", json!(""))?;
                bare(manager, vec![empty])?;
            }
        }
        if self.proxy == Proxy::Sidecar {
            like_istiod(manager)?;
        }
        Ok(bootstrap)
    }
}

/// The path that only the last of so many routes matches. All routes have paths of one length, and routes of one length
/// are in the order of their names.
pub(crate) fn path(routes: usize) -> String {
    format!("/{}", numbered(routes))
}

/// The name of a route, and of the Service that it belongs to in the mesh.
fn numbered(number: usize) -> String {
    format!("r{number:05}")
}

fn sidecar(variant: Variant, routes: usize, pods: &[Ipv4Addr]) -> Manifests {
    let session = Persistence::header(SESSION_HEADER).absolute("1h").idle("10m");
    let service = |name: &str| Service::at(name, pods.iter().copied());
    let policy = |name: &str| Policy::on(name, session.clone());
    let plain = || Rule::to("plain").below(PLAIN);
    let elsewhere = Route::new(ELSEWHERE_SERVICE).of_service(ELSEWHERE_SERVICE);
    let mut all = Manifests::sidecar()
        .service(&service("plain"))
        .service(&service(ELSEWHERE_SERVICE))
        .route(&elsewhere.rule(plain()))
        .service(&service("canary"))
        .policy(&policy("canary"));
    for number in 1..=routes {
        let name = numbered(number);
        let rule = match variant {
            Variant::MooringSplit => Rule::split(&[(&name, 90), ("canary", 10)]),
            _ => Rule::to(&name),
        };
        all = all.service(&service(&name)).policy(&policy(&name)).route(
            &Route::new(&name)
                .of_service(&name)
                .rule(rule.below(&path(number)))
                .rule(plain()),
        );
    }
    all
}

fn gateway(variant: Variant, routes: usize, pods: &[Ipv4Addr]) -> Manifests {
    let session = Persistence::cookie(SESSION).absolute("1h").idle("10m");
    let backends: &[(&str, u32)] = match variant {
        Variant::MooringSplit | Variant::MooringCanary | Variant::MooringRelease | Variant::MooringSplitLog => {
            &[("store", 90), ("store-canary", 10)]
        }
        _ => &[("store", 1)],
    };
    let service = |name: &str| Service::at(name, pods.iter().copied());
    let mut all = Manifests::new()
        .route(&Route::new("plain").rule(Rule::to("plain").below(PLAIN)))
        .route(
            &Route::new("elsewhere")
                .host(ELSEWHERE)
                .rule(Rule::to("plain").below(PLAIN)),
        )
        .service(&service("plain"));
    for (name, _) in backends {
        let policy = Policy::on(name, session.clone()).dialect(Dialect::BackendLb);
        all = all.service(&service(name).selects(VERSION, name)).policy(&policy);
    }
    for number in 1..=routes {
        let rule = Rule::split(backends).below(&path(number));
        let name = numbered(number);
        all = all.route(&Route::new(&name).rule(rule));
        all = match variant {
            Variant::MooringCanary => all.canary(&canary(&name)),
            Variant::MooringRelease => {
                let release = Canary::on(&name).version_label(VERSION);
                all.canary(&release.rebalance("OnWeightIncrease"))
            }
            _ => all,
        };
    }
    all
}

/// Each of its conditions is on something that every request has, and no request meets it.
fn canary(route: &str) -> Canary {
    let to_canary = |rule: Canary, name, condition| rule.force(name, "store-canary", &[condition]);
    let rules = to_canary(
        Canary::on(route),
        "testers",
        Source::Header("user-agent").matches("Contains", "Tester"),
    );
    let rules = to_canary(
        rules,
        "france",
        Source::Cookie("lang").matches("RegularExpression", "fr(-[A-Z]{2})?"),
    );
    to_canary(rules, "light", Source::Cookie("theme").is("light"))
}

/// The HTTP connection manager of the one listener.
fn manager(bootstrap: &mut Bootstrap) -> Result<&mut Map<String, Value>> {
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let manager = bootstrap.json_mut().pointer_mut(manager);
    manager.and_then(Value::as_object_mut).context("a connection manager")
}

fn filters(manager: &mut Map<String, Value>) -> Result<&mut Vec<Value>> {
    let filters = manager.get_mut("http_filters").and_then(Value::as_array_mut);
    filters.context("HTTP filters")
}

/// Takes everything of Mooring out and puts these filters before the router.
fn bare(manager: &mut Map<String, Value>, before_router: Vec<Value>) -> Result<()> {
    manager.remove("early_header_mutation_extensions");
    let filters = filters(manager)?;
    filters.retain(|filter| name(filter) == "envoy.filters.http.router");
    ensure!(filters.len() == 1, "{} routers", filters.len());
    filters.splice(0..0, before_router);
    let hosts = manager
        .get_mut("route_config")
        .and_then(|config| config.get_mut("virtual_hosts"));
    let hosts = hosts.and_then(Value::as_array_mut).context("virtual hosts")?;
    for host in hosts.iter_mut().filter_map(Value::as_object_mut) {
        host.remove("typed_per_filter_config");
        host.remove("request_headers_to_remove");
    }
    Ok(())
}

/// Adds what istiod configures in the outbound listeners of sidecars and a stock Envoy supports. Istio's own telemetry is in
/// Istio's build only.
fn like_istiod(manager: &mut Map<String, Value>) -> Result<()> {
    const TYPES: &str = "type.googleapis.com/envoy.extensions.filters.http";
    let percent = |value: u32| json!({"value": value});
    manager.insert("use_remote_address".to_owned(), json!(false));
    manager.insert(
        "tracing".to_owned(),
        json!({"client_sampling": percent(100), "random_sampling": percent(1), "overall_sampling": percent(100)}),
    );
    let filters = filters(manager)?;
    let behind_module = filters.iter().position(is_wasm).map_or(0, |module| module + 1);
    filters.splice(
        behind_module..behind_module,
        [
            (
                "grpc_stats",
                json!({"@type": format!("{TYPES}.grpc_stats.v3.FilterConfig"), "emit_filter_state": true}),
            ),
            ("fault", json!({"@type": format!("{TYPES}.fault.v3.HTTPFault")})),
            ("cors", json!({"@type": format!("{TYPES}.cors.v3.Cors")})),
        ]
        .map(|(name, config)| json!({"name": format!("envoy.filters.http.{name}"), "typed_config": config})),
    );
    Ok(())
}

fn is_wasm(filter: &Value) -> bool {
    let kind = filter.pointer("/typed_config/@type").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.ends_with(".wasm.v3.Wasm"))
}

fn name(filter: &Value) -> &str {
    filter.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn put(value: &mut Value, pointer: &str, new: Value) -> Result<()> {
    *value.pointer_mut(pointer).with_context(|| format!("no {pointer}"))? = new;
    Ok(())
}

fn native() -> Value {
    json!({
        "name": "envoy.filters.http.stateful_session",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
            "session_state": {
                "name": "envoy.http.stateful_session.cookie",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState",
                    "cookie": {"name": SESSION, "path": "/", "ttl": "3600s"},
                },
            },
        },
    })
}

/// A module of this benchmark, as the Makefile builds it.
fn module(file: &str) -> Result<PathBuf> {
    let path = settings::workspace().join("target").join(file);
    ensure!(path.is_file(), "there is no target/{file}: `make bench` builds it");
    Ok(path)
}
