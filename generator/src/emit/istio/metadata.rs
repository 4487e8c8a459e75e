//! The labels and annotations that a user adds to all generated objects.

use std::{collections::BTreeMap, str::FromStr};

use serde_json::{Map, Value};

use crate::dns::{self, MAX_LABEL_LENGTH};

/// Labels and annotations of all generated objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// An annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// The reason why a text is not a label or annotation that a user may add.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    /// It has no `=`.
    #[error("expected KEY=VALUE, such as team=shop")]
    NoPair,
    /// The API server would refuse the key.
    #[error(
        "the key has an invalid name: {MAX_LABEL_LENGTH} letters, digits, -, _ and . at most, with an optional DNS name and / \
         before it, such as example.com/team"
    )]
    NoKey,
    /// The API server would refuse the value of the label.
    #[error(
        "the value of a label has at most {MAX_LABEL_LENGTH} letters, digits, -, _ and ., and begins and ends with a letter or digit"
    )]
    NoValue,
    /// Mooring sets the key.
    #[error("Mooring sets {0} itself")]
    OfMooring(String),
    /// istiod reads the key, and pushes an object with it after every change of its metadata.
    #[error(
        "the key contains istio.io: istiod reads such keys, and sends an object that has one to the proxies after every update"
    )]
    OfIstio,
    /// Kubernetes or one of its tools reads the key.
    #[error(
        "keys of kubernetes.io and k8s.io are reserved: of these, only app.kubernetes.io/ can be used, and not for managed-by"
    )]
    OfKubernetes,
}

impl FromStr for Label {
    type Err = InvalidMetadata;

    fn from_str(text: &str) -> Result<Self, InvalidMetadata> {
        let (key, value) = pair(text)?;
        if !value.is_empty() && !dns::is_label_value(&value) {
            return Err(InvalidMetadata::NoValue);
        }
        Ok(Self { key, value })
    }
}

impl FromStr for Annotation {
    type Err = InvalidMetadata;

    fn from_str(text: &str) -> Result<Self, InvalidMetadata> {
        pair(text).map(|(key, value)| Self { key, value })
    }
}

fn pair(text: &str) -> Result<(String, String), InvalidMetadata> {
    let (key, value) = text.split_once('=').ok_or(InvalidMetadata::NoPair)?;
    if !dns::is_label_name(key) {
        return Err(InvalidMetadata::NoKey);
    }
    check_owner(key)?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Refuses keys that have a meaning for Mooring, istiod or Kubernetes.
fn check_owner(key: &str) -> Result<(), InvalidMetadata> {
    // istiod looks for this text in the whole key (istiod: `NeedsPush`).
    if key.contains("istio.io") {
        return Err(InvalidMetadata::OfIstio);
    }
    let Some((domain, name)) = key.split_once('/') else {
        return Ok(());
    };
    let of = |owner: &str| domain == owner || domain.strip_suffix(owner).is_some_and(|rest| rest.ends_with('.'));
    if of("mooring.dev") || (domain == "app.kubernetes.io" && name == "managed-by") {
        return Err(InvalidMetadata::OfMooring(key.to_owned()));
    }
    if domain != "app.kubernetes.io" && (of("kubernetes.io") || of("k8s.io")) {
        return Err(InvalidMetadata::OfKubernetes);
    }
    Ok(())
}

/// The object with these fields added.
pub fn extend(mut object: Value, fields: &BTreeMap<String, String>) -> Value {
    if let Some(object) = object.as_object_mut() {
        let fields = fields.iter();
        object.extend(
            fields
                .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
                .collect::<Map<_, _>>(),
        );
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_a_meaning_are_refused() {
        for key in [
            "mooring.dev/version",
            "x.mooring.dev/a",
            "app.kubernetes.io/managed-by",
            "istio.io/rev",
            "networking.istio.io/exportTo",
            "example.com/istio.io",
            "kubernetes.io/metadata.name",
            "kubectl.kubernetes.io/last-applied-configuration",
            "gateway.networking.k8s.io/gateway-name",
            "config.k8s.io/owning-inventory",
        ] {
            assert!(format!("{key}=x").parse::<Label>().is_err(), "{key}");
            assert!(format!("{key}=x").parse::<Annotation>().is_err(), "{key}");
        }
        for key in [
            "team",
            "example.com/team",
            "app.kubernetes.io/part-of",
            "notkubernetes.io/a",
            "argocd.argoproj.io/sync-wave",
            "kustomize.toolkit.fluxcd.io/prune",
        ] {
            assert!(format!("{key}=x").parse::<Label>().is_ok(), "{key}");
            assert!(format!("{key}=x").parse::<Annotation>().is_ok(), "{key}");
        }
    }

    #[test]
    fn keys_and_values_are_those_of_kubernetes() {
        let (longest, too_long) = ("a".repeat(MAX_LABEL_LENGTH), "a".repeat(MAX_LABEL_LENGTH + 1));
        for text in [
            "a=",
            "a=b",
            "A.b_c=1",
            &format!("a={longest}"),
            &format!("example.com/{longest}=b"),
        ] {
            assert!(text.parse::<Label>().is_ok(), "{text}");
        }
        for text in [
            "a",
            "=b",
            "-a=b",
            "a/b/c=d",
            "/a=b",
            "a/=b",
            "Example.com/a=b",
            "a=b c",
            "a=-b",
            &format!("a={too_long}"),
            &format!("{too_long}=b"),
        ] {
            assert!(text.parse::<Label>().is_err(), "{text}");
        }
        assert_eq!(
            "example.com/a=b = c\nd".parse(),
            Ok(Annotation {
                key: "example.com/a".to_owned(),
                value: "b = c\nd".to_owned()
            })
        );
    }
}
