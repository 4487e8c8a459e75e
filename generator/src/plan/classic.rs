//! Istio's own gateways: which of them a `VirtualService` is on, under which host names, and which pods they are.

use std::collections::BTreeMap;

use super::{
    Rule,
    listeners::{Placements, VirtualHost, narrower},
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    dns,
    inventory::{Found, Id, Inventory, Item},
    kind::Kind,
    visibility,
    wire::{
        Field, NAME_PREFIX, Pairs,
        gateway::{GatewaySpec, Listener},
        route::{self, HttpRouteSpec},
        virtual_service::Scope,
    },
};

/// How `gateways` names the sidecars.
const MESH: &str = "mesh";

/// The longest name that is made of a selector: names of objects have more before and behind it.
const MAX_NAME_LENGTH: usize = 200;

/// The pods that are a gateway: Istio's own gateways with one selector share them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    /// Their namespace.
    pub namespace: String,
    /// Their labels.
    pub labels: BTreeMap<String, String>,
}

impl Workload {
    /// The pods of a gateway. None: it is not one of Istio's own API.
    #[must_use]
    pub fn of(item: &Item<GatewaySpec>, inventory: &Inventory) -> Option<Self> {
        let labels = item.spec.selector.clone()?;
        let namespace = inventory.gateway_namespace.as_ref();
        Some(Self {
            namespace: namespace.unwrap_or(&item.id.namespace).clone(),
            labels,
        })
    }

    /// Whether the pods have these labels. None: they may have them, and none of the pods is in the input.
    #[must_use]
    pub fn has_labels(&self, wanted: &Pairs, inventory: &Inventory) -> Option<bool> {
        let selected = |name: &str| self.labels.get(name).map(String::as_str);
        let mut unknown = false;
        for (name, value) in wanted.iter() {
            match selected(&name.value) {
                Some(known) if known != value.value => return Some(false),
                Some(_) => {}
                None => unknown = true,
            }
        }
        if !unknown {
            return Some(true);
        }
        let pods = inventory
            .pods
            .of_namespace(&self.namespace)
            .map(|pod| &pod.metadata.labels);
        let own = pods.filter(|labels| self.labels.iter().all(|(name, value)| labels.get(name) == Some(value)));
        let has = |labels: &Pairs| {
            wanted
                .iter()
                .all(|(name, value)| labels.get(&name.value) == Some(&value.value))
        };
        own.map(has).reduce(|one, other| one || other)
    }

    /// A name for what is generated for them: the values of their labels. It has no characters but those of a DNS label,
    /// whatever the values are.
    #[must_use]
    pub fn name(&self) -> String {
        let values: Vec<&str> = self.labels.values().map(String::as_str).collect();
        let allowed = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
        values
            .join("-")
            .to_ascii_lowercase()
            .replace(|character| !allowed(character), "-")
    }
}

/// What is to be said about the selector of a gateway that would be every pod, or of which no name of an object can be made.
pub fn check_selector(item: &Item<GatewaySpec>) -> Option<Diagnostic> {
    let labels = item.spec.selector.as_ref()?;
    if labels.is_empty() {
        let message = format!(
            "Gateway {} has no selector, so it would be every pod of the mesh",
            item.id
        );
        return Some(Diagnostic::error(Code::Unsupported, message).at(item.place()));
    }
    let workload = Workload {
        namespace: String::new(),
        labels: labels.clone(),
    };
    let name = workload.name();
    let wrong = labels.iter().find(|(_, value)| !dns::is_label_value(value));
    let problem = if let Some((label, value)) = wrong {
        format!(
            "`{value}` of `{label}` is not the value of a label: at most 63 letters, digits, `-`, `_` and `.` are, with a letter \
             or digit at both ends"
        )
    } else if name.len() > MAX_NAME_LENGTH || !dns::is_name(&format!("{NAME_PREFIX}{name}")) {
        format!(
            "the name of what is generated for it is made of the values, which are {} characters and may be 1 to \
             {MAX_NAME_LENGTH}, with a letter or digit at the end",
            name.len()
        )
    } else {
        return None;
    };
    let message = format!("the selector of Gateway {}: {problem}", item.id);
    Some(Diagnostic::error(Code::Invalid, message).at(item.place()))
}

/// The gateways that a `VirtualService` is on. References that lead nowhere are reported.
pub fn place(route: &Item<HttpRouteSpec>, inventory: &Inventory, report: &mut Report) -> Placements {
    check_hosts(route, report);
    let mut placements = Placements::new();
    for name in &route.spec.gateways {
        let Some(gateway) = find(route, name, inventory, report) else {
            continue;
        };
        if let Some(diagnostic) = hidden(route, gateway, inventory) {
            report.add(diagnostic);
            continue;
        }
        let hosts = placements.entry(gateway.id.clone()).or_default();
        for listener in &gateway.spec.listeners {
            hosts.extend(virtual_hosts(route, gateway, &listener.value));
        }
        if hosts.is_empty() {
            placements.remove(&gateway.id);
            let message = format!(
                "{} has no host in common with an HTTP server of Gateway {}",
                route.title(),
                gateway.id
            );
            let warning = Diagnostic::warning(Code::NoMatchingParent, message).at(route.place_of(name));
            report.add(warning.with(gateway.place(), "the Gateway"));
        }
    }
    placements
}

/// The gateway that a `VirtualService` in `namespace` names. None: the sidecars (istiod: `resolveGatewayName`).
pub fn gateway(name: &str, namespace: &str) -> Option<Id> {
    if name == MESH {
        return None;
    }
    Some(match (name.split_once('/'), name.split_once('.')) {
        (Some((".", name)), _) => Id::new(namespace, name),
        (Some((namespace, name)), _) => Id::new(namespace, name),
        // An old way: the name and the namespace as in the full name of a Service.
        (None, Some((name, rest))) => Id::new(rest.split_once('.').map_or(rest, |(namespace, _)| namespace), name),
        (None, None) => Id::new(namespace, name),
    })
}

/// Whether an http route is for the sidecars only.
pub fn is_of_mesh(rule: &route::Rule) -> bool {
    let of_mesh = |scope: &Scope| !scope.gateways.is_empty() && scope.gateways.iter().all(|name| name.value == MESH);
    let mut scopes = rule.matches.iter().map(|one| one.value.scope.as_deref());
    !rule.matches.is_empty() && scopes.all(|scope| scope.is_some_and(of_mesh))
}

fn find<'a>(
    route: &Item<HttpRouteSpec>,
    name: &Field<String>,
    inventory: &'a Inventory,
    report: &mut Report,
) -> Option<&'a Item<GatewaySpec>> {
    let id = gateway(&name.value, &route.id.namespace)?;
    match inventory.istio_gateways.find(&id) {
        Found::Item(gateway) => Some(gateway),
        Found::Unknown => {
            report.miss(Kind::IstioGateway, &id);
            None
        }
        Found::Nothing(instead) => {
            let message = format!("the Gateway {id} of networking.istio.io is not in the input");
            let diagnostic = Diagnostic::error(Code::NoMatchingParent, message).at(route.place_of(name));
            report.add(diagnostic.instead(&instead));
            None
        }
    }
}

/// The virtual hosts of a `VirtualService` on a server.
fn virtual_hosts(route: &Item<HttpRouteSpec>, gateway: &Item<GatewaySpec>, server: &Listener) -> Vec<VirtualHost> {
    if !server.speaks_http() {
        return Vec::new();
    }
    let host = server.hostname.as_ref().map_or("*", |host| &host.value);
    let (namespace, host) = host.split_once('/').unwrap_or(("*", host));
    let namespace = if namespace == "." {
        &gateway.id.namespace
    } else {
        namespace
    };
    if namespace != "*" && namespace != route.id.namespace {
        return Vec::new();
    }
    let names = route
        .spec
        .hostnames
        .iter()
        .filter(|name| dns::is_istio_host(&name.value));
    let names: Vec<String> = names
        .map(|name| dns::full_name(&name.value, &route.id.namespace))
        .collect();
    let common = names.iter().filter_map(|name| narrower(host, name));
    common
        .map(|hostname| VirtualHost {
            port: server.port.value.get(),
            // Case counts when hosts are compared, and not in what comes of them.
            hostname: hostname.to_ascii_lowercase(),
        })
        .collect()
}

/// What is to be said where the pods of a gateway do not see a `VirtualService`.
fn hidden(route: &Item<HttpRouteSpec>, gateway: &Item<GatewaySpec>, inventory: &Inventory) -> Option<Diagnostic> {
    let exported = &route.spec.export_to;
    let Workload { namespace, .. } = Workload::of(gateway, inventory)?;
    if visibility::is_seen(visibility::texts(exported), &route.id.namespace, &namespace) {
        return None;
    }
    let message = format!(
        "{} is not exported to the namespace {namespace}, in which the pods of Gateway {} are, so it is not on that gateway",
        route.title(),
        gateway.id
    );
    let place = exported.first().map_or(route.place(), |first| route.place_of(first));
    let warning = Diagnostic::warning(Code::NoMatchingParent, message).at(place);
    let help = format!("add {namespace} to exportTo, or name the namespace of the pods with --gateway-namespace");
    Some(warning.with(gateway.place(), "the Gateway").help(help))
}

/// Reports what no host of a `VirtualService` can be: Istio refuses the object.
fn check_hosts(route: &Item<HttpRouteSpec>, report: &mut Report) {
    let wrong = route
        .spec
        .hostnames
        .iter()
        .filter(|name| !dns::is_istio_host(&name.value));
    for name in wrong {
        let message = format!(
            "`{}` is not a host of a VirtualService: it has labels of letters, digits and `-` between dots, no namespace and no port, \
             and may begin with `*`",
            name.value
        );
        report.add(Diagnostic::error(Code::Invalid, message).at(route.place_of(name)));
    }
}

/// Reports a rule without a name with which the filter would have to do: an Envoy route without a name cannot be found.
pub fn check_name(rule: &Rule, report: &mut Report) {
    if rule.wire.value.name.is_some() || !rule.is_managed() || rule.route.spec.kind != Kind::VirtualService {
        return;
    }
    let message = format!(
        "{}, http route {}: the route needs a name: sessions and canaries find it in Envoy by its name",
        rule.route.title(),
        rule.index
    );
    let help = "add a name that no other route on the gateway has, such as `- name: reviews`";
    let diagnostic = Diagnostic::error(Code::Invalid, message).at(rule.place_of(rule.wire));
    report.add(diagnostic.help(help));
}
