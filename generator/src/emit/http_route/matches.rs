//! The match of a route (istiod: `TranslateRouteMatch`), and the conditions of inserted routes in addition to the
//! session key.
//!
//! The key is usually enough for an inserted route, because only requests that matched the user's route have one. A
//! rewrite may replace the matched part of the path, and matches may have different prefixes of statistics. In these
//! cases the inserted routes must distinguish the matches of the user's route. The port, the gateway and the source of
//! a request do not change. Token claims are left to the user's route.

use serde_json::{Map, Value, json};

use super::super::json::text;

/// The Envoy match for a match of a route.
pub type Match = Map<String, Value>;

/// What a session route has of the matches of the user's route.
pub struct SessionMatch {
    /// The conditions, without the key.
    pub conditions: Match,
    /// The path in the name of spans.
    pub operation: String,
    /// The prefix of the route's statistics.
    pub stat_prefix: Option<String>,
}

/// The matches of the session routes to one backend. There is one, unless the matches of the user's route differ in the path that a
/// rewrite replaces or in the prefix of statistics.
pub fn of_session(user: &Value) -> Vec<SessionMatch> {
    let none = Value::Null;
    let listed = listed(user, &none);
    let rewrites = text(user.get("rewrite").unwrap_or(&none), "uri").is_some_and(|uri| !uri.is_empty());
    let paths = distinct(listed.iter().map(|one| path(one)));
    let prefixes = distinct(listed.iter().map(|one| stat_prefix(one)));
    if prefixes.len() > 1 || (rewrites && paths.len() > 1) {
        return of_each(user);
    }
    let any = || path(&none);
    let first = paths.into_iter().next().unwrap_or_else(any);
    let same_path = distinct(listed.iter().map(|one| operation(&path(one)))).len() == 1;
    vec![SessionMatch {
        operation: operation(&if same_path { first.clone() } else { any() }),
        conditions: if rewrites { first } else { any() },
        stat_prefix: prefixes.into_iter().next().flatten(),
    }]
}

/// The matches of the session routes to one backend: all matches of the user's route.
pub fn of_each(user: &Value) -> Vec<SessionMatch> {
    let none = Value::Null;
    let all = listed(user, &none).into_iter();
    let all = distinct(all.map(|one| (whole(one), stat_prefix(one)))).into_iter();
    all.map(|(conditions, stat_prefix)| SessionMatch {
        operation: operation(&conditions),
        conditions,
        stat_prefix,
    })
    .collect()
}

/// The matches of the user's route. Without any, it has `everything`.
fn listed<'u>(user: &'u Value, everything: &'u Value) -> Vec<&'u Value> {
    let listed = user.get("match").and_then(Value::as_array);
    let listed: Vec<&Value> = listed.into_iter().flatten().collect();
    if listed.is_empty() { vec![everything] } else { listed }
}

fn stat_prefix(one: &Value) -> Option<String> {
    text(one, "statPrefix")
        .filter(|prefix| !prefix.is_empty())
        .map(str::to_owned)
}

/// The path in the name of spans (istiod: `GetRouteOperation`).
fn operation(conditions: &Match) -> String {
    let field = |name: &str| conditions.get(name);
    let exact = field("path").and_then(Value::as_str).map(str::to_owned);
    let prefix = || {
        field("prefix")
            .and_then(Value::as_str)
            .map(|prefix| format!("{prefix}*"))
    };
    let regex = || text(field("safe_regex")?, "regex").map(str::to_owned);
    exact.or_else(prefix).or_else(regex).unwrap_or_else(|| "/*".to_owned())
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for one in items {
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
    let mut headers: Vec<Value> = with.chain(without).collect();
    headers.sort_by(|a, b| text(a, "name").cmp(&text(b, "name")));
    headers.extend(pseudo);
    for (field, values) in [("headers", headers), ("query_parameters", query.collect())] {
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
