//! Checks an http route of a `VirtualService`: the types of all fields, and the values that Envoy would reject. Envoy
//! rejects the whole configuration for one invalid value, so only the route with that value must be lost.
//!
//! The result is the same route, with durations in seconds, as Envoy reads them.

#![expect(clippy::struct_field_names, reason = "the names are Istio's")]

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    super::json::prune,
    grpc_status::GrpcStatus,
    header_values::{HeaderName, HeaderValue, Text},
    regex::{Regex, ValueRegex},
    values::{Body, Duration, Interval, Percent, Status},
};

/// All fields except the matches, or the reason why Envoy would reject the route.
pub fn route(user: Value) -> Result<Value, serde_json::Error> {
    checked::<HttpRoute>(user)
}

/// The conditions of one match, or the reason why Envoy would reject it.
pub fn one_match(user: Value) -> Result<Value, serde_json::Error> {
    checked::<HttpMatch>(user)
}

/// The header changes of a backend or destination.
pub fn headers(user: Value) -> Result<Value, serde_json::Error> {
    checked::<Headers>(user)
}

fn checked<T: DeserializeOwned + Serialize>(user: Value) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(T::deserialize(user)?)?;
    prune(&mut value);
    Ok(value)
}

/// A map in which a null value only requires that the name is present.
fn conditions<'de, D: Deserializer<'de>, K: Ord + Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<K, StringMatch>, D::Error> {
    let values: Option<BTreeMap<K, Option<StringMatch>>> = Option::deserialize(deserializer)?;
    let values = values.unwrap_or_default().into_iter();
    Ok(values.map(|(name, value)| (name, value.unwrap_or_default())).collect())
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpRoute {
    redirect: Option<Redirect>,
    direct_response: Option<DirectResponse>,
    rewrite: Option<Rewrite>,
    timeout: Option<Duration>,
    retries: Option<Retries>,
    fault: Option<Fault>,
    mirror: Option<Destination>,
    mirrors: Option<Vec<MirrorPolicy>>,
    #[serde(alias = "mirror_percent")]
    mirror_percent: Option<Percent>,
    mirror_percentage: Option<Percentage>,
    cors_policy: Option<CorsPolicy>,
    headers: Option<Headers>,
    route: Option<Vec<RouteDestination>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Redirect {
    uri: Option<Text>,
    authority: Option<Text>,
    port: Option<u16>,
    derive_port: Option<String>,
    scheme: Option<Text>,
    redirect_code: Option<u16>,
    prefix_rewrite: Option<Text>,
}

#[derive(Deserialize, Serialize)]
struct DirectResponse {
    status: Status,
    body: Option<Body>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rewrite {
    uri: Option<Text>,
    authority: Option<Text>,
    uri_regex_rewrite: Option<RegexRewrite>,
}

#[derive(Deserialize, Serialize)]
#[serde(try_from = "RawRegexRewrite")]
struct RegexRewrite {
    r#match: Regex,
    rewrite: Text,
}

#[derive(Deserialize)]
struct RawRegexRewrite {
    r#match: Regex,
    rewrite: Text,
}

/// A substitution may refer only to an existing group.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` refers to a group that the regular expression does not have")]
struct NoGroup(String);

impl TryFrom<RawRegexRewrite> for RegexRewrite {
    type Error = NoGroup;

    fn try_from(raw: RawRegexRewrite) -> Result<Self, NoGroup> {
        let RawRegexRewrite { r#match, rewrite } = raw;
        let mut characters = rewrite.0.chars();
        while let Some(character) = characters.next() {
            if character != '\\' {
                continue;
            }
            let reference = characters.next();
            let group = reference.and_then(|digit| digit.to_digit(10));
            if !(reference == Some('\\') || group.is_some_and(|group| r#match.has_group(group))) {
                return Err(NoGroup(rewrite.0));
            }
        }
        Ok(Self { r#match, rewrite })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Retries {
    attempts: Option<i32>,
    per_try_timeout: Option<Duration>,
    retry_on: Option<Text>,
    retry_remote_localities: Option<bool>,
    retry_ignore_previous_hosts: Option<bool>,
    backoff: Option<Interval>,
}

#[derive(Deserialize, Serialize)]
struct Fault {
    delay: Option<Delay>,
    abort: Option<Abort>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Delay {
    percentage: Option<Percentage>,
    percent: Option<Percent>,
    fixed_delay: Option<Interval>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", try_from = "RawAbort")]
struct Abort {
    percentage: Option<Percentage>,
    http_status: Option<Status>,
    grpc_status: Option<GrpcStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAbort {
    percentage: Option<Percentage>,
    http_status: Option<Status>,
    grpc_status: Option<GrpcStatus>,
}

#[derive(Debug, thiserror::Error)]
#[error("a fault can abort with `httpStatus` or with `grpcStatus`, but not with both")]
struct TwoStatuses;

impl TryFrom<RawAbort> for Abort {
    type Error = TwoStatuses;

    fn try_from(raw: RawAbort) -> Result<Self, TwoStatuses> {
        let RawAbort {
            percentage,
            http_status,
            grpc_status,
        } = raw;
        if http_status.is_some() && grpc_status.is_some() {
            return Err(TwoStatuses);
        }
        Ok(Self {
            percentage,
            http_status,
            grpc_status,
        })
    }
}

#[derive(Deserialize, Serialize)]
struct Percentage {
    value: Option<Percent>,
}

#[derive(Deserialize, Serialize)]
struct MirrorPolicy {
    destination: Option<Destination>,
    percentage: Option<Percentage>,
}

#[derive(Deserialize, Serialize)]
struct RouteDestination {
    destination: Option<Destination>,
    weight: Option<u32>,
    headers: Option<Headers>,
}

#[derive(Deserialize, Serialize)]
struct Destination {
    host: String,
    subset: Option<String>,
    port: Option<PortSelector>,
}

#[derive(Deserialize, Serialize)]
struct PortSelector {
    number: Option<u16>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct CorsPolicy {
    allow_origins: Option<Vec<OneMatch>>,
    allow_origin: Option<Vec<Text>>,
    allow_methods: Option<Vec<Text>>,
    allow_headers: Option<Vec<Text>>,
    expose_headers: Option<Vec<Text>>,
    max_age: Option<Duration>,
    allow_credentials: Option<bool>,
    unmatched_preflights: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Headers {
    request: Option<Operations>,
    response: Option<Operations>,
}

#[derive(Deserialize, Serialize)]
struct Operations {
    set: Option<BTreeMap<HeaderName, HeaderValue>>,
    add: Option<BTreeMap<HeaderName, HeaderValue>>,
    remove: Option<Vec<HeaderName>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpMatch {
    uri: Option<UriMatch>,
    scheme: Option<StringMatch>,
    method: Option<StringMatch>,
    authority: Option<StringMatch>,
    #[serde(default, deserialize_with = "conditions")]
    headers: BTreeMap<HeaderName, StringMatch>,
    #[serde(default, deserialize_with = "conditions")]
    without_headers: BTreeMap<HeaderName, StringMatch>,
    #[serde(default, deserialize_with = "conditions")]
    query_params: BTreeMap<HeaderName, StringMatch>,
    ignore_uri_case: Option<bool>,
}

/// A path match. The last variant is a prefix of whole path elements (Gateway API).
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", try_from = "RawUriMatch")]
struct UriMatch {
    exact: Option<String>,
    prefix: Option<String>,
    regex: Option<Regex>,
    path_separated_prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawUriMatch {
    exact: Option<String>,
    prefix: Option<String>,
    regex: Option<Regex>,
    path_separated_prefix: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("exactly one of `exact`, `prefix` and `regex` is required")]
struct NotOne;

impl TryFrom<RawUriMatch> for UriMatch {
    type Error = NotOne;

    fn try_from(raw: RawUriMatch) -> Result<Self, NotOne> {
        let RawUriMatch {
            exact,
            prefix,
            regex,
            path_separated_prefix,
        } = raw;
        let given = [
            exact.is_some(),
            prefix.is_some(),
            regex.is_some(),
            path_separated_prefix.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            return Err(NotOne);
        }
        Ok(Self {
            exact,
            prefix,
            regex,
            path_separated_prefix,
        })
    }
}

/// A string match. Without a field, it requires only that the value is present.
#[derive(Default, Deserialize, Serialize)]
#[serde(try_from = "RawStringMatch")]
struct StringMatch {
    exact: Option<String>,
    prefix: Option<String>,
    regex: Option<ValueRegex>,
}

#[derive(Deserialize)]
struct RawStringMatch {
    exact: Option<String>,
    prefix: Option<String>,
    regex: Option<ValueRegex>,
}

impl TryFrom<RawStringMatch> for StringMatch {
    type Error = NotOne;

    fn try_from(raw: RawStringMatch) -> Result<Self, NotOne> {
        let RawStringMatch { exact, prefix, regex } = raw;
        let given = [exact.is_some(), prefix.is_some(), regex.is_some()];
        // Envoy rejects an empty prefix.
        let empty = prefix.as_ref().is_some_and(String::is_empty);
        if empty || given.iter().filter(|given| **given).count() > 1 {
            return Err(NotOne);
        }
        Ok(Self { exact, prefix, regex })
    }
}

/// A string match that must have a field.
#[derive(Deserialize, Serialize)]
#[serde(try_from = "StringMatch")]
struct OneMatch(StringMatch);

impl TryFrom<StringMatch> for OneMatch {
    type Error = NotOne;

    fn try_from(one: StringMatch) -> Result<Self, NotOne> {
        if one.exact.is_none() && one.prefix.is_none() && one.regex.is_none() {
            return Err(NotOne);
        }
        Ok(Self(one))
    }
}
