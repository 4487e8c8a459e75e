//! Converts rules of an `HTTPRoute` or `GRPCRoute` into http routes of a `VirtualService`. istiod starts with the same
//! conversion (`convertHTTPRoute`, `convertGRPCRoute`).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::http_route::values::Duration;
use crate::{
    api::{
        field::Field,
        filter::{
            BackendRef, Cors, Filter, Header, HeaderModifier, PathModifier, RequestMirror, RequestRedirect, UrlRewrite,
        },
        route::{Retry, Timeouts},
    },
    ir::Rule,
    kind::Kind,
    model::route::{Match, PathMatchType, ValueMatch, ValueMatchType},
};

/// The conditions for a retry if a rule sets the number of attempts (istiod: `convertHTTPRoute`).
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled";

/// The default number of attempts.
const RETRIES: u32 = 2;

/// The default status of a redirect. The API server would set it, because it is the default of the CRD.
const DEFAULT_REDIRECT: u16 = 302;

/// The default `maxAge` of a CORS filter in the CRD.
const DEFAULT_MAX_AGE: u32 = 5;

/// A regular expression for any host, which replaces the origin `*` (istiod: `createCorsFilter`).
const ANY_ORIGIN: &str = r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s?#]+$";

/// A filter that the target `envoy` does not support.
#[derive(Clone, Copy, Debug)]
pub struct Unserved<'a>(pub &'a Field<Filter>);

/// The actions of a rule, without its matches.
pub fn http_route<'a>(rule: &'a Rule) -> Result<Value, Unserved<'a>> {
    let spec = &rule.spec.value;
    let grpc = rule.route.spec.kind == Kind::GrpcRoute;
    let mut fields = Map::new();
    let mut mirrors = Vec::new();
    for filter in &spec.filters {
        let value = &filter.value;
        match value.kind.as_str() {
            "RequestHeaderModifier" | "ResponseHeaderModifier" => {}
            "RequestMirror" => mirrors.extend(value.request_mirror.as_ref().map(mirror)),
            "RequestRedirect" if !grpc => set(&mut fields, "redirect", value.request_redirect.as_ref().map(redirect)),
            "URLRewrite" if !grpc => set(&mut fields, "rewrite", value.url_rewrite.as_ref().map(rewrite)),
            "CORS" if !grpc => set(&mut fields, "corsPolicy", value.cors.as_ref().map(cors)),
            _ => return Err(Unserved(filter)),
        }
    }
    set(&mut fields, "headers", headers(&spec.filters));
    set(&mut fields, "mirrors", Some(mirrors));
    set(
        &mut fields,
        "retries",
        spec.retry.as_ref().map(|retry| retries(&retry.value)),
    );
    if let Some(field) = &spec.timeouts {
        timeouts(&field.value, &mut fields);
    }
    for filter in spec.backend_refs.iter().flat_map(|reference| &reference.value.filters) {
        if !matches!(
            filter.value.kind.as_str(),
            "RequestHeaderModifier" | "ResponseHeaderModifier"
        ) {
            return Err(Unserved(filter));
        }
    }
    Ok(fields.into())
}

/// The weight of a backend reference.
pub fn reference_weight(reference: &Field<BackendRef>) -> u32 {
    reference.value.weight.as_ref().map_or(1, |weight| weight.value)
}

fn set(fields: &mut Map<String, Value>, field: &str, value: Option<impl Into<Value>>) {
    fields.extend(value.map(|value| (field.to_owned(), value.into())));
}

/// The header changes of filters.
pub fn headers(filters: &[Field<Filter>]) -> Option<Value> {
    let last = |kind: &str, field: fn(&Filter) -> Option<&HeaderModifier>| {
        let filters = filters.iter().rev();
        let mut filters = filters.filter(|filter| filter.value.kind == kind);
        filters.find_map(|filter| field(&filter.value)).map(operations)
    };
    let request = last("RequestHeaderModifier", |filter| {
        filter.request_header_modifier.as_ref()
    });
    let response = last("ResponseHeaderModifier", |filter| {
        filter.response_header_modifier.as_ref()
    });
    (request.is_some() || response.is_some()).then(|| json!({ "request": request, "response": response }))
}

fn operations(modifier: &HeaderModifier) -> Value {
    // If several entries name the same header, the first one applies.
    let map = |headers: &[Header]| {
        let mut map = Map::new();
        for header in headers {
            map.entry(header.name.to_ascii_lowercase())
                .or_insert_with(|| header.value.as_str().into());
        }
        map
    };
    json!({ "add": map(&modifier.add), "remove": modifier.remove, "set": map(&modifier.set) })
}

fn redirect(filter: &RequestRedirect) -> Value {
    let path = filter.path.as_ref();
    // The default port of a redirect is that of the request, or the default port of the scheme if the redirect changes
    // it.
    let from_request = filter.port.is_none() && filter.scheme.is_none();
    json!({
        "authority": filter.hostname,
        "derivePort": from_request.then_some("FROM_REQUEST_PORT"),
        "port": filter.port,
        "prefixRewrite": path.and_then(|path| path.replace_prefix_match.as_ref()),
        "redirectCode": filter.status_code.unwrap_or(DEFAULT_REDIRECT),
        "scheme": filter.scheme,
        "uri": path.and_then(|path| path.replace_full_path.as_ref()),
    })
}

fn rewrite(filter: &UrlRewrite) -> Value {
    let path = filter.path.as_ref();
    let full = path.and_then(|path| path.replace_full_path.as_ref());
    let prefix = |path: &PathModifier| {
        let prefix = path.replace_prefix_match.as_ref()?;
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        Some(if prefix.is_empty() { "/" } else { prefix }.to_owned())
    };
    json!({
        "authority": filter.hostname,
        "uri": path.and_then(prefix),
        // The query is kept, because Envoy rewrites only the path.
        "uriRegexRewrite": full.map(|full| json!({ "match": "/.*", "rewrite": full.replace('\\', r"\\") })),
    })
}

/// A mirror, without its destination.
fn mirror(filter: &RequestMirror) -> Value {
    let percent = match (&filter.fraction, filter.percent) {
        (Some(fraction), _) => {
            let denominator = fraction.denominator.unwrap_or(100);
            Some(100.0 * f64::from(fraction.numerator) / f64::from(denominator.max(1)))
        }
        (None, percent) => percent.map(f64::from),
    };
    json!({
        "destination": { "host": filter.backend_ref.value.name.value },
        "percentage": percent.map(|percent| json!({ "value": percent })),
    })
}

fn cors(filter: &Cors) -> Value {
    let origins = filter.allow_origins.iter().filter(|origin| !origin.is_empty());
    json!({
        "allowCredentials": filter.allow_credentials.then_some(true),
        "allowHeaders": filter.allow_headers,
        "allowMethods": filter.allow_methods,
        "allowOrigins": origins.map(|origin| origin_match(origin)).collect::<Vec<_>>(),
        "exposeHeaders": filter.expose_headers,
        "maxAge": format!("{}s", filter.max_age.unwrap_or(DEFAULT_MAX_AGE)),
        "unmatchedPreflights": "IGNORE",
    })
}

fn origin_match(origin: &str) -> Value {
    let stars = origin.matches('*').count();
    match (stars, origin.strip_suffix('*')) {
        (1, Some("")) => json!({ "regex": ANY_ORIGIN }),
        (0, _) => json!({ "exact": origin }),
        (1, Some(prefix)) => json!({ "prefix": prefix }),
        _ => {
            let parts: Vec<String> = origin.split('*').map(regex_lite::escape).collect();
            json!({ "regex": format!("^{}$", parts.join(".*")) })
        }
    }
}

fn retries(retry: &Retry) -> Value {
    let attempts = retry.attempts.unwrap_or(RETRIES);
    let conditions = std::iter::once(RETRY_ON.to_owned()).chain(retry.codes.iter().map(u16::to_string));
    let conditions: Vec<String> = conditions.collect();
    json!({
        "attempts": attempts,
        "backoff": retry.backoff,
        "retryOn": (attempts > 0).then(|| conditions.join(",")),
    })
}

/// A timeout of 0 means no timeout.
fn timeouts(timeouts: &Timeouts, fields: &mut Map<String, Value>) {
    let nothing = |text: &String| Duration::try_from(text.clone()).is_ok_and(Duration::is_zero);
    let given = |text: &Option<String>| text.clone().filter(|text| !nothing(text));
    set(fields, "timeout", given(&timeouts.request));
    let Some(backend) = given(&timeouts.backend_request) else {
        return;
    };
    match fields.get_mut("retries").and_then(Value::as_object_mut) {
        Some(retries) => set(retries, "perTryTimeout", Some(backend)),
        None => set(fields, "timeout", Some(backend)),
    }
}

/// The conditions of one match.
pub fn one_match(one: &Match) -> Value {
    let value = one.path_value();
    let elements = value.strip_suffix('/').filter(|_| value != "/").unwrap_or(value);
    let uri = match one.path_type() {
        PathMatchType::Exact => json!({ "exact": value }),
        PathMatchType::PathPrefix if elements != "/" => json!({ "pathSeparatedPrefix": elements }),
        PathMatchType::PathPrefix | PathMatchType::TextPrefix => json!({ "prefix": elements }),
        PathMatchType::RegularExpression => json!({ "regex": value }),
    };
    json!({
        "headers": conditions(&one.headers, str::to_ascii_lowercase),
        "method": one.method.as_ref().map(|method| json!({ "exact": method.value })),
        "queryParams": conditions(&one.query_params, str::to_owned),
        "uri": uri,
    })
}

/// Conditions by name. If several have the same name, the first one applies (Gateway API).
fn conditions(matches: &[ValueMatch], name_of: impl Fn(&str) -> String) -> Value {
    let mut conditions = Map::new();
    for one in matches {
        let value = &one.value.value;
        let condition = match one.kind {
            ValueMatchType::Exact => json!({ "exact": value }),
            ValueMatchType::RegularExpression => json!({ "regex": value }),
            ValueMatchType::Prefix => json!({ "prefix": value }),
            ValueMatchType::Present => json!({}),
        };
        conditions.entry(name_of(&one.name.value)).or_insert(condition);
    }
    conditions.into()
}

/// The number of conditions.
pub fn count(matches: &[ValueMatch]) -> usize {
    let names: BTreeSet<String> = matches.iter().map(|one| one.name.value.to_ascii_lowercase()).collect();
    names.len()
}
