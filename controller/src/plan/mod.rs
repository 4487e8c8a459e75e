//! Plans the objects that the cluster should have, with the generator's own code, and only what a change can influence.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use kube::core::DynamicObject;
use mooring_generator::{
    emit::{Output, istio},
    id::Id,
    incremental::{Incremental, Keeps, ObjectName, Step, Weights},
    kind::{Kind, KnownKind, Reads},
    labels::RULE_ANNOTATION,
    mesh::Mesh,
    source::Coverage,
};
use serde_json::Value;
use tracing::{debug, error};

use crate::{
    key::{Key, KindName},
    planned_policy::{self, ObjectNotices, PlannedPolicy, Policies},
};

/// What the cluster should have.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The generated objects. Those that are the same as in the plan before are the same `Arc`s.
    pub objects: BTreeMap<Key, Arc<Planned>>,
    /// The Gateways that `--gateway` chooses. None: all.
    pub gateways: Option<Arc<str>>,
    /// Whether objects that are not in the plan may be removed at all.
    pub allows_removal: bool,
    /// Which of them may not, because something that could need them is left out.
    pub keeps: Keeps,
    /// The states of the policies.
    pub policies: Policies,
    /// What is found about objects.
    pub notices: ObjectNotices,
    /// The weights of the backends in all rules with sessions or canaries. The same `Arc` if they are the same as before.
    pub weights: Arc<Weights>,
}

impl Plan {
    /// Whether an object that is not in the plan may be removed: nothing that could need it is left out.
    #[must_use]
    pub fn may_remove(&self, key: &Key) -> bool {
        self.allows_removal && !self.keeps.include(key.kind.name, key.namespace().unwrap_or_default())
    }

    /// The generated objects of a kind.
    pub fn of_kind(&self, kind: &KnownKind) -> impl Iterator<Item = (&Key, &Planned)> {
        let kind = KindName::find(kind.group, kind.name);
        let first = kind.map(|kind| Key::new(kind, None, ""));
        let objects = first.into_iter().flat_map(|first| self.objects.range(first..));
        objects
            .take_while(move |(key, _)| Some(key.kind) == kind)
            .map(|(key, planned)| (key, &**planned))
    }
}

/// An object of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The object as `mooring generate` writes it.
    pub output: Arc<Output>,
}

impl Planned {
    /// Whether this plugin has the rule of a session route.
    #[must_use]
    pub fn has_rule_of(&self, route: &Self) -> bool {
        let annotations = route.output.value.pointer("/metadata/annotations");
        let rule = annotations.and_then(|annotations| annotations.get(RULE_ANNOTATION));
        let rules = self.output.value.pointer("/spec/pluginConfig/rules");
        let mut rules = rules.and_then(Value::as_array).into_iter().flatten();
        rule.is_some() && rules.any(|other| other.get("id") == rule)
    }
}

/// The generation and the unique id of an object.
type Identity = (Option<i64>, Option<String>);

/// Plans from the objects that the watches report.
pub struct Planner {
    incremental: Incremental,
    plan: Plan,
    /// The generation and the unique id of each policy.
    identities: BTreeMap<Key, Identity>,
    /// The policies whose generation has changed since the last plan.
    renewed: BTreeSet<Key>,
    verified: Option<Instant>,
    verifies_every: Option<Duration>,
    /// How often a whole plan was another one than that of the parts.
    differences: u64,
}

impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planner").finish_non_exhaustive()
    }
}

impl Planner {
    /// A planner that knows no objects yet.
    #[must_use]
    pub fn new(options: istio::Options, mesh: Mesh, coverage: Coverage) -> Self {
        let gateways: Vec<String> = mesh.gateways.iter().map(ToString::to_string).collect();
        let plan = Plan {
            gateways: Some(gateways.join(",").into()).filter(|_| !gateways.is_empty()),
            ..Plan::default()
        };
        Self {
            incremental: Incremental::new(options, mesh, coverage),
            plan,
            identities: BTreeMap::new(),
            renewed: BTreeSet::new(),
            verified: None,
            verifies_every: None,
            differences: 0,
        }
    }

    /// Compares the plan with a whole one after the first plan, and after each plan that is made this many seconds after the last
    /// comparison. 0: never.
    #[must_use]
    pub fn verified_every(self, seconds: u64) -> Self {
        Self {
            verifies_every: Some(Duration::from_secs(seconds)).filter(|interval| !interval.is_zero()),
            ..self
        }
    }

    /// How often a whole plan was another one than that of the parts.
    #[must_use]
    pub fn differences(&self) -> u64 {
        self.differences
    }

    /// Notes that an object was added or changed. None: it was deleted.
    pub fn set(&mut self, key: &Key, object: Option<&DynamicObject>) {
        if POLICIES.contains(&key.kind.name) {
            let metadata = object.map(|object| &object.metadata);
            let now = metadata.map(|metadata| (metadata.generation, metadata.uid.clone()));
            let before = match now.clone() {
                Some(now) => self.identities.insert(key.clone(), now),
                None => self.identities.remove(key),
            };
            if before != now {
                self.renewed.insert(key.clone());
            }
        }
        let kind = KnownKind {
            name: key.kind.name,
            group: key.kind.group,
            versions: &[],
        };
        let id = Id::new(key.namespace().unwrap_or_default(), key.name());
        let version = object
            .and_then(|object| object.types.as_ref())
            .map_or("", |types| &types.api_version);
        let map = match object.and_then(|object| serde_json::to_value(object).ok()) {
            Some(Value::Object(map)) => Some((version, map)),
            _ => None,
        };
        self.incremental.set(&kind, &id, map);
    }

    /// Plans with what is known. `now` decides whether the plan is compared with a whole one.
    #[must_use]
    pub fn plan(&mut self, now: Instant) -> Plan {
        let step = self.incremental.plan();
        let Step {
            changed,
            planned,
            components,
            whole,
            weights,
            policies,
            notices,
        } = step;
        debug!(changed = changed.len(), planned, components, whole, "planned");
        if weights {
            self.plan.weights = Arc::new(self.incremental.weights());
        }
        self.take(changed);
        self.take_states(&policies, &notices);
        self.verify(now);
        self.plan.keeps = self.incremental.keeps();
        self.plan.allows_removal = true;
        self.plan.clone()
    }

    fn take(&mut self, changed: BTreeMap<ObjectName, Option<Arc<Output>>>) {
        for (name, output) in changed {
            let Some(key) = key_of(&name) else { continue };
            match output {
                Some(output) => drop(self.plan.objects.insert(key, Arc::new(Planned { output }))),
                None => drop(self.plan.objects.remove(&key)),
            }
        }
    }

    /// Takes over the states of these policies, and what is found about these objects.
    fn take_states(&mut self, policies: &BTreeSet<(Kind, Id)>, notices: &BTreeSet<(Kind, Id)>) {
        let states = self.incremental.states();
        let mut changed = std::mem::take(&mut self.renewed);
        changed.extend(policies.iter().filter_map(|(kind, id)| planned_policy::key(*kind, id)));
        for key in changed {
            let object = planned_policy::object(&key);
            let state = object.and_then(|object| states.policies.get(&object));
            match (state, self.identities.get(&key)) {
                (Some(state), Some((generation, uid))) => {
                    let planned = PlannedPolicy {
                        generation: *generation,
                        uid: uid.clone(),
                        state: state.clone(),
                    };
                    self.plan.policies.insert(key, Arc::new(planned));
                }
                _ => drop(self.plan.policies.remove(&key)),
            }
        }
        for object in notices {
            let Some(key) = planned_policy::key(object.0, &object.1) else {
                continue;
            };
            match states.notices.get(object) {
                Some(found) => drop(self.plan.notices.insert(key, Arc::new(found.clone()))),
                None => drop(self.plan.notices.remove(&key)),
            }
        }
    }

    fn verify(&mut self, now: Instant) {
        let Some(interval) = self.verifies_every else { return };
        let is_due = |last: Instant| now.saturating_duration_since(last) >= interval;
        if !self.verified.is_none_or(is_due) {
            return;
        }
        self.verified = Some(now);
        let differing = self.incremental.verify();
        if !differing.is_empty() {
            self.differences = self.differences.saturating_add(1);
            // The next plan is made from scratch, and compared again.
            self.verified = None;
            let names: Vec<String> = differing.keys().map(|name| format!("{name:?}")).collect();
            error!(
                objects = names.join(", "),
                "the plan of the parts was not that of the whole; the whole one is used"
            );
        }
        self.take(differing);
    }
}

/// The kinds whose objects have a state.
const POLICIES: [&str; 3] = ["BackendLBPolicy", "XBackendTrafficPolicy", "CanaryPolicy"];

/// The kinds that the planner reads.
pub const READS: Reads = Reads::Routing;

fn key_of(name: &ObjectName) -> Option<Key> {
    let kind = KindName::find(&name.group, &name.kind)?;
    Some(Key::new(kind, Some(&name.namespace), &name.name))
}

#[cfg(test)]
mod tests;
