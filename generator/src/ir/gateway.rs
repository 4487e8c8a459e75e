//! A gateway, the rules on it, and what Envoy's filters do in its virtual hosts.

use std::collections::BTreeMap;

use mooring_policy::config::{self, Config, Transport};

use super::{
    attached_rule::AttachedRule, virtual_host::VirtualHost, virtual_host_filters::VirtualHostFilters,
    workload::Workload,
};
use crate::{
    api::{
        field::Field,
        gateway::{GatewaySpec, Listener, ListenerSetSpec},
    },
    canary::CompiledCanary,
    id::Id,
    labels::NAME_PREFIX,
    location::DocumentOffset,
    resources::Item,
    session::Session,
};

/// From how many routes on it takes longer to look for the route of a request once more than to avoid it.
const LARGE_VIRTUAL_HOST: usize = 80;

/// One gateway.
#[derive(Debug)]
pub struct Gateway<'a> {
    /// The object; of several that share their pods, the first.
    pub item: &'a Item<GatewaySpec>,
    /// The others.
    pub others: Vec<&'a Item<GatewaySpec>>,
    /// The pods, if they are found by other labels than the one with the name of the Gateway.
    pub workload: Option<Workload>,
    /// The listener sets that it allows, each with those of its listeners that count.
    pub sets: Vec<(&'a Item<ListenerSetSpec>, Vec<&'a Field<Listener>>)>,
    /// The rules on it, in the order of the routes' ids and of the rules.
    pub rules: Vec<AttachedRule<'a>>,
}

impl<'a> Gateway<'a> {
    /// The virtual hosts that have rules with which the filter has to do, and what Envoy's filters do there.
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

    /// Namespace and name of the `WasmPlugin` that is generated for it; the names of its other objects begin so.
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

    /// The listeners of its listener sets, each with the document in which it stands.
    pub fn set_listeners(&self) -> impl Iterator<Item = (DocumentOffset, &Listener)> {
        let sets = self.sets.iter();
        sets.flat_map(|(set, listeners)| listeners.iter().map(|listener| (set.offset, &listener.value)))
    }

    /// All its objects.
    pub fn items(&self) -> impl Iterator<Item = &'a Item<GatewaySpec>> {
        std::iter::once(self.item).chain(self.others.iter().copied())
    }

    /// Whether the filter has anything to do on it.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.managed_rules().next().is_some()
    }

    /// The rules with which the filter has anything to do.
    pub fn managed_rules(&self) -> impl Iterator<Item = &AttachedRule<'_>> {
        self.rules.iter().filter(|attached| attached.rule.is_managed())
    }

    /// What the filter is told of the policies that hold for rules, in the order of the policies' ids.
    #[must_use]
    pub fn canaries(&self) -> BTreeMap<&Id, &CompiledCanary> {
        let applied = self
            .managed_rules()
            .filter_map(|attached| attached.rule.canary.as_ref());
        applied
            .filter_map(|canary| Some((&canary.policy, &*canary.routing.as_ref().ok()?.as_ref()?.compiled)))
            .collect()
    }

    /// The identities of these rules.
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
