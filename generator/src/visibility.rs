//! The namespaces in which an Istio object is visible (`exportTo`, or the annotation `networking.istio.io/exportTo` of
//! a Service).
//!
//! By default, an object is visible in all namespaces. The defaults of the mesh configuration, such as
//! `defaultVirtualServiceExportTo`, are not part of the input.

use crate::{api::field::Field, location::SourceLocation, model::service::ServiceSpec, resources::item::Item};

/// The annotation of a Service.
const ANNOTATION: &str = "networking.istio.io/exportTo";

/// Stands for every namespace.
const ALL: &str = "*";

/// Stands for the namespace of the object.
const OWN: &str = ".";

/// Stands for no namespace.
const NONE: &str = "~";

/// Whether an object in the namespace `own` with this `exportTo` is visible in the namespace `to` (istiod:
/// `initVirtualServices`).
pub fn is_seen<'e>(exported: impl Iterator<Item = &'e str> + Clone, own: &str, to: &str) -> bool {
    let mut all = exported.clone();
    let mut none = exported.clone();
    if exported.clone().next().is_none() || all.any(|namespace| namespace == ALL) {
        return true;
    }
    !none.any(|namespace| namespace == NONE) && names(exported, own, to)
}

/// Whether a list names this namespace or all namespaces. Other entries do not matter.
pub fn names<'e>(mut exported: impl Iterator<Item = &'e str>, own: &str, to: &str) -> bool {
    exported.any(|namespace| match namespace {
        ALL => true,
        OWN => own == to,
        other => other == to,
    })
}

/// Whether a list names only the namespace of the object (istiod: `isPrivateOnly`).
pub fn is_private<'e>(mut exported: impl Iterator<Item = &'e str>, own: &str) -> bool {
    let first = exported.next();
    first.is_some_and(|first| first == OWN || first == own) && exported.next().is_none()
}

/// The entries of a list as strings.
pub fn texts(list: &[Field<String>]) -> impl Iterator<Item = &str> + Clone {
    list.iter().map(|field| field.value.as_str())
}

/// The location that hides a Service or a host of a `ServiceEntry` from a namespace. It is `None` if the namespace sees
/// it.
pub fn hides(service: &Item<ServiceSpec>, to: &str) -> Option<SourceLocation> {
    let own = &service.id.namespace;
    if service.spec.external_host.is_some() {
        let exported = &service.spec.export_to;
        let location = exported.first().map(|first| service.location_of(first))?;
        return (!is_seen(texts(exported), own, to)).then_some(location);
    }
    let mut annotations = service.metadata.annotations.iter();
    let (_, value) = annotations.find(|(name, _)| name.value == ANNOTATION)?;
    let listed = value.value.split(',').map(str::trim);
    let exported = listed.filter(|_| !value.value.is_empty());
    (!is_seen(exported, own, to)).then_some(service.location_of(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_seen_where_it_is_exported_to() {
        for (exported, own, to, seen) in [
            (vec![], "shop", "other", true),
            (vec!["*"], "shop", "other", true),
            (vec!["~", "*"], "shop", "other", true),
            (vec!["~"], "shop", "shop", false),
            (vec!["other", "~"], "shop", "other", false),
            (vec!["."], "shop", "shop", true),
            (vec!["."], "shop", "other", false),
            (vec!["shop"], "shop", "other", false),
            (vec![".", "other"], "shop", "other", true),
            (vec!["a", "b"], "shop", "shop", false),
        ] {
            assert_eq!(
                is_seen(exported.iter().copied(), own, to),
                seen,
                "{exported:?} {own} {to}"
            );
        }
    }
}
