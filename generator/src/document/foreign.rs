//! Texts that are not manifests: templates, files of Helm and kustomize, and configuration of other tools.
//!
//! Directories often contain them next to manifests. They are skipped with a note, or with a warning if the text may
//! hold an object that Mooring reads.

use std::path::Path;

use regex_lite::Regex;
use serde_json::Value;

use super::{
    header::Header,
    kustomize,
    parsed::Parsed,
    text::{Document, is_blank},
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    kind::Kind,
    location::SourceLocation,
};

/// The type of a text that is not a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// A template of Helm or of another tool with the same syntax.
    Template(SourceLocation),
    /// The values or the description of a Helm chart.
    Chart,
    /// A kustomization, with the changes that it would make to its resources.
    Kustomization(Vec<String>),
    /// A patch of kustomize, with the kind of the patched object if Mooring reads that kind.
    Patch(Option<Kind>),
    /// Another text with unknown fields.
    Other,
}

impl Foreign {
    /// The name under which the closing line counts it.
    fn label(&self) -> &'static str {
        match self {
            Self::Template(_) => "Helm template",
            Self::Chart => "Helm chart file",
            Self::Kustomization(_) => "Kustomization",
            Self::Patch(_) => "kustomize patch",
            Self::Other => "other text",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Template(_) => {
                "this looks like a Helm template, which holds no objects until Helm renders it".to_owned()
            }
            Self::Chart => "this belongs to a Helm chart and holds no objects".to_owned(),
            Self::Kustomization(changes) if changes.is_empty() => {
                "Mooring does not apply kustomizations; it reads the files themselves".to_owned()
            }
            Self::Kustomization(changes) => format!(
                "Mooring does not apply kustomizations; it reads the files without these changes ({})",
                changes.join(", ")
            ),
            Self::Patch(_) => "this looks like a kustomize patch, which Mooring does not apply".to_owned(),
            Self::Other => "this is not a Kubernetes object: it has neither `apiVersion` nor `kind`".to_owned(),
        }
    }

    /// The command that produces manifests from it.
    fn help(&self, file: &str) -> Option<String> {
        let directory = Path::new(file).parent().filter(|parent| !parent.as_os_str().is_empty());
        match self {
            Self::Template(_) | Self::Chart => {
                let chart = match self {
                    Self::Chart => directory,
                    _ => Path::new(file)
                        .ancestors()
                        .find(|path| path.ends_with("templates"))
                        .and_then(Path::parent),
                };
                let chart = chart.map_or("CHART".into(), |chart| chart.display().to_string());
                let chart = if chart.is_empty() { "." } else { &chart };
                Some(format!(
                    "render the chart: helm template {chart} | mooring generate -f -"
                ))
            }
            Self::Kustomization(_) | Self::Patch(_) => {
                let directory = directory.map_or(".".into(), |directory| directory.display().to_string());
                Some(format!(
                    "build it: kubectl kustomize {directory} | mooring generate -f -"
                ))
            }
            Self::Other => None,
        }
    }
}

impl Document<'_> {
    /// Reports that this text is skipped.
    pub(super) fn skip(&self, foreign: &Foreign, report: &mut Report) {
        let needed = match foreign {
            Foreign::Template(_) => self.may_hold_ours(),
            Foreign::Kustomization(changes) => !changes.is_empty(),
            Foreign::Patch(kind) => kind.is_some(),
            Foreign::Chart | Foreign::Other => false,
        };
        let diagnostic = if needed {
            Diagnostic::warning(Code::Syntax, foreign.message())
        } else {
            Diagnostic::note(Code::Syntax, foreign.message())
        };
        let location = match foreign {
            Foreign::Template(location) => *location,
            _ => self.first_line(),
        };
        let diagnostic = diagnostic.at(location).skipping();
        let help = foreign.help(self.file);
        report.add(help.into_iter().fold(diagnostic, Diagnostic::help));
        report.input_summary_mut().skip_foreign(foreign.label());
    }

    /// The type of a document that is not an object but has this header.
    pub(super) fn without_kind(&self, header: &Header) -> Option<Foreign> {
        let name = Path::new(self.file)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("");
        if kustomize::is_kustomization(name) && header.kind.is_none() {
            return Some(Foreign::Kustomization(kustomize::changes(&self.values())));
        }
        if matches!(name, "Chart.yaml" | "Chart.yml") && header.kind.is_none() {
            return Some(Foreign::Chart);
        }
        if header.has_any() {
            return None;
        }
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let is_values =
            stem == "values" || stem.starts_with("values-") || stem.starts_with("values.") || stem.ends_with("-values");
        Some(if is_values { Foreign::Chart } else { Foreign::Other })
    }

    /// The type of a document that is an array without objects.
    pub(super) fn array_without_objects(&self) -> Foreign {
        let values = self.values();
        let mut items = values.as_array().into_iter().flatten();
        let is_operation = |item: &Value| item.get("op").is_some() && item.get("path").is_some();
        if items.next().is_some_and(is_operation) {
            Foreign::Patch(None)
        } else {
            Foreign::Other
        }
    }

    /// The type of an object whose kind is known and which could not be parsed for this reason.
    pub(super) fn unreadable(&self, kind: Kind, error: &serde_saphyr::Error) -> Option<Foreign> {
        if let Some(location) = self.template() {
            return Some(Foreign::Template(location));
        }
        let lacks_field = matches!(error, serde_saphyr::Error::SerdeMissingField { .. });
        let directive = || Regex::new(r#"(?m)^[\s{,"'-]*\$patch["']?\s*:"#).is_ok_and(|key| key.is_match(&self.text));
        ((lacks_field && self.is_called_patch()) || directive()).then_some(Foreign::Patch(Some(kind)))
    }

    /// The type of a parsed object that is not what the API server would receive.
    pub(super) fn unfinished(&self, parsed: &Parsed) -> Option<Foreign> {
        if parsed.metadata().name.value.contains("{{") {
            return self.template().map(Foreign::Template);
        }
        let is_about_nothing = match parsed {
            Parsed::BackendLbPolicy(policy) => policy.spec.target_refs.is_empty(),
            Parsed::XBackendTrafficPolicy(policy) => policy.spec.target_refs.is_empty(),
            Parsed::HttpRoute(route) => route.spec.parent_refs.is_empty(),
            Parsed::GrpcRoute(route) => route.spec.parent_refs.is_empty(),
            _ => false,
        };
        (is_about_nothing && self.is_called_patch()).then(|| Foreign::Patch(Some(parsed.kind())))
    }

    /// Whether the file has a usual name for patches.
    fn is_called_patch(&self) -> bool {
        let name = Path::new(self.file).file_name();
        name.is_some_and(|name| name.to_string_lossy().contains("patch"))
    }

    /// The location of the first action of a template: `{{ .Values.name }}`, `{{- if …`.
    pub(super) fn template(&self) -> Option<SourceLocation> {
        let action = Regex::new(r#"\{\{-?\s*[.$"`/(\w][^\n]*?\}\}|\{\{-?\s*/\*"#).ok()?;
        let found = action.find(&self.text)?;
        let before = self.text.get(..found.start())?;
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.chars().rev().take_while(|character| *character != '\n').count();
        let length = found.as_str().chars().count();
        Some(self.offset.at(line, column.saturating_add(1), length))
    }

    /// Whether this text may hold an object that Mooring would read if the text were valid.
    fn may_hold_ours(&self) -> bool {
        let Ok(field) = Regex::new(r#"(?m)(?:^|[\s{,"'-])kind["']?\s*:\s*["']?(\{\{|\w+)"#) else {
            return true;
        };
        let mut kinds = field.captures_iter(&self.text).filter_map(|found| found.get(1));
        kinds.any(|kind| kind.as_str() == "{{" || Kind::any_is_called(kind.as_str(), self.reads))
    }

    /// The first line that is neither empty nor a comment.
    fn first_line(&self) -> SourceLocation {
        let blank = self.text.lines().take_while(|line| is_blank(line)).count();
        let line = self.text.lines().nth(blank).unwrap_or("");
        let indent = line.chars().take_while(|character| character.is_whitespace()).count();
        let length = line.trim().chars().count();
        self.offset
            .at(blank.saturating_add(1), indent.saturating_add(1), length)
    }
}
