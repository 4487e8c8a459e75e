//! A group of proxies with their rules and the Envoy filters that their virtual hosts need.

use std::collections::BTreeMap;

use mooring_policy::config::{self, Config, Transport};

use super::{
    attached_rule::AttachedRule,
    virtual_host::VirtualHost,
    virtual_host_filters::VirtualHostFilters,
    waypoint::{self, Waypoint},
    workload::Workload,
};
use crate::{
    api::field::Field,
    canary::CompiledCanary,
    diagnostic::Diagnostic,
    id::Id,
    kind::Kind,
    labels::NAME_PREFIX,
    location::{DocumentOffset, SourceLocation},
    model::gateway::{GatewaySpec, Listener, ListenerSetSpec},
    resources::Item,
    session::Session,
};

/// Above this number of routes, a second route lookup costs more than setting headers from filter state.
const LARGE_VIRTUAL_HOST: usize = 80;

/// The name of the objects for callers. The labels of the callers follow it.
const CALLERS: &str = "callers";

/// A group of proxies: the pods that share one configuration of the module, and the rules that apply on them.
#[derive(Debug)]
pub struct ProxyGroup<'a> {
    /// The pods, and what they do.
    pub role: Role<'a>,
    /// The rules on the proxies, ordered by the ids of their routes and by position.
    pub rules: Vec<AttachedRule<'a>>,
}

/// The role of proxies in the mesh.
#[derive(Debug)]
pub enum Role<'a> {
    /// A gateway.
    Gateway(Gateway<'a>),
    /// The sidecars of pods that call Services.
    Sidecars(Workload),
    /// A waypoint, for one of its Services.
    Waypoint(Waypoint<'a>),
}

/// A gateway: one set of pods, and the Gateway objects that configure them.
#[derive(Debug)]
pub struct Gateway<'a> {
    /// The Gateway object. If several Gateways share their pods, the first.
    pub item: &'a Item<GatewaySpec>,
    /// The other Gateways with the same pods.
    pub others: Vec<&'a Item<GatewaySpec>>,
    /// The pods, or `None` if they have the label with the name of the Gateway ([`Workload::for_gateway`]).
    pub workload: Option<Workload>,
    /// The listener sets that the gateway allows, each with its listeners that do not conflict with earlier ones.
    pub sets: Vec<(&'a Item<ListenerSetSpec>, Vec<&'a Field<Listener>>)>,
}

impl<'a> Gateway<'a> {
    /// The listeners of its listener sets, each with the offset of its document.
    pub fn set_listeners(&self) -> impl Iterator<Item = (DocumentOffset, &Listener)> {
        let sets = self.sets.iter();
        sets.flat_map(|(set, listeners)| listeners.iter().map(|listener| (set.offset, &listener.value)))
    }

    /// All Gateway objects, the first one first.
    pub fn items(&self) -> impl Iterator<Item = &'a Item<GatewaySpec>> {
        std::iter::once(self.item).chain(self.others.iter().copied())
    }
}

impl ProxyGroup<'_> {
    /// The virtual hosts with managed rules, and the Envoy filters that each needs.
    #[must_use]
    pub fn managed_virtual_hosts(&self) -> BTreeMap<&VirtualHost, VirtualHostFilters> {
        let mut hosts: BTreeMap<&VirtualHost, VirtualHostFilters> = BTreeMap::new();
        for attached in self.managed_rules() {
            let session = attached.rule.host_session_filter();
            for host in &attached.virtual_hosts {
                let filters = hosts.entry(host).or_default();
                filters.stateful_session |= session.is_some();
                filters.strict_stateful_session |= session.is_some_and(|session| session.config.strict);
                filters.filter_state_headers |=
                    session.is_some_and(|session| session.config.transport == Transport::Cookie);
            }
        }
        let mut routes: BTreeMap<&VirtualHost, usize> = BTreeMap::new();
        for attached in &self.rules {
            for host in &attached.virtual_hosts {
                let sum = routes.entry(host).or_default();
                let count = attached.rule.route_count();
                *sum = sum
                    .saturating_add(count)
                    .saturating_add(attached.rule.session_route_count());
            }
        }
        for (host, filters) in &mut hosts {
            filters.filter_state_headers &= routes.get(host).is_some_and(|count| *count > LARGE_VIRTUAL_HOST);
        }
        hosts
    }

    /// The gateway, or `None` if the proxies have another role.
    #[must_use]
    pub fn gateway(&self) -> Option<&Gateway<'_>> {
        match &self.role {
            Role::Gateway(gateway) => Some(gateway),
            Role::Sidecars(_) | Role::Waypoint(_) => None,
        }
    }

    /// The waypoint, or `None` if the proxies have another role.
    #[must_use]
    pub fn waypoint(&self) -> Option<&Waypoint<'_>> {
        match &self.role {
            Role::Waypoint(waypoint) => Some(waypoint),
            Role::Gateway(_) | Role::Sidecars(_) => None,
        }
    }

    /// The callers, or `None` if the proxies have another role.
    #[must_use]
    pub fn callers(&self) -> Option<&Workload> {
        match &self.role {
            Role::Sidecars(pods) => Some(pods),
            Role::Gateway(_) | Role::Waypoint(_) => None,
        }
    }

    /// The name of an Envoy virtual host of the proxies.
    #[must_use]
    pub fn virtual_host_name(&self, host: &VirtualHost) -> String {
        match &self.role {
            Role::Waypoint(_) => waypoint::virtual_host_name(host),
            Role::Gateway(_) | Role::Sidecars(_) => host.name(),
        }
    }

    /// The namespace and name of the generated `WasmPlugin`. The names of the other generated objects begin with this
    /// name.
    #[must_use]
    pub fn object_id(&self) -> Id {
        match &self.role {
            Role::Gateway(Gateway {
                workload: Some(workload),
                ..
            }) => Id::new(&workload.namespace, &format!("{NAME_PREFIX}{}", workload.name())),
            Role::Gateway(Gateway { item, .. }) => {
                Id::new(&item.id.namespace, &format!("{NAME_PREFIX}{}", item.id.name))
            }
            Role::Sidecars(pods) if pods.labels.is_empty() => {
                Id::new(&pods.namespace, &format!("{NAME_PREFIX}{CALLERS}"))
            }
            Role::Sidecars(pods) => Id::new(&pods.namespace, &format!("{NAME_PREFIX}{CALLERS}-{}", pods.name())),
            Role::Waypoint(waypoint) => waypoint.object_id(),
        }
    }

    /// Its pods.
    #[must_use]
    pub fn pods(&self) -> Workload {
        match &self.role {
            Role::Gateway(gateway) => {
                let pods = gateway.workload.clone();
                pods.unwrap_or_else(|| Workload::for_gateway(&gateway.item.id))
            }
            Role::Sidecars(pods) => pods.clone(),
            Role::Waypoint(waypoint) => Workload::for_gateway(&waypoint.item.id),
        }
    }

    /// The pods if a selector selects them, or `None` if they have the label with the name of their Gateway.
    #[must_use]
    pub fn selected_pods(&self) -> Option<&Workload> {
        match &self.role {
            Role::Gateway(gateway) => gateway.workload.as_ref(),
            Role::Sidecars(pods) => Some(pods),
            Role::Waypoint(_) => None,
        }
    }

    /// The namespace of its pods.
    #[must_use]
    pub fn namespace(&self) -> &str {
        match &self.role {
            Role::Gateway(gateway) => {
                let workload = gateway.workload.as_ref();
                workload.map_or(&gateway.item.id.namespace, |workload| &workload.namespace)
            }
            Role::Sidecars(pods) => &pods.namespace,
            Role::Waypoint(waypoint) => &waypoint.item.id.namespace,
        }
    }

    /// The proxies in a list of names, such as `Gateway/infra/front`.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.role {
            Role::Gateway(gateway) => gateway.item.name(Kind::Gateway),
            Role::Sidecars(pods) => format!("callers/{pods}"),
            Role::Waypoint(Waypoint { item, service, .. }) => format!("waypoint/{} of Service/{}", item.id, service.id),
        }
    }

    /// The proxies in a sentence, such as `Gateway infra/front`.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.role {
            Role::Gateway(gateway) => format!("Gateway {}", gateway.item.id),
            Role::Sidecars(pods) => format!("the callers {pods}"),
            Role::Waypoint(Waypoint { item, service, .. }) => {
                format!("the waypoint {} of the Service {}", item.id, service.id)
            }
        }
    }

    /// The beginning of the names of its listeners in a local Envoy.
    #[must_use]
    pub fn listener_name(&self) -> String {
        match &self.role {
            Role::Gateway(gateway) => format!("{}.{}", gateway.item.id.namespace, gateway.item.id.name),
            Role::Sidecars(pods) => format!("{}.{CALLERS}", pods.namespace),
            Role::Waypoint(waypoint) => format!("{}.{}", waypoint.item.id.namespace, waypoint.item.id.name),
        }
    }

    /// Adds the location of the object that configures the proxies to a diagnostic. The command line names callers, so
    /// they have no location.
    #[must_use]
    pub fn locate(&self, diagnostic: Diagnostic) -> Diagnostic {
        match self.location() {
            Some(location) => diagnostic.at(location),
            None => diagnostic,
        }
    }

    /// The location of the object that configures the proxies, if an object does.
    #[must_use]
    pub fn location(&self) -> Option<SourceLocation> {
        match &self.role {
            Role::Gateway(gateway) => Some(gateway.item.location()),
            Role::Waypoint(waypoint) => Some(waypoint.item.location()),
            Role::Sidecars(_) => None,
        }
    }

    /// Whether any rule on the proxies is managed.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.managed_rules().next().is_some()
    }

    /// The rules that keep sessions or have canaries. Only these are in the configuration of the filter.
    pub fn managed_rules(&self) -> impl Iterator<Item = &AttachedRule<'_>> {
        self.rules.iter().filter(|attached| attached.rule.is_managed())
    }

    /// The compiled canaries of the managed rules, ordered by the ids of their policies.
    #[must_use]
    pub fn canaries(&self) -> BTreeMap<&Id, &CompiledCanary> {
        let applied = self
            .managed_rules()
            .filter_map(|attached| attached.rule.canary.as_ref());
        applied
            .filter_map(|canary| Some((&canary.policy, &*canary.routing.as_ref().ok()?.as_ref()?.compiled)))
            .collect()
    }

    /// The identities of the managed rules.
    pub fn managed_rule_ids(&self) -> impl Iterator<Item = &str> {
        self.managed_rules().map(|attached| attached.rule.id.as_str())
    }

    /// The rules that keep sessions.
    pub fn session_rules(&self) -> impl Iterator<Item = (&AttachedRule<'_>, &Session)> {
        self.rules
            .iter()
            .filter_map(|attached| Some((attached, attached.rule.session.as_ref()?)))
    }

    /// The configuration of the Wasm module for these proxies, without what flags add.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config_with(false)
    }

    /// The same. With `weight_metric` it has all weights, and they are gauges of the module. Otherwise it has only those that the
    /// module needs, so that other changes of weights do not change it.
    #[must_use]
    pub fn config_with(&self, weight_metric: bool) -> Config {
        let canaries = self.canaries();
        let positions: BTreeMap<&Id, usize> = canaries.keys().copied().zip(0..).collect();
        let position = |attached: &AttachedRule| positions.get(&attached.rule.canary.as_ref()?.policy).copied();
        let rules = self.managed_rules().flat_map(|attached| {
            let hosts = attached.virtual_hosts.iter().map(|host| self.virtual_host_name(host));
            let configs = attached.configs(hosts.collect(), position(attached).unwrap_or_default());
            configs.map(move |mut rule| {
                for (config, backend) in rule.backends.iter_mut().zip(&attached.rule.backends) {
                    config.weight = config.weight.or(weight_metric.then_some(backend.weight));
                }
                rule
            })
        });
        // An EnvoyFilter with the header sanitizer may be missing on a waypoint, or not needed.
        let session_routes = self.managed_rules().filter(|_| self.waypoint().is_some());
        let session_routes = session_routes.flat_map(|attached| attached.rule.session_route_names());
        Config {
            version: config::VERSION,
            session_routes: session_routes.collect(),
            access_log: false,
            weight_metric,
            canaries: canaries.values().map(|compiled| compiled.config.clone()).collect(),
            rules: rules.collect(),
        }
    }
}
