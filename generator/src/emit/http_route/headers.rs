//! The headers that a route sets, adds and removes (istiod: `TranslateHeadersOperations`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::json::with;

/// The `headers` fields of a route and of its destination, in this order.
type Levels<'v> = [Option<&'v Value>; 2];

/// Adds the header changes to a route or to one of its clusters. Those of the destination follow those of the route.
pub fn changed(object: Value, levels: &Levels) -> Value {
    with_changes(object, levels, |direction| headers_to_add(levels, direction))
}

/// Adds the header changes to the route of one of several destinations, with the effect that they have in the route with all of them.
/// There Envoy applies those of the destination first, and then those of the route to the result (Envoy: `WeightedClusterEntry`).
pub fn changed_as_weighted(object: Value, levels: &Levels) -> Value {
    let [route, destination] = *levels;
    with_changes(object, levels, |direction| {
        let replaced = replaced(route, direction);
        let mut options = to_add(destination, direction);
        options.retain(|(name, _)| !replaced.contains(&name.to_ascii_lowercase()));
        options.extend(to_add(route, direction));
        written(options)
    })
}

fn with_changes(object: Value, levels: &Levels, to_add: impl Fn(&str) -> Option<Vec<Value>>) -> Value {
    let mut object = object;
    for (field, direction) in [("request_headers", "request"), ("response_headers", "response")] {
        object = with(object, &format!("{field}_to_add"), to_add(direction));
        object = with(
            object,
            &format!("{field}_to_remove"),
            headers_to_remove(levels, direction),
        );
    }
    object
}

/// The names of the headers of which nothing remains after the changes of a level, in lower case.
fn replaced(level: Option<&Value>, direction: &str) -> BTreeSet<String> {
    let field = |operation: &str| level?.pointer(&format!("/{direction}/{operation}"));
    let set = field("set").and_then(Value::as_object).into_iter();
    let set = set.flat_map(|headers| headers.keys().map(String::as_str));
    let removed = field("remove").and_then(Value::as_array).into_iter();
    let removed = removed.flatten().filter_map(Value::as_str);
    set.chain(removed).map(str::to_ascii_lowercase).collect()
}

fn headers_to_add(levels: &Levels, direction: &str) -> Option<Vec<Value>> {
    let levels = levels.iter();
    written(levels.flat_map(|level| to_add(*level, direction)).collect())
}

fn written(options: Vec<(&str, Value)>) -> Option<Vec<Value>> {
    let options: Vec<Value> = options.into_iter().map(|(_, option)| option).collect();
    Some(options).filter(|options| !options.is_empty())
}

/// The headers that a level sets and adds, by name.
fn to_add<'v>(level: Option<&'v Value>, direction: &str) -> Vec<(&'v str, Value)> {
    // To add a header is Envoy's default.
    let operations = [("set", Some("OVERWRITE_IF_EXISTS_OR_ADD")), ("add", None)];
    let mut options = Vec::new();
    for (operation, action) in operations {
        let headers = level.and_then(|level| level.pointer(&format!("/{direction}/{operation}"))?.as_object());
        let headers = headers.into_iter().flatten().filter(|(name, _)| !is_internal(name));
        let sorted: BTreeMap<_, _> = headers.collect();
        options.extend(sorted.into_iter().map(|(name, value)| {
            let value = Some(value).filter(|value| *value != "");
            let option = json!({ "append_action": action, "header": { "key": name, "value": value } });
            (name.as_str(), option)
        }));
    }
    options
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
