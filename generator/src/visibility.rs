//! Which namespaces see an object of Istio's (`exportTo`; of a Service the annotation `networking.istio.io/exportTo`).
//!
//! Where nothing is said, all of them do: the defaults of the mesh configuration (`defaultVirtualServiceExportTo` and so on) are not in
//! the input.

use crate::{
    api::{field::Field, service::ServiceSpec},
    location::SourceLocation,
    resources::item::Item,
};

/// The annotation of a Service.
const ANNOTATION: &str = "networking.istio.io/exportTo";

/// Every namespace.
const ALL: &str = "*";

/// The object's own namespace.
const OWN: &str = ".";

/// None at all.
const NONE: &str = "~";

/// Whether an object in the namespace `own` that is exported to these is seen in the namespace `to` (istiod:
/// `initVirtualServices`).
pub fn is_seen<'e>(exported: impl Iterator<Item = &'e str> + Clone, own: &str, to: &str) -> bool {
    let mut all = exported.clone();
    let mut none = exported.clone();
    if exported.clone().next().is_none() || all.any(|namespace| namespace == ALL) {
        return true;
    }
    !none.any(|namespace| namespace == NONE) && names(exported, own, to)
}

/// Whether a list has a namespace in it, or all of them, whatever else it has.
pub fn names<'e>(mut exported: impl Iterator<Item = &'e str>, own: &str, to: &str) -> bool {
    exported.any(|namespace| match namespace {
        ALL => true,
        OWN => own == to,
        other => other == to,
    })
}

/// Whether a list names no namespace but the object's own (istiod: `isPrivateOnly`).
pub fn is_private<'e>(mut exported: impl Iterator<Item = &'e str>, own: &str) -> bool {
    let first = exported.next();
    first.is_some_and(|first| first == OWN || first == own) && exported.next().is_none()
}

/// The texts of a list.
pub fn texts(list: &[Field<String>]) -> impl Iterator<Item = &str> + Clone {
    list.iter().map(|field| field.value.as_str())
}

/// Where it is said that a Service or a host of a `ServiceEntry` is not seen in a namespace. None: it is seen.
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
