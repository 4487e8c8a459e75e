//! The configurations that are compared, all of them made out of what `mooring generate` emits.

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use mooring_tests::{
    Bootstrap, Canary, Dialect, Manifests, Persistence, Policy, Route, Rule, Service, Site, Source, settings,
};
use serde_json::{Map, Value, json};

/// The module that does nothing.
const EMPTY_MODULE: &str = "mooring-bench-empty.wasm";
/// The session's name.
const SESSION: &str = "cart";
/// The path of the routes without a rule.
pub(crate) const PLAIN: &str = "/plain";
/// The host name under which there is such a route and no other.
pub(crate) const ELSEWHERE: &str = "elsewhere.example.com";

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
}

impl Variant {
    /// All of them, in the order of the tables.
    pub(crate) const ALL: [Self; 7] = [
        Self::NoFilter,
        Self::Native,
        Self::Empty,
        Self::Filters,
        Self::Mooring,
        Self::MooringSplit,
        Self::MooringCanary,
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
        }
    }

    /// Whether Mooring's module is in it.
    pub(crate) fn is_mooring(self) -> bool {
        matches!(self, Self::Mooring | Self::MooringSplit | Self::MooringCanary)
    }

    /// Whether it keeps sessions.
    pub(crate) fn keeps_sessions(self) -> bool {
        self.is_mooring() || self == Self::Native
    }
}

/// What a configuration is made for.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) variant: Variant,
    /// How many routes with a session one virtual host has. Requests go to the last.
    pub(crate) routes: usize,
}

impl Setup {
    /// The configuration.
    pub(crate) fn bootstrap(&self, site: Site, pods: &[Ipv4Addr]) -> Result<Bootstrap> {
        self.shape(self.generate(site, pods))
    }

    /// What `mooring generate` emits. It is the same for all variants but the split.
    pub(crate) fn generate(&self, site: Site, pods: &[Ipv4Addr]) -> Bootstrap {
        manifests(self.variant, self.routes, pods).generate(site).bootstrap()
    }

    /// Makes the variant out of what was generated.
    pub(crate) fn shape(&self, mut bootstrap: Bootstrap) -> Result<Bootstrap> {
        let manager = manager(&mut bootstrap)?;
        match self.variant {
            Variant::Mooring | Variant::MooringSplit | Variant::MooringCanary => {}
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
        Ok(bootstrap)
    }
}

/// The path that only the last of so many routes matches. All routes have paths of one length, and routes of one length
/// are in the order of their names.
pub(crate) fn path(routes: usize) -> String {
    format!("/r{routes:05}")
}

fn manifests(variant: Variant, routes: usize, pods: &[Ipv4Addr]) -> Manifests {
    let session = Persistence::cookie(SESSION).absolute("1h").idle("10m");
    let backends: &[(&str, u32)] = match variant {
        Variant::MooringSplit | Variant::MooringCanary => &[("store", 90), ("store-canary", 10)],
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
        all = all.service(&service(name)).policy(&policy);
    }
    for number in 1..=routes {
        let rule = Rule::split(backends).below(&path(number));
        let name = format!("r{number:05}");
        all = all.route(&Route::new(&name).rule(rule));
        if variant == Variant::MooringCanary {
            all = all.canary(&canary(&name));
        }
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
