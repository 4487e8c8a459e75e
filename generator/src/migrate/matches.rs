//! The paths of an Ingress as matches of an `HTTPRoute`.

use serde_json::{Value, json};

use super::{ingress::Ingress, paths::Written};
use crate::{
    api::ingress::PathType,
    diagnostic::{Code, Diagnostic, Report},
    emit::Regex,
    model::{
        path::is_path,
        route::{Match, PathMatchType},
    },
};

/// The longest value of a match of a path (Gateway API).
const MAX_PATH: usize = 1_024;

/// A match of a path, and what is done to the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathMatch {
    /// The type.
    pub kind: PathMatchType,
    /// The value.
    pub value: String,
    /// The `path` of a `URLRewrite` filter.
    pub rewrite: Option<Value>,
}

impl PathMatch {
    fn new(kind: PathMatchType, value: &str) -> Self {
        Self {
            kind,
            value: value.to_owned(),
            rewrite: None,
        }
    }

    /// The match as JSON.
    pub fn json(&self) -> Value {
        let kind = match self.kind {
            PathMatchType::Exact => "Exact",
            PathMatchType::RegularExpression => "RegularExpression",
            PathMatchType::PathPrefix | PathMatchType::TextPrefix => "PathPrefix",
        };
        json!({ "path": { "type": kind, "value": self.value } })
    }

    /// Whether a match of a route is for the same path. A tool that translated the Ingress before may have kept a regular
    /// expression as it was.
    pub fn equals(&self, one: &Match, written: &Written) -> bool {
        let same = one.path_type() == self.kind && trimmed(one.path_value()) == trimmed(&self.value);
        let raw = one.path_type() == PathMatchType::RegularExpression && one.path_value() == written.path;
        same || raw
    }
}

/// A prefix without the slash at its end, which has no meaning.
fn trimmed(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        other => other,
    }
}

/// The match of a path, and its rewrite. `regex` says whether a path of the host is a regular expression, which makes all
/// paths of the host regular expressions. None: it cannot be translated.
pub fn of(ingress: &Ingress, written: &Written, regex: bool, report: &mut Report) -> Option<PathMatch> {
    let path = written.path.as_str();
    let target = ingress.other.rewrite.as_ref().filter(|target| target.value != path);
    if let Some(base) = target.and_then(|target| prefix_of_idiom(path, &target.value)) {
        check(base, written, report)?;
        return Some(PathMatch {
            rewrite: Some(json!({ "type": "ReplacePrefixMatch", "replacePrefixMatch": "/" })),
            ..PathMatch::new(PathMatchType::PathPrefix, base)
        });
    }
    let mut one = if regex && is_expression(path) {
        expression(path, written, report)?
    } else {
        plain(path, written, regex, report)?
    };
    if let Some(target) = target {
        if target.value.contains('$') {
            let message = "the groups of `rewrite-target` are not translated: a URLRewrite filter replaces a prefix or the \
                           whole path";
            report.add(Diagnostic::warning(Code::Unsupported, message).at(target.location));
        } else {
            one.rewrite = Some(json!({ "type": "ReplaceFullPath", "replaceFullPath": target.value }));
        }
    }
    Some(one)
}

/// The prefix of the usual expression that removes it: `/app(/|$)(.*)` with the target `/$2`.
fn prefix_of_idiom<'p>(path: &'p str, target: &str) -> Option<&'p str> {
    let base = path.strip_suffix("(/|$)(.*)").filter(|_| target == "/$2")?;
    (base.starts_with('/') && !is_expression(base)).then_some(base)
}

/// Whether a path has a character with a meaning in regular expressions. A dot is one, but it is usual in paths.
fn is_expression(path: &str) -> bool {
    path.contains(['(', ')', '[', ']', '{', '}', '*', '+', '?', '|', '^', '$', '\\'])
}

/// A path that ingress-nginx compares as a regular expression: without case, and at the beginning of the path.
fn expression(path: &str, written: &Written, report: &mut Report) -> Option<PathMatch> {
    let end = if path.ends_with('$') || path.ends_with(".*") {
        ""
    } else {
        ".*"
    };
    let value = format!("(?i){path}{end}");
    let invalid = Regex::try_from(value.clone()).err().map(|invalid| invalid.to_string());
    let too_long = (value.len() > MAX_PATH).then(|| format!("it has more than {MAX_PATH} characters"));
    if let Some(invalid) = invalid.or(too_long) {
        let message = format!("the path of {} cannot be translated: {invalid}", written.shown());
        report.error(Code::Unsupported, message, written.at);
        return None;
    }
    Some(PathMatch::new(PathMatchType::RegularExpression, &value))
}

fn plain(path: &str, written: &Written, regex: bool, report: &mut Report) -> Option<PathMatch> {
    check(path, written, report)?;
    let by_text = regex || written.path_type == PathType::ImplementationSpecific;
    if by_text && path != "/" {
        let why = if regex {
            "another path of the host is a regular expression, so ingress-nginx compares this one as a prefix, without case"
        } else {
            "ingress-nginx compares a path of the type ImplementationSpecific as a prefix of characters"
        };
        let kind = match written.path_type {
            PathType::Exact => "the whole path",
            _ => "whole path elements",
        };
        let message = format!("the route of {} matches {kind}: {why}", written.shown());
        report.add(Diagnostic::note(Code::Accepted, message).at(written.at));
    }
    Some(match written.path_type {
        PathType::Exact => PathMatch::new(PathMatchType::Exact, path),
        PathType::Prefix | PathType::ImplementationSpecific => PathMatch::new(PathMatchType::PathPrefix, trimmed(path)),
    })
}

/// Reports a path that no route may have.
fn check(path: &str, written: &Written, report: &mut Report) -> Option<()> {
    let why = if path.len() > MAX_PATH {
        format!("it has more than {MAX_PATH} characters")
    } else if !is_path(path) {
        "a path has no empty, `.` or `..` element, no query, no fragment, no escaped / and no blank".to_owned()
    } else {
        return Some(());
    };
    let message = format!("the path of {} cannot be translated: {why}", written.shown());
    report.error(Code::Invalid, message, written.at);
    None
}
