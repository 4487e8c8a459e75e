//! Options for parsing YAML, and error messages in Mooring's words.

use std::borrow::Cow;

use serde_saphyr::{Error, Location, MessageFormatter, Options, UserMessageFormatter};

use crate::{
    diagnostic::{Code, Diagnostic},
    location::DocumentOffset,
    suggest,
};

const A_PORT: &str = "expected a port: a number from 1 to 65535";

/// Limits for a document. A List of all objects of a large cluster must fit, but the expansion of aliases stays
/// limited.
const MAX_NODES: usize = 50_000_000;

/// Options for objects that may be irrelevant to Mooring.
pub fn lenient() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_events: 2 * MAX_NODES, max_nodes: MAX_NODES },
        with_snippet: false,
    }
}

/// Options for objects that Mooring reads. Where a field is a string, a text that other YAML parsers read as a number
/// or a boolean must be quoted, because the API server would reject it.
pub fn strict() -> Options {
    let mut options = lenient();
    options.no_schema = true;
    options
}

/// Replaces tabs by spaces in JSON. JSON may be indented with tabs, and YAML may not. Columns do not change.
pub fn untabbed(text: &str) -> Cow<'_, str> {
    if !text.contains('\t') || !text.trim_start().starts_with(['{', '[']) {
        return Cow::Borrowed(text);
    }
    let mut indented = true;
    let blank = |character: char| {
        indented = character == '\n' || (indented && character.is_whitespace());
        if indented && character == '\t' { ' ' } else { character }
    };
    Cow::Owned(text.chars().map(blank).collect())
}

/// The message for an error of the YAML parser.
pub fn diagnostic(error: &Error, offset: DocumentOffset) -> Diagnostic {
    let diagnostic = Diagnostic::error(code(error), message(error));
    let diagnostic = match error.location() {
        Some(location) if location != Location::UNKNOWN => diagnostic.at(offset.locate(location)),
        _ => diagnostic,
    };
    match help(error) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// The message for an error of the YAML parser, with its line and column.
pub fn plain(error: &Error) -> String {
    located(error, &message(error))
}

/// The same for a text with the only list `name`.
pub fn plain_with_list(error: &Error, name: &str) -> String {
    match error {
        Error::Unexpected {
            expected: "sequence start",
            ..
        } => located(error, &format!("`{name}` is not a list")),
        _ => plain(error),
    }
}

fn located(error: &Error, message: &str) -> String {
    match error.location() {
        Some(location) if location != Location::UNKNOWN => {
            format!("line {}, column {}: {message}", location.line(), location.column())
        }
        _ => message.to_owned(),
    }
}

/// The message for an error in a text that should be an object of any kind.
pub fn no_object(error: &Error, offset: DocumentOffset) -> Diagnostic {
    let diagnostic = diagnostic(error, offset);
    match error {
        Error::Unexpected {
            expected: "mapping start",
            ..
        } => diagnostic.reworded("this is not a Kubernetes object: it has no fields such as `apiVersion` and `kind`"),
        _ => diagnostic,
    }
}

fn code(error: &Error) -> Code {
    match error {
        Error::SerdeUnknownField { .. }
        | Error::SerdeUnknownVariant { .. }
        | Error::SerdeMissingField { .. }
        | Error::SerdeInvalidValue { .. }
        | Error::InvalidScalar { .. }
        | Error::NullIntoString { .. }
        | Error::QuotingRequired { .. } => Code::Invalid,
        Error::DuplicateMappingKey { .. } => Code::Duplicate,
        _ => Code::Syntax,
    }
}

fn message(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("unknown field `{field}`; allowed here: {}", listed(expected))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("`{variant}` is not allowed here; allowed: {}", listed(expected))
        }
        Error::SerdeMissingField { field, .. } => format!("the field `{field}` is missing"),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("duplicate key `{key}`"),
        Error::DuplicateMappingKey { key: None, .. } => "duplicate key".to_owned(),
        Error::QuotingRequired { value, .. } => {
            format!("expected a string, but `{value}` without quotes is not one")
        }
        Error::NullIntoString { .. } => "expected a string, but there is no value".to_owned(),
        Error::InvalidScalar { ty: "u16", .. } => A_PORT.to_owned(),
        Error::SerdeInvalidValue { expected, .. } if expected == "a nonzero u16" => A_PORT.to_owned(),
        Error::InvalidScalar { ty: "u32", .. } => "expected a weight: a whole number from 0 to 1000000".to_owned(),
        Error::InvalidScalar { ty: "bool", .. } => "expected true or false".to_owned(),
        Error::Unexpected { expected, .. } => match *expected {
            "mapping start" => "expected a mapping: lines of the form `field: value`".to_owned(),
            "sequence start" => "expected a list".to_owned(),
            "string scalar" => "expected a string".to_owned(),
            other => format!("expected {other}"),
        },
        other => format!("this is not YAML: {}", UserMessageFormatter.format_message(other)),
    }
}

fn help(error: &Error) -> Option<String> {
    match error {
        Error::SerdeUnknownField { field, .. } if field == "targetRef" => {
            Some("write `targetRefs` with a list: one policy can have several targets".to_owned())
        }
        Error::SerdeUnknownField {
            field: found, expected, ..
        }
        | Error::SerdeUnknownVariant {
            variant: found,
            expected,
            ..
        } => suggest::find(found, expected.iter().copied()).map(|name| format!("did you mean `{name}`?")),
        Error::QuotingRequired { value, .. } => Some(format!("write \"{value}\"")),
        _ => None,
    }
}

fn listed(names: &[&str]) -> String {
    let mut names: Vec<&str> = names.to_vec();
    names.sort_unstable();
    names.join(", ")
}
