//! Merges a route of a delegate with the route that delegates to it (istiod: `mergeHTTPRoute`). The result has all
//! fields of both routes.
//!
//! `crate::delegation` has already selected the pairs of matches.

use serde_json::{Map, Value};

use super::super::json::text;
use crate::model::delegation::MatchPair;

/// The fields that a route of a delegate inherits from the root, unless it sets them itself.
const INHERITED: [&str; 12] = [
    "corsPolicy",
    "directResponse",
    "fault",
    "headers",
    "mirror",
    "mirrorPercent",
    "mirrorPercentage",
    "mirror_percent",
    "mirrors",
    "retries",
    "rewrite",
    "timeout",
];

/// The fields of a match that map names to values.
const NAMED: [&str; 4] = ["headers", "queryParams", "sourceLabels", "withoutHeaders"];

/// The merged route. `full_name` completes the host names that come from the root.
pub fn merged(root: &Value, own: Value, pairs: &[MatchPair], full_name: impl Fn(&str) -> String) -> Value {
    let Value::Object(mut route) = own else { return own };
    let list = |route: &Value| {
        route
            .get("match")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let (of_root, of_own) = (list(root), list(&Value::Object(route.clone())));
    let pick = |list: &[Value], position: Option<usize>| position.and_then(|position| list.get(position).cloned());
    let matches = pairs.iter().map(|(root, own)| {
        let (root, own) = (pick(&of_root, *root), pick(&of_own, *own));
        merged_match(root.unwrap_or_default(), own.unwrap_or_default())
    });
    let matches: Vec<Value> = matches.collect();
    if !matches.is_empty() {
        route.insert("match".to_owned(), matches.into());
    }
    for field in INHERITED {
        if let (None, Some(value)) = (present(&route, field), root.get(field)) {
            route.insert(field.to_owned(), with_full_hosts(value.clone(), &full_name));
        }
    }
    Value::Object(route)
}

fn present<'v>(object: &'v Map<String, Value>, field: &str) -> Option<&'v Value> {
    object.get(field).filter(|value| !value.is_null())
}

fn merged_match(root: Value, own: Value) -> Value {
    let Value::Object(root) = root else { return own };
    let mut merged = match own {
        Value::Object(own) => own,
        _ => Map::new(),
    };
    for (field, value) in root {
        match (merged.get_mut(&field), value) {
            (Some(Value::Object(own)), Value::Object(inherited)) if NAMED.contains(&field.as_str()) => {
                for (name, value) in inherited {
                    own.entry(name).or_insert(value);
                }
            }
            (None | Some(Value::Null), value) => {
                merged.insert(field, value);
            }
            _ => {}
        }
    }
    Value::Object(merged)
}

/// Mirrors with full host names.
fn with_full_hosts(mut value: Value, full_name: impl Fn(&str) -> String) -> Value {
    let complete = |destination: &mut Value| {
        let full = text(destination, "host").map(&full_name);
        if let (Some(full), Some(fields)) = (full, destination.as_object_mut()) {
            fields.insert("host".to_owned(), full.into());
        }
    };
    match &mut value {
        Value::Array(mirrors) => mirrors
            .iter_mut()
            .filter_map(|mirror| mirror.get_mut("destination"))
            .for_each(complete),
        single => complete(single),
    }
    value
}
