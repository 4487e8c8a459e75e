//! The headers that a route sets, adds and removes (istiod: `TranslateHeadersOperations`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::json::with;

/// The `headers` fields of a route and of its destination, in this order.
type Levels<'v> = [Option<&'v Value>; 2];

/// Adds the header changes to a route or to one of its clusters.
pub fn changed(object: Value, levels: &Levels) -> Value {
    let mut object = object;
    for (field, direction) in [("request_headers", "request"), ("response_headers", "response")] {
        object = with(object, &format!("{field}_to_add"), headers_to_add(levels, direction));
        object = with(
            object,
            &format!("{field}_to_remove"),
            headers_to_remove(levels, direction),
        );
    }
    object
}

/// The headers that are set or added, by name. Those of the route precede those of the destination.
fn headers_to_add(levels: &Levels, direction: &str) -> Option<Vec<Value>> {
    // To add a header is Envoy's default.
    let operations = [("set", Some("OVERWRITE_IF_EXISTS_OR_ADD")), ("add", None)];
    let mut options = Vec::new();
    for level in levels.iter().flatten() {
        for (operation, action) in operations {
            let headers = level
                .pointer(&format!("/{direction}/{operation}"))
                .and_then(Value::as_object);
            let headers = headers.into_iter().flatten().filter(|(name, _)| !is_internal(name));
            let sorted: BTreeMap<_, _> = headers.collect();
            options.extend(sorted.into_iter().map(|(name, value)| {
                let value = Some(value).filter(|value| *value != "");
                json!({ "append_action": action, "header": { "key": name, "value": value } })
            }));
        }
    }
    Some(options).filter(|options| !options.is_empty())
}

fn headers_to_remove(levels: &Levels, direction: &str) -> Option<Vec<String>> {
    let lists = levels.iter().flatten();
    let lists = lists.filter_map(|level| level.pointer(&format!("/{direction}/remove"))?.as_array());
    let names = lists
        .flatten()
        .filter_map(Value::as_str)
        .filter(|name| !is_internal(name));
    let names: Vec<String> = names.map(str::to_owned).collect();
    Some(names).filter(|names| !names.is_empty())
}

/// Whether Envoy rejects changes of this header.
fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

/// The authority that `headers` sets.
pub fn authority_of(headers: &Value) -> Option<&str> {
    let operations = ["/request/set", "/request/add"].into_iter();
    let headers = operations.filter_map(|operation| headers.pointer(operation)?.as_object());
    let named = |name: &str| name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority");
    let values = headers.flatten().filter(|(name, _)| named(name));
    let mut values = values.filter_map(|(_, value)| value.as_str());
    values.find(|value| !value.is_empty())
}
