//! The results as one JSON object, for programs.

use serde_json::{Value, json};

use super::{Coverage, FileResult, RequestResult, expect::Mismatch, observed::Observed, run::CaseResult};

/// Renders the results.
#[must_use]
pub fn json(files: &[FileResult], coverage: &Coverage) -> String {
    let requests = || files.iter().flat_map(FileResult::requests);
    let failed = requests().filter(|(_, request)| !request.passed()).count();
    let missing = coverage.missing().map(|missing| {
        json!({
            "rule": missing.item.rule,
            "branch": missing.item.branch.as_ref().map(ToString::to_string),
            "file": missing.file,
            "line": missing.line,
        })
    });
    let value = json!({
        "requests": requests().count(),
        "failed": failed,
        "coverage": {
            "percent": coverage.percent(),
            "covered": coverage.covered(),
            "total": coverage.total(),
            "missing": missing.collect::<Vec<Value>>(),
        },
        "files": files.iter().map(file).collect::<Vec<Value>>(),
    });
    format!("{value:#}\n")
}

fn file(file: &FileResult) -> Value {
    json!({ "file": file.name, "cases": file.cases.iter().map(case).collect::<Vec<Value>>() })
}

fn case(case: &CaseResult) -> Value {
    json!({
        "name": case.name,
        "line": case.location.line,
        "requests": case.requests.iter().map(request).collect::<Vec<Value>>(),
    })
}

fn request(request: &RequestResult) -> Value {
    json!({
        "request": {
            "method": request.request.method,
            "scheme": request.request.scheme.name(),
            "host": request.request.host,
            "path": request.request.path,
        },
        "passed": request.passed(),
        "error": request.observed.as_ref().err(),
        "found": request.observed.as_ref().ok().map(observed),
        "differences": request.mismatches.iter().map(mismatch).collect::<Vec<Value>>(),
    })
}

fn observed(observed: &Observed) -> Value {
    json!({
        "rule": observed.rule,
        "backend": observed.backend,
        "host": observed.host,
        "reason": observed.reason,
        "session": observed.session,
        "setCookie": observed.set_cookie.as_deref().map(without_token),
        "sessionHeader": observed.session_header,
        "status": observed.status,
    })
}

/// The cookie without its value, which differs in each run.
fn without_token(set_cookie: &str) -> String {
    let (name, rest) = set_cookie.split_once('=').unwrap_or((set_cookie, ""));
    let attributes = rest.split_once(';').map_or("", |(_, attributes)| attributes);
    format!("{name}=…;{attributes}")
}

fn mismatch(mismatch: &Mismatch) -> Value {
    json!({
        "field": mismatch.field,
        "line": mismatch.location.line,
        "column": mismatch.location.column,
        "expected": mismatch.expected,
        "found": mismatch.found,
        "help": mismatch.help,
    })
}
