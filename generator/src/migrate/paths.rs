//! The hosts, paths and backends of Ingresses.

use std::collections::BTreeMap;

use super::{checks, ingress::Ingress};
use crate::{
    api::{
        field::Field,
        ingress::{IngressBackend, IngressPath, IngressRule, IngressSpec, PathType},
    },
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    location::SourceLocation,
    omissions::Omitted,
    resources::{Found, Item, Resources},
    suggest,
};

/// A Service and its port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// The namespace and name of the Service.
    pub service: Id,
    /// The number of the port.
    pub port: u16,
}

/// A path of a host, as an Ingress writes it.
#[derive(Clone, Debug)]
pub struct Written {
    /// The host; empty for all hosts.
    pub host: String,
    /// The path.
    pub path: String,
    /// Its type.
    pub path_type: PathType,
    /// Its location.
    pub at: SourceLocation,
    /// The backend.
    pub backend: Backend,
}

impl Written {
    /// What two Ingresses must have in common for the same requests.
    pub fn key(&self) -> (&str, &str, PathType) {
        (&self.host, &self.path, self.path_type)
    }

    /// The host and path, for messages.
    pub fn shown(&self) -> String {
        match self.host.as_str() {
            "" => format!("`{}`", self.path),
            host => format!("`{host}{}`", self.path),
        }
    }
}

/// The paths of the ordinary Ingresses. Of two Ingresses with one path, the older one counts.
pub fn of_ordinary<'a>(
    ingresses: &'a [Ingress<'a>],
    resources: &Resources,
    report: &mut Report,
) -> Vec<(&'a Ingress<'a>, Written)> {
    let mut all: Vec<(&Ingress, Written)> = Vec::new();
    let mut first: BTreeMap<(String, String, PathType), SourceLocation> = BTreeMap::new();
    for ingress in ingresses.iter().filter(|ingress| ingress.canary.is_none()) {
        for written in written(ingress.item, resources, report) {
            let key = (written.host.clone(), written.path.clone(), written.path_type);
            if let Some(other) = first.get(&key) {
                let message = format!(
                    "the path {} of the Ingress {} is that of an older Ingress, which ingress-nginx prefers",
                    written.shown(),
                    ingress.item.id
                );
                let error = Diagnostic::error(Code::Duplicate, message).at(written.at);
                report.add(error.with(*other, "this one counts"));
                report.omit(
                    Omitted::Rule,
                    format!("Ingress/{} {}", ingress.item.id, written.shown()),
                );
                continue;
            }
            first.insert(key, written.at);
            all.push((ingress, written));
        }
    }
    all
}

/// The paths of an Ingress whose backends can be resolved, and the root of each host for its `defaultBackend`.
pub fn written(item: &Item<IngressSpec>, resources: &Resources, report: &mut Report) -> Vec<Written> {
    let mut all = Vec::new();
    let mut hosts: Vec<String> = Vec::new();
    for rule in &item.spec.rules {
        let Some(host) = host(item, rule, report) else { continue };
        if !hosts.contains(&host) {
            hosts.push(host.clone());
        }
        let paths = rule.value.http.iter().flat_map(|http| &http.paths);
        all.extend(paths.filter_map(|path| of_path(item, &host, &path.value, resources, report)));
    }
    if let Some(default) = &item.spec.default_backend {
        if hosts.is_empty() {
            hosts.push(String::new());
        }
        let at = item.location_of(default);
        let backend = backend(item, &default.value, at, resources, report);
        for host in hosts.into_iter().filter(|_| backend.is_some()) {
            let has_root = all.iter().any(|one| one.host == host && one.path == "/");
            if let Some(backend) = backend.clone().filter(|_| !has_root) {
                all.push(Written {
                    host,
                    path: "/".to_owned(),
                    path_type: PathType::Prefix,
                    at,
                    backend,
                });
            }
        }
    }
    all
}

/// The host of a rule; empty for all hosts. An invalid one is reported, and its rule is left out.
fn host(item: &Item<IngressSpec>, rule: &Field<IngressRule>, report: &mut Report) -> Option<String> {
    let Some(field) = rule.value.host.as_ref().filter(|host| !host.value.is_empty()) else {
        return Some(String::new());
    };
    let host = field.value.to_ascii_lowercase();
    if let Err(message) = checks::host(&host) {
        report.error(Code::Invalid, message, item.location_of(field));
        report.omit(Omitted::Rule, format!("Ingress/{} `{}`", item.id, field.value));
        return None;
    }
    Some(host)
}

fn of_path(
    item: &Item<IngressSpec>,
    host: &str,
    path: &IngressPath,
    resources: &Resources,
    report: &mut Report,
) -> Option<Written> {
    let written = path.path.as_ref();
    let text = written.map_or("/", |path| &path.value);
    let at = written.map_or_else(|| item.location_of(&path.path_type), |path| item.location_of(path));
    let shown = format!("Ingress/{} `{host}{text}`", item.id);
    if !text.starts_with('/') {
        let message = format!("`{text}` is not a path: it must begin with /");
        report.error(Code::Invalid, message, at);
        report.omit(Omitted::Rule, shown);
        return None;
    }
    let found = backend(
        item,
        &path.backend.value,
        item.location_of(&path.backend),
        resources,
        report,
    );
    let Some(backend) = found else {
        report.omit(Omitted::Rule, shown);
        return None;
    };
    Some(Written {
        host: host.to_owned(),
        path: text.to_owned(),
        path_type: path.path_type.value,
        at,
        backend,
    })
}

/// The Service and the number of its port. A port with a name needs the Service.
fn backend(
    item: &Item<IngressSpec>,
    backend: &IngressBackend,
    at: SourceLocation,
    resources: &Resources,
    report: &mut Report,
) -> Option<Backend> {
    let Some(service) = &backend.service else {
        let message = "the backend is a resource and not a Service: ingress-nginx answers with its default backend";
        report.error(Code::Unsupported, message, at);
        return None;
    };
    let id = Id::new(&item.id.namespace, &service.name.value);
    let at = item.location_of(&service.name);
    if let Err(message) = checks::service(&id) {
        report.error(Code::Invalid, message, at);
        return None;
    }
    let port = service.port.as_ref().map(|port| &port.value);
    let name = port.and_then(|port| port.name.as_ref());
    let number = port.and_then(|port| port.number.as_ref());
    let found = match resources.services.find(&id) {
        Found::Item(found) => Some(found),
        Found::Unknown => None,
        Found::Nothing(instead) => {
            missing(&id, name.is_some(), resources, at, &instead, report);
            None
        }
    };
    let of = |number: u16| Backend {
        service: id.clone(),
        port: number,
    };
    let Some(found) = found else {
        return number.map(|number| of(number.value.get()));
    };
    let ports = &found.spec.ports;
    let wanted = ports.iter().find(|one| match (number, name) {
        (Some(number), _) => one.port.value == number.value,
        (None, Some(name)) => one.name.as_ref().is_some_and(|own| own.value == name.value),
        (None, None) => ports.len() == 1,
    });
    if let Some(wanted) = wanted {
        return Some(of(wanted.port.value.get()));
    }
    let shown = match (number, name) {
        (Some(number), _) => number.value.to_string(),
        (None, Some(name)) => name.value.clone(),
        (None, None) => String::new(),
    };
    let at = number
        .map(|number| item.location_of(number))
        .or_else(|| name.map(|name| item.location_of(name)));
    let have: Vec<String> = ports.iter().map(described).collect();
    let message = match shown.as_str() {
        "" => format!(
            "the backend names no port of the Service {id}, which has: {}",
            have.join(", ")
        ),
        shown => format!("the Service {id} has no port `{shown}`; it has: {}", have.join(", ")),
    };
    let names = ports.iter().filter_map(|port| port.name.as_ref());
    let similar = suggest::find(&shown, names.map(|name| name.value.as_str()));
    let error = Diagnostic::error(Code::BackendNotFound, message);
    let error = at.into_iter().fold(error, Diagnostic::at);
    report.add(error.with(found.location(), "the Service").help_similar(similar));
    None
}

fn described(port: &crate::api::service::ServicePort) -> String {
    match &port.name {
        Some(name) => format!("{} ({})", port.port.value, name.value),
        None => port.port.value.to_string(),
    }
}

/// Reports a Service that is not in the input: an error if it is needed for the number of a port, or if the input has other
/// Services.
fn missing(
    id: &Id,
    by_name: bool,
    resources: &Resources,
    at: SourceLocation,
    instead: &crate::resources::Instead,
    report: &mut Report,
) {
    let any = resources.services.iter().next().is_some();
    let found = if by_name {
        let message = format!("the Service {id} is not in the input, and the port of the backend is only named");
        let error = Diagnostic::error(Code::BackendNotFound, message);
        error.help("add the Service to the input")
    } else if any {
        Diagnostic::warning(
            Code::BackendNotFound,
            format!("the Service {id} does not exist in the input"),
        )
    } else {
        return;
    };
    report.add(found.at(at).instead(instead));
}
