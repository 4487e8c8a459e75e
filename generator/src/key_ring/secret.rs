//! The Kubernetes Secret that holds a ring for gateways.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mooring_policy::keys::ENVIRONMENT_VARIABLE;
use serde_json::{Value, json};

use crate::{emit::Output, labels::MANAGED_BY};

/// A new Secret for the environment of gateways.
#[must_use]
pub fn secret(namespace: &str, name: &str, ring: &str) -> Output {
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "labels": { MANAGED_BY.0: MANAGED_BY.1 },
            "name": name,
            "namespace": namespace,
        },
        "stringData": { ENVIRONMENT_VARIABLE: ring },
        "type": "Opaque",
    });
    Output::new(format!("secret-{namespace}-{name}"), manifest)
}

/// Why a text is no Secret with a ring. The messages contain nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSecret {
    /// It is a manifest in YAML.
    #[error("it is YAML; print the Secret with `kubectl get secret NAME --output json`")]
    Yaml,
    /// It begins like JSON, and is not.
    #[error("it is not valid JSON")]
    Json,
    /// It is another object.
    #[error("it is not a Secret")]
    Kind,
    /// It has no ring.
    #[error("the Secret has no key {ENVIRONMENT_VARIABLE}")]
    NoRing,
    /// Its ring is not base64.
    #[error("the value of {ENVIRONMENT_VARIABLE} in the Secret is not text in base64")]
    Encoding,
}

/// A Secret as `kubectl get --output json` prints it.
pub struct Existing {
    manifest: Value,
    ring: String,
}

impl Existing {
    /// Parses a Secret. A text that is no manifest, such as a ring, is None.
    #[must_use]
    pub fn parse(text: &str) -> Option<Result<Self, NoSecret>> {
        if ["apiVersion:", "kind:", "data:", "---"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            return Some(Err(NoSecret::Yaml));
        }
        text.trim_start().starts_with('{').then(|| Self::parse_json(text))
    }

    fn parse_json(text: &str) -> Result<Self, NoSecret> {
        let manifest: Value = serde_json::from_str(text).map_err(|_| NoSecret::Json)?;
        if manifest.get("kind").and_then(Value::as_str) != Some("Secret") {
            return Err(NoSecret::Kind);
        }
        let value = |field: &str| manifest.get(field)?.get(ENVIRONMENT_VARIABLE)?.as_str();
        // The API server prefers stringData, which `mooring keygen --secret` writes.
        let ring = match (value("stringData"), value("data")) {
            (Some(text), _) => text.to_owned(),
            (None, Some(encoded)) => {
                let bytes = STANDARD.decode(encoded).map_err(|_| NoSecret::Encoding)?;
                String::from_utf8(bytes).map_err(|_| NoSecret::Encoding)?
            }
            (None, None) => return Err(NoSecret::NoRing),
        };
        Ok(Self { manifest, ring })
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> &str {
        &self.ring
    }

    /// The Secret with another ring, in JSON. It keeps its `resourceVersion`, so that the API server refuses it if the Secret has changed
    /// since, and loses kubectl's own copy of an earlier ring.
    #[must_use]
    pub fn with_ring(mut self, ring: &str) -> String {
        let annotations = self.manifest.pointer_mut("/metadata/annotations");
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            annotations.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
        }
        if let Some(object) = self.manifest.as_object_mut() {
            object.shift_remove("stringData");
            let data = object.entry("data").or_insert_with(|| json!({}));
            if let Some(data) = data.as_object_mut() {
                data.insert(ENVIRONMENT_VARIABLE.to_owned(), Value::String(STANDARD.encode(ring)));
            }
        }
        format!("{:#}\n", self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_has_the_ring_where_gateways_look() {
        let output = secret("istio-ingress", "mooring-keys", "a ring");
        let text = output.value.pointer("/stringData/MOORING_KEYS");
        assert_eq!(text, Some(&json!("a ring")));
        assert_eq!(
            output.value.pointer("/metadata/namespace"),
            Some(&json!("istio-ingress"))
        );
    }

    #[test]
    fn a_ring_is_no_manifest() {
        assert!(Existing::parse("01:AAAA,02:BBBB\n").is_none());
        assert!(Existing::parse("").is_none());
    }

    #[test]
    fn an_existing_secret_keeps_all_but_its_ring() {
        let text = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "mooring-keys", "resourceVersion": "7", "labels": {"team": "edge"},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "01:AAAA", "note": "kept"},
            },
            "data": {"MOORING_KEYS": STANDARD.encode("01:AAAA"), "other": "a2VwdA=="},
        });
        let existing = Existing::parse(&text.to_string()).unwrap().unwrap();
        assert_eq!(existing.ring(), "01:AAAA");
        let changed: Value = serde_json::from_str(&existing.with_ring("02:BBBB,01:AAAA")).unwrap();
        let mut expected = text;
        expected["data"]["MOORING_KEYS"] = json!(STANDARD.encode("02:BBBB,01:AAAA"));
        expected["metadata"]["annotations"] = json!({"note": "kept"});
        assert_eq!(changed, expected);
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_said_without_its_content() {
        for (text, expected) in [
            ("apiVersion: v1\nkind: Secret\n", NoSecret::Yaml),
            ("{\"kind\": \"Secret\"", NoSecret::Json),
            (
                "{\"kind\": \"ConfigMap\", \"data\": {\"MOORING_KEYS\": \"QQ==\"}}",
                NoSecret::Kind,
            ),
            ("{\"kind\": \"Secret\", \"data\": {}}", NoSecret::NoRing),
            (
                "{\"kind\": \"Secret\", \"data\": {\"MOORING_KEYS\": \"junk!\"}}",
                NoSecret::Encoding,
            ),
        ] {
            let error = Existing::parse(text).unwrap().err().unwrap();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("junk"));
        }
    }
}
