//! Listeners: one for each port of a gateway. One filter chain serves connections without TLS. Each host name with a
//! certificate has its own filter chain, which clients select by SNI.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{
    super::{http_filters, http_route::values::MAX_BODY, json::with},
    access_log,
    addresses::socket_address,
    certificates::{Certificate, Store},
    http_filter_chain::http_filter_chain,
    listener_hosts::{self, Owner},
    options::Options,
    routes::{self, Port},
    served::Served,
};
use crate::{
    api::field::Field,
    diagnostic::{Code, Diagnostic, Report},
    dns,
    ir::{Gateway, ProxyGroup, VirtualHost},
    model::gateway::{GatewaySpec, Listener},
    resources::{Item, Resources},
};

/// A listener of a gateway, on one of its ports.
struct Entry {
    hostname: String,
    tls: bool,
    https_redirect: bool,
    certificate: Option<Certificate>,
}

impl Entry {
    /// The entry of a port on which callers send requests to any host.
    fn of_callers() -> Self {
        Self {
            hostname: "*".to_owned(),
            tls: false,
            https_redirect: false,
            certificate: None,
        }
    }
}

/// The connections that a filter chain serves.
struct Chain<'e> {
    /// The host name that clients send as SNI, with its certificate. It is `None` for connections without TLS.
    tls: Option<(&'e str, &'e Certificate)>,
    /// The virtual hosts.
    hosts: Vec<Value>,
}

/// The Envoy listener of a port.
pub fn listener(
    group: &ProxyGroup,
    rules: &[Served],
    (port, address): (u16, SocketAddr),
    store: Store,
    options: &Options,
    report: &mut Report,
) -> Value {
    let entries = entries(group, port, store, report);
    let port = Port {
        number: port,
        tls: entries.iter().any(|entry| entry.tls),
    };
    let name = format!("{}.{}", group.listener_name(), port.number);
    let chains = chains(group, rules, port, &entries, store.resources);
    let inspects = chains.iter().any(|chain| chain.tls.is_some());
    let chains = chains.into_iter().map(|Chain { tls, hosts }| {
        let (of_tls, of_plain) = (
            json!({ "server_names": tls.map(|(hostname, _)| hostname).filter(|name| *name != "*").map(|name| [name]), "transport_protocol": "tls" }),
            json!({ "transport_protocol": "raw_buffer" }),
        );
        json!({
            "filter_chain_match": inspects.then_some(if tls.is_some() { of_tls } else { of_plain }),
            "filters": [connection_manager(group, rules, &name, port, &hosts, options)],
            "transport_socket": tls.map(|(_, certificate)| certificate.transport_socket()),
        })
    });
    let chains: Vec<Value> = chains.collect();
    json!({
        "name": name,
        "address": socket_address(address),
        "filter_chains": chains,
        "listener_filters": inspects.then(|| json!([{
            "name": "envoy.filters.listener.tls_inspector",
            "typed_config": {
                "@type": http_filters::type_url("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"),
            },
        }])),
    })
}

fn connection_manager(
    group: &ProxyGroup,
    rules: &[Served],
    name: &str,
    port: Port,
    hosts: &[Value],
    options: &Options,
) -> Value {
    json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": http_filters::type_url("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "access_log": options.access_log.then(|| [access_log::to_stdout()]),
            "codec_type": "AUTO",
            "early_header_mutation_extensions": group.is_managed().then(|| [http_filters::sanitizer_of_requests()]),
            "http_filters": http_filter_chain(group, rules, options),
            "normalize_path": true,
            "route_config": {
                "ignore_port_in_host_matching": true,
                "max_direct_response_body_size_bytes": MAX_BODY,
                "name": format!("http.{}", port.number),
                // Some routes intentionally refer to missing clusters.
                "validate_clusters": false,
                "virtual_hosts": hosts,
            },
            "stat_prefix": name,
            "upgrade_configs": [{ "upgrade_type": "websocket" }],
            "use_remote_address": true,
        },
    })
}

/// The listeners of a gateway on a port, one for each host name.
fn entries(group: &ProxyGroup, port: u16, store: Store, report: &mut Report) -> Vec<Entry> {
    let Some(gateway) = group.gateway() else {
        return vec![Entry::of_callers()];
    };
    let hosts = listener_hosts::of_port(gateway, port).into_iter();
    let entries = hosts.map(|(hostname, owner)| match owner {
        Owner::Gateway(item, listener) => entry(&hostname, listener, item, gateway, store, report),
        Owner::ListenerSet => Entry {
            hostname: hostname.to_ascii_lowercase(),
            tls: false,
            https_redirect: false,
            certificate: None,
        },
    });
    entries.collect()
}

fn entry(
    hostname: &str,
    listener: &Field<Listener>,
    item: &Item<GatewaySpec>,
    gateway: &Gateway,
    store: Store,
    report: &mut Report,
) -> Entry {
    let spec = &listener.value;
    let tls = spec.protocol.value == "HTTPS";
    let pods = gateway.workload.as_ref();
    let namespace = pods.map_or(&item.id.namespace, |pods| &pods.namespace);
    let field = spec.tls.as_ref();
    if let Some(field) = field.filter(|field| tls && field.value.mutual) {
        let message = "--target envoy does not ask clients for a certificate";
        report.add(Diagnostic::warning(Code::Unsupported, message).at(item.location_of(field)));
    }
    Entry {
        hostname: hostname.to_ascii_lowercase(),
        tls,
        https_redirect: field.is_some_and(|field| field.value.https_redirect),
        certificate: tls
            .then(|| Certificate::for_listener(listener, item, namespace, store, report))
            .flatten(),
    }
}

/// The filter chains of a port: one for connections without TLS, and one for each host name with a certificate.
fn chains<'e>(
    group: &ProxyGroup,
    rules: &[Served],
    port: Port,
    entries: &'e [Entry],
    resources: &Resources,
) -> Vec<Chain<'e>> {
    let hosts = routes::virtual_hosts(group, rules, port, resources);
    let entry_of = |host: &VirtualHost| {
        let covering = entries
            .iter()
            .filter(|entry| dns::covers(&entry.hostname, &host.hostname));
        covering.max_by_key(|entry| entry.hostname.len())
    };
    let mut plain = Vec::new();
    let mut chains: Vec<Chain> = Vec::new();
    for entry in entries {
        let own = hosts
            .iter()
            .filter(|(host, _)| entry_of(host).is_some_and(|other| std::ptr::eq(other, entry)));
        let mut own: Vec<Value> = own.map(|(_, value)| value.clone()).collect();
        if entry.https_redirect {
            own = own.into_iter().map(|host| with(host, "require_tls", "ALL")).collect();
        }
        match &entry.certificate {
            Some(certificate) => chains.push(Chain {
                tls: Some((&entry.hostname, certificate)),
                hosts: own,
            }),
            None => plain.extend(own),
        }
    }
    if chains.is_empty() || entries.iter().any(|entry| entry.certificate.is_none()) {
        plain.sort_by(|left, right| {
            left.get("name")
                .map(Value::to_string)
                .cmp(&right.get("name").map(Value::to_string))
        });
        chains.insert(
            0,
            Chain {
                tls: None,
                hosts: plain,
            },
        );
    }
    chains
}
