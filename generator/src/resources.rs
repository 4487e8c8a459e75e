//! All objects of the input, by kind, namespace and name.
//!
//! Not for meaning: it finds objects, and two documents for one object.

use crate::{
    api::{
        canary::CanaryPolicySpec,
        field::{Field, Pairs},
        gateway::{GatewayClassSpec, GatewaySpec, ListenerSetSpec},
        grant::ReferenceGrantSpec,
        istio::DestinationRuleSpec,
        object::{Metadata, Object},
        policy::{BackendLbPolicySpec, XBackendTrafficPolicySpec},
        service::{EndpointSlice, Namespace, Pod, ServiceSpec},
    },
    cluster_domain::Domain,
    delegation::{Delegations, MergedRoute},
    diagnostic::{Code, Diagnostic, Report},
    dns::{self, ClusterDomain},
    document::{Broken, Earlier, Outcome, Parsed, Wants},
    id::{DEFAULT_NAMESPACE, Id},
    kind::Kind,
    labels::RULE_ANNOTATION,
    location::{DocumentOffset, SourceLocation},
    mesh::Mesh,
    model::route::{RouteSpec, Rule},
    source::{Coverage, Sources},
};
use std::collections::{BTreeMap, BTreeSet};

mod instead;

pub use instead::Instead;

/// An object, who it is and where it stands.
#[derive(Debug)]
pub struct Item<T> {
    /// Who it is.
    pub id: Id,
    /// The document in which it stands.
    pub offset: DocumentOffset,
    /// `metadata`.
    pub metadata: Metadata,
    /// `spec`, or the whole object where it has none.
    pub spec: T,
}

impl<T> Item<T> {
    fn new(offset: DocumentOffset, metadata: Metadata, spec: T) -> Self {
        Self {
            id: metadata.id(),
            offset,
            metadata,
            spec,
        }
    }

    /// Its names become parts of names that we make, and of file names.
    fn wrong_name(&self) -> Option<Diagnostic> {
        let mut names = std::iter::once(&self.metadata.name).chain(&self.metadata.namespace);
        names.find_map(|field| wrong_name(field, self.offset))
    }

    /// Its kind, namespace and name, as lists of what is left out have them.
    #[must_use]
    pub fn name(&self, kind: Kind) -> String {
        format!("{kind}/{}", self.id)
    }

    /// The location of its name.
    #[must_use]
    pub fn location(&self) -> SourceLocation {
        self.offset.location(&self.metadata.name)
    }

    /// The location of one of its fields.
    #[must_use]
    pub fn location_of<F>(&self, field: &Field<F>) -> SourceLocation {
        self.offset.location(field)
    }
}

impl Item<RouteSpec> {
    /// Kind, namespace and name of a route.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.spec.kind, self.id)
    }
}

/// What is to be said about a text that is no name of an object.
#[must_use]
pub fn wrong_name(field: &Field<String>, offset: DocumentOffset) -> Option<Diagnostic> {
    let text = field.value.as_str();
    let message = || {
        format!(
            "`{text}` is not a name: it has at most {} lower-case letters, digits, `-` and `.`, and a letter or digit at \
             both ends",
            dns::MAX_LENGTH
        )
    };
    (!dns::is_name(text)).then(|| Diagnostic::error(Code::Invalid, message()).at(offset.location(field)))
}

/// An object that is there and is not used, since something is wrong with it as a whole. How bad that is depends on what is
/// touched by it, which is not known here.
#[derive(Debug)]
pub struct Unread {
    /// Its kind.
    pub kind: Kind,
    /// Who it is, if that is known.
    pub id: Option<Id>,
    /// What a route wants.
    pub wants: Option<Wants>,
    /// What a list of things that are left out calls it.
    pub label: String,
    /// What is wrong.
    pub diagnostic: Diagnostic,
}

/// What a search came to.
#[derive(Debug)]
pub enum Found<'a, T> {
    /// Here it is.
    Item(&'a Item<T>),
    /// It may be there, but a text could not be read. That is told already, so nothing more needs to be said.
    Unknown,
    /// It is not there. Perhaps the user meant one of these.
    Nothing(Instead<'a>),
}

/// The objects of one kind.
#[derive(Debug)]
pub struct Items<T> {
    /// Boxed, so that the map does not have room for objects that are not there.
    by_id: BTreeMap<Id, Box<Item<T>>>,
    broken: Vec<Id>,
    any_unknown: bool,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            broken: Vec::new(),
            any_unknown: false,
        }
    }
}

impl<T> Items<T> {
    /// All objects in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Item<T>> {
        self.by_id.values().map(Box::as_ref)
    }

    /// Those of a namespace, in the order of their names.
    pub fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Item<T>> {
        let items = self.by_id.range(Id::new(namespace, "")..);
        items.map_while(move |(id, item)| (id.namespace == namespace).then_some(&**item))
    }

    /// Those of this name, in the order of their namespaces.
    fn called(&self, name: &str) -> impl Iterator<Item = &Item<T>> {
        let first_of = |next: &str| {
            let mut items = self.by_id.range(Id::new(next, "")..);
            items.next().map(|(id, _)| id.namespace.as_str())
        };
        // A zero makes the text that comes right after a namespace.
        let namespaces = std::iter::successors(first_of(""), move |last| first_of(&format!("{last}\0")));
        namespaces.filter_map(move |namespace| self.get(&Id::new(namespace, name)))
    }

    /// An object that may well not be there.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<&Item<T>> {
        self.by_id.get(id).map(Box::as_ref)
    }

    /// Looks for an object that should be there.
    #[must_use]
    pub fn find(&self, id: &Id) -> Found<'_, T> {
        if let Some(item) = self.get(id) {
            return Found::Item(item);
        }
        if self.any_unknown || self.broken.contains(id) {
            return Found::Unknown;
        }
        Found::Nothing(Instead::of(id, self))
    }

    /// Whether there may be objects of this kind that could not be read.
    #[must_use]
    pub fn any_unread(&self) -> bool {
        self.any_unknown || !self.broken.is_empty()
    }

    /// Adds an object, unless something is wrong with it as a whole.
    fn insert(&mut self, kind: Kind, item: Item<T>) -> Result<(), Box<Unread>> {
        let unread = |label: String, diagnostic: Diagnostic| {
            Box::new(Unread {
                kind,
                id: Some(item.id.clone()),
                wants: None,
                label,
                diagnostic,
            })
        };
        if let Some(diagnostic) = item.wrong_name() {
            let unread = unread(format!("{kind}/{}", item.id), diagnostic);
            self.broken.push(item.id);
            return Err(unread);
        }
        if let Some(other) = self.by_id.get(&item.id) {
            let message = format!("{kind} {} stands in two documents", item.id);
            let diagnostic = Diagnostic::error(Code::Duplicate, message)
                .at(item.location())
                .with(other.location(), "it stands here already");
            return Err(unread(format!("the second {kind}/{}", item.id), diagnostic));
        }
        self.by_id.insert(item.id.clone(), Box::new(item));
        Ok(())
    }
}

/// The kinds of objects of which it matters that one may be there and cannot be read.
const MARKED: [Kind; 11] = [
    Kind::Gateway,
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::VirtualService,
    Kind::IstioGateway,
    Kind::DestinationRule,
    Kind::Service,
    Kind::Namespace,
    Kind::ListenerSet,
    Kind::XListenerSet,
    Kind::ReferenceGrant,
];

/// A rule as it is written.
#[derive(Clone, Copy, Debug)]
pub struct WrittenRule<'i> {
    /// The object in which it stands: the route, or a delegate.
    pub item: &'i Item<RouteSpec>,
    /// Its position there.
    pub position: usize,
    /// How the delegate and the route came together, if it stands in a delegate.
    pub delegated: Option<&'i MergedRoute>,
    /// What is written.
    pub rule: &'i Field<Rule>,
}

/// All objects of the input.
#[derive(Debug, Default)]
pub struct Resources {
    /// The policies of Gateway API 1.1 and 1.2.
    pub backend_lb_policies: Items<BackendLbPolicySpec>,
    /// The policies of Gateway API 1.3 and later.
    pub x_backend_traffic_policies: Items<XBackendTrafficPolicySpec>,
    /// The canary policies.
    pub canary_policies: Items<CanaryPolicySpec>,
    /// The gateways.
    pub gateways: Items<GatewaySpec>,
    /// The HTTP routes.
    pub http_routes: Items<RouteSpec>,
    /// The virtual services.
    pub virtual_services: Items<RouteSpec>,
    /// The gateways of Istio's own API.
    pub istio_gateways: Items<GatewaySpec>,
    /// The rules for destinations.
    pub destination_rules: Items<DestinationRuleSpec>,
    /// The hosts of service entries.
    external_services: BTreeMap<String, Item<ServiceSpec>>,
    /// The rules for destinations by the full names of their hosts.
    destinations: BTreeMap<String, BTreeSet<Id>>,
    /// The `VirtualService`s that delegate routes to others.
    pub delegations: Delegations,
    /// What is not in all this, though it is in the input.
    pub unread: Vec<Unread>,
    /// What the command line says about the mesh.
    pub mesh: Mesh,
    /// The cluster domain.
    pub domain: ClusterDomain,
    /// Why it may be another one.
    doubt_of_domain: Option<Diagnostic>,
    /// How much of what there is it has.
    pub coverage: Coverage,
    /// The session routes of earlier runs that are in the input, with the rules that they are for.
    pub generated: BTreeMap<(Kind, Id), String>,
    /// What earlier runs have generated, and where it is about to be replaced.
    pub earlier: Vec<Earlier>,
    /// The gRPC routes.
    pub grpc_routes: Items<RouteSpec>,
    /// The Services.
    pub services: Items<ServiceSpec>,
    /// Their endpoints.
    pub endpoint_slices: Items<EndpointSlice>,
    /// Pods, whose labels select subsets.
    pub pods: Items<Pod>,
    /// The classes of gateways, which are in no namespace: that of their ids is empty.
    pub gateway_classes: Items<GatewayClassSpec>,
    /// What the pods of Deployments and the like are: namespaces and labels.
    pub pod_templates: Vec<(String, Pairs)>,
    /// The namespaces, which are in none themselves: that of their ids is empty.
    pub namespaces: Items<Namespace>,
    /// Listeners beside those of their Gateways.
    pub listener_sets: Items<ListenerSetSpec>,
    /// The same in Gateway API 1.3 and 1.4.
    pub x_listener_sets: Items<ListenerSetSpec>,
    /// The permissions to refer to other namespaces.
    pub reference_grants: Items<ReferenceGrantSpec>,
}

impl Resources {
    /// Indexes the objects of the sources. Objects that cannot be used are in `unread`.
    #[must_use]
    pub fn new(outcomes: Vec<Outcome>, sources: &Sources, mesh: Mesh) -> Self {
        let Domain { name, doubt } = Domain::new(&mesh, &outcomes);
        let mut resources = Self {
            mesh,
            domain: name,
            doubt_of_domain: doubt,
            coverage: sources.coverage.clone(),
            earlier: Earlier::read(sources),
            ..Self::default()
        };
        for outcome in outcomes {
            match outcome {
                Outcome::Object(offset, parsed) => {
                    let inserted = resources.insert(offset, *parsed);
                    resources.unread.extend(inserted.err().map(|unread| *unread));
                }
                Outcome::Broken(broken) => resources.insert_broken(*broken),
                Outcome::Generated(kind, metadata) => resources.insert_generated(kind, &metadata),
                Outcome::Unknown => {
                    for kind in MARKED {
                        resources.mark(kind, None);
                    }
                }
            }
        }
        resources.delegations.merge(&resources.virtual_services);
        resources
    }

    /// Why the cluster domain may be another one, where it counts.
    #[must_use]
    pub fn doubt_of_domain(&self, counts: bool) -> Report {
        let mut found = Report::default();
        if let Some(doubt) = self.doubt_of_domain.as_ref().filter(|_| counts) {
            found.add(doubt.clone());
        }
        found
    }

    /// The routes of all kinds.
    pub fn routes(&self) -> impl Iterator<Item = &Item<RouteSpec>> {
        let of_gateway_api = self.http_routes.iter().chain(self.grpc_routes.iter());
        of_gateway_api.chain(self.virtual_services.iter())
    }

    /// Whether a route of this kind and name is there.
    #[must_use]
    pub fn has_route(&self, kind: Kind, id: &Id) -> bool {
        self.routes_of(kind).get(id).is_some()
    }

    /// The routes of a kind.
    #[must_use]
    pub fn routes_of(&self, kind: Kind) -> &Items<RouteSpec> {
        match kind {
            Kind::VirtualService => &self.virtual_services,
            Kind::GrpcRoute => &self.grpc_routes,
            _ => &self.http_routes,
        }
    }

    /// The rules of a route, as they are written; of a `VirtualService` that delegates those of its delegates too.
    #[must_use]
    pub fn rules_of<'i>(&'i self, route: &'i Item<RouteSpec>) -> Vec<WrittenRule<'i>> {
        let own = |position: usize| {
            Some(WrittenRule {
                item: route,
                position,
                delegated: None,
                rule: route.spec.rules.get(position)?,
            })
        };
        let merged = self.delegations.of_root(&route.id);
        let Some(merged) = merged.filter(|_| route.spec.kind == Kind::VirtualService) else {
            return (0..route.spec.rules.len()).filter_map(own).collect();
        };
        let rules = merged.routes.iter().map(|merged| match &merged.delegated {
            None => own(merged.root),
            Some(delegated) => Some(WrittenRule {
                item: self.virtual_services.get(&delegated.delegate)?,
                position: delegated.position,
                delegated: Some(merged),
                rule: &delegated.rule,
            }),
        });
        rules.flatten().collect()
    }

    /// The listener sets of a kind.
    #[must_use]
    pub fn listener_sets_of(&self, kind: Kind) -> &Items<ListenerSetSpec> {
        match kind {
            Kind::XListenerSet => &self.x_listener_sets,
            _ => &self.listener_sets,
        }
    }

    /// The host of a service entry.
    #[must_use]
    pub fn external_service(&self, host: &str) -> Option<&Item<ServiceSpec>> {
        self.external_services.get(host)
    }

    /// The rules for a host, which is named in full, and those for wildcards that cover it, each with the host that it names.
    pub fn destination_rules_for(&self, host: &str) -> impl Iterator<Item = (&str, &Item<DestinationRuleSpec>)> {
        let covers = |wildcard: &str| wildcard.strip_prefix('*').is_some_and(|suffix| host.ends_with(suffix));
        let wildcards = self.destinations.range("*".to_owned().."+".to_owned());
        let wildcards = wildcards.filter(move |(wildcard, _)| *wildcard != host && covers(wildcard));
        let named = self.destinations.get_key_value(host).into_iter().chain(wildcards);
        named.flat_map(|(host, ids)| {
            let rules = ids.iter().filter_map(|id| self.destination_rules.get(id));
            rules.map(|rule| (host.as_str(), rule))
        })
    }

    fn insert(&mut self, offset: DocumentOffset, parsed: Parsed) -> Result<(), Box<Unread>> {
        fn item<S>(offset: DocumentOffset, object: Object<S>) -> Item<S> {
            Item::new(offset, object.metadata, object.spec)
        }
        match parsed {
            Parsed::BackendLbPolicy(object) => self
                .backend_lb_policies
                .insert(Kind::BackendLbPolicy, item(offset, object)),
            Parsed::XBackendTrafficPolicy(object) => self
                .x_backend_traffic_policies
                .insert(Kind::XBackendTrafficPolicy, item(offset, object)),
            Parsed::CanaryPolicy(object) => self.canary_policies.insert(Kind::CanaryPolicy, item(offset, *object)),
            Parsed::Gateway(object) => {
                let mut gateway = Item::new(offset, object.metadata, object.spec);
                let status = object.status.unwrap_or_default();
                gateway.spec.attached_routes = status.attached_routes();
                self.gateways.insert(Kind::Gateway, gateway)
            }
            Parsed::HttpRoute(object) => {
                let item = Item::new(offset, object.metadata, object.spec.into());
                self.http_routes.insert(Kind::HttpRoute, item)
            }
            Parsed::GrpcRoute(object) => {
                let item = Item::new(offset, object.metadata, object.spec.into());
                self.grpc_routes.insert(Kind::GrpcRoute, item)
            }
            Parsed::VirtualService(object) => {
                let spec = &object.spec;
                let id = object.metadata.id();
                if self.virtual_services.get(&id).is_none() {
                    self.delegations.note(&id, spec);
                }
                let item = Item::new(offset, object.metadata, object.spec.into());
                self.virtual_services.insert(Kind::VirtualService, item)
            }
            Parsed::IstioGateway(object) => {
                let item = Item::new(offset, object.metadata, object.spec.into());
                self.istio_gateways.insert(Kind::IstioGateway, item)
            }
            Parsed::DestinationRule(object) => {
                let rule = item(offset, object);
                let host = self.domain.full_name(&rule.spec.host.value, &rule.id.namespace);
                let id = rule.id.clone();
                self.destination_rules.insert(Kind::DestinationRule, rule)?;
                self.destinations.entry(host).or_default().insert(id);
                Ok(())
            }
            Parsed::ServiceEntry(object) => {
                for service in object.spec.services() {
                    self.insert_external(Item::new(offset, object.metadata.clone(), service));
                }
                Ok(())
            }
            Parsed::Service(object) => self.services.insert(Kind::Service, item(offset, object)),
            Parsed::Pod(pod) => {
                let item = Item::new(offset, pod.metadata.clone(), pod);
                self.pods.insert(Kind::Pod, item)
            }
            Parsed::Namespace(namespace) => {
                let mut item = Item::new(offset, namespace.metadata.clone(), namespace);
                item.id.namespace.clear();
                self.namespaces.insert(Kind::Namespace, item)
            }
            Parsed::GatewayClass(object) => {
                let mut item = item(offset, object);
                item.id.namespace.clear();
                self.gateway_classes.insert(Kind::GatewayClass, item)
            }
            Parsed::PodController(_, controller) => {
                let namespace = controller.metadata.namespace();
                let labels = controller.spec.template.metadata.labels;
                self.pod_templates.push((namespace.to_owned(), labels));
                Ok(())
            }
            Parsed::EndpointSlice(slice) => {
                let item = Item::new(offset, slice.metadata.clone(), slice);
                self.endpoint_slices.insert(Kind::EndpointSlice, item)
            }
            Parsed::ListenerSet(object) => self.listener_sets.insert(Kind::ListenerSet, item(offset, object)),
            Parsed::XListenerSet(object) => self.x_listener_sets.insert(Kind::XListenerSet, item(offset, object)),
            Parsed::ReferenceGrant(object) => self.reference_grants.insert(Kind::ReferenceGrant, item(offset, object)),
        }
    }

    /// What an earlier run has generated.
    fn insert_generated(&mut self, kind: Kind, metadata: &Metadata) {
        if let Some(rule) = metadata.annotations.get(RULE_ANNOTATION) {
            self.generated.insert((kind, metadata.id()), rule.to_owned());
        }
    }

    /// An object that cannot be read.
    fn insert_broken(&mut self, broken: Broken) {
        let Broken {
            kind,
            name,
            wants,
            label,
            diagnostic,
        } = broken;
        let id = name.map(|name| match kind {
            kind if kind.is_cluster_wide() => Id::new("", &name.name),
            _ => Id::new(name.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE), &name.name),
        });
        self.mark(kind, id.as_ref());
        let label = match &id {
            Some(id) if id.namespace.is_empty() => format!("{kind}/{}", id.name),
            Some(id) => format!("{kind}/{id}"),
            None => format!("{kind} at {label}"),
        };
        self.unread.push(Unread {
            kind,
            id,
            wants,
            label,
            diagnostic,
        });
    }

    /// A host of several service entries has the ports of all of them, as a gateway has the clusters of all of them. It stands
    /// in the one that comes first by namespace and name.
    fn insert_external(&mut self, item: Item<ServiceSpec>) {
        let Some(host) = item.spec.external_host.as_ref().map(|host| host.value.clone()) else {
            return;
        };
        let (mut first, second) = match self.external_services.remove(&host) {
            None => (item, None),
            Some(other) if other.id <= item.id => (other, Some(item)),
            Some(other) => (item, Some(other)),
        };
        for port in second.into_iter().flat_map(|second| second.spec.ports) {
            if !first.spec.ports.iter().any(|known| known.port.value == port.port.value) {
                first.spec.ports.push(port);
            }
        }
        self.external_services.insert(host, first);
    }

    /// Whether there may be routes that could not be read.
    #[must_use]
    pub fn any_route_unread(&self) -> bool {
        self.http_routes.any_unread() || self.grpc_routes.any_unread() || self.virtual_services.any_unread()
    }

    /// Remembers that an object of this kind, or any one of it, could not be read: those who miss it need not say so.
    fn mark(&mut self, kind: Kind, id: Option<&Id>) {
        let (broken, any_unknown) = match kind {
            Kind::Gateway => (&mut self.gateways.broken, &mut self.gateways.any_unknown),
            Kind::HttpRoute => (&mut self.http_routes.broken, &mut self.http_routes.any_unknown),
            Kind::GrpcRoute => (&mut self.grpc_routes.broken, &mut self.grpc_routes.any_unknown),
            Kind::VirtualService => (
                &mut self.virtual_services.broken,
                &mut self.virtual_services.any_unknown,
            ),
            Kind::IstioGateway => (&mut self.istio_gateways.broken, &mut self.istio_gateways.any_unknown),
            Kind::DestinationRule => (
                &mut self.destination_rules.broken,
                &mut self.destination_rules.any_unknown,
            ),
            Kind::Service => (&mut self.services.broken, &mut self.services.any_unknown),
            Kind::Namespace => (&mut self.namespaces.broken, &mut self.namespaces.any_unknown),
            Kind::ListenerSet => (&mut self.listener_sets.broken, &mut self.listener_sets.any_unknown),
            Kind::XListenerSet => (&mut self.x_listener_sets.broken, &mut self.x_listener_sets.any_unknown),
            Kind::ReferenceGrant => (
                &mut self.reference_grants.broken,
                &mut self.reference_grants.any_unknown,
            ),
            _ => return,
        };
        match id {
            Some(id) => broken.push(id.clone()),
            None => *any_unknown = true,
        }
    }
}
