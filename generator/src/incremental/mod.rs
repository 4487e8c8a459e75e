//! Plans again and again while the objects of a cluster change, and each time only what a change can influence.
//!
//! The objects are parsed once and kept as [`Resources`](crate::resources::Resources). Routes, gateways and canary policies that
//! share proxies form a component (`graph`); each is planned by the same code as a whole run (`part`), which sees all other
//! objects. Its lookups note what they read ([`crate::reads`]), so a component is planned again if something of that changed. What
//! concerns all components together, such as a policy for a Service that no route leads to, is found in
//! [`Incremental::findings`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Map, Value};

use crate::{
    diagnostic::Report,
    emit::{Output, istio},
    id::Id,
    kind::{Kind, KnownKind},
    mesh::Mesh,
    source::{Coverage, Sources},
    status::States,
    translate::Scope,
};

mod changes;
mod findings;
mod graph;
mod keeps;
mod known;
mod notices;
mod owners;
mod part;
mod policies;
mod states;

pub use keeps::Keeps;
pub use part::{ObjectName, Weights};

use graph::{ComponentId, Graph, Member};
use known::{Known, Pending, mesh_member};
use notices::notices_of;
use owners::Owners;
use part::{Input, Part};
use states::Kept;

/// The objects of a cluster and the plan for them.
pub struct Incremental {
    options: istio::Options,
    known: Known,
    graph: Graph,
    parts: BTreeMap<ComponentId, Part>,
    owners: Owners,
    kept: Kept,
    objects: BTreeMap<ObjectName, Arc<Output>>,
    /// Whether the objects are those of a run, not of the parts.
    is_whole: bool,
    /// How often they were not those of a run.
    differences: usize,
}

/// What a plan changes.
#[derive(Debug, Default)]
pub struct Step {
    /// The objects that are new or other than before, and those that are gone.
    pub changed: BTreeMap<ObjectName, Option<Arc<Output>>>,
    /// How many components were planned.
    pub planned: usize,
    /// How many components there are.
    pub components: usize,
    /// Whether the objects are those of a whole run.
    pub whole: bool,
    /// Whether the weights of backends are other than before.
    pub weights: bool,
    /// The policies that are gone or have another state.
    pub policies: BTreeSet<(Kind, Id)>,
    /// The objects about which something else is found.
    pub notices: BTreeSet<(Kind, Id)>,
}

/// The components that were planned again.
struct Replanned {
    /// Their objects before and now. None: an object is gone.
    touched: BTreeMap<ObjectName, Option<Arc<Output>>>,
    /// How many they are.
    components: usize,
    /// Whether their weights are other than before.
    weights: bool,
}

impl Incremental {
    /// Knows no objects yet.
    #[must_use]
    pub fn new(options: istio::Options, mesh: Mesh, coverage: Coverage) -> Self {
        Self {
            options,
            known: Known::new(mesh, coverage),
            graph: Graph::default(),
            parts: BTreeMap::new(),
            owners: Owners::default(),
            kept: Kept::default(),
            objects: BTreeMap::new(),
            is_whole: false,
            differences: 0,
        }
    }

    /// Notes that an object was added or changed, or that it was deleted. Returns whether a plan may depend on the change.
    pub fn set(&mut self, kind: &KnownKind, id: &Id, object: Option<(&str, Map<String, Value>)>) -> bool {
        changes::set(&mut self.known, kind, id, object)
    }

    /// Plans what the changes since the last plan can influence.
    pub fn plan(&mut self) -> Step {
        let mut pending = std::mem::take(&mut self.known.pending);
        let mut policies = changes::settle(&mut self.known, &mut pending);
        let replanned = self.plan_parts(&pending);
        let canaries = pending.members.iter().filter(|(kind, _)| *kind == Kind::CanaryPolicy);
        policies.extend(canaries.cloned());
        let unread = notices_of(&findings::of_unread(&self.known, &self.parts), &self.known.at);
        let states::Changed { policies, objects } =
            self.kept
                .update(&policies, &self.known.policies, &self.known.resources, &unread);
        let whole = self.needs_whole();
        let target = if whole {
            Some(self.run().0)
        } else if self.is_whole || pending.everything {
            let all = self.parts.values().flat_map(|part| &part.outputs);
            Some(all.map(|(name, output)| (name.clone(), Arc::clone(output))).collect())
        } else {
            None
        };
        self.is_whole = whole;
        let changed = match target {
            Some(target) => self.replace(target),
            None => self.refresh(replanned.touched),
        };
        Step {
            changed,
            planned: replanned.components,
            components: self.parts.len(),
            whole,
            weights: replanned.weights,
            policies,
            notices: objects,
        }
    }

    /// The states of the policies, and what is found about each object. The text of a state has the findings about the proxies that it is
    /// about, where a run adds what is found on other proxies.
    #[must_use]
    pub fn states(&self) -> &States {
        self.kept.states()
    }

    /// All generated objects.
    #[must_use]
    pub fn objects(&self) -> &BTreeMap<ObjectName, Arc<Output>> {
        &self.objects
    }

    /// The weights of the backends in all rules with sessions or canaries.
    #[must_use]
    pub fn weights(&self) -> Weights {
        let all = self.parts.values().flat_map(|part| &part.weights);
        all.map(|(backend, weight)| (backend.clone(), *weight)).collect()
    }

    /// Which objects of earlier plans must stay although the plan does not have them.
    #[must_use]
    pub fn keeps(&self) -> Keeps {
        Keeps::new(&self.known, self.parts.values())
    }

    /// All findings about the objects, as a run reports them.
    #[must_use]
    pub fn findings(&self) -> Report {
        findings::all(&self.known, &self.parts, !self.objects.is_empty(), &self.options)
    }

    /// The objects and findings of a whole run on the same texts, and these texts.
    #[must_use]
    pub fn run(&self) -> (BTreeMap<ObjectName, Arc<Output>>, Report, Sources) {
        findings::of_run(&self.known, &self.options)
    }

    /// The objects and texts that the plan is made from.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.known.sources
    }

    /// Compares the objects with those of a whole run on the same texts. If they differ, those of the run are used, and everything is
    /// planned again at the next change. If they differ a second time, each plan is a whole run from then on. Returns what differs.
    pub fn verify(&mut self) -> BTreeMap<ObjectName, Option<Arc<Output>>> {
        if self.is_whole {
            return BTreeMap::new();
        }
        let target = self.run().0;
        let changed = self.replace(target);
        if !changed.is_empty() {
            self.differences = self.differences.saturating_add(1);
            changes::reload(&mut self.known);
        }
        changed
    }

    /// Plans the components that the changes can influence.
    fn plan_parts(&mut self, pending: &Pending) -> Replanned {
        let regrouped = self.regroup(pending);
        let mut dirty: BTreeSet<ComponentId> = regrouped.new;
        dirty.extend(
            pending
                .members
                .iter()
                .filter_map(|member| self.graph.component_of(member)),
        );
        let depends = |part: &Part| pending.everything || part.reads.meet(&pending.changes);
        let parts = self.parts.iter().filter(|(_, part)| depends(part));
        dirty.extend(
            parts
                .map(|(component, _)| *component)
                .filter(|id| !regrouped.gone.contains(id)),
        );
        let mut earlier = BTreeMap::new();
        let mut weights_before = Weights::new();
        for component in regrouped.gone.iter().chain(&dirty) {
            let part = self.parts.remove(component).unwrap_or_default();
            self.owners.remove(&part);
            self.kept.remove(*component, &part);
            earlier.extend(part.outputs);
            weights_before.extend(part.weights);
        }
        let mut weights = Weights::new();
        let mut touched: BTreeMap<_, _> = earlier.keys().map(|name| (name.clone(), None)).collect();
        let input = Input {
            resources: &self.known.resources,
            sources: &self.known.sources,
            policies: &self.known.policies,
            objects: &self.known.at,
            options: &self.options,
        };
        for component in &dirty {
            let mut part = Part::plan(&scope(&self.graph, *component), input);
            part.keep(&earlier);
            let outputs = part.outputs.iter();
            touched.extend(outputs.map(|(name, output)| (name.clone(), Some(Arc::clone(output)))));
            self.owners.add(&part);
            weights.extend(part.weights.clone());
            self.kept.add(*component, &mut part);
            self.parts.insert(*component, part);
        }
        Replanned {
            touched,
            components: dirty.len(),
            weights: weights != weights_before,
        }
    }

    fn regroup(&mut self, pending: &Pending) -> graph::Regrouped {
        let with_mesh = !self.known.resources.mesh.callers.is_empty() || !self.known.waypoints.is_empty();
        let mesh_changes = std::mem::replace(&mut self.known.with_mesh, with_mesh) != with_mesh;
        let mut members: BTreeSet<Member> = pending.members.clone();
        if mesh_changes || pending.everything {
            members.insert(mesh_member());
            let routes = self
                .known
                .resources
                .routes()
                .map(|route| (route.spec.kind, route.id.clone()));
            members.extend(routes);
            members.extend(self.known.gateways.keys().cloned());
        }
        if pending.sets {
            members.extend(self.known.of_sets.iter().cloned());
        }
        let gateways = self
            .known
            .gateways
            .iter()
            .filter(|(_, reads)| reads.meet(&pending.changes));
        members.extend(gateways.map(|(member, _)| member.clone()));
        let nodes = members.into_iter().map(|member| {
            let nodes = changes::nodes(&mut self.known, &member);
            (member, nodes)
        });
        let nodes = nodes.collect();
        self.graph.update(nodes)
    }

    /// Whether parts cannot be planned on their own: an object may be of any kind, or objects of two parts have the same name.
    fn needs_whole(&self) -> bool {
        !self.known.unknown.is_empty() || self.owners.any_shared() || self.differences > 1
    }

    /// Takes over all objects of a plan. Returns what is new, other than before or gone.
    fn replace(&mut self, target: BTreeMap<ObjectName, Arc<Output>>) -> BTreeMap<ObjectName, Option<Arc<Output>>> {
        let mut changed = BTreeMap::new();
        for name in self.objects.keys().filter(|name| !target.contains_key(name)) {
            changed.insert(name.clone(), None);
        }
        let mut objects = BTreeMap::new();
        for (name, output) in target {
            let output = match self.objects.get(&name) {
                Some(before) if **before == *output => Arc::clone(before),
                _ => {
                    changed.insert(name.clone(), Some(Arc::clone(&output)));
                    output
                }
            };
            objects.insert(name, output);
        }
        self.objects = objects;
        changed
    }

    /// Takes over these objects.
    fn refresh(
        &mut self,
        touched: BTreeMap<ObjectName, Option<Arc<Output>>>,
    ) -> BTreeMap<ObjectName, Option<Arc<Output>>> {
        let mut changed = BTreeMap::new();
        for (name, now) in touched {
            let before = match &now {
                Some(now) => self.objects.insert(name.clone(), Arc::clone(now)),
                None => self.objects.remove(&name),
            };
            if before.as_ref().map(Arc::as_ptr) != now.as_ref().map(Arc::as_ptr) {
                changed.insert(name, now);
            }
        }
        changed
    }
}

/// What belongs to a component.
fn scope(graph: &Graph, component: ComponentId) -> Scope {
    let mut scope = Scope::default();
    for member in graph.members(component) {
        match member.0 {
            Kind::Gateway | Kind::IstioGateway => drop(scope.gateways.insert(member.clone())),
            Kind::CanaryPolicy => drop(scope.canaries.insert(member.1.clone())),
            kind if kind.is_route() => drop(scope.routes.insert(member.clone())),
            _ => scope.mesh = true,
        }
    }
    scope
}
