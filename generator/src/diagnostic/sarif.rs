//! Findings as a SARIF log (OASIS, Static Analysis Results Interchange Format, version 2.1.0), for code scanning.
//!
//! A finding is a result, and its code is the rule of the result. Code scanning shows no result without a location, so findings about
//! the whole input are notifications of the invocation. The columns of a location count characters (`columnKind`).

use std::{collections::HashMap, hash::Hasher as _};

use serde_json::{Value, json};
use siphasher::sip::SipHasher24;

use super::{Code, Diagnostic, Report, Severity};
use crate::{emit::VERSION, location::SourceLocation, source::Sources};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");
const HELP_URI: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/validation.md#findings");

/// The name under which results have their fingerprint. Another way to compute it needs another name.
const FINGERPRINT: &str = "mooringFinding/v1";

/// Renders the findings as one SARIF log.
#[must_use]
pub fn sarif(report: &Report, sources: &Sources) -> String {
    let findings = report.sorted();
    let mut seen = HashMap::new();
    let mut results = Vec::new();
    let mut notifications = Vec::new();
    for finding in findings {
        match finding.location() {
            Some(location) => results.push(result(finding, location, sources, &mut seen)),
            None => notifications.push(notification(finding)),
        }
    }
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "mooring",
                "semanticVersion": VERSION,
                "informationUri": REPOSITORY,
                "rules": Code::ALL.map(rule),
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": !report.is_fatal(),
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn rule(code: Code) -> Value {
    let advice = code.advice();
    let mut meaning = code.meaning().chars();
    let first: String = meaning.next().into_iter().flat_map(char::to_uppercase).collect();
    let meaning = sentence(&format!("{first}{}", meaning.as_str()));
    json!({
        "id": code.name(),
        "shortDescription": { "text": meaning },
        "fullDescription": { "text": format!("{meaning} {advice}") },
        "help": { "text": advice },
        "helpUri": HELP_URI,
        "properties": { "tags": ["kubernetes", "gateway-api"] },
    })
}

fn result(finding: &Diagnostic, location: SourceLocation, sources: &Sources, seen: &mut HashMap<u64, usize>) -> Value {
    let related = finding.related().zip(1_u32..).map(|((other, label), id)| {
        let mut place = physical(other, sources);
        if let Some(place) = place.as_object_mut() {
            place.insert("id".to_owned(), id.into());
            place.insert("message".to_owned(), message(&sentence(label)));
        }
        place
    });
    let rule = Code::ALL.iter().position(|code| *code == finding.code());
    let mut result = json!({
        "ruleId": finding.code().name(),
        "ruleIndex": rule,
        "level": level(finding.severity()),
        "message": message(&text(finding)),
        "locations": [physical(location, sources)],
        "relatedLocations": related.collect::<Vec<Value>>(),
        "partialFingerprints": { FINGERPRINT: fingerprint(finding, sources.name(location.file), seen) },
    });
    if let (Some(target), Some(fields)) = (finding.target(), result.as_object_mut()) {
        fields.insert("properties".to_owned(), json!({ "target": target.name() }));
    }
    result
}

fn notification(finding: &Diagnostic) -> Value {
    json!({
        "associatedRule": { "id": finding.code().name() },
        "level": level(finding.severity()),
        "message": message(&text(finding)),
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn physical(location: SourceLocation, sources: &Sources) -> Value {
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(sources.name(location.file)) },
        "region": {
            "startLine": location.line,
            "startColumn": location.column,
            "endColumn": location.column.saturating_add(location.length),
        },
    } })
}

/// The path of a file relative to the working directory, as a URI. The standard input and objects of a cluster have no file; their
/// names take its place.
fn uri(name: &str) -> String {
    let name = name.trim_matches(['<', '>']);
    let name = name.strip_prefix("./").unwrap_or(name);
    let scheme = if name.starts_with('/') { "file://" } else { "" };
    let encoded = name.bytes().map(|byte| {
        // RFC 3986, section 2.3: the unreserved characters, and the separator of segments.
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    std::iter::once(scheme.to_owned()).chain(encoded).collect()
}

/// The message of a finding, with its advice.
fn text(finding: &Diagnostic) -> String {
    let help = finding.advice().map(|help| format!("Help: {}", sentence(help)));
    let target = finding
        .target()
        .map(|target| format!("Only with --target {}.", target.name()));
    let parts = std::iter::once(sentence(finding.message())).chain(help).chain(target);
    parts.collect::<Vec<String>>().join(" ")
}

fn sentence(text: &str) -> String {
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{text}{end}")
}

/// A message in which no text of the input becomes a link (section 3.11.6).
fn message(text: &str) -> Value {
    let text = if text.contains("](") {
        text.replace('\\', r"\\").replace('[', r"\[").replace(']', r"\]")
    } else {
        text.to_owned()
    };
    json!({ "text": text })
}

/// Identifies a finding in later runs, also after lines were inserted before it. Equal findings of a file are counted.
fn fingerprint(finding: &Diagnostic, file: &str, seen: &mut HashMap<u64, usize>) -> String {
    let mut hasher = SipHasher24::new_with_key(b"mooring:findings");
    for part in [finding.code().name(), &uri(file), finding.message()] {
        hasher.write(part.as_bytes());
        hasher.write_u8(0);
    }
    let hash = hasher.finish();
    let count = seen.entry(hash).or_insert(0);
    *count = count.saturating_add(1);
    format!("{hash:016x}:{count}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_uri() {
        for (name, expected) in [
            ("./a/b c.yaml", "a/b%20c.yaml"),
            ("../ä.yaml", "../%C3%A4.yaml"),
            ("/tmp/x:y.yaml", "file:///tmp/x%3Ay.yaml"),
            ("<stdin>", "stdin"),
        ] {
            assert_eq!(uri(name), expected);
        }
    }

    #[test]
    fn no_name_becomes_a_link() {
        assert_eq!(
            message("`[x](https://example.com)`"),
            json!({ "text": r"`\[x\](https://example.com)`" })
        );
        assert_eq!(message("a [b] c"), json!({ "text": "a [b] c" }));
    }
}
