//! `Gateway`, `DestinationRule` and `ServiceEntry` of Istio (`networking.istio.io`, v1, v1beta1 and v1alpha3).
//!
//! The types have only the fields that Mooring reads, because Istio validates these objects itself.
//!
//! `crate::model` converts a `Gateway` and the hosts of a `ServiceEntry` into the types that translation reads.

use serde::Deserialize;

use crate::api::field::{Any, Field, OptionalField, Pairs, Port, Text, list, nullable};

/// `spec` of a `Gateway`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IstioGatewaySpec {
    /// `selector`: the labels of the pods of the gateway. If it is empty, all pods.
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
    /// `hosts`. A namespace may precede each host.
    #[serde(default, deserialize_with = "list")]
    pub hosts: Vec<Field<String>>,
    /// `tls`.
    pub tls: OptionalField<ServerTls>,
}

/// `tls` of a server.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerTls {
    /// `mode`.
    pub mode: Option<String>,
    /// `credentialName`: the Secret with the certificate, in the namespace of the pods of the gateway.
    pub credential_name: OptionalField<String>,
    /// `credentialNames`: several such Secrets.
    #[serde(default, deserialize_with = "list")]
    pub credential_names: Vec<Field<String>>,
    /// `httpsRedirect`.
    #[serde(default, deserialize_with = "nullable")]
    pub https_redirect: bool,
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
    /// `exportTo`.
    #[serde(default, deserialize_with = "list")]
    pub export_to: Vec<Field<String>>,
    /// `workloadSelector`: the client pods to which the rule applies. If it is absent, all pods.
    pub workload_selector: Option<WorkloadSelector>,
    /// `trafficPolicy`.
    pub traffic_policy: Option<TrafficPolicy>,
}

impl DestinationRuleSpec {
    /// The locations where the rule selects consistent hashing for a subset or for the whole host.
    #[must_use]
    pub fn consistent_hash(&self, subset: Option<&str>) -> Option<&Field<ConsistentHash>> {
        let subsets = self
            .subsets
            .iter()
            .filter(|one| Some(one.name.value.as_str()) == subset);
        let of_subset = subsets.filter_map(|subset| subset.traffic_policy.as_ref());
        of_subset
            .chain(&self.traffic_policy)
            .find_map(TrafficPolicy::consistent_hash)
    }

    /// Every consistent hashing of the rule: that of the whole host, and those of its subsets, which they name.
    pub fn consistent_hashes(&self) -> impl Iterator<Item = (Option<&Field<String>>, &Field<ConsistentHash>)> {
        let of_host = self.traffic_policy.iter().map(|policy| (None, policy));
        let of_subsets = self.subsets.iter().filter_map(|subset| {
            let policy = subset.traffic_policy.as_ref()?;
            Some((Some(&subset.name), policy))
        });
        of_host
            .chain(of_subsets)
            .filter_map(|(subset, policy)| Some((subset, policy.consistent_hash()?)))
    }
}

/// A load balancer policy. Only the fields that Mooring reads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficPolicy {
    load_balancer: Option<LoadBalancer>,
    #[serde(default, deserialize_with = "list")]
    port_level_settings: Vec<PortTrafficPolicy>,
}

impl TrafficPolicy {
    fn consistent_hash(&self) -> Option<&Field<ConsistentHash>> {
        let of_ports = self
            .port_level_settings
            .iter()
            .filter_map(|port| port.load_balancer.as_ref());
        let mut balancers = of_ports.chain(&self.load_balancer);
        balancers.find_map(|balancer| balancer.consistent_hash.as_ref())
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortTrafficPolicy {
    load_balancer: Option<LoadBalancer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoadBalancer {
    consistent_hash: OptionalField<ConsistentHash>,
}

/// `consistentHash`: what is hashed. One of the fields is set.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsistentHash {
    /// `httpCookie`.
    pub http_cookie: OptionalField<HashedCookie>,
    /// `httpHeaderName`.
    pub http_header_name: OptionalField<Text>,
    /// `httpQueryParameterName`.
    pub http_query_parameter_name: OptionalField<Text>,
    /// `useSourceIp`.
    pub use_source_ip: OptionalField<Any>,
}

/// `httpCookie`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HashedCookie {
    /// `name`.
    pub name: OptionalField<Text>,
    /// `path`.
    pub path: OptionalField<Text>,
    /// `ttl`. If it is absent, Envoy sets no cookie; `0s` stands for a session cookie.
    pub ttl: OptionalField<Text>,
    /// `attributes` of the cookie.
    pub attributes: OptionalField<Any>,
}

/// A selector of pods.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSelector {
    /// `matchLabels`.
    #[serde(default, deserialize_with = "nullable")]
    pub match_labels: Pairs,
}

/// A subset: the pods of the host with these labels.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subset {
    /// `name`.
    pub name: Field<String>,
    /// `labels`. If it is empty, all pods of the host.
    #[serde(default, deserialize_with = "nullable")]
    pub labels: Pairs,
    /// `trafficPolicy`. It overrides the policy of the whole host.
    pub traffic_policy: Option<TrafficPolicy>,
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
    /// `exportTo`.
    #[serde(default, deserialize_with = "list")]
    pub export_to: Vec<Field<String>>,
}

/// A port of a `ServiceEntry`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryPort {
    /// `number`.
    pub number: Field<Port>,
    /// `name`.
    pub name: OptionalField<String>,
    /// `protocol`.
    pub protocol: OptionalField<String>,
}
