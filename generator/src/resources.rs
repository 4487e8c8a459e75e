//! All objects of the input, by kind, namespace and name.
//!
//! This module finds objects and duplicates. It does not interpret them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{
        canary::CanaryPolicySpec,
        field::{Field, Pairs},
        gateway::GatewayClassSpec,
        grant::ReferenceGrantSpec,
        ingress::{IngressClassSpec, IngressSpec},
        istio::DestinationRuleSpec,
        object::{Metadata, Object},
        policy::{BackendLbPolicySpec, XBackendTrafficPolicySpec},
        service::{EndpointSlice, Namespace, Pod},
    },
    cluster_domain::Domain,
    delegation::{Delegations, MergedRoute},
    diagnostic::{Diagnostic, Report},
    dns::ClusterDomain,
    document::{Broken, Earlier, Outcome, Parsed},
    id::{DEFAULT_NAMESPACE, Id},
    kind::Kind,
    labels::RULE_ANNOTATION,
    location::DocumentOffset,
    mesh::Mesh,
    model::gateway::{GatewaySpec, ListenerSetSpec},
    model::route::{RouteSpec, Rule},
    model::service::{ServiceSpec, external_services},
    reads::{self, Read},
    source::{Coverage, Sources},
};

pub mod instead;
pub mod item;
pub mod items;
mod unread;
pub mod update;

pub use instead::Instead;
pub use item::{Item, wrong_name};
pub use items::{Found, Items};
pub use unread::Unread;

/// The kinds whose objects create pods.
const POD_CONTROLLERS: [Kind; 3] = [Kind::Deployment, Kind::DaemonSet, Kind::StatefulSet];

/// A rule of a route as it is written.
#[derive(Clone, Copy, Debug)]
pub struct WrittenRule<'i> {
    /// The object that contains it: the route, or a delegate.
    pub item: &'i Item<RouteSpec>,
    /// Its index in that object.
    pub position: usize,
    /// The merge of the route and the delegate, if the rule belongs to a delegate.
    pub delegated: Option<&'i MergedRoute>,
    /// The content of the rule.
    pub rule: &'i Field<Rule>,
}

/// All objects of the input.
#[derive(Debug)]
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
    /// The `DestinationRule`s.
    pub destination_rules: Items<DestinationRuleSpec>,
    /// The hosts of `ServiceEntry` objects.
    external_services: BTreeMap<String, Item<ServiceSpec>>,
    /// The ids of the `DestinationRule`s, by the full names of their hosts.
    destinations: BTreeMap<String, BTreeSet<Id>>,
    /// The `VirtualService`s that delegate routes to others.
    pub delegations: Delegations,
    /// The objects of the input that could not be used.
    pub unread: Vec<Unread>,
    /// What the command line says about the mesh.
    pub mesh: Mesh,
    /// The cluster domain.
    pub domain: ClusterDomain,
    /// The reason why the cluster domain may be a different one.
    doubt_of_domain: Option<Diagnostic>,
    /// How much of the cluster the input covers.
    pub coverage: Coverage,
    /// The session routes of earlier runs that are in the input, with their rules.
    pub generated: BTreeMap<(Kind, Id), String>,
    /// The output of earlier runs that this run may replace, and where it is.
    pub earlier: Vec<Earlier>,
    /// The gRPC routes.
    pub grpc_routes: Items<RouteSpec>,
    /// The Services.
    pub services: Items<ServiceSpec>,
    /// The `EndpointSlice`s of the Services.
    pub endpoint_slices: Items<EndpointSlice>,
    /// Pods. Their labels select subsets.
    pub pods: Items<Pod>,
    /// The classes of gateways. They are cluster-scoped, so their ids have an empty namespace.
    pub gateway_classes: Items<GatewayClassSpec>,
    /// The labels in the pod templates of `Deployment`s, `DaemonSet`s and `StatefulSet`s, by namespace and object.
    pod_templates: BTreeMap<String, BTreeMap<(Kind, String), Vec<Pairs>>>,
    /// The namespaces. They are cluster-scoped, so their ids have an empty namespace.
    pub namespaces: Items<Namespace>,
    /// Sets of listeners that extend Gateways.
    pub listener_sets: Items<ListenerSetSpec>,
    /// The same in Gateway API 1.3 and 1.4.
    pub x_listener_sets: Items<ListenerSetSpec>,
    /// The permissions to refer to other namespaces.
    pub reference_grants: Items<ReferenceGrantSpec>,
    /// The Ingresses, in a run that translates them.
    pub ingresses: Items<IngressSpec>,
    /// Their classes. They are cluster-scoped, so their ids have an empty namespace.
    pub ingress_classes: Items<IngressClassSpec>,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            backend_lb_policies: Items::new(Kind::BackendLbPolicy),
            x_backend_traffic_policies: Items::new(Kind::XBackendTrafficPolicy),
            canary_policies: Items::new(Kind::CanaryPolicy),
            gateways: Items::new(Kind::Gateway),
            http_routes: Items::new(Kind::HttpRoute),
            virtual_services: Items::new(Kind::VirtualService),
            istio_gateways: Items::new(Kind::IstioGateway),
            destination_rules: Items::new(Kind::DestinationRule),
            external_services: BTreeMap::default(),
            destinations: BTreeMap::default(),
            delegations: Delegations::default(),
            unread: Vec::default(),
            mesh: Mesh::default(),
            domain: ClusterDomain::default(),
            doubt_of_domain: None,
            coverage: Coverage::default(),
            generated: BTreeMap::default(),
            earlier: Vec::default(),
            grpc_routes: Items::new(Kind::GrpcRoute),
            services: Items::new(Kind::Service),
            endpoint_slices: Items::new(Kind::EndpointSlice),
            pods: Items::new(Kind::Pod),
            gateway_classes: Items::new(Kind::GatewayClass),
            pod_templates: BTreeMap::default(),
            namespaces: Items::new(Kind::Namespace),
            listener_sets: Items::new(Kind::ListenerSet),
            x_listener_sets: Items::new(Kind::XListenerSet),
            reference_grants: Items::new(Kind::ReferenceGrant),
            ingresses: Items::new(Kind::Ingress),
            ingress_classes: Items::new(Kind::IngressClass),
        }
    }
}

impl Resources {
    /// Indexes the objects of the sources. Objects that cannot be used are added to `unread`.
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
                    for kind in Kind::ALL {
                        resources.mark(kind, None);
                    }
                }
            }
        }
        resources.delegations.merge(&resources.virtual_services);
        resources
    }

    /// The reason why the cluster domain may be a different one, if the domain affects the output.
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

    /// Whether a route of this kind and name exists.
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

    /// The rules of a route as they are written, including the rules of the delegates of a `VirtualService`.
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

    /// The host of a `ServiceEntry`.
    #[must_use]
    pub fn external_service(&self, host: &str) -> Option<&Item<ServiceSpec>> {
        reads::note(Read::External(host));
        self.external_services.get(host)
    }

    /// The hosts of all `ServiceEntry` objects.
    pub fn external_services(&self) -> impl Iterator<Item = &Item<ServiceSpec>> {
        reads::note(Read::All(Kind::ServiceEntry));
        self.external_services.values()
    }

    /// The namespaces and labels of all pods: those of the input, and those that its `Deployment`s,
    /// `DaemonSet`s and `StatefulSet`s create.
    pub fn pod_labels(&self) -> impl Iterator<Item = (&str, &Pairs)> {
        for kind in POD_CONTROLLERS {
            reads::note(Read::All(kind));
        }
        self.all_pod_labels(self.pods.iter())
    }

    /// The namespaces and labels of the pods among them that have these labels.
    pub fn pods_with<'p>(&'p self, labels: &'p BTreeMap<String, String>) -> impl Iterator<Item = (&'p str, &'p Pairs)> {
        reads::note_pods(labels);
        let all = self.all_pod_labels(self.pods.unnoted());
        all.filter(|(_, pod)| pod.include(labels))
    }

    fn all_pod_labels<'p>(
        &'p self,
        pods: impl Iterator<Item = &'p Item<Pod>>,
    ) -> impl Iterator<Item = (&'p str, &'p Pairs)> {
        let pods = pods.map(|pod| (pod.id.namespace.as_str(), &pod.metadata.labels));
        let templates = self.pod_templates.iter();
        let templates = templates.flat_map(|(namespace, of_namespace)| {
            let all = of_namespace.values().flatten();
            all.map(|labels| (namespace.as_str(), labels))
        });
        pods.chain(templates)
    }

    /// The labels of the pods that the `Deployment`s, `DaemonSet`s and `StatefulSet`s of a namespace create.
    pub fn pod_templates_of(&self, namespace: &str) -> impl Iterator<Item = &Pairs> {
        for kind in POD_CONTROLLERS {
            reads::note(Read::Namespace(kind, namespace));
        }
        let of_namespace = self.pod_templates.get(namespace).into_iter();
        of_namespace.flat_map(|templates| templates.values().flatten())
    }

    /// The `DestinationRule`s for a host, each with the host that it names. The host is a full name; wildcards that
    /// cover it are included.
    pub fn destination_rules_for(&self, host: &str) -> impl Iterator<Item = (&str, &Item<DestinationRuleSpec>)> {
        reads::note_host(host);
        let covers = |wildcard: &str| wildcard.strip_prefix('*').is_some_and(|suffix| host.ends_with(suffix));
        let wildcards = self.destinations.range("*".to_owned().."+".to_owned());
        let wildcards = wildcards.filter(move |(wildcard, _)| *wildcard != host && covers(wildcard));
        let named = self.destinations.get_key_value(host).into_iter().chain(wildcards);
        named.flat_map(|(host, ids)| {
            let rules = ids.iter().filter_map(|id| self.destination_rules.unnoted_get(id));
            rules.map(|rule| (host.as_str(), rule))
        })
    }

    fn insert(&mut self, offset: DocumentOffset, parsed: Parsed) -> Result<(), Box<Unread>> {
        fn item<S, T: From<S>>(offset: DocumentOffset, object: Object<S>) -> Item<T> {
            Item::new(offset, object.metadata, object.spec.into())
        }
        let kind = parsed.kind();
        match parsed {
            Parsed::BackendLbPolicy(object) => self
                .backend_lb_policies
                .insert(Kind::BackendLbPolicy, item(offset, object)),
            Parsed::XBackendTrafficPolicy(object) => self
                .x_backend_traffic_policies
                .insert(Kind::XBackendTrafficPolicy, item(offset, object)),
            Parsed::CanaryPolicy(object) => self.canary_policies.insert(Kind::CanaryPolicy, item(offset, *object)),
            Parsed::Gateway(object) => {
                let mut gateway = Item::new(offset, object.metadata, GatewaySpec::from(object.spec));
                let status = object.status.unwrap_or_default();
                gateway.spec.attached_routes = status.attached_routes();
                self.gateways.insert(Kind::Gateway, gateway)
            }
            Parsed::HttpRoute(object) => self.http_routes.insert(Kind::HttpRoute, item(offset, object)),
            Parsed::GrpcRoute(object) => self.grpc_routes.insert(Kind::GrpcRoute, item(offset, object)),
            Parsed::VirtualService(object) => {
                let spec = &object.spec;
                let id = object.metadata.id();
                if self.virtual_services.get(&id).is_none() {
                    self.delegations.note(&id, spec);
                }
                let item = Item::new(offset, object.metadata, object.spec.into());
                self.virtual_services.insert(Kind::VirtualService, item)
            }
            Parsed::IstioGateway(object) => self.istio_gateways.insert(Kind::IstioGateway, item(offset, object)),
            Parsed::DestinationRule(object) => {
                let rule: Item<DestinationRuleSpec> = item(offset, object);
                let host = self.domain.full_name(&rule.spec.host.value, &rule.id.namespace);
                let id = rule.id.clone();
                self.destination_rules.insert(Kind::DestinationRule, rule)?;
                self.destinations.entry(host).or_default().insert(id);
                Ok(())
            }
            Parsed::ServiceEntry(object) => {
                for service in external_services(&object.spec) {
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
            Parsed::Deployment(controller) | Parsed::DaemonSet(controller) | Parsed::StatefulSet(controller) => {
                let id = controller.metadata.id();
                let of_namespace = self.pod_templates.entry(id.namespace).or_default();
                let templates = of_namespace.entry((kind, id.name)).or_default();
                templates.push(controller.spec.template.metadata.labels);
                Ok(())
            }
            Parsed::EndpointSlice(slice) => {
                let item = Item::new(offset, slice.metadata.clone(), slice);
                self.endpoint_slices.insert(Kind::EndpointSlice, item)
            }
            Parsed::ListenerSet(object) => self.listener_sets.insert(Kind::ListenerSet, item(offset, object)),
            Parsed::XListenerSet(object) => self.x_listener_sets.insert(Kind::XListenerSet, item(offset, object)),
            Parsed::ReferenceGrant(object) => self.reference_grants.insert(Kind::ReferenceGrant, item(offset, object)),
            Parsed::Ingress(object) => self.ingresses.insert(Kind::Ingress, item(offset, object)),
            Parsed::IngressClass(object) => {
                let mut item = item(offset, object);
                item.id.namespace.clear();
                self.ingress_classes.insert(Kind::IngressClass, item)
            }
        }
    }

    /// Adds an object that an earlier run generated.
    fn insert_generated(&mut self, kind: Kind, metadata: &Metadata) {
        if let Some(rule) = metadata.annotations.get(RULE_ANNOTATION) {
            self.generated.insert((kind, metadata.id()), rule.to_owned());
        }
    }

    /// Adds an object that could not be parsed.
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

    /// If several `ServiceEntry` objects have the same host, their ports are merged, as a gateway has the clusters of
    /// all of them. The host belongs to the first object by namespace and name.
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

    /// Records that an object of this kind could not be read, so that references to it are not reported as missing. The
    /// id is `None` if its name could not be read either. Kinds to which nothing refers by name are ignored.
    fn mark(&mut self, kind: Kind, id: Option<&Id>) {
        match kind {
            Kind::Gateway => self.gateways.mark_unread(id),
            Kind::HttpRoute => self.http_routes.mark_unread(id),
            Kind::GrpcRoute => self.grpc_routes.mark_unread(id),
            Kind::VirtualService => self.virtual_services.mark_unread(id),
            Kind::IstioGateway => self.istio_gateways.mark_unread(id),
            Kind::DestinationRule => self.destination_rules.mark_unread(id),
            Kind::Service => self.services.mark_unread(id),
            Kind::Namespace => self.namespaces.mark_unread(id),
            Kind::ListenerSet => self.listener_sets.mark_unread(id),
            Kind::XListenerSet => self.x_listener_sets.mark_unread(id),
            Kind::ReferenceGrant => self.reference_grants.mark_unread(id),
            _ => {}
        }
    }
}
