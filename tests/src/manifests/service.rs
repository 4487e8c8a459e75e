//! A Service and its `EndpointSlice`.

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde_json::{Value, json};

use super::object::{annotate, object, yaml};
use crate::pod::{PORT, Pod};

/// A Service with its endpoints.
#[derive(Clone, Debug)]
pub struct Service {
    name: String,
    labels: Vec<(String, String)>,
    selector: Vec<(String, String)>,
    endpoints: Vec<(Ipv4Addr, Endpoint)>,
}

/// The conditions of an endpoint.
#[derive(Clone, Copy, Debug)]
pub enum Endpoint {
    /// Ready to serve.
    Ready,
    /// Not ready.
    NotReady,
    /// Terminating, and still serving the requests that it has.
    Draining,
}

impl Service {
    /// A Service with these pods, all of them ready.
    pub fn new<'a>(name: &str, pods: impl IntoIterator<Item = &'a Pod>) -> Self {
        Self::at(name, pods.into_iter().map(Pod::ip))
    }

    /// A Service with endpoints at these addresses, all of them ready.
    pub fn at(name: &str, addresses: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        Self {
            name: name.to_owned(),
            labels: Vec::new(),
            selector: vec![("app".to_owned(), name.to_owned())],
            endpoints: addresses
                .into_iter()
                .map(|address| (address, Endpoint::Ready))
                .collect(),
        }
    }

    /// With one more endpoint.
    pub fn endpoint(mut self, pod: &Pod, endpoint: Endpoint) -> Self {
        self.endpoints.push((pod.ip(), endpoint));
        self
    }

    /// With a label on the Service.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With one more label in the selector of its pods.
    pub fn selects(mut self, name: &str, value: &str) -> Self {
        self.selector.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The Service.
    pub(super) fn service_yaml(&self) -> String {
        let selector: BTreeMap<&String, &String> = self.selector.iter().map(|(name, value)| (name, value)).collect();
        let spec = json!({
            "selector": selector,
            "ports": [{"name": "http", "port": 80, "targetPort": PORT}],
        });
        let mut service = object("v1", "Service", &self.name, json!({"spec": spec}));
        annotate(&mut service, "labels", &self.labels);
        yaml(&service)
    }

    /// Its `EndpointSlice`.
    pub(super) fn endpoints_yaml(&self) -> String {
        let endpoints: Vec<Value> = self
            .endpoints
            .iter()
            .map(|&endpoint| Endpoint::json(endpoint))
            .collect();
        let fields = json!({
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
            "endpoints": endpoints,
        });
        let mut slice = object(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            &format!("{}-x7k2p", self.name),
            fields,
        );
        let label = ("kubernetes.io/service-name".to_owned(), self.name.clone());
        annotate(&mut slice, "labels", &[label]);
        yaml(&slice)
    }
}

impl Endpoint {
    fn json((address, endpoint): (Ipv4Addr, Self)) -> Value {
        let (ready, serving, terminating) = match endpoint {
            Self::Ready => (true, true, false),
            Self::NotReady => (false, false, false),
            Self::Draining => (false, true, true),
        };
        json!({
            "addresses": [address],
            "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        })
    }
}
