//! A gateway, the rules on it, and what Envoy's filters do in its virtual hosts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mooring_policy::{
    config::{self, Config, Transport},
    rule::RouteTable,
};

use super::{Rule, Session, VirtualHost, Workload, listeners, session_matches};
use crate::{
    api::{
        field::Field,
        gateway::{GatewaySpec, Listener, ListenerSetSpec},
    },
    canary::CompiledCanary,
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    kind::Kind,
    labels::NAME_PREFIX,
    location::DocumentOffset,
    resources::Item,
    visibility,
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

/// A rule on a gateway.
#[derive(Debug)]
pub struct AttachedRule<'a> {
    /// The rule.
    pub rule: Arc<Rule<'a>>,
    /// The virtual hosts in which it is.
    pub virtual_hosts: BTreeSet<VirtualHost>,
}

/// What Envoy's filters do for the rules of a virtual host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostFilters {
    /// Some sessions are bound to hosts.
    pub host_session_filter: bool,
    /// Some of these are strict.
    pub strict: bool,
    /// Headers are set without choosing the route again.
    pub filter_state_headers: bool,
}

impl AttachedRule<'_> {
    /// What the filter is told about the rule, whose canary, if it has one, has this position.
    pub fn configs(&self, position: usize) -> impl Iterator<Item = config::Rule> {
        let hosts: Vec<String> = self.virtual_hosts.iter().map(VirtualHost::name).collect();
        let names = self.rule.envoy_names();
        names.map(move |name| self.rule.config(name, hosts.clone(), position))
    }

    /// Takes sessions and canaries from the rule, on this gateway only.
    pub fn refuse(&mut self) {
        Arc::make_mut(&mut self.rule).refuse();
    }

    /// Takes the canary policy from the rule, on this gateway only.
    pub fn refuse_canary(&mut self) {
        Arc::make_mut(&mut self.rule).refuse_canary();
    }
}

impl<'a> Gateway<'a> {
    /// Puts a rule on it. A rule that comes by two gateways of the same pods is there once.
    pub fn attach(&mut self, rule: &Arc<Rule<'a>>, virtual_hosts: &BTreeSet<VirtualHost>) {
        // It is on all its gateways before the next one comes.
        if let Some(attached) = self
            .rules
            .last_mut()
            .filter(|attached| Arc::ptr_eq(&attached.rule, rule))
        {
            return attached.virtual_hosts.extend(virtual_hosts.iter().cloned());
        }
        self.rules.push(AttachedRule {
            rule: rule.clone(),
            virtual_hosts: virtual_hosts.clone(),
        });
    }

    /// The virtual hosts that have rules with which the filter has to do, and what Envoy's filters do there.
    #[must_use]
    pub fn managed_hosts(&self) -> BTreeMap<&VirtualHost, HostFilters> {
        let mut hosts: BTreeMap<&VirtualHost, HostFilters> = BTreeMap::new();
        for attached in self.managed_rules() {
            let session = attached.rule.host_session_filter();
            for host in &attached.virtual_hosts {
                let filters = hosts.entry(host).or_default();
                filters.host_session_filter |= session.is_some();
                filters.strict |= session.is_some_and(|session| session.config.strict);
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

    /// Leaves the token in requests where another rule of the virtual host matches on the header in which it comes: without it,
    /// Envoy could choose that rule instead.
    pub fn forward_tokens(&mut self, report: &mut Report) {
        let forwarded = session_matches::forwarded(self, report);
        for attached in self
            .rules
            .iter_mut()
            .filter(|attached| forwarded.contains(&attached.rule.id))
        {
            if let Some(session) = &mut Arc::make_mut(&mut attached.rule).session {
                session.config.forward_token = true;
            }
        }
    }

    /// Reports what is wrong with its listeners, which take no routes then. `needed` is what sessions and canaries need.
    pub fn check(&self, needed: &BTreeSet<(Kind, Id)>, report: &mut Report) {
        let mut found = Report::default();
        for item in self.items().filter(|item| item.spec.kind() == Kind::Gateway) {
            listeners::check(item, &mut found);
        }
        let is_needed = |item: &Item<GatewaySpec>| needed.contains(&(item.spec.kind(), item.id.clone()));
        if self.items().any(is_needed) {
            report.extend(found);
        } else {
            report.extend_harmless(found);
        }
    }

    /// Warns of backends that its pods do not see.
    pub fn warn_of_hidden(&self, report: &mut Report) {
        let namespace = self.namespace();
        for attached in self.managed_rules() {
            for backend in &attached.rule.backends {
                let Some(location) = visibility::hides(backend.concrete, namespace) else {
                    continue;
                };
                let message = format!(
                    "the Service {} is not exported to the namespace {namespace}, in which the pods of Gateway {} are: Istio has no \
                     cluster for it there and answers 503",
                    backend.concrete.id, self.item.id
                );
                let warning = Diagnostic::warning(Code::BackendNotFound, message).at(location);
                report.add(warning.with(attached.rule.location_of(attached.rule.spec), "the rule"));
            }
        }
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
            .unwrap_or_else(|| Workload::of_gateway(&self.item.id))
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
            .filter_map(|canary| Some((&canary.policy, &*canary.routing.as_ref()?.compiled)))
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

    /// The plugin configuration, checked by the code that will read it.
    pub fn config(&self, report: &mut Report) -> Config {
        let canaries = self.canaries();
        let positions: BTreeMap<&Id, usize> = canaries.keys().copied().zip(0..).collect();
        let position = |attached: &AttachedRule| positions.get(&attached.rule.canary.as_ref()?.policy).copied();
        let rules = self
            .managed_rules()
            .flat_map(|attached| attached.configs(position(attached).unwrap_or_default()));
        let config = Config {
            version: config::VERSION,
            canaries: canaries.values().map(|compiled| compiled.config.clone()).collect(),
            rules: rules.collect(),
        };
        // Each rule has been asked about: this is the last resort, and then about everything.
        if let Err(refusal) = RouteTable::try_from(config.clone()) {
            let message = format!(
                "the filter would refuse the configuration of Gateway {}: {refusal}",
                self.item.id
            );
            report.add(Diagnostic::error(Code::Invalid, message).at(self.item.location()));
            report.abort();
        }
        config
    }
}
