//! Who wrote an object, from its metadata alone.
//!
//! The `spec` of an object is never compared with the planned one: the API server adds defaults and removes fields that its
//! definition does not have, so the two may differ for ever. What the API server records about the owners of fields
//! (`metadata.managedFields`) has no such differences.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use mooring_generator::labels::{MANAGED_BY, NAME_PREFIX};
use serde_json::{Map, Value};

use super::{
    marks::{APPLIED_ANNOTATION, GATEWAYS_ANNOTATION, MANAGER},
    wanted::Wanted,
};

/// Who wrote an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The controller.
    Own,
    /// Mooring has generated it, and somebody else has applied it: a pipeline, for example.
    Generated {
        /// The field managers.
        by: String,
    },
    /// Somebody else.
    Other {
        /// The field managers.
        by: String,
    },
}

/// Who wrote an object.
#[must_use]
pub fn ownership(metadata: &ObjectMeta) -> Ownership {
    if own_fields(metadata).is_some() && annotation(metadata, APPLIED_ANNOTATION).is_some() {
        return Ownership::Own;
    }
    let by = writers(metadata);
    if has_label(metadata) {
        Ownership::Generated { by }
    } else {
        Ownership::Other { by }
    }
}

/// Whether the controller may delete an object that it does not want: it wrote it, the label is still there, and the name is one that
/// it gives. If it is limited to some Gateways, the objects of others may be another controller's.
#[must_use]
pub fn is_removable(metadata: &ObjectMeta, gateways: Option<&str>) -> bool {
    let name = metadata.name.as_deref().unwrap_or_default();
    let is_of_gateways = gateways.is_none() || annotation(metadata, GATEWAYS_ANNOTATION) == gateways;
    ownership(metadata) == Ownership::Own && has_label(metadata) && name.starts_with(NAME_PREFIX) && is_of_gateways
}

/// The value of an annotation.
#[must_use]
pub fn annotation<'m>(metadata: &'m ObjectMeta, name: &str) -> Option<&'m str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

fn has_label(metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY.0)).map(String::as_str) == Some(MANAGED_BY.1)
}

/// Whether an entry is about an object itself, and not about its status.
fn is_main(entry: &ManagedFieldsEntry) -> bool {
    entry.subresource.as_deref().unwrap_or_default().is_empty()
}

fn entries(metadata: &ObjectMeta) -> impl Iterator<Item = &ManagedFieldsEntry> {
    metadata.managed_fields.iter().flatten().filter(|entry| is_main(entry))
}

fn is_own(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(MANAGER) && entry.operation.as_deref() == Some("Apply")
}

/// The fields that the controller's last apply has set and that nobody has changed since.
fn own_fields(metadata: &ObjectMeta) -> Option<&Value> {
    let own = entries(metadata).find(|entry| is_own(entry))?;
    own.fields_v1.as_ref().map(|fields| &fields.0)
}

/// The field managers of an object, as a text.
#[must_use]
pub fn writers(metadata: &ObjectMeta) -> String {
    let mut names: Vec<&str> = entries(metadata).filter_map(|entry| entry.manager.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return "an unknown writer".to_owned();
    }
    format!("`{}`", names.join("`, `"))
}

/// The first other field manager that has set a field of the `spec` which the controller's last apply does not have, or has set to
/// another value.
#[must_use]
pub fn intruder(metadata: &ObjectMeta) -> Option<String> {
    let own = own_fields(metadata).and_then(|fields| fields.get("f:spec"));
    let mut others = entries(metadata).filter(|entry| !is_own(entry));
    let intruder = others.find(|entry| {
        let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:spec"));
        fields.is_some_and(|fields| exceeds(fields, own))
    })?;
    Some(intruder.manager.clone().unwrap_or_default())
}

/// Whether one set of fields has a field that the other has not. A field without subfields is a leaf, such as a list that is
/// replaced as a whole.
fn exceeds(fields: &Value, others: Option<&Value>) -> bool {
    let Some(others) = others else {
        return true;
    };
    let fields = fields
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != ".");
    let mut fields = fields.map(|(name, fields)| (fields, others.get(name)));
    fields.any(|(fields, others)| exceeds(fields, others))
}

/// Whether somebody has removed a field of the `spec` that the controller has set, so that the controller no longer owns it.
#[must_use]
pub fn lacks_fields(metadata: &ObjectMeta, wanted: &Wanted) -> bool {
    let wanted = wanted.value().get("spec").and_then(Value::as_object);
    let own = own_fields(metadata).and_then(|fields| fields.get("f:spec"));
    wanted.is_some_and(|wanted| own.map_or(!wanted.is_empty(), |own| lacks(own, wanted)))
}

fn lacks(own: &Value, wanted: &Map<String, Value>) -> bool {
    let is_leaf = own.as_object().is_none_or(Map::is_empty);
    !is_leaf
        && wanted.iter().any(|(name, wanted)| match own.get(format!("f:{name}")) {
            None => true,
            Some(own) => wanted.as_object().is_some_and(|wanted| lacks(own, wanted)),
        })
}

/// Whether an object has the planned labels, annotations and owner.
#[must_use]
pub fn has_metadata(metadata: &ObjectMeta, wanted: &Wanted) -> bool {
    let has_all = |field: &str, there: Option<&std::collections::BTreeMap<String, String>>| {
        let texts = wanted.value().pointer(field).and_then(Value::as_object);
        texts.into_iter().flatten().all(|(name, value)| {
            let there = there.and_then(|there| there.get(name));
            there.map(String::as_str) == value.as_str()
        })
    };
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    let has_owner = |uid: &str| owners.iter().any(|owner| owner.uid == uid);
    has_all("/metadata/labels", metadata.labels.as_ref())
        && has_all("/metadata/annotations", metadata.annotations.as_ref())
        && wanted.owner.as_ref().is_none_or(|owner| has_owner(&owner.uid))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::wanted::tests::wanted, *};

    fn metadata(managed_fields: &Value) -> ObjectMeta {
        serde_json::from_value(json!({
            "name": "mooring-web",
            "labels": { "app.kubernetes.io/managed-by": "mooring" },
            "annotations": { APPLIED_ANNOTATION: "abc" },
            "managedFields": managed_fields,
        }))
        .unwrap()
    }

    fn entry(manager: &str, operation: &str, spec: &Value) -> Value {
        json!({ "manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": spec } })
    }

    fn own() -> Value {
        entry(
            MANAGER,
            "Apply",
            &json!({ "f:rules": {}, "f:plugin": { ".": {}, "f:a": {} } }),
        )
    }

    #[test]
    fn what_others_have_applied_is_not_own() {
        let ours = metadata(&json!([own()]));
        assert_eq!(ownership(&ours), Ownership::Own);
        assert!(is_removable(&ours, None));
        for others in [
            // kubectl apply, with and without --server-side; an Update of the same manager is none of the controller's writes.
            json!([entry("kubectl-client-side-apply", "Update", &json!({ "f:rules": {} }))]),
            json!([entry("kubectl", "Apply", &json!({ "f:rules": {} }))]),
            json!([entry(MANAGER, "Update", &json!({ "f:rules": {} }))]),
            json!([]),
        ] {
            let object = metadata(&others);
            assert!(matches!(ownership(&object), Ownership::Generated { .. }), "{others}");
            assert!(!is_removable(&object, None), "{others}");
        }
        // A pipeline that applies with the field manager `mooring` does not set the annotation.
        let pipeline = ObjectMeta {
            annotations: None,
            ..metadata(&json!([own()]))
        };
        assert_eq!(
            ownership(&pipeline),
            Ownership::Generated {
                by: "`mooring`".to_owned()
            }
        );
        let other = ObjectMeta {
            labels: None,
            ..metadata(&json!([entry("ann", "Update", &json!({}))]))
        };
        assert_eq!(ownership(&other), Ownership::Other { by: "`ann`".to_owned() });
    }

    #[test]
    fn only_what_the_controller_has_named_and_labelled_is_removed() {
        let ours = || metadata(&json!([own()]));
        let named = ObjectMeta {
            name: Some("web".to_owned()),
            ..ours()
        };
        assert!(!is_removable(&named, None));
        assert!(!is_removable(&ObjectMeta { labels: None, ..ours() }, None));
    }

    #[test]
    fn a_controller_of_some_gateways_removes_only_its_own_objects() {
        let with = |gateways: &str| {
            let mut object = metadata(&json!([own()]));
            let annotations = object.annotations.get_or_insert_default();
            annotations.insert(GATEWAYS_ANNOTATION.to_owned(), gateways.to_owned());
            object
        };
        assert!(is_removable(&with("edge/a,edge/b"), Some("edge/a,edge/b")));
        assert!(!is_removable(&with("edge/a"), Some("edge/a,edge/b")));
        assert!(!is_removable(&metadata(&json!([own()])), Some("edge/a")));
        assert!(is_removable(&with("edge/a"), None), "it plans for all Gateways");
    }

    #[test]
    fn a_field_of_another_manager_is_an_intrusion() {
        let with = |other: Value| intruder(&metadata(&json!([own(), other])));
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(
            with(entry("ann", "Update", &json!({ "f:rules": {} }))),
            None,
            "the same value"
        );
        assert_eq!(
            with(entry("ann", "Update", &json!({ "f:plugin": { ".": {}, "f:a": {} } }))),
            None
        );
        assert_eq!(with(entry("ann", "Update", &json!({ "f:priority": {} }))), named("ann"));
        assert_eq!(
            with(entry("ann", "Update", &json!({ "f:plugin": { "f:b": {} } }))),
            named("ann")
        );
        let mut status = entry("istiod", "Update", &json!({ "f:x": {} }));
        status["subresource"] = json!("status");
        assert_eq!(with(status), None, "the status is the owner's");
    }

    #[test]
    fn a_removed_field_is_missed() {
        let planned = |spec: Value| wanted(json!({ "metadata": {}, "spec": spec }));
        let object = metadata(&json!([own()]));
        assert!(!lacks_fields(
            &object,
            &planned(json!({ "rules": [{ "x": 1 }], "plugin": { "a": 1 } }))
        ));
        assert!(lacks_fields(&object, &planned(json!({ "rules": [], "priority": 1 }))));
        assert!(lacks_fields(&object, &planned(json!({ "plugin": { "a": 1, "b": 2 } }))));
        // A map that is replaced as a whole has no fields of its own.
        assert!(!lacks_fields(&object, &planned(json!({ "rules": { "x": 1 } }))));
    }
}
