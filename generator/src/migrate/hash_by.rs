//! `upstream-hash-by`: consistent hashing, which Istio has as well.

use serde_json::{Value, json};

use super::annotations::Annotations;
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    location::SourceLocation,
};

/// The annotation.
const NAME: &str = "upstream-hash-by";

/// What is hashed.
#[derive(Clone, Debug)]
pub struct HashBy {
    /// `consistentHash` of a `DestinationRule`.
    pub hash: Value,
    /// The location of the value.
    pub at: SourceLocation,
}

/// Reads the annotation.
pub fn read(annotations: &Annotations, affinity: bool, report: &mut Report) -> Option<HashBy> {
    let text = annotations.text(NAME, report)?;
    if affinity {
        annotations.no_effect(NAME, "`affinity: cookie` has precedence", report);
        return None;
    }
    let Some(hash) = to_hash(&text.value) else {
        let message = format!(
            "`{}` is not translated: Istio hashes one header, cookie or query parameter, or the address of the client",
            annotations.full(NAME)
        );
        report.add(Diagnostic::warning(Code::Unsupported, message).at(text.location));
        return None;
    };
    Some(HashBy {
        hash,
        at: text.location,
    })
}

/// The `consistentHash` for a value that is one variable of nginx.
fn to_hash(text: &str) -> Option<Value> {
    let name = text.strip_prefix('$')?;
    let name = match name.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}')?,
        None => name,
    };
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.bytes().all(word) {
        return None;
    }
    match name {
        "binary_remote_addr" | "remote_addr" => return Some(json!({ "useSourceIp": true })),
        "host" | "http_host" => return Some(json!({ "httpHeaderName": ":authority" })),
        "request_uri" => return Some(json!({ "httpHeaderName": ":path" })),
        _ => {}
    }
    if let Some(cookie) = name.strip_prefix("cookie_") {
        return Some(json!({ "httpCookie": { "name": cookie } }));
    }
    if let Some(parameter) = name.strip_prefix("arg_") {
        return Some(json!({ "httpQueryParameterName": parameter }));
    }
    let header = name.strip_prefix("http_")?.replace('_', "-");
    Some(json!({ "httpHeaderName": header }))
}
