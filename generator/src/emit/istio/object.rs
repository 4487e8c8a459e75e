//! An Istio object for a group of proxies.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{metadata::extend, options::Options};
use crate::{
    emit::{generated::Output, json::with, provenance},
    id::Id,
    ir::ProxyGroup,
    labels::MANAGED_BY,
};

/// The annotation with the version of Istio for which an object is generated.
const ISTIO_VERSION_ANNOTATION: &str = "mooring.dev/istio-version";

/// The annotation with the Services to whose clusters the inserted routes refer.
const REFERENCES_ANNOTATION: &str = "envoyfilter.istio.io/referenced-services";

/// An object that is generated for a group of proxies.
pub struct Object<'a> {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The value of the annotation that names Services, if it names any.
    pub references: Option<String>,
    /// The rules for which it is generated.
    pub rules: BTreeSet<&'a str>,
    /// The comments before its patches.
    pub patch_comments: BTreeMap<usize, String>,
    /// Its spec.
    pub spec: Value,
}

impl Object<'_> {
    /// Creates an object. Its name is the object name of the proxies and the suffix.
    pub fn new(group: &ProxyGroup, kind: &'static str, suffix: &str, spec: Value) -> Self {
        let Id { namespace, name } = group.object_id();
        Self {
            kind,
            namespace,
            name: format!("{name}{suffix}"),
            references: None,
            rules: BTreeSet::new(),
            patch_comments: BTreeMap::new(),
            spec,
        }
    }

    /// The Kubernetes object.
    pub fn output(self, options: &Options) -> Output {
        let Self {
            kind, namespace, name, ..
        } = self;
        let api_version = match kind {
            "WasmPlugin" => "extensions.istio.io/v1alpha1",
            _ => "networking.istio.io/v1alpha3",
        };
        let metadata = json!({
            "annotations": with(annotations(options), REFERENCES_ANNOTATION, self.references),
            "labels": labels(options),
            "name": name,
            "namespace": namespace,
        });
        let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata });
        let stem = format!("{}-{namespace}-{name}", kind.to_lowercase());
        let output = Output::new(stem, with(object, "spec", self.spec)).with_comment(provenance::comment(
            &format_args!("Istio {}", options.version),
            self.rules,
        ));
        Output {
            patch_comments: self.patch_comments,
            ..output
        }
    }
}

/// The annotations of every object: those of the user, the release of Mooring and the version of Istio.
pub fn annotations(options: &Options) -> Value {
    let own = json!({
        ISTIO_VERSION_ANNOTATION: options.version.to_string(),
        provenance::VERSION_ANNOTATION: provenance::VERSION,
    });
    extend(own, &options.metadata.annotations)
}

/// The labels of every object: those of the user, and the one by which Mooring knows its objects.
pub fn labels(options: &Options) -> Value {
    let (label, value) = MANAGED_BY;
    extend(json!({ label: value }), &options.metadata.labels)
}
