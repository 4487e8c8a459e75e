//! Services and the hosts of `ServiceEntry` objects in one model.

use crate::api::{
    field::{Field, OptionalField, Pairs},
    istio::{EntryPort, ServiceEntrySpec},
    service::{self, ServicePort},
};

/// The `spec` of a Service, or a host of a `ServiceEntry`.
#[derive(Debug)]
pub struct ServiceSpec {
    /// The ports.
    pub ports: Vec<ServicePort>,
    /// `type`.
    pub service_type: OptionalField<String>,
    /// `externalName`.
    pub external_name: OptionalField<String>,
    /// `sessionAffinity`.
    pub session_affinity: OptionalField<String>,
    /// `selector`: the labels of its pods.
    pub selector: Pairs,
    /// The host of the `ServiceEntry`. It is `None` for a Service.
    pub external_host: OptionalField<String>,
    /// The `exportTo` of the `ServiceEntry`.
    pub export_to: Vec<Field<String>>,
}

impl From<service::ServiceSpec> for ServiceSpec {
    fn from(spec: service::ServiceSpec) -> Self {
        Self {
            ports: spec.ports,
            service_type: spec.service_type,
            external_name: spec.external_name,
            session_affinity: spec.session_affinity,
            selector: spec.selector,
            external_host: None,
            export_to: Vec::new(),
        }
    }
}

/// A Service for each host of a `ServiceEntry`.
pub fn external_services(entry: &ServiceEntrySpec) -> impl Iterator<Item = ServiceSpec> {
    let port = |port: &EntryPort| ServicePort {
        name: port.name.clone(),
        port: port.number.clone(),
        app_protocol: port.protocol.clone(),
    };
    entry.hosts.iter().map(move |host| ServiceSpec {
        ports: entry.ports.iter().map(port).collect(),
        service_type: None,
        external_name: None,
        session_affinity: None,
        selector: Pairs::default(),
        external_host: Some(host.clone()),
        export_to: entry.export_to.clone(),
    })
}
