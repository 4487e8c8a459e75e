//! Takes over the changes of single objects, and notes what they can influence.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    Incremental, Pending,
    graph::{Member, Node},
    mesh_member,
};
use crate::{
    api::{field::Pairs, istio::ServiceEntrySpec, object::Object},
    canary,
    cluster::object,
    cluster_domain::{Domain, Istiod},
    diagnostic::Report,
    document::{self, Earlier, Outcome, WASM_PLUGIN},
    id::Id,
    kind::{Kind, KnownKind},
    location::{DocumentOffset, FileId},
    reads::{self, Read},
    resources::{
        Resources,
        update::{entry_of, hosts_of_entry},
    },
    session::annotations,
    source::{Coverage, Home},
    translate::{self, Named},
};

/// The `ServiceEntry` objects, in the order in which a run reads them.
pub type Entries = BTreeMap<String, (DocumentOffset, Object<ServiceEntrySpec>)>;

/// The annotation that `kubectl apply` writes: a copy of the object, which is never read.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Notes that an object was added or changed, or that it was deleted.
pub fn set(plan: &mut Incremental, kind: &KnownKind, id: &Id, object: Option<(&str, Map<String, Value>)>) -> bool {
    let everything = plan.sources.coverage == Coverage::Everything;
    let text = object.map(|(version, map)| object::to_text(kind, version, lean(map, everything)));
    let path = path(id);
    let Some(known) = kind.kind() else {
        // What earlier runs have generated only shows which routes of other namespaces are missing.
        return kind.name == WASM_PLUGIN && !everything && set_plugin(plan, path, text);
    };
    let key = (known, path);
    let file = plan.files.get(&key).copied();
    let same = match (&text, file) {
        (None, None) => true,
        (Some((_, text)), Some(file)) => plan.sources.text(file) == Some(text),
        _ => false,
    };
    if same {
        return false;
    }
    let before = State::of(plan, known, id);
    plan.resources.forget(known, id);
    if known == Kind::ServiceEntry
        && let Some((_, entry)) = plan.entries.remove(&key.1)
    {
        entry_changed(plan, &entry);
    }
    plan.istiods.remove(&key);
    if let Some(file) = file {
        plan.own.remove(&file);
        plan.unknown.remove(&file);
    }
    match text {
        Some((name, text)) => {
            let file = place(plan, &key, &name, text);
            read(plan, &key, file);
        }
        None => {
            if let Some(file) = plan.files.remove(&key) {
                plan.sources.replace(file, "", String::new());
                plan.at.remove(&file);
                plan.free.push(file);
            }
        }
    }
    before.note(plan, known, id)
}

fn path(id: &Id) -> String {
    if id.namespace.is_empty() {
        id.name.clone()
    } else {
        id.to_string()
    }
}

/// The object without what changes all the time and is never read.
fn lean(mut object: Map<String, Value>, everything: bool) -> Map<String, Value> {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        metadata.remove("generation");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    // The number of attached routes only shows that some are missing.
    if everything {
        object.remove("status");
    }
    object
}

/// Puts a text into the file of its object.
fn place(plan: &mut Incremental, key: &(Kind, String), name: &str, text: String) -> FileId {
    let file = plan.files.get(key).copied().or_else(|| plan.free.pop());
    let file = if let Some(file) = file {
        plan.sources.replace(file, name, text);
        file
    } else {
        let file = plan.sources.next();
        plan.sources.add(name, text);
        file
    };
    plan.files.insert(key.clone(), file);
    plan.at.insert(file, (key.0, id(&key.1)));
    file
}

/// Parses the object of a file and adds it to the resources.
fn read(plan: &mut Incremental, key: &(Kind, String), file: FileId) {
    let mut found = Report::default();
    let outcomes = document::read_file(&plan.sources, file, &mut found);
    let mut elsewhere = None;
    for outcome in outcomes {
        if let Outcome::Object(offset, parsed) = &outcome {
            elsewhere = annotations::elsewhere(parsed.kind(), parsed.metadata(), *offset);
        }
        plan.istiods
            .extend(Istiod::new(&outcome).map(|istiod| (key.clone(), istiod)));
        let known = match entry_of(outcome) {
            Ok(entry) => {
                entry_changed(plan, &entry.1);
                plan.entries.insert(key.1.clone(), entry);
                true
            }
            Err(outcome) => plan.resources.add(outcome),
        };
        if !known {
            plan.unknown.insert(file);
        }
    }
    if !found.is_empty() || elsewhere.is_some() {
        plan.own.insert(file, (found, elsewhere));
    }
}

fn entry_changed(plan: &mut Incremental, entry: &Object<ServiceEntrySpec>) {
    plan.pending.entries = true;
    for host in hosts_of_entry(&entry.spec) {
        plan.pending.changes.add(Read::External(host));
    }
}

/// What is known about an object before it changes, as far as others read it in another way than by its name.
#[expect(clippy::struct_excessive_bools, reason = "each is another fact about the object")]
struct State {
    exists: bool,
    is_unread: bool,
    generated: bool,
    pods: Vec<Pairs>,
    host: Option<String>,
    istiod: Option<Istiod>,
    delegates: bool,
}

impl State {
    fn of(plan: &Incremental, kind: Kind, id: &Id) -> Self {
        let resources = &plan.resources;
        Self {
            exists: plan.files.contains_key(&(kind, path(id))),
            is_unread: resources.is_unread(kind, id),
            generated: resources.generated.contains_key(&(kind, id.clone())),
            pods: resources.labels_of_pods(kind, id),
            host: (kind == Kind::DestinationRule)
                .then(|| resources.host_of_destination_rule(id))
                .flatten(),
            istiod: plan.istiods.get(&(kind, path(id))).cloned(),
            delegates: kind == Kind::VirtualService && resources.delegations.involved().any(|other| other == id),
        }
    }

    /// Notes what differs from now. Returns whether a plan may depend on it.
    fn note(self, plan: &mut Incremental, kind: Kind, id: &Id) -> bool {
        let now = Self::of(plan, kind, id);
        let Incremental {
            pending,
            resources,
            waypoints,
            ignores_own,
            ..
        } = plan;
        let Pending { changes, .. } = pending;
        if self.generated && now.generated && *ignores_own {
            return false;
        }
        if now.generated || self.generated {
            // They count as routes on a listener.
            changes.add(Read::All(Kind::HttpRoute));
        }
        changes.object(
            kind,
            id,
            self.exists != now.exists || self.is_unread != now.is_unread || now.is_unread,
        );
        if self.is_unread || now.is_unread {
            changes.add(Read::Unread(kind));
        }
        let maps = |pods: &[Pairs]| pods.iter().map(Pairs::to_map).collect::<Vec<_>>();
        if maps(&self.pods) != maps(&now.pods) {
            self.pods
                .into_iter()
                .chain(now.pods)
                .for_each(|labels| changes.pods(labels));
        }
        self.host
            .into_iter()
            .chain(now.host)
            .for_each(|host| changes.host(host));
        pending.domain |= self.istiod != now.istiod;
        pending.delegations |= self.delegates || now.delegates;
        pending.services |= kind == Kind::Service;
        pending.sets |= matches!(kind, Kind::ListenerSet | Kind::XListenerSet);
        if matches!(kind, Kind::Service | Kind::Namespace) {
            let labels = resources.metadata_of(kind, id).map(|metadata| &metadata.labels);
            if labels.is_some_and(|labels| labels.get(translate::USE_WAYPOINT).is_some()) {
                waypoints.insert((kind, id.clone()));
            } else {
                waypoints.remove(&(kind, id.clone()));
            }
        }
        let object = (kind, id.clone());
        match kind {
            Kind::BackendLbPolicy | Kind::XBackendTrafficPolicy => drop(pending.policies.insert(object)),
            kind if is_member(kind) => drop(pending.members.insert(object)),
            _ => {}
        }
        true
    }
}

fn is_member(kind: Kind) -> bool {
    kind.is_route() || matches!(kind, Kind::Gateway | Kind::IstioGateway | Kind::CanaryPolicy)
}

/// Notes a `WasmPlugin` that an earlier run has generated.
fn set_plugin(plan: &mut Incremental, path: String, text: Option<(String, String)>) -> bool {
    let file = plan.plugins.get(&path).copied();
    match (text, file) {
        (Some((name, text)), Some(file)) => plan.sources.replace(file, &name, text),
        (Some((name, text)), None) => {
            plan.plugins.insert(path, plan.sources.next());
            plan.sources.add_earlier(&name, text, Home::Cluster);
        }
        (None, Some(file)) => plan.sources.replace(file, "", String::new()),
        (None, None) => {}
    }
    plan.pending.plugins = true;
    false
}

/// Takes over what several changes have in common, before a plan. Returns the policies with other findings.
pub fn settle(plan: &mut Incremental, pending: &mut Pending) -> BTreeSet<(Kind, Id)> {
    if pending.domain {
        let domain = Domain::of(&plan.resources.mesh, plan.istiods.values().cloned());
        if plan.resources.set_domain(&domain) {
            reload(plan);
            *pending = std::mem::take(&mut plan.pending);
        }
    }
    if pending.plugins {
        plan.resources.earlier = Earlier::read(&plan.sources);
    }
    if pending.entries {
        plan.resources.set_entries(plan.entries.values());
    }
    if pending.delegations || plan.merged.meet(&pending.changes) || pending.everything {
        let before: BTreeSet<Id> = plan.roots.clone();
        let resources = &mut plan.resources;
        let ((), merged) = reads::record(|| resources.merge_delegates());
        plan.merged = merged;
        plan.roots = resources.delegations.involved().cloned().collect();
        for id in before.iter().chain(&plan.roots) {
            let delegates: Vec<Id> = plan.resources.delegations.delegates_of(id).collect();
            for id in std::iter::once(id).chain(&delegates) {
                pending.changes.object(Kind::VirtualService, id, false);
            }
            pending.members.insert((Kind::VirtualService, id.clone()));
        }
    }
    let Incremental {
        policies, resources, ..
    } = plan;
    policies.update(&pending.policies, pending.services, resources, &mut pending.changes)
}

/// Reads all objects again, and plans everything again.
pub fn reload(plan: &mut Incremental) {
    let mesh = plan.resources.mesh.clone();
    let mut resources = Resources::of_cluster(mesh);
    resources.coverage = plan.sources.coverage.clone();
    resources.set_domain(&Domain::of(&resources.mesh, plan.istiods.values().cloned()));
    plan.resources = resources;
    plan.entries.clear();
    plan.own.clear();
    plan.unknown.clear();
    plan.pending = Pending {
        everything: true,
        entries: true,
        delegations: true,
        plugins: true,
        services: true,
        ..Pending::default()
    };
    let old = std::mem::take(&mut plan.policies);
    drop(old);
    for (key, file) in plan.files.clone() {
        read(plan, &key, file);
        let id = id(&key.1);
        match key.0 {
            Kind::BackendLbPolicy | Kind::XBackendTrafficPolicy => drop(plan.pending.policies.insert((key.0, id))),
            kind if is_member(kind) => drop(plan.pending.members.insert((kind, id))),
            _ => {}
        }
    }
}

fn id(path: &str) -> Id {
    let (namespace, name) = path.split_once('/').unwrap_or(("", path));
    Id::new(namespace, name)
}

/// What connects a member to others. None: it does not exist.
pub fn nodes(plan: &mut Incremental, member: &Member) -> Option<BTreeSet<Node>> {
    if *member == mesh_member() {
        return plan.with_mesh.then(|| BTreeSet::from([Node::Mesh]));
    }
    let (kind, id) = member;
    match kind {
        Kind::CanaryPolicy => {
            let policy = plan.resources.canary_policies.get(id)?;
            let (kind, id) = canary::target(policy).unwrap_or_else(|| member.clone());
            Some(BTreeSet::from([Node::Object(kind, id)]))
        }
        Kind::Gateway | Kind::IstioGateway => of_gateway(plan, member),
        _ => of_route(plan, member),
    }
}

fn of_gateway(plan: &mut Incremental, member: &Member) -> Option<BTreeSet<Node>> {
    let (kind, id) = member;
    let resources = &plan.resources;
    let item = match kind {
        Kind::Gateway => resources.gateways.get(id),
        _ => resources.istio_gateways.get(id),
    };
    let Some(item) = item else {
        plan.gateways.remove(member);
        return None;
    };
    let (nodes, reads) = reads::record(|| {
        let pods = translate::pods_of(item, resources).groups.into_iter().flatten();
        let mut nodes: BTreeSet<Node> = pods.map(Node::Pods).collect();
        nodes.insert(Node::Object(*kind, id.clone()));
        if plan.with_mesh && *kind == Kind::Gateway && translate::is_waypoint(item, resources) {
            nodes.insert(Node::Mesh);
        }
        nodes
    });
    plan.gateways.insert(member.clone(), reads);
    Some(nodes)
}

fn of_route(plan: &mut Incremental, member: &Member) -> Option<BTreeSet<Node>> {
    let (kind, id) = member;
    let Some(route) = plan.resources.routes_of(*kind).get(id) else {
        plan.of_sets.remove(member);
        return None;
    };
    let named = Named::by(route, &plan.resources);
    let mut nodes = BTreeSet::from([Node::Object(*kind, id.clone())]);
    nodes.extend(named.gateways.into_iter().map(|(kind, id)| Node::Object(kind, id)));
    if *kind == Kind::VirtualService {
        let delegates = plan.resources.delegations.delegates_of(id);
        nodes.extend(delegates.map(|id| Node::Object(Kind::VirtualService, id)));
    }
    if named.mesh && plan.with_mesh {
        nodes.insert(Node::Mesh);
    }
    if named.sets {
        plan.of_sets.insert(member.clone());
    } else {
        plan.of_sets.remove(member);
    }
    Some(nodes)
}
