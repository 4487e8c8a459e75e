//! A gateway with its rules and the Envoy filters that its virtual hosts need.

use std::collections::BTreeMap;

use mooring_policy::config::{self, Config, Transport};

use super::{
    attached_rule::AttachedRule, virtual_host::VirtualHost, virtual_host_filters::VirtualHostFilters,
    workload::Workload,
};
use crate::{
    api::field::Field,
    canary::CompiledCanary,
    id::Id,
    labels::NAME_PREFIX,
    location::DocumentOffset,
    model::gateway::{GatewaySpec, Listener, ListenerSetSpec},
    resources::Item,
    session::Session,
};

/// Above this number of routes, a second route lookup costs more than setting headers from filter state.
const LARGE_VIRTUAL_HOST: usize = 80;

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
    /// The rules on the gateway, ordered by the ids of their routes and by position.
    pub rules: Vec<AttachedRule<'a>>,
}

impl<'a> Gateway<'a> {
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

    /// The namespace and name of the generated `WasmPlugin`. The names of the other generated objects begin with this
    /// name.
    #[must_use]
    pub fn object_id(&self) -> Id {
        match &self.workload {
            Some(workload) => Id::new(&workload.namespace, &format!("{NAME_PREFIX}{}", workload.name())),
            None => Id::new(&self.item.id.namespace, &format!("{NAME_PREFIX}{}", self.item.id.name)),
        }
    }

    /// Its pods.
    #[must_use]
    pub fn pods(&self) -> Workload {
        self.workload
            .clone()
            .unwrap_or_else(|| Workload::for_gateway(&self.item.id))
    }

    /// The namespace of its pods.
    #[must_use]
    pub fn namespace(&self) -> &str {
        let workload = self.workload.as_ref();
        workload.map_or(&self.item.id.namespace, |workload| &workload.namespace)
    }

    /// The listeners of its listener sets, each with the offset of its document.
    pub fn set_listeners(&self) -> impl Iterator<Item = (DocumentOffset, &Listener)> {
        let sets = self.sets.iter();
        sets.flat_map(|(set, listeners)| listeners.iter().map(|listener| (set.offset, &listener.value)))
    }

    /// All Gateway objects, the first one first.
    pub fn items(&self) -> impl Iterator<Item = &'a Item<GatewaySpec>> {
        std::iter::once(self.item).chain(self.others.iter().copied())
    }

    /// Whether any rule on the gateway is managed.
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

    /// The configuration of the Wasm module for this gateway.
    #[must_use]
    pub fn config(&self) -> Config {
        let canaries = self.canaries();
        let positions: BTreeMap<&Id, usize> = canaries.keys().copied().zip(0..).collect();
        let position = |attached: &AttachedRule| positions.get(&attached.rule.canary.as_ref()?.policy).copied();
        let rules = self
            .managed_rules()
            .flat_map(|attached| attached.configs(position(attached).unwrap_or_default()));
        Config {
            version: config::VERSION,
            canaries: canaries.values().map(|compiled| compiled.config.clone()).collect(),
            rules: rules.collect(),
        }
    }
}
