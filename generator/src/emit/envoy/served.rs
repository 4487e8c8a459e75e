//! Prepares the rules of a gateway: each becomes the http route of a `VirtualService` in which Envoy accepts every
//! value.
//!
//! A rule that cannot be served as a whole keeps its matches and answers 500. Otherwise, another rule could match its
//! requests.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    super::http_route::{self, checked},
    gateway_api,
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    document::RawObjects,
    ir::{AttachedRule, Backend, ProxyGroup, Rule, VirtualHost},
    kind::Kind,
    location::SourceLocation,
    model::route::Match,
    omissions::Omitted,
    resources::Resources,
    translate::{Callers, mirrors},
};

/// A rule that Envoy serves.
pub struct Served<'a> {
    /// The rule.
    pub rule: &'a Rule<'a>,
    /// The virtual hosts to which it belongs.
    pub virtual_hosts: &'a BTreeSet<VirtualHost>,
    /// Its actions. If it is `None`, the rule answers 500.
    pub user: Option<Value>,
    /// Its matches. There is at least one.
    pub matches: Vec<ServedMatch<'a>>,
    /// Its backend references, with their weights and header changes.
    pub references: Vec<Reference>,
    /// The backends to which its requests are mirrored.
    pub mirrors: Vec<Option<Backend<'a>>>,
}

/// A match that Envoy serves.
pub struct ServedMatch<'a> {
    /// The match as it is written.
    pub one: &'a Match,
    /// The match in the form of a `VirtualService`.
    pub user: Value,
}

/// A reference to a backend.
pub struct Reference {
    /// The weight.
    pub weight: u32,
    /// The object with the field `headers`, if there is one.
    pub user: Value,
}

/// A match without conditions.
static EVERYTHING: Match = Match::EVERYTHING;

/// The rules of a group of proxies. Features that cannot be served are reported. For rules without sessions and canaries, such a
/// finding is at most a warning.
pub fn rules<'a>(
    group: &'a ProxyGroup<'a>,
    resources: &'a Resources,
    raw: &RawObjects,
    report: &mut Report,
) -> Vec<Served<'a>> {
    let serve = |attached: &'a AttachedRule<'a>| {
        let mut found = Report::default();
        let served = Served::new(group, attached, resources, raw, &mut found);
        if attached.rule.uses_mooring() {
            report.extend(found);
        } else {
            report.extend_harmless(found);
        }
        served
    };
    group.rules.iter().map(serve).collect()
}

impl<'a> Served<'a> {
    fn new(
        group: &ProxyGroup,
        attached: &'a AttachedRule<'a>,
        resources: &'a Resources,
        raw: &RawObjects,
        report: &mut Report,
    ) -> Self {
        let rule: &'a Rule = &attached.rule;
        let classic = rule.route.spec.kind == Kind::VirtualService;
        let written = if classic {
            http_route::written(rule, resources, raw)
        } else {
            Value::Null
        };
        let user = if classic {
            of_virtual_service(rule, &written, report)
        } else {
            of_gateway_api(rule, report)
        };
        let references = user.as_ref().and_then(|user| references(rule, user, report));
        let mut nowhere = Report::default();
        let callers = Callers::on(group, &attached.virtual_hosts);
        let copied = user.as_ref().unwrap_or(&Value::Null);
        let mirrors = mirrors(rule, copied, &callers, resources, &mut nowhere);
        report.extend_harmless(nowhere);
        check_backends(rule, report);
        Self {
            rule,
            virtual_hosts: &attached.virtual_hosts,
            matches: matches(rule, &written, report),
            user: user.filter(|_| references.is_some()),
            references: references.unwrap_or_default(),
            mirrors,
        }
    }

    /// Whether the route uses one of Envoy's filters, identified by its field.
    pub fn uses(&self, field: &str) -> bool {
        self.user.as_ref().is_some_and(|user| user.get(field).is_some())
    }
}

/// Why a rule answers 500.
fn refuse(rule: &Rule, code: Code, problem: &str, location: SourceLocation, report: &mut Report) {
    let message = format!("{problem}: --target envoy answers the requests of this rule with 500");
    report.add(Diagnostic::error(code, message).at(location));
    report.omit(Omitted::Rule, &rule.id);
}

fn of_gateway_api(rule: &Rule, report: &mut Report) -> Option<Value> {
    match gateway_api::http_route(rule) {
        Ok(user) => check(rule, user, report),
        Err(gateway_api::Unserved(filter)) => {
            let of_backend = !rule.spec.value.filters.iter().any(|own| std::ptr::eq(own, filter));
            let of = if of_backend { " of a backend" } else { "" };
            let problem = format!("the filter {}{of} is not supported", filter.value.kind);
            refuse(rule, Code::Unsupported, &problem, rule.location_of(filter), report);
            None
        }
    }
}

fn of_virtual_service(rule: &Rule, written: &Value, report: &mut Report) -> Option<Value> {
    let location = rule.location_of(rule.spec);
    if written.get("delegate").is_some_and(|delegate| !delegate.is_null()) {
        refuse(rule, Code::Unsupported, "`delegate` is not supported", location, report);
        return None;
    }
    let user = check(rule, written.clone(), report)?;
    let does = ["redirect", "directResponse", "route"];
    if !does.iter().any(|field| user.get(field).is_some()) {
        let problem = "this route needs one of `route`, `redirect` and `directResponse`";
        refuse(rule, Code::Invalid, problem, location, report);
        return None;
    }
    let code = user.pointer("/redirect/redirectCode").and_then(Value::as_u64);
    if let Some(code) = code.filter(|code| ![0, 301, 302, 303, 307, 308].contains(code)) {
        let problem = format!("{code} is not a redirect status: use 301, 302, 303, 307 or 308");
        refuse(rule, Code::Invalid, &problem, location, report);
        return None;
    }
    Some(user)
}

fn check(rule: &Rule, user: Value, report: &mut Report) -> Option<Value> {
    let checked = checked::route(user);
    checked
        .inspect_err(|invalid| {
            refuse(
                rule,
                Code::Invalid,
                &invalid.to_string(),
                rule.location_of(rule.spec),
                report,
            );
        })
        .ok()
}

/// The references of a rule, or `None` if Envoy rejects the header changes of one of them.
fn references(rule: &Rule, user: &Value, report: &mut Report) -> Option<Vec<Reference>> {
    let spec = &rule.spec.value;
    let several = spec.destinations.len() > 1;
    let headers = |filters: &[_]| gateway_api::headers(filters).map(checked::headers).transpose();
    let of_gateway_api = spec.backend_refs.iter().map(|reference| {
        Ok(Reference {
            weight: gateway_api::reference_weight(reference),
            user: json!({ "headers": headers(&reference.value.filters)? }),
        })
    });
    let destinations = spec.destinations.iter().enumerate().map(|(position, destination)| {
        let weight = destination.value.weight.as_ref().map(|weight| weight.value);
        Ok(Reference {
            weight: if several { weight.unwrap_or(0) } else { 1 },
            user: user.pointer(&format!("/route/{position}")).cloned().unwrap_or_default(),
        })
    });
    let all: Result<Vec<Reference>, serde_json::Error> = of_gateway_api.chain(destinations).collect();
    let location = rule.location_of(rule.spec);
    let references = all
        .inspect_err(|invalid| refuse(rule, Code::Invalid, &invalid.to_string(), location, report))
        .ok()?;
    let sum: u64 = references.iter().map(|reference| u64::from(reference.weight)).sum();
    if u32::try_from(sum).is_err() {
        refuse(
            rule,
            Code::Invalid,
            "the sum of the weights is larger than Envoy supports",
            location,
            report,
        );
        return None;
    }
    Some(references)
}

/// The matches of a rule. A match that Envoy would reject, or that no request can fulfil, is omitted.
fn matches<'a>(rule: &'a Rule<'a>, written: &Value, report: &mut Report) -> Vec<ServedMatch<'a>> {
    if rule.matches.is_empty() {
        return vec![ServedMatch {
            one: &EVERYTHING,
            user: Value::Null,
        }];
    }
    let classic = rule.route.spec.kind == Kind::VirtualService;
    let mut served = Vec::new();
    let all = rule.spec.value.matches.iter().enumerate();
    let here = all.filter(|(_, field)| rule.matches.iter().any(|one| std::ptr::eq(*one, *field)));
    for (position, field) in here {
        let user = match written.pointer(&format!("/match/{position}")) {
            Some(user) if classic => user.clone(),
            _ => gateway_api::one_match(&field.value),
        };
        let location = rule.location_of(field);
        match checked::one_match(user) {
            Ok(user) if has_claims(&user) => {
                let message = "--target envoy does not support token claims, so this match never applies";
                report.add(Diagnostic::error(Code::Unsupported, message).at(location));
            }
            Ok(user) => served.push(ServedMatch {
                one: &field.value,
                user,
            }),
            Err(invalid) => {
                let message = format!("{invalid}: with --target envoy, this match never applies");
                report.add(Diagnostic::error(Code::Invalid, message).at(location));
                report.omit(Omitted::Feature, format!("match {position} of {}", rule.id));
            }
        }
    }
    served
}

fn has_claims(user: &Value) -> bool {
    let headers = user.get("headers").and_then(Value::as_object);
    headers
        .into_iter()
        .flatten()
        .any(|(name, _)| name.starts_with("@request.auth.claims"))
}

/// Reports backends that have no endpoints in the input.
fn check_backends(rule: &Rule, report: &mut Report) {
    let mut unsupported = |what: &str, location: SourceLocation| {
        let message = format!("{what} is not supported by --target envoy, which answers 503 instead");
        report.add(Diagnostic::error(Code::Unsupported, message).at(location));
        report.omit(Omitted::Feature, format!("{what}: {}", rule.id));
    };
    for backend in &rule.backends {
        let spec = &backend.service.spec;
        if let Some(host) = &spec.external_host {
            unsupported("a host of a ServiceEntry", backend.service.location_of(host));
        }
        let alias = spec.service_type.as_ref().filter(|kind| kind.value == "ExternalName");
        if let Some(kind) = alias.filter(|_| std::ptr::eq(backend.service, backend.concrete)) {
            unsupported("a Service of type ExternalName", backend.service.location_of(kind));
        }
    }
}
