//! The `functionConfig`: an object of the kind `MooringGenerate`, whose fields are the flags of `mooring generate`.
//!
//! Each value is parsed as the value of its flag, so that both accept the same.

use std::collections::BTreeMap;

use clap::{
    Parser as _,
    error::{ContextKind, ContextValue},
};
use serde::Deserialize;

use crate::{
    api::field::{Any, Field, OptionalField, Text},
    cli::generate::GenerateArgs,
    diagnostic::{Code, Diagnostic, Report},
    generate::TargetOptions,
    kind::FUNCTION_CONFIG,
    location::{DocumentOffset, FileId},
    yaml,
};

/// The position of the text, which is the first file of its sources.
const OFFSET: DocumentOffset = DocumentOffset {
    file: FileId(0),
    lines_before: 0,
    columns_before: 0,
};

/// What a function is told.
#[derive(Debug)]
pub struct FunctionConfig {
    /// The flags of `mooring generate`.
    pub generate: GenerateArgs,
    /// The target that they select.
    pub target: TargetOptions,
    /// Whether an error in the objects makes the function fail.
    pub strict: bool,
    /// The flags that have fields.
    names: Vec<Name>,
}

/// A flag and the field for it.
type Name = (&'static str, &'static str);

/// The flags without a value.
const SWITCHES: [Name; 3] = [
    ("--access-log", "accessLog"),
    ("--weight-metric", "weightMetric"),
    ("--fail-on-empty", "failOnEmpty"),
];

/// The fields that say what the object is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    api_version: OptionalField<String>,
    kind: OptionalField<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Object {
    #[serde(rename = "apiVersion")]
    _api_version: Any,
    #[serde(rename = "kind")]
    _kind: Any,
    #[serde(rename = "metadata", default)]
    _metadata: Option<Any>,
    spec: Field<Spec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Spec {
    wasm: Field<String>,
    wasm_sha256: OptionalField<String>,
    istio_version: OptionalField<String>,
    fail_strategy: OptionalField<String>,
    #[serde(default)]
    gateways: Vec<Field<String>>,
    #[serde(default)]
    gateway_classes: Vec<Field<String>>,
    #[serde(default)]
    gateway_namespaces: Vec<Field<String>>,
    #[serde(default)]
    callers: Vec<Field<String>>,
    cluster_domain: OptionalField<String>,
    image_pull_secret: OptionalField<String>,
    image_pull_policy: OptionalField<String>,
    plugin_phase: OptionalField<String>,
    plugin_priority: OptionalField<Text>,
    #[serde(default)]
    labels: BTreeMap<String, Field<String>>,
    #[serde(default)]
    annotations: BTreeMap<String, Field<String>>,
    #[serde(default)]
    allow: Vec<Field<String>>,
    #[serde(default)]
    access_log: bool,
    #[serde(default)]
    weight_metric: bool,
    #[serde(default)]
    fail_on_empty: bool,
    strict: Option<bool>,
}

/// A flag, the field for it, and the values of the field.
type Flag = (&'static str, &'static str, Vec<Field<String>>);

impl Spec {
    /// The flags that have fields.
    fn flags(&self) -> [Flag; 16] {
        let one = |field: &'_ OptionalField<String>| field.iter().cloned().collect::<Vec<_>>();
        let priority = self
            .plugin_priority
            .iter()
            .map(|field| field.put(field.value.0.clone()));
        let pairs = |fields: &'_ BTreeMap<String, Field<String>>| -> Vec<Field<String>> {
            let fields = fields.iter();
            fields
                .map(|(key, field)| field.put(format!("{key}={}", field.value)))
                .collect()
        };
        [
            ("--wasm-sha256", "wasmSha256", one(&self.wasm_sha256)),
            ("--wasm", "wasm", vec![self.wasm.clone()]),
            ("--istio-version", "istioVersion", one(&self.istio_version)),
            ("--fail-strategy", "failStrategy", one(&self.fail_strategy)),
            ("--gateway-class", "gatewayClasses", self.gateway_classes.clone()),
            (
                "--gateway-namespace",
                "gatewayNamespaces",
                self.gateway_namespaces.clone(),
            ),
            ("--gateway", "gateways", self.gateways.clone()),
            ("--callers", "callers", self.callers.clone()),
            ("--cluster-domain", "clusterDomain", one(&self.cluster_domain)),
            ("--image-pull-secret", "imagePullSecret", one(&self.image_pull_secret)),
            ("--image-pull-policy", "imagePullPolicy", one(&self.image_pull_policy)),
            ("--plugin-phase", "pluginPhase", one(&self.plugin_phase)),
            ("--plugin-priority", "pluginPriority", priority.collect()),
            ("--label", "labels", pairs(&self.labels)),
            ("--annotation", "annotations", pairs(&self.annotations)),
            ("--allow", "allow", self.allow.clone()),
        ]
    }
}

/// The flags of `mooring generate` alone.
#[derive(clap::Parser)]
#[command(no_binary_name = true)]
struct Flags {
    #[command(flatten)]
    generate: GenerateArgs,
}

impl FunctionConfig {
    /// Parses a text, which is the first file of its sources.
    pub fn parse(text: &str) -> Result<Self, Box<Diagnostic>> {
        let syntax = |error: serde_saphyr::Error| yaml::diagnostic(&error, OFFSET);
        let header: Header = parsed(text, yaml::lenient()).map_err(syntax)?;
        check_kind(&header)?;
        let object: Object = parsed(text, yaml::strict()).map_err(syntax)?;
        let Field { value: spec, at } = object.spec;
        let flags = spec.flags();
        let mut arguments = vec!["--file=-".to_owned()];
        for (flag, _, values) in &flags {
            arguments.extend(values.iter().map(|value| format!("{flag}={}", value.value)));
        }
        let given = [spec.access_log, spec.weight_metric, spec.fail_on_empty];
        let switches = SWITCHES.iter().zip(given).filter(|(_, given)| *given);
        arguments.extend(switches.map(|((flag, _), _)| (*flag).to_owned()));
        let generate = match Flags::try_parse_from(arguments) {
            Ok(Flags { generate }) => generate,
            Err(error) => return Err(invalid_value(&error, &flags).into()),
        };
        let names: Vec<Name> = flags.iter().map(|(flag, field, _)| (*flag, *field)).collect();
        let names = [names.as_slice(), &SWITCHES].concat();
        let target = TargetOptions::try_from(&generate).map_err(|invalid| {
            let message = in_fields(&invalid.to_string(), &names);
            Diagnostic::error(Code::Invalid, message).at(OFFSET.locate(at))
        })?;
        Ok(Self {
            generate,
            target,
            strict: spec.strict.unwrap_or(true),
            names,
        })
    }

    /// Names fields in place of their flags in the findings of a run.
    pub fn name_fields(&self, report: &mut Report) {
        report.reword(|text| in_fields(text, &self.names));
    }
}

fn check_kind(header: &Header) -> Result<(), Diagnostic> {
    let value = |field: &'_ OptionalField<String>| field.as_ref().map_or(String::new(), |field| field.value.clone());
    let (api_version, kind) = (value(&header.api_version), value(&header.kind));
    if (api_version.as_str(), kind.as_str()) == FUNCTION_CONFIG {
        return Ok(());
    }
    let (expected_version, expected) = FUNCTION_CONFIG;
    let message = format!(
        "the functionConfig is of the kind `{kind}` of `{api_version}`: expected `{expected}` of `{expected_version}`"
    );
    let error = Diagnostic::error(Code::Invalid, message);
    let location = header.kind.as_ref().or(header.api_version.as_ref());
    let location = location.map(|field| OFFSET.location(field));
    Err(location.into_iter().fold(error, Diagnostic::at))
}

/// The error for a value that a flag does not have.
fn invalid_value(error: &clap::Error, flags: &[Flag]) -> Diagnostic {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let (argument, value) = (context(ContextKind::InvalidArg), context(ContextKind::InvalidValue));
    let flag = argument.split(' ').next().unwrap_or("");
    let field = flags.iter().find(|(name, ..)| *name == flag);
    let name = field.map_or(flag, |(_, name, _)| name);
    let reason = match (std::error::Error::source(error), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(allowed))) => format!("allowed: {}", allowed.join(", ")),
        (None, _) => error.kind().to_string(),
    };
    let diagnostic = Diagnostic::error(Code::Invalid, format!("`{value}` is invalid for `{name}`: {reason}"));
    let mut values = field.into_iter().flat_map(|(_, _, values)| values);
    let at = values.find(|given| given.value == value);
    at.map(|value| OFFSET.location(value))
        .into_iter()
        .fold(diagnostic, Diagnostic::at)
}

/// A message about flags, about the fields for them.
fn in_fields(message: &str, names: &[Name]) -> String {
    let mut parts = message.split("--");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let of_flag = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        let end = part.find(|letter| !of_flag(letter)).unwrap_or(part.len());
        let (flag, rest) = part.split_at_checked(end).unwrap_or((part, ""));
        let begins = text.is_empty() || text.ends_with([' ', '(', '`']);
        let known = names.iter().find(|(name, _)| name.strip_prefix("--") == Some(flag));
        match known.filter(|_| begins) {
            Some((_, field)) => text.push_str(field),
            None => text.extend(["--", flag]),
        }
        text.push_str(rest);
    }
    text
}

fn parsed<T: for<'de> Deserialize<'de>>(text: &str, options: serde_saphyr::Options) -> Result<T, serde_saphyr::Error> {
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| T::deserialize(deserializer))
}
