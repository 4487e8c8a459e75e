//! Findings as `results` of a `ResourceList`.

use serde_json::{Value, json};

use super::resource_list::ResourceList;
use crate::diagnostic::{Diagnostic, Report, Severity};

/// The results: one for each finding. The n-th source of the run is the n-th item of the list.
#[must_use]
pub fn results(report: &Report, list: &ResourceList) -> Vec<Value> {
    report
        .sorted()
        .into_iter()
        .map(|finding| result(finding, Some(list)))
        .collect()
}

/// The result for a finding about an item of a list, or without a list for one about the function's configuration.
#[must_use]
pub fn result(finding: &Diagnostic, list: Option<&ResourceList>) -> Value {
    let item = finding.location().and_then(|location| list?.items.get(location.file.0));
    let header = item.map(|item| &item.header);
    let message = match finding.advice() {
        Some(advice) => format!("{}\nhelp: {advice}", finding.message()),
        None => finding.message().to_owned(),
    };
    json!({
        "message": message,
        "severity": match finding.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "info",
        },
        "resourceRef": header.map(|header| json!({
            "apiVersion": header.api_version,
            "kind": header.kind,
            "name": header.name(),
            "namespace": header.namespace(),
        })),
        "file": header.and_then(|header| header.path().map(|path| json!({ "path": path, "index": header.index() }))),
        "tags": { "code": finding.code().name() },
    })
}
