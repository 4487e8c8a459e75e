//! `DestinationRule`s with consistent hashing: the cookie becomes a session policy of the Service. The `DestinationRule`
//! stays: it selects the pod of a client that has no session yet, so clients with its cookie keep their pods.

use mooring_policy::{config::CookieConfig, cookie::CookieAttributes, name};
use serde_json::{Map, Value, json};

use super::{affinity::MAX_NAME, checks, existing::has_policy, options::Options, output::Objects, policies, sessions};
use crate::{
    api::{
        field::{Field, Text},
        istio::{ConsistentHash, DestinationRuleSpec, HashedCookie},
    },
    diagnostic::{Code, Diagnostic, Report},
    kind::Kind,
    omissions::Omitted,
    resources::{Found, Item, Resources},
};

/// Writes a policy for each Service whose `DestinationRule` hashes a cookie.
pub fn translate(resources: &Resources, options: &Options, objects: &mut Objects, report: &mut Report) {
    for item in resources.destination_rules.iter() {
        let mut written = false;
        for (subset, hash) in item.spec.consistent_hashes() {
            let Some(cookie) = cookie(item, hash, report) else {
                continue;
            };
            if let Some(subset) = subset.filter(|_| !written) {
                let message = format!(
                    "the policy applies to all backends of the Service, and not only to the subset `{}`",
                    subset.value
                );
                report.add(Diagnostic::note(Code::Accepted, message).at(item.location_of(hash)));
            }
            if written {
                continue;
            }
            written = of_cookie(item, hash, cookie, resources, options, objects, report);
        }
    }
}

/// The cookie that is hashed. Anything else is reported.
fn cookie<'a>(
    item: &Item<DestinationRuleSpec>,
    hash: &'a Field<ConsistentHash>,
    report: &mut Report,
) -> Option<&'a Field<HashedCookie>> {
    if let Some(cookie) = &hash.value.http_cookie {
        return Some(cookie);
    }
    let named = [
        ("httpHeaderName", hash.value.http_header_name.is_some()),
        ("httpQueryParameterName", hash.value.http_query_parameter_name.is_some()),
        ("useSourceIp", hash.value.use_source_ip.is_some()),
    ];
    let (field, _) = named.into_iter().find(|(_, given)| *given)?;
    let message = format!(
        "`{field}` is not translated: a session belongs to a client that keeps a cookie or a header of Mooring, and this \
         hash to a value that the client sends anyway. The DestinationRule can stay as it is"
    );
    let help = match field {
        "httpHeaderName" => {
            "for versions instead of pods, split.hashOn of a CanaryPolicy selects the backend by a header; for pods, a policy \
             with type Header needs clients that send the header of the response back"
        }
        _ => "beside it, a session policy for the Service keeps clients on their pods when pods are added and removed",
    };
    let warning = Diagnostic::warning(Code::Unsupported, message).at(item.location_of(hash));
    report.add(warning.help(help));
    None
}

fn of_cookie(
    item: &Item<DestinationRuleSpec>,
    hash: &Field<ConsistentHash>,
    cookie: &Field<HashedCookie>,
    resources: &Resources,
    options: &Options,
    objects: &mut Objects,
    report: &mut Report,
) -> bool {
    let host = &item.spec.host;
    let at = item.location_of(host);
    let Some(service) = resources.domain.service(&host.value, &item.id.namespace) else {
        let message = format!(
            "the consistentHash for `{}` is not translated: a session policy targets Services, and this is not the name of one",
            host.value
        );
        report.add(Diagnostic::warning(Code::Unsupported, message).at(at));
        return false;
    };
    if let Err(message) = checks::service(&service) {
        report.error(Code::Invalid, message, at);
        report.omit(Omitted::Object, item.name(Kind::DestinationRule));
        return false;
    }
    if let Found::Nothing(instead) = resources.services.find(&service)
        && resources.services.iter().next().is_some()
    {
        let message = format!("the Service {service} does not exist in the input");
        report.add(
            Diagnostic::warning(Code::BackendNotFound, message)
                .at(at)
                .instead(&instead),
        );
    }
    if has_policy(&service, resources) {
        let message = format!("the Service {service} has a session policy already, so none is written");
        report.add(Diagnostic::note(Code::Accepted, message).at(item.location_of(hash)));
        return true;
    }
    let Some((persistence, annotations)) = session(item, cookie, report) else {
        return false;
    };
    let origins = [(format!("DestinationRule {}", item.id), item.location())];
    policies::add_sessions(
        &service,
        &persistence,
        annotations,
        options.policy_kind,
        &origins,
        objects,
    );
    true
}

/// The session and its annotations. The cookie keeps its `ttl` and `path`, but not its name: the old cookie stays in use
/// until it expires.
fn session(
    item: &Item<DestinationRuleSpec>,
    cookie: &Field<HashedCookie>,
    report: &mut Report,
) -> Option<(Value, Map<String, Value>)> {
    let fields = &cookie.value;
    let seconds = fields.ttl.as_ref().map(|ttl| seconds(&ttl.value).ok_or(ttl));
    if let Some(Err(ttl)) = seconds {
        let message = format!(
            "`{}` is not a ttl; allowed: whole seconds such as 3600s, or 0s",
            ttl.value.0
        );
        report.error(Code::Invalid, message, item.location_of(ttl));
        return None;
    }
    let max_age = seconds.and_then(Result::ok).filter(|seconds| *seconds > 0);
    let limited = max_age.map(checks::seconds);
    if let Some(ttl) = fields
        .ttl
        .as_ref()
        .filter(|_| limited.is_some_and(|(_, shorter)| shorter))
    {
        report.add(Diagnostic::note(Code::Accepted, checks::SHORTER).at(item.location_of(ttl)));
    }
    if fields.ttl.is_none() {
        let message = "without a `ttl`, Envoy hashes a cookie of the application and sets none. The sessions of Mooring have a \
                       cookie of their own";
        report.add(Diagnostic::note(Code::Accepted, message).at(item.location_of(cookie)));
    }
    if let Some(attributes) = &fields.attributes {
        let message = "the `attributes` of the cookie are not translated";
        let warning = Diagnostic::warning(Code::Unsupported, message).at(item.location_of(attributes));
        report.add(warning.help("set the annotations mooring.dev/cookie-… of the policy"));
    }
    let mut annotations = Map::new();
    let path = fields.path.as_ref().map(|path| path.value.0.as_str());
    if let Some(path) = path.filter(|path| !path.is_empty() && *path != "/") {
        annotations.insert("mooring.dev/cookie-path".to_owned(), json!(path));
    }
    let name = fields.name.as_ref().map_or("", |name| &name.value.0);
    let name = format!("{name}-mooring");
    check_cookie(item, cookie, &name, report)?;
    let persistence = sessions::persistence(&name, limited.map(|(seconds, _)| seconds));
    Some((persistence, annotations))
}

/// Reports a name or path that the cookie of a session cannot have.
fn check_cookie(
    item: &Item<DestinationRuleSpec>,
    cookie: &Field<HashedCookie>,
    name: &str,
    report: &mut Report,
) -> Option<()> {
    let fields = &cookie.value;
    let path = fields.path.as_ref().filter(|path| !path.value.0.is_empty());
    let mut config = CookieConfig::default();
    if let Some(path) = path {
        config.path.clone_from(&path.value.0);
    }
    let at =
        |field: Option<&Field<Text>>| field.map_or_else(|| item.location_of(cookie), |field| item.location_of(field));
    let (message, at) = if name.len() > MAX_NAME {
        let message = format!("the session would be called `{name}`, and a name has {MAX_NAME} characters at most");
        (message, at(fields.name.as_ref()))
    } else if let Err(invalid) = name::check_token(name) {
        (invalid.to_string(), at(fields.name.as_ref()))
    } else if let Err(invalid) = CookieAttributes::new(name, &config) {
        (invalid.to_string(), at(path))
    } else {
        return Some(());
    };
    report.error(Code::Invalid, message, at);
    report.omit(Omitted::Object, item.name(Kind::DestinationRule));
    None
}

/// Whole seconds of a duration of Istio, such as `3600s` or `1h`.
fn seconds(text: &Text) -> Option<u64> {
    let text = text.0.as_str();
    let plain = text.strip_suffix('s').and_then(|number| number.parse().ok());
    plain.or_else(|| {
        let duration: mooring_policy::duration::Duration = text.parse().ok()?;
        duration.whole_seconds().ok()
    })
}
