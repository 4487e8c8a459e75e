//! Proxies with their virtual hosts, and which virtual host a request is for.

use mooring_policy::{
    config::Config,
    gateway::Gateway,
    headers::Headers,
    keys::KeyRing,
    observed_backends::ObservedBackends,
    reachability::ReachabilityTracker,
    routes::{InvalidConfig, RouteTable},
    sampler::Sampler,
};

use super::{request::Request, route::Route};
use crate::{
    diagnostic::Report,
    dns,
    document::RawObjects,
    emit::envoy::{
        route_table::{self, Entry},
        served,
    },
    ir::{self, ProxyGroup},
    resources::Resources,
};

/// A group of proxies: its routes, and its module with what the module learns from requests.
#[derive(Debug)]
pub struct Proxy<'a> {
    /// The proxies.
    pub group: &'a ProxyGroup<'a>,
    /// The virtual hosts of all ports.
    pub virtual_hosts: Vec<VirtualHost<'a>>,
    /// The module with its configuration, keys and state.
    pub module: Gateway,
}

/// A virtual host with its routes.
#[derive(Debug)]
pub struct VirtualHost<'a> {
    /// The host name and the port.
    pub host: ir::VirtualHost,
    /// The host names for which it stands.
    pub domains: Vec<String>,
    /// The routes, in the order in which Envoy tries them. Without any, Envoy answers 404.
    pub routes: Vec<Route<'a>>,
}

impl<'a> Proxy<'a> {
    /// The proxies of a group with a configuration of the module and a key ring.
    pub fn new(
        group: &'a ProxyGroup<'a>,
        resources: &'a Resources,
        raw: &RawObjects,
        config: &Config,
        keys: Option<KeyRing>,
    ) -> Result<Self, InvalidConfig> {
        // What this target does not support is not reported: other targets may.
        let served = served::rules(group, resources, raw, &mut Report::default());
        let mut ports: Vec<u16> = served
            .iter()
            .flat_map(|rule| rule.virtual_hosts)
            .map(|host| host.port)
            .collect();
        ports.sort_unstable();
        ports.dedup();
        let hosts = ports.into_iter().flat_map(|port| {
            let tables = route_table::of_port(group, &served, port, resources).into_iter();
            let hosts = tables.map(|table| {
                let position = |entry: &Entry| served.iter().position(|rule| std::ptr::eq(rule, entry.served));
                let routes = table.routes.iter();
                let routes =
                    routes.filter_map(|entry| Some(Route::new(&group.rules.get(position(entry)?)?.rule, entry)));
                VirtualHost {
                    routes: routes.collect(),
                    host: table.host,
                    domains: table.domains,
                }
            });
            hosts.collect::<Vec<VirtualHost>>()
        });
        Ok(Self {
            group,
            virtual_hosts: hosts.collect(),
            module: Gateway {
                routes: RouteTable::new(config)?,
                keys,
                ..Gateway::default()
            },
        })
    }

    /// Makes the module forget earlier requests.
    pub fn forget_requests(&mut self) {
        self.module.reachability = ReachabilityTracker::default();
        self.module.observed = ObservedBackends::default();
        self.module.sampler = Sampler::default();
    }

    /// The ports with virtual hosts, in ascending order.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.virtual_hosts.iter().map(|host| host.host.port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// The virtual host of a request: on the port of the request, or, if the proxies have one port only, on that. Of several
    /// host names the most specific one counts, and the port in the `Host` header is ignored.
    #[must_use]
    pub fn virtual_host(&self, request: &Request) -> Option<&VirtualHost<'a>> {
        let ports = self.ports();
        let port = match ports.as_slice() {
            [only] => *only,
            _ => request.port(),
        };
        let name = request.host();
        let on_port = self.virtual_hosts.iter().filter(|host| host.host.port == port);
        let named = on_port.flat_map(|host| host.domains.iter().map(move |domain| (domain, host)));
        let covering = named.filter(|(domain, _)| dns::covers(domain, &name));
        let most_specific = covering.max_by_key(|(domain, _)| (!domain.starts_with('*'), domain.len()));
        most_specific.map(|(_, host)| host)
    }
}

impl<'a> VirtualHost<'a> {
    /// The first route whose conditions a request with these headers fulfils.
    #[must_use]
    pub fn find(&self, headers: &Headers) -> Option<&Route<'a>> {
        self.routes.iter().find(|route| route.conditions.matches(headers))
    }
}
