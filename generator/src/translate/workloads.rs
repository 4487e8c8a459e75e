//! Finds the pods of a gateway: an `EnvoyFilter` and a `WasmPlugin` apply only to pods that they select in their own namespace.
//!
//! istiod adds a label with the name of the Gateway to the pods that it deploys for it. A Gateway that is deployed by
//! hand names Services in its addresses, and uses the pods of these Services (istiod: `extractGatewayServices`). A
//! Gateway of `networking.istio.io` has a selector.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{field::Field, gateway::Address},
    diagnostic::{Code, Diagnostic, Report},
    dns::{self, MAX_LABEL_LENGTH},
    id::Id,
    ir::{GATEWAY_LABEL, Workload, workload_name},
    kind::Kind,
    labels::NAME_PREFIX,
    mesh::ROOT_NAMESPACE,
    model::gateway::GatewaySpec,
    model::service::ServiceSpec,
    resources::{Found, Item, Resources},
};

/// The maximum length of a name generated from a selector. Names of objects add a prefix and a suffix to it.
const MAX_NAME_LENGTH: usize = 200;

/// The pods of a gateway.
#[derive(Debug, Default)]
pub struct Pods {
    /// The groups of pods. `None` is the group with the Gateway's label. Empty if there are errors.
    pub groups: BTreeSet<Option<Workload>>,
    /// The errors and warnings about the pods.
    pub found: Report,
}

impl Pods {
    /// Finds the pods of a gateway.
    pub fn find(item: &Item<GatewaySpec>, resources: &Resources) -> Self {
        let mut pods = Self::default();
        if let Some(labels) = &item.spec.selector {
            pods.by_selector(item, labels, resources);
        } else if let Some(hosts) = hosts(&item.spec.addresses).filter(|_| !resources.mesh.local) {
            pods.by_services(item, &hosts, resources);
        } else {
            pods.groups.insert(None);
        }
        if pods.groups.contains(&None) && !resources.mesh.local {
            pods.found.extend(check_name(item));
        }
        if pods.found.has_errors() {
            pods.groups.clear();
        }
        pods
    }

    /// Finds the pods of a Gateway of `networking.istio.io`.
    fn by_selector(&mut self, item: &Item<GatewaySpec>, labels: &BTreeMap<String, String>, resources: &Resources) {
        if labels.is_empty() {
            let message = format!(
                "Gateway {} has no selector, so it would apply to every gateway of the mesh",
                item.id
            );
            let error = Diagnostic::error(Code::Unsupported, message).at(item.location());
            self.found
                .add(error.help("select its pods by their labels, such as `selector: {istio: ingressgateway}`"));
            return;
        }
        if let Some(problem) = wrong_labels(labels) {
            let message = format!("the selector of Gateway {}: {problem}", item.id);
            self.found
                .add(Diagnostic::error(Code::Invalid, message).at(item.location()));
            return;
        }
        let own = || BTreeSet::from([item.id.namespace.clone()]);
        let namespaces = if resources.mesh.local {
            own()
        } else if let Some(named) = resources.mesh.gateway_namespaces.of(&item.id) {
            named.clone()
        } else {
            namespaces(labels, resources).unwrap_or_else(|| {
                self.warn_of_namespace(item, labels);
                own()
            })
        };
        let group = |namespace| {
            Some(Workload {
                namespace,
                labels: labels.clone(),
            })
        };
        self.groups.extend(namespaces.into_iter().map(group));
    }

    /// Warns that the input does not tell the namespace of the pods with these labels.
    fn warn_of_namespace(&mut self, item: &Item<GatewaySpec>, labels: &BTreeMap<String, String>) {
        let Id { namespace, .. } = &item.id;
        // Objects in the root namespace apply to pods in all namespaces.
        if namespace == ROOT_NAMESPACE {
            return;
        }
        let message = format!(
            "no pod of Gateway {} is in the input, so what is generated for it goes to its own namespace `{namespace}`, where it \
             does not reach pods of another namespace",
            item.id
        );
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let help = format!(
            "`kubectl get pods -A -l {}` says where they are: name that namespace with --gateway-namespace {}=NAMESPACE, or add \
             their Deployment to the input",
            labels.join(","),
            item.id
        );
        let warning = Diagnostic::warning(Code::NoEffect, message).at(item.location());
        self.found.add(warning.help(help));
    }

    /// Finds the pods of a Gateway that is deployed by hand.
    fn by_services(&mut self, item: &Item<GatewaySpec>, hosts: &[&Field<String>], resources: &Resources) {
        for host in hosts {
            self.by_service(item, host, resources);
        }
        if hosts.is_empty() {
            let message = format!(
                "Gateway {} has no address of the type Hostname: Istio finds its pods only by addresses of this type",
                item.id
            );
            let location = item
                .spec
                .addresses
                .first()
                .map_or(item.location(), |address| item.location_of(address));
            self.found
                .add(Diagnostic::error(Code::Unsupported, message).at(location));
        }
    }

    /// Finds the pods of the Service that an address names.
    fn by_service(&mut self, item: &Item<GatewaySpec>, host: &Field<String>, resources: &Resources) {
        let full = resources.domain.full_name(&host.value, &item.id.namespace);
        let id = resources.domain.service(&full, "");
        if let Some(id) = id.as_ref().filter(|id| id.namespace != item.id.namespace) {
            let message = format!(
                "Gateway {} names the Service {id}, but Istio finds its pods only by Services in its own namespace",
                item.id
            );
            self.found
                .add(Diagnostic::error(Code::Invalid, message).at(item.location_of(host)));
            return;
        }
        match id.as_ref().map(|id| (id, resources.services.find(id))) {
            Some((_, Found::Item(service))) => self.selected(item, host, service),
            Some((id, Found::Unknown)) => {
                self.found.miss(Kind::Service, id);
                self.groups.insert(None);
            }
            Some((_, Found::Nothing(_))) | None => {
                let problem = format!("the Service `{full}` is not in the input");
                self.by_label(item, host, &problem, "add the Service to the input");
            }
        }
    }

    /// Finds the pods that a Service selects.
    fn selected(&mut self, item: &Item<GatewaySpec>, host: &Field<String>, service: &Item<ServiceSpec>) {
        let labels = service.spec.selector.to_map();
        if labels.is_empty() {
            let problem = format!("the Service {} has no selector", service.id);
            self.by_label(item, host, &problem, "give the Service a selector");
        } else if labels.get(GATEWAY_LABEL) == Some(&item.id.name) {
            // The Service selects by the Gateway's label, like a Service that istiod deploys.
            self.groups.insert(None);
        } else if let Some(problem) = wrong_labels(&labels) {
            let message = format!(
                "the selector of the Service {}, whose pods Gateway {} uses: {problem}",
                service.id, item.id
            );
            let error = Diagnostic::error(Code::Invalid, message).at(service.location());
            self.found.add(error.with(item.location(), "the Gateway"));
        } else {
            self.groups.insert(Some(Workload {
                namespace: item.id.namespace.clone(),
                labels,
            }));
        }
    }

    /// Falls back to the Gateway's label, because the pods of the Service are not known.
    fn by_label(&mut self, item: &Item<GatewaySpec>, host: &Field<String>, problem: &str, help: &str) {
        let Id { name, .. } = &item.id;
        let message = format!(
            "Gateway {} is deployed by hand, and {problem}: what is generated reaches only pods with the label \
             `{GATEWAY_LABEL}: {name}`",
            item.id
        );
        let warning = Diagnostic::warning(Code::NoEffect, message).at(item.location_of(host));
        self.found
            .add(warning.help(format!("{help}, or give its pods that label")));
        self.groups.insert(None);
    }
}

/// The host names of the Services of a Gateway that is deployed by hand. `None` if istiod deploys the Gateway (istiod:
/// `IsManaged`).
fn hosts(addresses: &[Field<Address>]) -> Option<Vec<&Field<String>>> {
    fn kind(address: &Address) -> &str {
        address.address_type.as_ref().map_or("IPAddress", |kind| &kind.value)
    }
    match addresses {
        [] => None,
        [one] if kind(&one.value) == "IPAddress" => None,
        all => {
            let hosts = all.iter().filter(|address| kind(&address.value) == "Hostname");
            Some(hosts.filter_map(|address| address.value.value.as_ref()).collect())
        }
    }
}

/// The namespaces of the pods with these labels. `None` if the input has no such pods. A Gateway of
/// `networking.istio.io` selects pods in all namespaces (istiod: `PILOT_SCOPE_GATEWAY_TO_NAMESPACE` is off by default).
fn namespaces(labels: &BTreeMap<String, String>, resources: &Resources) -> Option<BTreeSet<String>> {
    let selected = resources.pods_with(labels);
    let namespaces: BTreeSet<String> = selected.map(|(namespace, _)| namespace.to_owned()).collect();
    if namespaces.contains(ROOT_NAMESPACE) {
        // Objects in the root namespace apply to the other namespaces too.
        return Some(BTreeSet::from([ROOT_NAMESPACE.to_owned()]));
    }
    Some(namespaces).filter(|namespaces| !namespaces.is_empty())
}

/// Reports the name of a Gateway that cannot be the value of a label.
fn check_name(item: &Item<GatewaySpec>) -> Report {
    let mut found = Report::default();
    let length = item.id.name.len();
    if length > MAX_LABEL_LENGTH {
        let message = format!(
            "the name of this Gateway has {length} characters: its pods have it as the value of the label \
             `{GATEWAY_LABEL}`, which may have at most {MAX_LABEL_LENGTH}"
        );
        found.add(Diagnostic::error(Code::Invalid, message).at(item.location()));
    }
    found
}

/// The problem with the labels of a selector, if any.
fn wrong_labels(labels: &BTreeMap<String, String>) -> Option<String> {
    if let Some((label, value)) = labels.iter().find(|(_, value)| !dns::is_label_value(value)) {
        return Some(format!(
            "`{value}` of `{label}` is not a valid label value: use at most {MAX_LABEL_LENGTH} letters, digits, `-`, \
             `_` and `.`, with a letter or digit at both ends"
        ));
    }
    let name = workload_name(labels);
    (name.len() > MAX_NAME_LENGTH || !dns::is_name(&format!("{NAME_PREFIX}{name}"))).then(|| {
        format!(
            "generated objects are named after the values, which have {} characters: 1 to {MAX_NAME_LENGTH} are \
             allowed, with a letter or digit at the end",
            name.len()
        )
    })
}
