//! Resources that follow a cluster: one object after the other comes, changes and goes.

use super::{Resources, external_services};
use crate::{
    api::{
        field::Pairs,
        istio::ServiceEntrySpec,
        object::{Metadata, Object},
    },
    cluster_domain::Domain,
    document::{Outcome, Parsed},
    id::Id,
    kind::Kind,
    location::DocumentOffset,
    mesh::Mesh,
    resources::item::Item,
    source::Coverage,
};

impl Resources {
    /// No objects of a cluster that is read as a whole.
    #[must_use]
    pub fn of_cluster(mesh: Mesh) -> Self {
        let mut resources = Self {
            mesh,
            coverage: Coverage::Everything,
            ..Self::default()
        };
        resources.set_domain(&Domain::of(&resources.mesh, std::iter::empty()));
        resources
    }

    /// Sets the domain of the cluster. Whether that changes anything.
    pub fn set_domain(&mut self, domain: &Domain) -> bool {
        let before = Domain {
            name: std::mem::replace(&mut self.domain, domain.name.clone()),
            doubt: std::mem::replace(&mut self.doubt_of_domain, domain.doubt.clone()),
        };
        before != *domain
    }

    /// Adds an object that came or changed, after [`Self::forget`]. False: what the object is cannot be known, so nothing that was
    /// not found is known to be missing.
    pub fn add(&mut self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Object(offset, parsed) => {
                let inserted = self.insert(offset, *parsed);
                self.unread.extend(inserted.err().map(|unread| *unread));
                true
            }
            Outcome::Broken(broken) => {
                let named = broken.name.is_some();
                self.insert_broken(*broken);
                named
            }
            Outcome::Generated(..) => true,
            Outcome::Unknown => false,
        }
    }

    /// Removes an object that went or changes.
    pub fn forget(&mut self, kind: Kind, id: &Id) {
        self.unread
            .retain(|unread| unread.kind != kind || unread.id.as_ref() != Some(id));
        self.generated.remove(&(kind, id.clone()));
        match kind {
            Kind::BackendLbPolicy => drop(self.backend_lb_policies.remove(id)),
            Kind::XBackendTrafficPolicy => drop(self.x_backend_traffic_policies.remove(id)),
            Kind::CanaryPolicy => drop(self.canary_policies.remove(id)),
            Kind::Gateway => drop(self.gateways.remove(id)),
            Kind::ListenerSet => drop(self.listener_sets.remove(id)),
            Kind::XListenerSet => drop(self.x_listener_sets.remove(id)),
            Kind::HttpRoute => drop(self.http_routes.remove(id)),
            Kind::GrpcRoute => drop(self.grpc_routes.remove(id)),
            Kind::VirtualService => {
                self.virtual_services.remove(id);
                self.delegations.forget(id);
            }
            Kind::IstioGateway => drop(self.istio_gateways.remove(id)),
            Kind::DestinationRule => {
                if let Some(rule) = self.destination_rules.remove(id) {
                    let host = self.domain.full_name(&rule.spec.host.value, &id.namespace);
                    if let Some(ids) = self.destinations.get_mut(&host) {
                        ids.remove(id);
                        if ids.is_empty() {
                            self.destinations.remove(&host);
                        }
                    }
                }
            }
            Kind::Service => drop(self.services.remove(id)),
            Kind::Pod => drop(self.pods.remove(id)),
            Kind::Namespace => drop(self.namespaces.remove(id)),
            Kind::EndpointSlice => drop(self.endpoint_slices.remove(id)),
            Kind::ReferenceGrant => drop(self.reference_grants.remove(id)),
            Kind::GatewayClass => drop(self.gateway_classes.remove(id)),
            Kind::Deployment | Kind::DaemonSet | Kind::StatefulSet => {
                if let Some(templates) = self.pod_templates.get_mut(&id.namespace) {
                    templates.remove(&(kind, id.name.clone()));
                }
            }
            // The hosts of all entries are set together: see [`Self::set_entries`].
            Kind::ServiceEntry => {}
            Kind::Ingress => drop(self.ingresses.remove(id)),
            Kind::IngressClass => drop(self.ingress_classes.remove(id)),
        }
    }

    /// Whether an object of the kind with this name could not be read.
    #[must_use]
    pub fn is_unread(&self, kind: Kind, id: &Id) -> bool {
        let mut unread = self.unread.iter().filter(|unread| unread.kind == kind);
        unread.any(|unread| unread.id.as_ref() == Some(id))
    }

    /// Merges the `VirtualService`s with their delegates again.
    pub fn merge_delegates(&mut self) {
        self.delegations.merge(&self.virtual_services);
    }

    /// Replaces the hosts of all `ServiceEntry` objects.
    pub fn set_entries<'e>(&mut self, entries: impl Iterator<Item = &'e (DocumentOffset, Object<ServiceEntrySpec>)>) {
        self.external_services.clear();
        for (offset, entry) in entries {
            for service in external_services(&entry.spec) {
                self.insert_external(Item::new(*offset, entry.metadata.clone(), service));
            }
        }
    }

    /// The full host of a `DestinationRule`.
    #[must_use]
    pub fn host_of_destination_rule(&self, id: &Id) -> Option<String> {
        let rule = self.destination_rules.get(id)?;
        Some(self.domain.full_name(&rule.spec.host.value, &id.namespace))
    }

    /// The labels of the pods that an object is or creates.
    #[must_use]
    pub fn labels_of_pods(&self, kind: Kind, id: &Id) -> Vec<Pairs> {
        if kind == Kind::Pod {
            let pod = self.pods.get(id).into_iter();
            return pod.map(|pod| pod.metadata.labels.clone()).collect();
        }
        let templates = self.pod_templates.get(&id.namespace);
        let templates = templates.and_then(|templates| templates.get(&(kind, id.name.clone())));
        templates.cloned().unwrap_or_default()
    }

    /// The metadata of a Service or a Namespace.
    #[must_use]
    pub fn metadata_of(&self, kind: Kind, id: &Id) -> Option<&Metadata> {
        match kind {
            Kind::Service => self.services.get(id).map(|item| &item.metadata),
            Kind::Namespace => self.namespaces.get(id).map(|item| &item.metadata),
            _ => None,
        }
    }
}

/// The hosts of a `ServiceEntry`.
pub fn hosts_of_entry(entry: &ServiceEntrySpec) -> impl Iterator<Item = &str> {
    entry.hosts.iter().map(|host| host.value.as_str())
}

/// The `ServiceEntry` of an outcome, if it is one.
pub fn entry_of(outcome: Outcome) -> Result<(DocumentOffset, Object<ServiceEntrySpec>), Outcome> {
    match outcome {
        Outcome::Object(offset, parsed) => match *parsed {
            Parsed::ServiceEntry(entry) => Ok((offset, entry)),
            other => Err(Outcome::Object(offset, Box::new(other))),
        },
        other => Err(other),
    }
}
