//! What the owners of objects should know: the findings that events in a cluster report.

use std::collections::{BTreeMap, BTreeSet};

use super::findings;
use crate::{
    diagnostic::{Code, Diagnostic, Report, Severity},
    id::Id,
    kind::Kind,
    location::FileId,
    resources::{Items, Resources},
};

/// How many findings about one object are reported.
const MAX_PER_OBJECT: usize = 8;

/// What is found about each object, by its kind, namespace and name.
pub type Notices = BTreeMap<(Kind, Id), BTreeSet<Notice>>;

/// A finding about an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// Its code.
    pub code: Code,
    /// What is found, as one sentence.
    pub text: String,
}

/// The findings of a report that refuse something, by object.
pub fn notices<'o>(objects: impl Iterator<Item = (Kind, &'o Id, FileId)>, report: &Report) -> Notices {
    let mut by_file: BTreeMap<FileId, Vec<&Diagnostic>> = BTreeMap::new();
    for found in report.sorted() {
        if let Some(location) = found.location().filter(|_| found.severity() != Severity::Note) {
            by_file.entry(location.file).or_default().push(found);
        }
    }
    let mut notices = Notices::new();
    if by_file.is_empty() {
        return notices;
    }
    for (kind, id, file) in objects {
        for found in by_file.get(&file).into_iter().flatten() {
            let of_object = refuses(kind, found).then(|| notices.entry((kind, id.clone())).or_default());
            if let Some(of_object) = of_object.filter(|known| known.len() < MAX_PER_OBJECT) {
                of_object.insert(Notice {
                    code: found.code(),
                    text: findings::text(found),
                });
            }
        }
    }
    notices
}

/// Whether a finding refuses something that its object is about. Warnings about routes do not count, nor about gateways of other
/// controllers: their owners may not even know Mooring.
fn refuses(kind: Kind, found: &Diagnostic) -> bool {
    if found.severity() == Severity::Error {
        return true;
    }
    let code = found.code();
    match kind {
        _ if kind.is_policy() => !matches!(
            code,
            Code::Draining | Code::Unnamed | Code::Accepted | Code::PartialInput
        ),
        Kind::Gateway | Kind::IstioGateway => code == Code::Unsupported,
        _ => false,
    }
}

/// The objects that findings can be about, each with its file.
pub fn objects(resources: &Resources) -> impl Iterator<Item = (Kind, &Id, FileId)> {
    fn of<T>(kind: Kind, items: &Items<T>) -> impl Iterator<Item = (Kind, &Id, FileId)> {
        items.iter().map(move |item| (kind, &item.id, item.offset.file))
    }
    let Resources {
        backend_lb_policies,
        x_backend_traffic_policies,
        canary_policies,
        gateways,
        istio_gateways,
        listener_sets,
        x_listener_sets,
        services,
        destination_rules,
        ..
    } = resources;
    let routes = resources.routes();
    let routes = routes.map(|route| (route.spec.kind, &route.id, route.offset.file));
    let unread = resources.unread.iter().filter_map(|unread| {
        let file = unread.diagnostic.location()?.file;
        Some((unread.kind, unread.id.as_ref()?, file))
    });
    of(Kind::BackendLbPolicy, backend_lb_policies)
        .chain(of(Kind::XBackendTrafficPolicy, x_backend_traffic_policies))
        .chain(of(Kind::CanaryPolicy, canary_policies))
        .chain(of(Kind::Gateway, gateways))
        .chain(of(Kind::IstioGateway, istio_gateways))
        .chain(of(Kind::ListenerSet, listener_sets))
        .chain(of(Kind::XListenerSet, x_listener_sets))
        .chain(of(Kind::Service, services))
        .chain(of(Kind::DestinationRule, destination_rules))
        .chain(routes)
        .chain(unread)
}
