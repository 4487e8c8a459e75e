//! Takes over the changes of single objects, and notes what they can influence.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    graph::{Member, Node},
    known::{Known, Pending, mesh_member},
};
use crate::{
    api::{field::Pairs, istio::ServiceEntrySpec, object::Object},
    canary,
    cluster_domain::{Domain, Istiod},
    diagnostic::Report,
    document::{self, Earlier, Outcome, WASM_PLUGIN},
    id::Id,
    kind::{Kind, KnownKind},
    location::FileId,
    object_text,
    reads::{self, Read},
    resources::{
        Resources,
        update::{entry_of, hosts_of_entry},
    },
    session::annotations,
    source::{Coverage, Home},
    translate::{self, Named},
};

/// The annotation that `kubectl apply` writes: a copy of the object, which is never read.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Notes that an object was added or changed, or that it was deleted.
pub fn set(known: &mut Known, kind: &KnownKind, id: &Id, object: Option<(&str, Map<String, Value>)>) -> bool {
    let everything = known.sources.coverage == Coverage::Everything;
    let text = object.map(|(version, map)| object_text::to_text(kind, version, lean(kind, map, everything)));
    let path = path(id);
    let Some(kind) = kind.kind() else {
        // What earlier runs have generated only shows which routes of other namespaces are missing.
        return kind.name == WASM_PLUGIN && !everything && set_plugin(known, path, text);
    };
    let key = (kind, path);
    let file = known.files.get(&key).copied();
    let same = match (&text, file) {
        (None, None) => true,
        (Some((_, text)), Some(file)) => known.sources.text(file) == Some(text),
        _ => false,
    };
    if same {
        return false;
    }
    let before = State::of(known, kind, id);
    known.resources.forget(kind, id);
    if kind == Kind::ServiceEntry
        && let Some((_, entry)) = known.entries.remove(&key.1)
    {
        entry_changed(known, &entry);
    }
    known.istiods.remove(&key);
    if let Some(file) = file {
        known.own.remove(&file);
        known.unknown.remove(&file);
    }
    match text {
        Some((name, text)) => {
            let file = place(known, &key, &name, text);
            read(known, &key, file);
        }
        None => {
            if let Some(file) = known.files.remove(&key) {
                known.sources.replace(file, "", String::new());
                known.at.remove(&file);
                known.free.push(file);
            }
        }
    }
    before.note(known, kind, id)
}

fn path(id: &Id) -> String {
    if id.namespace.is_empty() {
        id.name.clone()
    } else {
        id.to_string()
    }
}

/// The object without what changes all the time and is never read.
fn lean(kind: &KnownKind, mut object: Map<String, Value>, everything: bool) -> Map<String, Value> {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        metadata.remove("generation");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    // Only a configuration for a local Envoy has endpoints.
    if kind.kind() == Some(Kind::EndpointSlice) {
        object.remove("endpoints");
        object.remove("ports");
    }
    // The number of attached routes only shows that some are missing.
    if everything {
        object.remove("status");
    }
    object
}

/// Puts a text into the file of its object.
fn place(known: &mut Known, key: &(Kind, String), name: &str, text: String) -> FileId {
    let file = known.files.get(key).copied().or_else(|| known.free.pop());
    let file = if let Some(file) = file {
        known.sources.replace(file, name, text);
        file
    } else {
        let file = known.sources.next();
        known.sources.add(name, text);
        file
    };
    known.files.insert(key.clone(), file);
    known.at.insert(file, (key.0, id(&key.1)));
    file
}

/// Parses the object of a file and adds it to the resources.
fn read(known: &mut Known, key: &(Kind, String), file: FileId) {
    let mut found = Report::default();
    let outcomes = document::read_file(&known.sources, file, &mut found);
    let mut elsewhere = None;
    for outcome in outcomes {
        if let Outcome::Object(offset, parsed) = &outcome {
            elsewhere = annotations::elsewhere(parsed.kind(), parsed.metadata(), *offset);
        }
        known
            .istiods
            .extend(Istiod::new(&outcome).map(|istiod| (key.clone(), istiod)));
        let is_known = match entry_of(outcome) {
            Ok(entry) => {
                entry_changed(known, &entry.1);
                known.entries.insert(key.1.clone(), entry);
                true
            }
            Err(outcome) => known.resources.add(outcome),
        };
        if !is_known {
            known.unknown.insert(file);
        }
    }
    if !found.is_empty() || elsewhere.is_some() {
        known.own.insert(file, (found, elsewhere));
    }
}

fn entry_changed(known: &mut Known, entry: &Object<ServiceEntrySpec>) {
    known.pending.entries = true;
    for host in hosts_of_entry(&entry.spec) {
        known.pending.changes.add(Read::External(host));
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
    fn of(known: &Known, kind: Kind, id: &Id) -> Self {
        let resources = &known.resources;
        Self {
            exists: known.files.contains_key(&(kind, path(id))),
            is_unread: resources.is_unread(kind, id),
            generated: resources.generated.contains_key(&(kind, id.clone())),
            pods: resources.labels_of_pods(kind, id),
            host: (kind == Kind::DestinationRule)
                .then(|| resources.host_of_destination_rule(id))
                .flatten(),
            istiod: known.istiods.get(&(kind, path(id))).cloned(),
            delegates: kind == Kind::VirtualService && resources.delegations.involved().any(|other| other == id),
        }
    }

    /// Notes what differs from now. Returns whether a plan may depend on it.
    fn note(self, known: &mut Known, kind: Kind, id: &Id) -> bool {
        let now = Self::of(known, kind, id);
        let Known {
            pending,
            resources,
            waypoints,
            ignores_own,
            ..
        } = known;
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
fn set_plugin(known: &mut Known, path: String, text: Option<(String, String)>) -> bool {
    let file = known.plugins.get(&path).copied();
    match (text, file) {
        (Some((name, text)), Some(file)) => known.sources.replace(file, &name, text),
        (Some((name, text)), None) => {
            known.plugins.insert(path, known.sources.next());
            known.sources.add_earlier(&name, text, Home::Cluster);
        }
        (None, Some(file)) => known.sources.replace(file, "", String::new()),
        (None, None) => {}
    }
    known.pending.plugins = true;
    false
}

/// Takes over what several changes have in common, before a plan. Returns the policies with other findings.
pub fn settle(known: &mut Known, pending: &mut Pending) -> BTreeSet<(Kind, Id)> {
    if pending.domain {
        let domain = Domain::of(&known.resources.mesh, known.istiods.values().cloned());
        if known.resources.set_domain(&domain) {
            reload(known);
            *pending = std::mem::take(&mut known.pending);
        }
    }
    if pending.plugins {
        known.resources.earlier = Earlier::read(&known.sources);
    }
    if pending.entries {
        known.resources.set_entries(known.entries.values());
    }
    if pending.delegations || known.merged.meet(&pending.changes) || pending.everything {
        let before: BTreeSet<Id> = known.roots.clone();
        let resources = &mut known.resources;
        let ((), merged) = reads::record(|| resources.merge_delegates());
        known.merged = merged;
        known.roots = resources.delegations.involved().cloned().collect();
        for id in before.iter().chain(&known.roots) {
            let delegates: Vec<Id> = known.resources.delegations.delegates_of(id).collect();
            for id in std::iter::once(id).chain(&delegates) {
                pending.changes.object(Kind::VirtualService, id, false);
            }
            pending.members.insert((Kind::VirtualService, id.clone()));
        }
    }
    let Known {
        policies, resources, ..
    } = known;
    policies.update(&pending.policies, pending.services, resources, &mut pending.changes)
}

/// Reads all objects again, and plans everything again.
pub fn reload(known: &mut Known) {
    let mesh = known.resources.mesh.clone();
    let mut resources = Resources::of_cluster(mesh);
    resources.coverage = known.sources.coverage.clone();
    resources.set_domain(&Domain::of(&resources.mesh, known.istiods.values().cloned()));
    known.resources = resources;
    known.entries.clear();
    known.own.clear();
    known.unknown.clear();
    known.pending = Pending {
        everything: true,
        entries: true,
        delegations: true,
        plugins: true,
        services: true,
        ..Pending::default()
    };
    let old = std::mem::take(&mut known.policies);
    drop(old);
    for (key, file) in known.files.clone() {
        read(known, &key, file);
        let id = id(&key.1);
        match key.0 {
            Kind::BackendLbPolicy | Kind::XBackendTrafficPolicy => drop(known.pending.policies.insert((key.0, id))),
            kind if is_member(kind) => drop(known.pending.members.insert((kind, id))),
            _ => {}
        }
    }
}

fn id(path: &str) -> Id {
    let (namespace, name) = path.split_once('/').unwrap_or(("", path));
    Id::new(namespace, name)
}

/// What connects a member to others. None: it does not exist.
pub fn nodes(known: &mut Known, member: &Member) -> Option<BTreeSet<Node>> {
    if *member == mesh_member() {
        return known.with_mesh.then(|| BTreeSet::from([Node::Mesh]));
    }
    let (kind, id) = member;
    match kind {
        Kind::CanaryPolicy => {
            let policy = known.resources.canary_policies.get(id)?;
            let (kind, id) = canary::target(policy).unwrap_or_else(|| member.clone());
            Some(BTreeSet::from([Node::Object(kind, id)]))
        }
        Kind::Gateway | Kind::IstioGateway => of_gateway(known, member),
        _ => of_route(known, member),
    }
}

fn of_gateway(known: &mut Known, member: &Member) -> Option<BTreeSet<Node>> {
    let (kind, id) = member;
    let resources = &known.resources;
    let item = match kind {
        Kind::Gateway => resources.gateways.get(id),
        _ => resources.istio_gateways.get(id),
    };
    let Some(item) = item else {
        known.gateways.remove(member);
        return None;
    };
    let (nodes, reads) = reads::record(|| {
        let pods = translate::pods_of(item, resources).groups.into_iter().flatten();
        let mut nodes: BTreeSet<Node> = pods.map(Node::Pods).collect();
        nodes.insert(Node::Object(*kind, id.clone()));
        if known.with_mesh && *kind == Kind::Gateway && translate::is_waypoint(item, resources) {
            nodes.insert(Node::Mesh);
        }
        nodes
    });
    known.gateways.insert(member.clone(), reads);
    Some(nodes)
}

fn of_route(known: &mut Known, member: &Member) -> Option<BTreeSet<Node>> {
    let (kind, id) = member;
    let Some(route) = known.resources.routes_of(*kind).get(id) else {
        known.of_sets.remove(member);
        return None;
    };
    let named = Named::by(route, &known.resources);
    let mut nodes = BTreeSet::from([Node::Object(*kind, id.clone())]);
    nodes.extend(named.gateways.into_iter().map(|(kind, id)| Node::Object(kind, id)));
    if *kind == Kind::VirtualService {
        let delegates = known.resources.delegations.delegates_of(id);
        nodes.extend(delegates.map(|id| Node::Object(Kind::VirtualService, id)));
    }
    if named.mesh && known.with_mesh {
        nodes.insert(Node::Mesh);
    }
    if named.sets {
        known.of_sets.insert(member.clone());
    } else {
        known.of_sets.remove(member);
    }
    Some(nodes)
}
