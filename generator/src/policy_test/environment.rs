//! The proxies that the manifests configure, and what each request meets there.

use std::collections::{BTreeMap, BTreeSet};

use mooring_policy::{
    canary::{Budget, Selection},
    config::Config,
    decision::{Decision, Reason},
    headers::Headers,
    keys::{self, KeyRing},
    reachability::UnreachableCause,
    session::Session,
};

use super::{
    checked::TestFile,
    coverage::{Branch, Touched},
    format::Scheme,
    observed::{NONE, Observed},
    request::Request,
};
use crate::{
    diagnostic::Report,
    document::{self, RawObjects},
    ir::{Ir, ProxyGroup, Role, Rule},
    key_ring,
    mesh::Mesh,
    resources::Resources,
    simulate::{self, Answer, Circumstances, Exchange, HeaderChange, Proxy, Uninvolved},
    source::Sources,
    translate,
};

/// The cookie header of a request.
const COOKIE: &str = "cookie";

/// The header of a response that sets a cookie.
const SET_COOKIE: &str = "set-cookie";

/// Other values than those of the manifests, by the keys of backends.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Changes {
    /// Their weights.
    pub weights: BTreeMap<String, u32>,
    /// Their versions.
    pub versions: BTreeMap<String, String>,
}

/// A client: the session tokens that it has, by the names of cookies and headers.
#[derive(Clone, Debug, Default)]
pub struct Client {
    cookies: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
}

impl Client {
    /// Whether it has a session.
    pub fn has_session(&self) -> bool {
        !self.cookies.is_empty() || !self.headers.is_empty()
    }
}

/// What the manifests configure.
pub struct Environment<'a> {
    /// The translated manifests.
    pub ir: &'a Ir<'a>,
    /// The objects.
    pub resources: &'a Resources,
    /// The objects as they are written.
    pub raw: &'a RawObjects<'a>,
    /// The key ring of all proxies.
    pub keys: String,
    /// Whether sidecars get the requests, and not gateways.
    pub sidecars: bool,
}

/// What happened to a request.
pub struct Sent {
    /// What became of it.
    pub observed: Observed,
    /// What it covers. None: no rule took it.
    pub touched: Option<Touched>,
    /// The client afterwards.
    pub client: Client,
}

/// Translates the manifests of a test file, and calls `use_it`. None if they have an error, which is reported.
pub fn load<T>(
    test: &TestFile,
    sources: &Sources,
    report: &mut Report,
    use_it: impl FnOnce(&Environment, &mut Report) -> Option<T>,
) -> Option<T> {
    let mesh = Mesh {
        classes: test.gateway_classes.iter().cloned().collect(),
        domain: test.cluster_domain.clone(),
        callers: test.as_sidecar.iter().cloned().collect(),
        ..Mesh::default()
    };
    let resources = Resources::new(document::read(sources, report), sources, mesh);
    let ir = translate::translate(&resources, report);
    if report.has_errors() {
        return None;
    }
    let keys = key_ring::new_entry(None, &[]).map(|entry| keys::reveal(&[entry]).to_string());
    let environment = Environment {
        ir: &ir,
        resources: &resources,
        raw: &RawObjects::new(sources),
        keys: keys.unwrap_or_default(),
        sidecars: test.as_sidecar.is_some(),
    };
    use_it(&environment, report)
}

impl<'a> Environment<'a> {
    /// The proxies, as if the manifests had these weights and versions.
    pub fn proxies(&self, changes: &Changes) -> Result<Vec<Proxy<'a>>, String> {
        let is_meant = |group: &&ProxyGroup| match group.role {
            Role::Gateway(_) => !self.sidecars,
            Role::Sidecars(_) => self.sidecars,
            Role::Waypoint(_) => false,
        };
        let groups = self.ir.proxies.iter().filter(is_meant);
        groups
            .map(|group| {
                let config = with_changes(group, group.config(), changes);
                Proxy::new(
                    group,
                    self.resources,
                    self.raw,
                    &config,
                    KeyRing::parse(&self.keys).ok(),
                )
                .map_err(|error| {
                    format!(
                        "the module would refuse the configuration of {}: {error}",
                        group.title()
                    )
                })
            })
            .collect()
    }
}

/// A configuration as it would be generated for other weights and versions.
fn with_changes(group: &ProxyGroup, mut config: Config, changes: &Changes) -> Config {
    for rule in &mut config.rules {
        let mut attached = group.rules.iter().map(|attached| &attached.rule);
        let Some(own) = attached.find(|own| own.id == rule.id) else {
            continue;
        };
        let mut own = Rule::clone(own);
        for backend in &mut own.backends {
            let key = backend.key();
            backend.weight = changes.weights.get(&key).copied().unwrap_or(backend.weight);
            if let Some(version) = changes.versions.get(&key) {
                backend.version = Some(version.clone());
            }
        }
        rule.backends = own.backend_configs();
    }
    config
}

/// The position of the proxy that gets a request.
pub fn select(proxies: &[Proxy], request: &Request) -> Result<usize, String> {
    let named = |proxy: &Proxy| match &request.gateway {
        Some(gateway) => {
            let own = proxy.group.gateway();
            own.is_some_and(|own| own.items().any(|item| item.id.to_string() == gateway.value))
        }
        None => true,
    };
    let candidates: Vec<usize> = (0..)
        .zip(proxies)
        .filter(|(_, proxy)| named(proxy))
        .map(|(at, _)| at)
        .collect();
    if candidates.is_empty() {
        return Err(match &request.gateway {
            Some(gateway) => format!("the manifests have no Gateway {}", gateway.value),
            None => "the manifests configure no proxy: they have no Gateway with a listener for HTTP".to_owned(),
        });
    }
    let port = request.port.as_ref().map(|port| port.value.get());
    let listens = |at: &usize| {
        let ports = proxies.get(*at).map(Proxy::ports).unwrap_or_default();
        port.is_none_or(|port| ports.contains(&port))
    };
    let candidates: Vec<usize> = candidates.iter().copied().filter(listens).collect();
    let Some(first) = candidates.first() else {
        return Err(format!(
            "the manifests have no route on port {}",
            port.unwrap_or_default()
        ));
    };
    let sent = simulated(request, &Client::default());
    let serves = |at: &&usize| {
        proxies
            .get(**at)
            .is_some_and(|proxy| proxy.virtual_host(&sent).is_some())
    };
    let serving: Vec<usize> = candidates.iter().filter(serves).copied().collect();
    match serving.as_slice() {
        [] => Ok(*first),
        [one] => Ok(*one),
        several => {
            let serving = several.iter().filter_map(|at| proxies.get(*at));
            let serving: Vec<String> = serving.map(|proxy| proxy.group.title()).collect();
            Err(format!(
                "{} serve the host `{}`; name one with `gateway` or `port` of the request",
                serving.join(" and "),
                request.host
            ))
        }
    }
}

/// The request as the client sends it.
fn simulated(request: &Request, client: &Client) -> simulate::Request {
    let default_port = match request.scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    let port = request
        .port
        .as_ref()
        .map(|port| port.value.get())
        .filter(|port| *port != default_port);
    let authority = match port {
        Some(port) if !request.host.contains(':') => format!("{}:{port}", request.host),
        _ => request.host.clone(),
    };
    let mut headers = request.headers.clone();
    let own = request.cookies.iter().map(|(name, value)| (name, value));
    let cookies: Vec<String> = own
        .chain(&client.cookies)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if !cookies.is_empty() {
        headers.push((COOKIE.to_owned(), cookies.join("; ")));
    }
    headers.extend(client.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    simulate::Request {
        method: request.method.clone(),
        scheme: request.scheme.name().to_owned(),
        authority,
        path: request.path.clone(),
        headers,
        listener_port: None,
    }
}

/// Sends a request of a client through a proxy.
///
/// The proxy is that of a gateway with much traffic: it has recently seen the route select each backend that has a weight and
/// hosts, and it knows which backends have none. Requests of other cases leave no trace.
pub fn send(
    proxy: &mut Proxy,
    request: &Request,
    client: &Client,
    circumstances: &Circumstances,
) -> Result<Sent, String> {
    let lines = simulated(request, client);
    let failed = |error| format!("the token cannot be sealed: {error}");
    proxy.forget_requests();
    let seen = {
        let exchange = proxy.send(&lines, circumstances).map_err(failed)?;
        Seen::new(&exchange, circumstances)
    };
    proxy.forget_requests();
    if let Some(seen) = seen {
        seen.record(proxy, circumstances.now);
    }
    let exchange = proxy.send(&lines, circumstances).map_err(failed)?;
    let mut client = client.clone();
    let observed = observe(&exchange, &mut client);
    Ok(Sent {
        observed,
        touched: touched(&exchange, &lines),
        client,
    })
}

/// What the module of a gateway with much traffic knows about the backends of a rule.
struct Seen {
    rule: usize,
    selected: BTreeSet<usize>,
    unreachable: BTreeSet<usize>,
}

impl Seen {
    fn new(exchange: &Exchange, circumstances: &Circumstances) -> Option<Self> {
        let (route, rule) = (exchange.route?, exchange.decision.as_ref()?.rule());
        let is_down = |position: &usize| {
            let backend = rule.backends().get(*position);
            backend.is_some_and(|backend| circumstances.down.contains(backend.key()))
        };
        let weights = route.weights(circumstances);
        let selected = weights.iter().filter(|target| target.weight > 0);
        let selected = selected
            .filter_map(|target| target.backend)
            .filter(|position| !is_down(position));
        // The failure of a strict session says nothing about its backend.
        let strict = rule.session().is_some_and(Session::strict);
        let unreachable = (0..rule.backends().len()).filter(is_down).filter(|_| !strict);
        Some(Self {
            rule: rule.position(),
            selected: selected.collect(),
            unreachable: unreachable.collect(),
        })
    }

    fn record(&self, proxy: &Proxy, now: u64) {
        for backend in &self.selected {
            proxy.module.observed.record(self.rule, *backend, now);
        }
        for backend in &self.unreachable {
            let cause = UnreachableCause::NoHost;
            proxy
                .module
                .reachability
                .record_failure(self.rule, *backend, cause, now);
        }
    }
}

fn observe(exchange: &Exchange, client: &mut Client) -> Observed {
    let decision = exchange.decision.as_ref();
    let (backend, host, status) = match &exchange.answer {
        Answer::Backend { key, host } => (Some(key.clone()), Some(host.clone()), 200),
        Answer::Envoy { status, .. } => (None, None, *status),
    };
    let no_route = exchange.uninvolved == Some(Uninvolved::NoRoute);
    let rule = exchange.route.filter(|_| !no_route).map(|route| route.rule.id.clone());
    let mut observed = Observed {
        rule,
        backend,
        odds: Vec::new(),
        host,
        reason: decision.map(|decision| decision.reason().label(decision.rule()).into_owned()),
        session: decision.map_or(NONE, |decision| decision.session_outcome().label()),
        set_cookie: None,
        session_header: None,
        status,
    };
    if exchange.issued.is_none() {
        return observed;
    }
    for change in &exchange.response_changes {
        let HeaderChange::Add(name, value) = change else {
            continue;
        };
        let value = String::from_utf8_lossy(value).into_owned();
        if name == SET_COOKIE {
            if let Ok(cookie) = cookie::Cookie::parse(value.as_str()) {
                client
                    .cookies
                    .insert(cookie.name().to_owned(), cookie.value().to_owned());
            }
            observed.set_cookie = Some(value);
        } else {
            client.headers.insert(name.clone(), value);
            observed.session_header = Some(name.clone());
        }
    }
    observed
}

/// What a request covers.
fn touched(exchange: &Exchange, request: &simulate::Request) -> Option<Touched> {
    let route = exchange.route?;
    Some(Touched {
        rule: route.rule.id.clone(),
        branches: exchange
            .decision
            .as_ref()
            .map_or_else(Vec::new, |decision| branches(decision, request)),
    })
}

fn branches(decision: &Decision, request: &simulate::Request) -> Vec<Branch> {
    let Some(canary) = decision.rule().canary() else {
        return Vec::new();
    };
    let lines = request.lines();
    let selection = canary.select(&Headers::from(lines.as_slice()), &mut Budget::for_request());
    let name = |rule| canary.rule_name(rule).unwrap_or_default().to_owned();
    let reason = decision.reason();
    let applied = matches!(reason, Reason::CanaryRule(_));
    match selection {
        Selection::Only { rule, .. } if applied => vec![Branch::Selects(name(rule))],
        Selection::Except { rule, .. } if applied || canary.overrides_sessions() => vec![Branch::Excludes(name(rule))],
        _ if reason == Reason::Hash => vec![Branch::Hash, Branch::Otherwise],
        _ => vec![Branch::Otherwise],
    }
}
