//! Checks session routes. A session route leads to one backend of a rule with several backends, and matches requests
//! that carry the key of that backend.

use std::collections::BTreeMap;

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    ir::{ProxyGroup, Rule, VirtualHost},
    kind::Kind,
    resources::Resources,
};

/// The maximum number of objects for the session routes of a rule: one for each backend, and a rule has at most 16
/// backends (Gateway API: `maxItems`).
const MAX_OBJECTS: usize = 16;

/// The maximum number of session routes in a virtual host without a warning. Envoy tries the routes of a virtual host
/// one after the other, and each costs about 470 instructions per request. At this number, they cost about as much as
/// everything else that Mooring does.
const MANY: usize = 200;

/// The instructions that Envoy 1.40 needs for a route that does not match, as measured.
const INSTRUCTIONS: usize = 470;

/// Reports a user's object that has the name of a session route object, and destinations that one session route cannot stand for.
pub fn check(rule: &Rule, resources: &Resources, report: &mut Report) {
    let kind = rule.route.spec.kind;
    if !rule.has_session_routes() {
        return;
    }
    // The session routes of a VirtualService are patches, which do not share names with routes.
    if kind == Kind::VirtualService {
        return check_destinations(rule, report);
    }
    let routes = resources.routes_of(kind);
    let ids = (1..=MAX_OBJECTS).map(|number| Id::new(&rule.route.id.namespace, &rule.session_routes(number)));
    let Some(other) = ids.into_iter().find_map(|id| routes.get(&id)) else {
        return;
    };
    let message = format!(
        "the {} {} has the name of the session routes of the rule {}, which would replace it",
        kind, other.id, rule.id
    );
    let diagnostic = Diagnostic::error(Code::Duplicate, message).at(rule.location_of(rule.spec));
    let diagnostic = diagnostic.with(other.location(), "the other route");
    report.add(diagnostic.help("give that route a name that does not begin with `mooring-`"));
}

/// Reports destinations of one backend that have `headers`. A session is bound to a backend, so its requests could not have the headers of
/// the destination that was selected first.
fn check_destinations(rule: &Rule, report: &mut Report) {
    let resolved = rule.spec.value.destinations.iter().zip(&rule.references);
    let resolved: Vec<_> = resolved
        .filter_map(|(destination, backend)| Some((destination, backend.as_ref()?.cluster())))
        .collect();
    for (position, (destination, cluster)) in resolved.iter().enumerate() {
        let mut earlier = resolved.iter().take(position);
        let Some((first, _)) = earlier.find(|(_, other)| other == cluster) else {
            continue;
        };
        let headers = [destination, first]
            .into_iter()
            .find_map(|one| one.value.headers.as_ref());
        if let Some(headers) = headers {
            let message = "these `headers` are of one of several destinations with the same host, subset and port, which are one \
                           backend: requests of its sessions would all have the headers of the first";
            let diagnostic = Diagnostic::error(Code::Unsupported, message).at(rule.location_of(headers));
            report.add(diagnostic.help("write the destination once, with the sum of the weights"));
            return;
        }
    }
}

/// Warns of virtual hosts with too many session routes.
pub fn warn_of_many(group: &ProxyGroup, report: &mut Report) {
    let mut added: BTreeMap<&VirtualHost, usize> = BTreeMap::new();
    for attached in group.managed_rules() {
        for host in &attached.virtual_hosts {
            let sum = added.entry(host).or_default();
            *sum = sum.saturating_add(attached.rule.session_route_count());
        }
    }
    for (host, count) in added.into_iter().filter(|(_, count)| *count > MANY) {
        let message = format!(
            "session routes add {count} routes to the virtual host `{}` of {}; Envoy tries them one after the other, which \
             takes up to {} thousand instructions of each request there",
            host.name(),
            group.title(),
            count.saturating_mul(INSTRUCTIONS) / 1_000
        );
        let warning = group.locate(Diagnostic::warning(Code::Accepted, message));
        report.add(warning.help("spread the rules over several host names, or give them fewer matches"));
    }
}
