//! A planned object as it is sent to the API server: the object that `mooring generate` writes, its owner, and a hash of both.

use std::{fmt::Write as _, sync::Arc};

use mooring_generator::emit::Output;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::marks::{APPLIED_ANNOTATION, GATEWAYS_ANNOTATION};
use crate::{key::Key, live::Objects, owner::owners, plan::Planned};

/// A planned object, its owner and its hash.
#[derive(Debug)]
pub struct Wanted {
    /// What is planned.
    pub planned: Arc<Planned>,
    /// Its owner.
    pub owner: Option<Owner>,
    /// The Gateways to which the controller is limited.
    gateways: Option<Arc<str>>,
    /// The hash of the object with its owner and these Gateways. An annotation of the object says it, so that a restart writes nothing.
    pub hash: Arc<str>,
}

/// The object with which a generated object is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its version, such as `gateway.networking.k8s.io/v1`.
    pub api_version: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub uid: String,
}

impl Wanted {
    /// A planned object.
    #[must_use]
    pub fn new(planned: &Arc<Planned>, owner: Option<Owner>, gateways: Option<&Arc<str>>) -> Self {
        let mut wanted = Self {
            planned: Arc::clone(planned),
            owner,
            gateways: gateways.cloned(),
            hash: "".into(),
        };
        wanted.hash = hash(&wanted.owned()).into();
        wanted
    }

    /// The object as `mooring generate` writes it.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.planned.output.value
    }

    /// The version of the object's kind.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.value()
            .get("apiVersion")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The object to send.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = self.owned();
        annotate(&mut body, APPLIED_ANNOTATION, &self.hash);
        body
    }

    /// The object with the reference to its owner, and the Gateways.
    fn owned(&self) -> Value {
        let mut body = self.value().clone();
        let metadata = body.get_mut("metadata").and_then(Value::as_object_mut);
        if let (Some(metadata), Some(owner)) = (metadata, &self.owner) {
            let reference = json!({
                "apiVersion": owner.api_version,
                "kind": owner.kind,
                "name": owner.name,
                "uid": owner.uid,
            });
            metadata.insert("ownerReferences".to_owned(), json!([reference]));
        }
        if let Some(gateways) = &self.gateways {
            annotate(&mut body, GATEWAYS_ANNOTATION, gateways);
        }
        body
    }
}

fn annotate(body: &mut Value, name: &str, value: &str) {
    let metadata = body.get_mut("metadata").and_then(Value::as_object_mut);
    let annotations = metadata.map(|metadata| metadata.entry("annotations").or_insert_with(|| json!({})));
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.insert(name.to_owned(), value.into());
    }
}

/// The keys of generated objects are sorted, so equal objects have equal hashes.
fn hash(body: &Value) -> String {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(&bytes) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The owner of a generated object: the route of a session route, and the Gateway of its other objects. None: the owner is in another
/// namespace, where Kubernetes would not find it, or there are several, or the object is for other proxies.
#[must_use]
pub fn owner(key: &Key, output: &Output, live: &Objects) -> Option<Owner> {
    let namespace = key.namespace()?;
    let owners = owners(namespace, &output.value);
    let [owner] = owners.as_slice() else { return None };
    let identity = live
        .targets
        .get(owner)
        .filter(|_| owner.namespace() == Some(namespace))?;
    Some(Owner {
        api_version: identity.api_version.clone(),
        kind: owner.kind.name,
        name: owner.name().to_owned(),
        uid: identity.uid.clone(),
    })
}

#[cfg(test)]
pub mod tests {
    use mooring_generator::{ir::GATEWAY_LABEL, kind::GATEWAY_API, labels::RULE_ANNOTATION};

    use super::*;
    use crate::{key::KindName, live::Identity};

    /// A planned object.
    pub fn wanted(value: Value) -> Wanted {
        let output = Output::new(String::new(), value);
        Wanted::new(
            &Arc::new(Planned {
                output: Arc::new(output),
            }),
            None,
            None,
        )
    }

    #[test]
    fn the_hash_depends_on_the_object_and_its_owner() {
        let object = |priority: u8| json!({ "metadata": { "name": "mooring-web" }, "spec": { "priority": priority } });
        let first = wanted(object(1));
        assert_eq!(first.hash, wanted(object(1)).hash);
        assert_ne!(first.hash, wanted(object(2)).hash);
        let body = first.body();
        assert_eq!(
            body.pointer("/metadata/annotations/mooring.dev~1applied"),
            Some(&json!(*first.hash))
        );
        assert_eq!(body.pointer("/metadata/ownerReferences"), None);

        let gateway = Owner {
            api_version: "gateway.networking.k8s.io/v1".to_owned(),
            kind: "Gateway",
            name: "web".to_owned(),
            uid: "1-2-3".to_owned(),
        };
        let limited = Wanted::new(&first.planned, None, Some(&"edge/web".into()));
        assert_ne!(first.hash, limited.hash);
        assert_eq!(
            limited.body().pointer("/metadata/annotations/mooring.dev~1gateways"),
            Some(&json!("edge/web"))
        );

        let owned = Wanted::new(&first.planned, Some(gateway), None);
        assert_ne!(first.hash, owned.hash);
        assert_eq!(
            owned.body().pointer("/metadata/ownerReferences/0/uid"),
            Some(&json!("1-2-3"))
        );
    }

    #[test]
    fn the_owner_is_the_gateway_or_the_route_in_the_same_namespace() {
        let key = |group: &str, kind: &str, namespace: &str, name: &str| {
            Key::new(KindName::find(group, kind).unwrap(), Some(namespace), name)
        };
        let mut live = Objects::default();
        for (kind, namespace) in [("Gateway", "edge"), ("HTTPRoute", "shop")] {
            let identity = Identity {
                api_version: "gateway.networking.k8s.io/v1".to_owned(),
                uid: format!("uid-{namespace}"),
                generation: None,
            };
            live.targets.insert(key(GATEWAY_API, kind, namespace, "web"), identity);
        }
        let uid = |namespace: &str, value: Value| {
            let key = key("networking.istio.io", "EnvoyFilter", namespace, "mooring-web");
            owner(&key, &Output::new(String::new(), value), &live).map(|owner| owner.uid)
        };
        let target = json!({ "spec": { "targetRefs": [{ "kind": "Gateway", "name": "web" }] } });
        assert_eq!(uid("edge", target.clone()).as_deref(), Some("uid-edge"));
        assert_eq!(uid("other", target), None);
        let selector = json!({ "spec": { "workloadSelector": { "labels": { GATEWAY_LABEL: "web" } } } });
        assert_eq!(uid("edge", selector).as_deref(), Some("uid-edge"));
        assert_eq!(
            uid(
                "edge",
                json!({ "spec": { "selector": { "matchLabels": { "app": "web" } } } })
            ),
            None
        );
        let route = json!({ "metadata": { "annotations": { RULE_ANNOTATION: "HTTPRoute/shop/web#0" } } });
        assert_eq!(uid("shop", route.clone()).as_deref(), Some("uid-shop"));
        assert_eq!(uid("edge", route), None);
    }
}
