//! The states of the policies and what is found about each object, kept from plan to plan.
//!
//! Each part contributes the states of the policies on its proxies. What no part has, such as a policy for a Service that no route leads
//! to, is contributed once for each policy.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{graph::ComponentId, part::Part, policies::Policies};
use crate::{
    attachment::Attachments,
    id::Id,
    ir::Ir,
    kind::Kind,
    resources::Resources,
    status::{AncestorState, Notice, PartialState, States, notices, states_of, unread as unread_policies},
    translate,
    validate::Subjects,
};

/// A policy, or another object.
type Object = (Kind, Id);

/// Who contributes: a part, or none of them.
type Origin = Option<ComponentId>;

/// The states of the policies and what is found about each object.
#[derive(Debug, Default)]
pub struct Kept {
    merged: States,
    policies: BTreeMap<Object, BTreeMap<Origin, PartialState>>,
    notices: BTreeMap<Object, BTreeMap<Origin, BTreeSet<Notice>>>,
    /// What each part has contributed.
    parts: BTreeMap<ComponentId, (Vec<Object>, Vec<Object>)>,
    /// How many parts lead to a Service.
    routed: HashMap<Id, usize>,
    touched: Touched,
}

/// What may have changed since the last time.
#[derive(Debug, Default)]
struct Touched {
    policies: BTreeSet<Object>,
    objects: BTreeSet<Object>,
    services: BTreeSet<Id>,
    /// The objects that could not be read, the last time.
    unread: BTreeSet<Object>,
}

/// The policies and objects of which something is other than before.
#[derive(Debug, Default)]
pub struct Changed {
    /// The policies with another state.
    pub policies: BTreeSet<Object>,
    /// The objects about which something else is found.
    pub objects: BTreeSet<Object>,
}

impl Kept {
    /// The states, and what is found.
    pub fn states(&self) -> &States {
        &self.merged
    }

    /// Forgets what a part has contributed.
    pub fn remove(&mut self, component: ComponentId, part: &Part) {
        let (policies, objects) = self.parts.remove(&component).unwrap_or_default();
        for policy in policies {
            drop(
                self.policies
                    .get_mut(&policy)
                    .map(|states| states.remove(&Some(component))),
            );
            self.touched.policies.insert(policy);
        }
        for object in objects {
            drop(
                self.notices
                    .get_mut(&object)
                    .map(|notices| notices.remove(&Some(component))),
            );
            self.touched.objects.insert(object);
        }
        for service in &part.backends {
            if let Some(count) = self.routed.get_mut(service) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.routed.remove(service);
                    self.touched.services.insert(service.clone());
                }
            }
        }
    }

    /// Adds what a part contributes.
    pub fn add(&mut self, component: ComponentId, part: &mut Part) {
        let policies = std::mem::take(&mut part.states);
        let notices = std::mem::take(&mut part.notices);
        let of_part = (policies.keys().cloned().collect(), notices.keys().cloned().collect());
        self.parts.insert(component, of_part);
        for (policy, state) in policies {
            self.policies
                .entry(policy.clone())
                .or_default()
                .insert(Some(component), state);
            self.touched.policies.insert(policy);
        }
        for (object, found) in notices {
            self.notices
                .entry(object.clone())
                .or_default()
                .insert(Some(component), found);
            self.touched.objects.insert(object);
        }
        for service in &part.backends {
            let count = self.routed.entry(service.clone()).or_default();
            *count = count.saturating_add(1);
            if *count == 1 {
                self.touched.services.insert(service.clone());
            }
        }
    }

    /// Determines the states again. `changed` are policies that have changed, or whose targets have.
    pub fn update(
        &mut self,
        changed: &BTreeSet<Object>,
        policies: &Policies,
        resources: &Resources,
        unread: &BTreeMap<Object, BTreeSet<Notice>>,
    ) -> Changed {
        let mut alone: BTreeSet<Object> = changed.clone();
        for service in std::mem::take(&mut self.touched.services) {
            alone.extend(policies.targeting(&service).cloned());
        }
        let of_unread: HashMap<Object, AncestorState> = unread_policies(resources).collect();
        for policy in alone {
            let (mut state, found) = self.alone(&policy, policies, resources);
            if let Some(unread) = of_unread.get(&policy) {
                state.get_or_insert_default().set_unread(unread.clone());
            }
            set(&mut self.policies, &policy, state);
            set(&mut self.notices, &policy, found);
            self.touched.objects.insert(policy.clone());
            self.touched.policies.insert(policy);
        }
        let before = std::mem::replace(&mut self.touched.unread, unread.keys().cloned().collect());
        for object in before.iter().chain(unread.keys()) {
            set(&mut self.notices, object, unread.get(object).cloned());
            self.touched.objects.insert(object.clone());
        }
        self.merge()
    }

    /// The state of a policy on the targets that no part leads to, and what is found about it.
    fn alone(
        &self,
        key: &Object,
        policies: &Policies,
        resources: &Resources,
    ) -> (Option<PartialState>, Option<BTreeSet<Notice>>) {
        let Some((policy, mut report, file)) = policies.with_findings(key) else {
            return (None, None);
        };
        let attachments = Attachments::kept(policies.attached());
        if !resources.any_route_unread() {
            for service in policies
                .held_by(key)
                .filter(|service| !self.routed.contains_key(service))
            {
                report.extend(translate::without_route(&service, policy, resources));
            }
        }
        let targets = policy.targets.iter();
        let mut targets = targets.map(|target| Id::new(&policy.id.namespace, &target.value));
        let all_routed = !policy.targets.is_empty() && targets.all(|service| self.routed.contains_key(&service));
        let subjects = Subjects {
            policies: if all_routed { Vec::new() } else { vec![policy] },
            canaries: Vec::new(),
            concerns: &|service| !self.routed.contains_key(service),
        };
        let none = Ir {
            proxies: Vec::new(),
            rules: Vec::new(),
            canaries: Vec::new(),
        };
        let mut states = states_of(&subjects, &none, resources, &attachments, std::iter::empty(), &report);
        let mut found = notices(std::iter::once((key.0, &key.1, file)), &report);
        (states.remove(key), found.remove(key))
    }

    fn merge(&mut self) -> Changed {
        let mut changed = Changed::default();
        for policy in std::mem::take(&mut self.touched.policies) {
            let states = self.policies.get(&policy).filter(|states| !states.is_empty());
            let now = states.map(|states| {
                let mut merged = PartialState::default();
                for state in states.values() {
                    merged.merge(state.clone());
                }
                merged.finish()
            });
            if now.is_none() {
                self.policies.remove(&policy);
            }
            let before = match &now {
                Some(now) => self.merged.policies.insert(policy.clone(), now.clone()),
                None => self.merged.policies.remove(&policy),
            };
            if before != now {
                changed.policies.insert(policy);
            }
        }
        for object in std::mem::take(&mut self.touched.objects) {
            let found = self.notices.get(&object).into_iter().flat_map(BTreeMap::values);
            let now: BTreeSet<Notice> = found.flatten().cloned().collect();
            let now = Some(now).filter(|now| !now.is_empty());
            if now.is_none() {
                self.notices.remove(&object);
            }
            let before = match &now {
                Some(now) => self.merged.notices.insert(object.clone(), now.clone()),
                None => self.merged.notices.remove(&object),
            };
            if before != now {
                changed.objects.insert(object);
            }
        }
        changed
    }
}

/// Sets what is contributed by no part.
fn set<T>(all: &mut BTreeMap<Object, BTreeMap<Origin, T>>, object: &Object, contributed: Option<T>) {
    match contributed {
        Some(value) => drop(all.entry(object.clone()).or_default().insert(None, value)),
        None => drop(all.get_mut(object).map(|origins| origins.remove(&None))),
    }
}
