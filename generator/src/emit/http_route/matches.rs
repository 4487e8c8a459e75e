//! The match of a route (istiod: `TranslateRouteMatch`), and the conditions of inserted routes in addition to the
//! session key.
//!
//! The key is usually enough for an inserted route, because only requests that matched the user's route have one. A
//! rewrite may replace the matched part of the path, and so the inserted routes must distinguish the matches of the
//! user's route in that case. The port, the gateway and the source of a request do not change. Token claims are left to
//! the user's route.

use serde_json::{Map, Value, json};

use super::super::json::text;

/// The Envoy match for a match of a route.
pub type Match = Map<String, Value>;

/// The matches of the session routes to one backend, without the key.
pub fn of_session(user: &Value) -> Vec<Match> {
    let rewrites = user.pointer("/rewrite/uri").is_some();
    let matches = user.get("match").and_then(Value::as_array).filter(|_| rewrites);
    let matches = || matches.into_iter().flatten();
    let mut paths = distinct(matches().map(path));
    if paths.len() > 1 {
        return distinct(matches().map(whole));
    }
    if paths.is_empty() {
        paths.push(path(&Value::Null));
    }
    paths
}

fn distinct(matches: impl Iterator<Item = Match>) -> Vec<Match> {
    let mut distinct = Vec::new();
    for one in matches {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct
}

fn path(one: &Value) -> Match {
    let uri = |kind: &str| one.pointer(&format!("/uri/{kind}")).cloned();
    let (field, value) = uri("exact")
        .map(|path| ("path", path))
        .or_else(|| uri("prefix").map(|prefix| ("prefix", prefix)))
        .or_else(|| uri("regex").map(|regex| ("safe_regex", json!({ "regex": regex }))))
        .or_else(|| uri("pathSeparatedPrefix").map(|prefix| ("path_separated_prefix", prefix)))
        .unwrap_or(("prefix", json!("/")));
    let mut path = Map::from_iter([(field.to_owned(), value)]);
    if one.get("ignoreUriCase") == Some(&Value::Bool(true)) {
        path.insert("case_sensitive".to_owned(), false.into());
    }
    path
}

/// All conditions of a match except token claims.
pub fn whole(one: &Value) -> Match {
    let named = |field: &str| one.get(field).and_then(Value::as_object).into_iter().flatten();
    let with = named("headers").filter(|(name, _)| !is_claim(name));
    let without = named("withoutHeaders").filter(|(name, _)| !is_claim(name));
    let pseudo = [
        (":method", "method"),
        (":authority", "authority"),
        (":scheme", "scheme"),
    ]
    .into_iter();
    let pseudo = pseudo.filter_map(|(name, field)| Some(string_match(name, one.get(field)?)));
    let with = with.map(|(name, matcher)| string_match(name, matcher));
    let without = without.map(|(name, matcher)| inverted(string_match(name, matcher)));
    let query = named("queryParams").map(|(name, matcher)| string_match(name, matcher));
    let mut whole = path(one);
    for (field, values) in [
        ("headers", with.chain(without).chain(pseudo).collect::<Vec<Value>>()),
        ("query_parameters", query.collect()),
    ] {
        if !values.is_empty() {
            whole.insert(field.to_owned(), values.into());
        }
    }
    whole
}

/// Whether the name refers to a token claim, for which there is no header.
fn is_claim(name: &str) -> bool {
    name.starts_with("@request.auth.claims")
}

/// A match of a header or query parameter. Istio reads the expression `*` as any value.
fn string_match(name: &str, matcher: &Value) -> Value {
    let exact = text(matcher, "exact").map(|exact| json!({ "exact": exact }));
    let prefix = || text(matcher, "prefix").map(|prefix| json!({ "prefix": prefix }));
    let regex = || {
        let regex = text(matcher, "regex").filter(|regex| *regex != "*")?;
        Some(json!({ "safe_regex": { "regex": regex } }))
    };
    match exact.or_else(prefix).or_else(regex) {
        Some(matcher) => json!({ "name": name, "string_match": matcher }),
        None => json!({ "name": name, "present_match": true }),
    }
}

fn inverted(mut header: Value) -> Value {
    if let Some(fields) = header.as_object_mut() {
        fields.insert("invert_match".to_owned(), true.into());
        // Envoy does not accept both.
        if !fields.contains_key("present_match") {
            fields.insert("treat_missing_header_as_empty".to_owned(), true.into());
        }
    }
    header
}
