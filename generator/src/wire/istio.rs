//! `Gateway`, `DestinationRule` and `ServiceEntry` of Istio (`networking.istio.io`, v1, v1beta1 and v1alpha3), as far as they
//! are looked at: Istio checks them itself.
//!
//! Past this module an Istio Gateway is a [`GatewaySpec`] with a selector, and a host of a `ServiceEntry` is a
//! [`ServiceSpec`] with a host name of its own.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Any, Field, OptionalField, Pairs, Port,
    gateway::{GatewaySpec, Listener},
    list, nullable,
    service::{ServicePort, ServiceSpec},
};

/// `spec` of a `Gateway`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IstioGatewaySpec {
    /// `selector`: the labels of the pods that are the gateway. Empty: all pods.
    #[serde(default, deserialize_with = "nullable")]
    pub selector: Pairs,
    /// `servers`.
    #[serde(default, deserialize_with = "list")]
    pub servers: Vec<Server>,
}

/// One server.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// `name`.
    pub name: OptionalField<String>,
    /// `port`.
    pub port: ServerPort,
    /// `hosts`, each perhaps with a namespace before it.
    #[serde(default, deserialize_with = "list")]
    pub hosts: Vec<Field<String>>,
    /// `tls`.
    pub tls: OptionalField<Any>,
}

/// The port of a server.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerPort {
    /// `number`.
    pub number: Field<Port>,
    /// `protocol`.
    pub protocol: Field<String>,
}

/// `spec` of a `DestinationRule`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestinationRuleSpec {
    /// `host`.
    pub host: Field<String>,
    /// `subsets`.
    #[serde(default, deserialize_with = "list")]
    pub subsets: Vec<Subset>,
}

/// A subset: the pods with these labels.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subset {
    /// `name`.
    pub name: Field<String>,
    /// `labels`. Empty: all pods of the host.
    #[serde(default, deserialize_with = "nullable")]
    pub labels: Pairs,
}

/// `spec` of a `ServiceEntry`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEntrySpec {
    /// `hosts`.
    #[serde(default, deserialize_with = "list")]
    pub hosts: Vec<Field<String>>,
    /// `ports`.
    #[serde(default, deserialize_with = "list")]
    pub ports: Vec<EntryPort>,
}

/// A port of a `ServiceEntry`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryPort {
    /// `number`.
    pub number: Field<Port>,
    /// `name`.
    pub name: OptionalField<String>,
}

impl ServiceEntrySpec {
    /// Its hosts, each as a Service.
    pub fn services(&self) -> impl Iterator<Item = ServiceSpec> {
        let port = |port: &EntryPort| ServicePort {
            name: port.name.clone(),
            port: port.number.clone(),
            app_protocol: None,
        };
        self.hosts.iter().map(move |host| ServiceSpec {
            ports: self.ports.iter().map(port).collect(),
            service_type: None,
            external_name: None,
            session_affinity: None,
            external_host: Some(host.clone()),
        })
    }
}

impl From<IstioGatewaySpec> for GatewaySpec {
    fn from(spec: IstioGatewaySpec) -> Self {
        let labels = spec
            .selector
            .iter()
            .map(|(name, value)| (name.value.clone(), value.value.clone()));
        let selector: BTreeMap<String, String> = labels.collect();
        let tls = spec.servers.iter().find_map(|server| server.tls.clone());
        let listeners = spec.servers.into_iter().flat_map(|server| {
            let Server { name, port, hosts, .. } = server;
            hosts.into_iter().map(move |host| {
                let name = name.clone().unwrap_or_else(|| host.put(String::new()));
                let at = host.at;
                let listener = Listener::new(name, host, port.number.clone(), port.protocol.clone());
                Field { value: listener, at }
            })
        });
        Self::classic(selector, listeners.collect(), tls)
    }
}
