//! Objects come, change and go at random; after each step, the plan of the parts is that of a whole run, byte for byte.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::LazyLock,
};

use mooring_generator::{
    attachment::Attachments,
    diagnostic::{Diagnostic, Report},
    dns::ClusterDomain,
    document,
    emit::{FailStrategy, Output, istio},
    generate::{self, TargetOptions},
    id::Id,
    incremental::Incremental,
    kind::{Kind, KnownKind, Reads},
    mesh::Mesh,
    policies,
    resources::Resources,
    source::{Coverage, Sources},
    status::{self, AncestorState, States},
    translate,
};
use serde_json::{Map, Value, json};

/// The environment variable with the number of steps of each run.
const STEPS: &str = "MOORING_INCREMENTAL_STEPS";

/// The number of steps without it.
const DEFAULT_STEPS: u64 = 30;

/// The manifests from which objects are made: what is in one directory belongs together.
const MANIFESTS: [&str; 4] = ["../examples", "../fuzz/seeds/manifests", "tests/istiod", "tests/data"];

/// How many directories of manifests a cluster has at first.
const GROUPS: usize = 12;

/// The namespaces of the objects. Namespaces of one name before another's end are listed in another order than they sort.
const NAMESPACES: [&str; 4] = ["default", "shop", "shop-b", "istio-system"];

#[test]
fn the_parts_are_the_whole_of_a_cluster() {
    for seed in 0..3 {
        Cluster::new(seed, Coverage::Everything, &[]).run();
    }
}

#[test]
fn the_parts_are_the_whole_with_callers() {
    for seed in 10..12 {
        Cluster::new(seed, Coverage::Everything, &["default", "shop/app=web"]).run();
    }
}

#[test]
fn the_parts_are_the_whole_of_some_namespaces() {
    let read = NAMESPACES.iter().map(|name| (*name).to_owned()).collect();
    for seed in 20..21 {
        Cluster::new(seed, Coverage::Namespaces(BTreeSet::clone(&read)), &[]).run();
    }
}

/// Kubelets change these all the time.
#[test]
fn what_is_never_read_of_pods_and_endpoints_is_no_change() {
    let mut plan = Incremental::new(options(), Mesh::default(), Coverage::Everything);
    let mut set = |object: Value| set(&mut plan, &object);
    let pod = |app: &str, image: &str, phase: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": "shop", "name": "web-0", "labels": { "app": app } },
            "spec": { "containers": [{ "name": "web", "image": image, "args": ["--port=80"] }] }, "status": { "phase": phase },
        })
    };
    assert!(set(pod("web", "web:1", "Pending")));
    assert!(!set(pod("web", "web:2", "Running")));
    assert!(set(pod("api", "web:2", "Running")));
    let slice = |address: &str| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": { "namespace": "shop", "name": "web-1" },
            "addressType": "IPv4", "endpoints": [{ "addresses": [address] }], "ports": [{ "name": "http", "port": 80 }],
        })
    };
    assert!(set(slice("10.0.0.1")));
    assert!(!set(slice("10.0.0.2")));
}

/// A policy needs the Service that it targets also if no route leads there.
#[test]
fn what_is_found_about_a_service_of_a_policy_that_cannot_be_read_is_that_of_a_run() {
    let mesh = Mesh::default();
    let mut plan = Incremental::new(options(), mesh.clone(), Coverage::Everything);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": "shop", "name": "cart" },
        "spec": { "ports": [{ "name": "http" }] },
    });
    let policy = json!({
        "apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XBackendTrafficPolicy",
        "metadata": { "namespace": "shop", "name": "sticky" },
        "spec": {
            "targetRefs": [{ "group": "", "kind": "Service", "name": "cart" }],
            "sessionPersistence": { "sessionName": "cart" },
        },
    });
    for object in [service, policy] {
        set(&mut plan, &object);
    }
    plan.plan();
    let found = shown(plan.states());
    assert_eq!(found, shown(&states_of(plan.sources(), &mesh)));
    let about_service = format!("{:?}", (Kind::Service, Id::new("shop", "cart")));
    assert!(found.contains(&about_service), "{found:?}");
}

/// Sets an object of a plan, and returns whether that is a change.
fn set(plan: &mut Incremental, object: &Value) -> bool {
    let (kind, object) = known(object).unwrap();
    let version = object["apiVersion"].as_str().unwrap().to_owned();
    plan.set(&kind, &id(&kind, &object), Some((&version, object)))
}

/// A small generator of numbers (splitmix64): the same for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

type Object = Map<String, Value>;

/// A cluster with a plan.
struct Cluster {
    seed: u64,
    random: Random,
    vocabulary: Vec<Vec<(KnownKind, Object)>>,
    /// The objects as they were at first.
    first: Vec<(KnownKind, Object)>,
    objects: BTreeMap<(&'static str, &'static str, Id), (KnownKind, Object)>,
    mesh: Mesh,
    plan: Incremental,
    planned: usize,
    whole: usize,
}

impl Cluster {
    fn new(seed: u64, coverage: Coverage, callers: &[&str]) -> Self {
        let mesh = Mesh {
            callers: callers.iter().map(|text| text.parse().unwrap()).collect(),
            dns_domain: Some(Some(ClusterDomain::default())),
            ..Mesh::default()
        };
        Self {
            seed,
            random: Random(seed),
            vocabulary: VOCABULARY.clone(),
            first: Vec::new(),
            objects: BTreeMap::new(),
            plan: Incremental::new(options(), mesh.clone(), coverage),
            mesh,
            planned: 0,
            whole: 0,
        }
    }

    fn run(mut self) {
        let steps = std::env::var(STEPS).ok().and_then(|steps| steps.parse().ok());
        let mut components = 0;
        let mut objects = 0;
        for step in 0..steps.unwrap_or(DEFAULT_STEPS) {
            let log = if step == 0 {
                self.fill()
            } else {
                (0..=self.random.below(3)).map(|_| self.change()).collect()
            };
            let weights = self.plan.weights();
            let planned = self.plan.plan();
            assert_eq!(planned.weights, self.plan.weights() != weights, "weights: {log:?}");
            self.planned += planned.planned;
            self.whole += usize::from(planned.whole);
            components += planned.components;
            objects += self.plan.objects().len();
            self.check(step, &log);
        }
        eprintln!(
            "seed {}: {} objects generated, {} of {components} components planned, {} whole plans",
            self.seed, objects, self.planned, self.whole
        );
        assert!(
            self.planned * 2 < components,
            "most components are planned at each step"
        );
        assert!(objects > 0, "nothing is generated");
    }

    /// Adds all objects of some directories.
    fn fill(&mut self) -> Vec<String> {
        for _ in 0..GROUPS {
            let group = self.random.pick(&self.vocabulary).clone();
            let namespace = *self.random.pick(&NAMESPACES);
            for (kind, mut object) in group {
                self.place(&kind, &mut object, namespace);
                self.first.push((kind, object));
            }
        }
        self.first
            .clone()
            .into_iter()
            .map(|(kind, object)| self.set(kind, object))
            .collect()
    }

    /// Changes one object, and says how.
    fn change(&mut self) -> String {
        let known: Vec<_> = self.objects.keys().cloned().collect();
        let what = self.random.below(12);
        if what < 2 && !known.is_empty() {
            let key = self.random.pick(&known).clone();
            let (kind, _) = self.objects.remove(&key).unwrap();
            self.plan.set(&kind, &key.2, None);
            return format!("deleted {key:?}");
        }
        let (kind, object) = if what < 6 {
            // Back to what works.
            self.random.pick(&self.first).clone()
        } else if what < 8 || known.is_empty() {
            let group = self.random.pick(&self.vocabulary);
            let (kind, mut object) = self.random.pick(group).clone();
            let namespace = *self.random.pick(&NAMESPACES);
            self.place(&kind, &mut object, namespace);
            (kind, object)
        } else {
            let (kind, object) = self.objects[self.random.pick(&known)].clone();
            let names: BTreeSet<&str> = known
                .iter()
                .flat_map(|(_, _, id)| [id.name.as_str(), &id.namespace])
                .collect();
            let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
            (kind, self.mutated(object, &names))
        };
        self.set(kind, object)
    }

    fn set(&mut self, kind: KnownKind, object: Object) -> String {
        let id = id(&kind, &object);
        let version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
        let log = format!("{} {id}: {}", kind.name, Value::Object(object.clone()));
        self.plan.set(&kind, &id, Some((&version, object.clone())));
        self.objects.insert((kind.name, kind.group, id), (kind, object));
        log
    }

    /// Puts an object of a manifest into a namespace.
    fn place(&mut self, kind: &KnownKind, object: &mut Object, namespace: &str) {
        let is_namespaced = kind.kind().is_none_or(|kind| !kind.is_cluster_wide());
        if is_namespaced && (object["metadata"].get("namespace").is_none() || self.random.one_in(8)) {
            object["metadata"]["namespace"] = json!(namespace);
        }
        if self.random.one_in(2) {
            let minute = self.random.below(3);
            object["metadata"]["creationTimestamp"] = json!(format!("2026-01-31T12:0{minute}:00Z"));
        }
    }

    /// The object with another field. The API server has each object under its name, and in a version that it knows.
    fn mutated(&mut self, mut object: Object, names: &[&str]) -> Object {
        let identity = object["metadata"].clone();
        let fields: Vec<String> = object
            .keys()
            .filter(|name| !["apiVersion", "kind"].contains(&name.as_str()))
            .cloned()
            .collect();
        let field = self.random.pick(&fields).clone();
        self.mutate(&mut object[field.as_str()], names);
        object["metadata"] = with_identity(object.get("metadata"), &identity);
        if self.random.one_in(4) {
            object["metadata"]["resourceVersion"] = json!(self.random.next().to_string());
        }
        object
    }

    /// Changes one of the values in an object: another name, another number, or nothing at all.
    fn mutate(&mut self, value: &mut Value, names: &[&str]) {
        let name = json!(self.random.pick(names));
        let dropped = self.random.one_in(4);
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let keys: Vec<String> = fields.keys().cloned().collect();
                let field = self.random.pick(&keys);
                if dropped {
                    fields.remove(field);
                } else {
                    self.mutate(&mut fields[field.as_str()], names);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                let position = self.random.below(items.len());
                if dropped {
                    items.remove(position);
                } else if self.random.one_in(5) {
                    items.push(items[position].clone());
                } else {
                    self.mutate(&mut items[position], names);
                }
            }
            Value::Number(_) => *value = json!(self.random.pick(&[0, 1, 20, 80, 8080, 9080])),
            Value::Bool(other) => *other = !*other,
            Value::String(_) => *value = name,
            _ => {}
        }
    }

    fn check(&self, step: u64, log: &[String]) {
        let (objects, report, sources) = self.plan.run();
        // The first step adds very many objects.
        let log = if step == 0 {
            "the first step".to_owned()
        } else {
            log.join("\n")
        };
        let about = || format!("seed {}, step {step}, after:\n{log}", self.seed);
        let text = |output: &Output| format!("{}\n{}{:#}", about(), output.comment, output.value);
        let whole: Vec<_> = objects.keys().collect();
        let parts: Vec<_> = self.plan.objects().keys().collect();
        assert_eq!(parts, whole, "{}", about());
        for (name, output) in &objects {
            let part = &self.plan.objects()[name];
            if part != output {
                snapbox::assert_data_eq!(text(part), text(output));
                panic!("{name:?} differs in its comments or its file, {}", about());
            }
        }
        let whole = texts(&report, &sources);
        let parts = texts(&self.plan.findings(), self.plan.sources());
        let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
            one.difference(other).cloned().collect::<Vec<_>>().join("\n")
        };
        assert!(
            whole == parts,
            "{}\nonly in the run:\n{}\nonly in the parts:\n{}",
            about(),
            only(&whole, &parts),
            only(&parts, &whole)
        );
        let whole = shown(&states_of(&sources, &self.mesh));
        let parts = shown(self.plan.states());
        assert!(
            whole == parts,
            "{}\nstates only in the run:\n{}\nonly in the parts:\n{}",
            about(),
            only(&whole, &parts),
            only(&parts, &whole)
        );
    }
}

/// The states of the policies of a whole run.
fn states_of(sources: &Sources, mesh: &Mesh) -> States {
    let mut report = Report::default();
    let resources = Resources::new(document::read(sources, &mut report), sources, mesh.clone());
    let policies = policies::policies(&resources, &mut report);
    let attachments = Attachments::new(&policies, &resources.services, &mut report);
    let mut ir = translate::translate_attached(&resources, &attachments, &mut report);
    let outputs = generate::emit(
        &mut ir,
        &resources,
        sources,
        &TargetOptions::Istio(options()),
        &mut report,
    );
    status::states(&ir, &resources, &policies, &attachments, &outputs, &report)
}

/// What happens to each policy on each of its ancestors, and about which objects something is found. The texts of a part have only what
/// is found there.
fn shown(states: &States) -> BTreeSet<String> {
    let policies = states.policies.iter().flat_map(|(policy, state)| {
        let unread = state
            .unread
            .as_ref()
            .map(|state| format!("{policy:?} {:?}", state.outcome));
        let ancestors = state.ancestors.iter().map(move |(ancestor, state)| {
            let AncestorState {
                outcome,
                objects,
                session_pods,
                ..
            } = state;
            format!("{policy:?} {ancestor:?} {outcome:?} {objects:?} {session_pods:?}")
        });
        unread.into_iter().chain(ancestors).chain([format!("{policy:?}")])
    });
    policies
        .chain(states.notices.keys().map(|object| format!("{object:?}")))
        .collect()
}

fn options() -> istio::Options {
    istio::Options {
        url: "oci://registry.example/mooring:0.1.0".to_owned(),
        sha256: None,
        fail_strategy: FailStrategy::Open,
        version: istio::IstioVersion::default(),
        prunes: false,
        plugin: istio::Plugin::default(),
        metadata: istio::Metadata::default(),
    }
}

fn with_identity(metadata: Option<&Value>, identity: &Value) -> Value {
    let mut metadata = metadata.filter(|value| value.is_object()).cloned().unwrap_or(json!({}));
    for field in ["name", "namespace"] {
        match identity.get(field) {
            Some(value) => metadata[field] = value.clone(),
            None => drop(metadata.as_object_mut().unwrap().remove(field)),
        }
    }
    metadata
}

fn name(object: &Object) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

fn id(kind: &KnownKind, object: &Object) -> Id {
    let is_namespaced = kind.kind().is_none_or(|kind| !kind.is_cluster_wide());
    let namespace = object["metadata"]["namespace"].as_str().filter(|_| is_namespaced);
    Id::new(namespace.unwrap_or_default(), name(object))
}

/// Every finding and omission with all that belongs to it, without the numbers of files.
fn texts(report: &Report, sources: &Sources) -> BTreeSet<String> {
    let place = |location: mooring_generator::location::SourceLocation| {
        format!("{}:{}:{}", sources.name(location.file), location.line, location.column)
    };
    let text = |found: &Diagnostic| {
        let related: Vec<String> = found
            .related()
            .map(|(location, label)| format!("{} {label}", place(location)))
            .collect();
        let location = found.location().map(place);
        let (severity, code, message) = (found.severity(), found.code(), found.message());
        format!(
            "{severity:?} {code} {location:?} {message} {related:?} {:?}",
            found.advice()
        )
    };
    let omitted = report
        .omissions()
        .iter()
        .map(|(what, name, _)| format!("{what:?} {name}"));
    report.sorted().into_iter().map(text).chain(omitted).collect()
}

static VOCABULARY: LazyLock<Vec<Vec<(KnownKind, Object)>>> = LazyLock::new(vocabulary);

/// The objects of kinds that are read, of all directories with manifests.
fn vocabulary() -> Vec<Vec<(KnownKind, Object)>> {
    let mut groups = Vec::new();
    for directory in MANIFESTS {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut groups);
    }
    let count: usize = groups.iter().map(Vec::len).sum();
    assert!(count > 100, "{count} objects in {} directories", groups.len());
    groups
}

fn collect(directory: &Path, groups: &mut Vec<Vec<(KnownKind, Object)>>) {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut objects = Vec::new();
    for path in paths {
        if path.is_dir() {
            collect(&path, groups);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            for text in document::texts(&fs::read_to_string(path).unwrap()) {
                let value: Value = serde_saphyr::from_str(&text).unwrap_or_default();
                objects.extend(known(&value));
            }
        }
    }
    if !objects.is_empty() {
        groups.push(objects);
    }
}

fn known(value: &Value) -> Option<(KnownKind, Object)> {
    let object = value.as_object()?;
    let (version, kind) = (object.get("apiVersion")?.as_str()?, object.get("kind")?.as_str()?);
    let (group, _) = version.split_once('/').unwrap_or(("", version));
    object
        .get("metadata")?
        .get("name")?
        .as_str()
        .filter(|name| !name.is_empty())?;
    let known = KnownKind::all(Reads::Routing).find(|known| (known.group, known.name) == (group, kind))?;
    Some((known, object.clone()))
}
