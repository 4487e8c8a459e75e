//! Checks matches that conflict with sessions: matches on Mooring's own headers, and on the cookie or header that
//! carries a token.
//!
//! The module removes the token from a request, and Envoy then selects the route again. A rule that matches only while
//! the token is present would lose the request to another rule. Filters before the module, such as authorization, would
//! not have seen that rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use mooring_policy::{
    config::{self, Transport},
    internal_headers::HEADER_PREFIX,
};
use regex_lite::RegexBuilder;

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::{AttachedRule, Backend, ProxyGroup, Rule, VirtualHost},
    kind::Kind,
    location::SourceLocation,
    model::route::{Match, ValueMatch, ValueMatchType},
};

/// The maximum number of header matches in one match (Gateway API: `maxItems` of `HTTPRouteMatch.headers`).
const MAX_HEADERS: usize = 16;

/// The maximum compiled size of a regular expression that is tried, in bytes.
const MAX_EXPRESSION: usize = 1 << 18;

/// A sample value with the length and the characters of a token.
const TOKEN: &str =
    "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdEfGhIjKlMnOpQrStUvWxYz";

/// Reports the matches of a managed rule that conflict with its sessions.
pub fn check(rule: &Rule, report: &mut Report) {
    for one in &rule.matches {
        for header in &one.value.headers {
            check_header(rule, header, report);
            warn_of_flagger(rule, header, report);
        }
        check_room(rule, &one.value, report);
    }
}

fn check_header(rule: &Rule, header: &ValueMatch, report: &mut Report) {
    let name = &header.name.value;
    let location = rule.location_of(&header.name);
    let mut error = |message: String, location: SourceLocation, help: &str| {
        let error = Diagnostic::error(Code::Invalid, message).at(location);
        let error = error.with(rule.location_of(rule.spec), "the rule");
        report.add(error.help(help));
    };
    if name.to_ascii_lowercase().starts_with(HEADER_PREFIX) {
        let message =
            format!("a rule with sessions or canaries cannot match on `{name}`: this header is Mooring's own");
        return error(message, location, "match on another header");
    }
    let taken = rule.session.as_ref().filter(|session| !session.config.forward_token);
    let Some(session) = taken.map(|session| &session.config) else {
        return;
    };
    let way_out =
        "match on something else, or leave the token in the request with `mooring.dev/forward-token: \"true\"`";
    match session.transport {
        Transport::Header if name.eq_ignore_ascii_case(&session.name) => {
            let message = format!(
                "this rule cannot match on `{name}`: the header carries its own session token, which is removed from \
                 the request, and another rule would then get the request"
            );
            error(message, location, way_out);
        }
        Transport::Cookie if is_cookie(name) && depends_on(header, &session.name) => {
            let (what, location) = match header.kind {
                ValueMatchType::Present => (format!("the header `{name}`"), location),
                _ => (
                    format!("`{}` of the header `{name}`", header.value.value),
                    rule.location_of(&header.value),
                ),
            };
            let message = format!(
                "this rule cannot match on {what}: the header contains its own session cookie `{}`, which is removed \
                 from the request, and another rule would then get the request",
                session.name
            );
            error(message, location, way_out);
        }
        _ => {}
    }
}

/// Warns of a rule of Flagger's own session affinity. It has the backends of the rule with the weights, and decides before that.
fn warn_of_flagger(rule: &Rule, header: &ValueMatch, report: &mut Report) {
    let service = |suffix: &str| {
        let mut ids = rule.backends.iter().filter_map(Backend::service_id);
        ids.any(|id| id.name.ends_with(suffix))
    };
    let is_flaggers = is_cookie(&header.name.value)
        && header.kind == ValueMatchType::RegularExpression
        && header.value.value.starts_with(".*")
        && header.value.value.ends_with(".*")
        && rule.session.is_some()
        && service("-primary")
        && service("-canary");
    if is_flaggers {
        let message = "this rule is of Flagger's session affinity: its cookie decides before the weights and apart from the \
                       sessions of this rule, and a user can leave the version of their session";
        let warning = Diagnostic::warning(Code::Accepted, message).at(rule.location_of(&header.value));
        report.add(warning.help("remove `analysis.sessionAffinity` from the Canary"));
    }
}

/// Reports a match with no room for the header of a session route. A session route has the matches of its rule, each
/// with one more header, which carries the key of the backend. Session routes of a `VirtualService` match on the key
/// alone.
fn check_room(rule: &Rule, one: &Match, report: &mut Report) {
    let Some(last) = one.headers.get(MAX_HEADERS.saturating_sub(1)) else {
        return;
    };
    if rule.backends.len() < 2 || rule.route.spec.kind == Kind::VirtualService {
        return;
    }
    let message = format!(
        "this match has {} headers, and in a rule with sessions or canaries over several backends at most {} are allowed: a \
         match can have {MAX_HEADERS} (Gateway API), and one is for the key of the session's backend",
        one.headers.len(),
        MAX_HEADERS.saturating_sub(1)
    );
    let error = Diagnostic::error(Code::Unsupported, message).at(rule.location_of(&last.name));
    report.add(error.with(rule.location_of(rule.spec), "the rule"));
}

/// Whether the result of a match on a `cookie` header may depend on the session's cookie.
fn depends_on(header: &ValueMatch, session: &str) -> bool {
    let value = header.value.value.as_str();
    match header.kind {
        // The session's cookie always changes the value of the whole header.
        ValueMatchType::Exact | ValueMatchType::Present => true,
        ValueMatchType::Prefix => value.contains(session),
        ValueMatchType::RegularExpression => value.contains(session) || sees(value, session),
    }
}

/// Whether an expression may match a request differently with and without the session's cookie. It is tried with the
/// cookie alone and after another cookie. The other cookies that the expression looks for are not known.
fn sees(expression: &str, session: &str) -> bool {
    let mut builder = RegexBuilder::new(&format!("^(?:{expression})$"));
    // Envoy may support syntax that this engine does not.
    let Ok(regex) = builder.size_limit(MAX_EXPRESSION).build() else {
        return false;
    };
    let cookie = format!("{session}={TOKEN}");
    regex.is_match(&cookie) || regex.is_match(&format!("a=b; {cookie}")) != regex.is_match("a=b")
}

fn is_cookie(header: &str) -> bool {
    header.eq_ignore_ascii_case("cookie")
}

/// The header that carries the token of a session, in lower case.
fn carrier(session: &config::SessionConfig) -> String {
    match session.transport {
        Transport::Cookie => "cookie".to_owned(),
        Transport::Header => session.name.to_ascii_lowercase(),
    }
}

/// Leaves the token in the request if another rule of the virtual host matches on the header that carries it: without the token,
/// Envoy could select that rule instead.
pub fn forward_tokens(group: &mut ProxyGroup, report: &mut Report) {
    let forwarded = forwarded(group, report);
    let rules = group.rules.iter_mut();
    for attached in rules.filter(|attached| forwarded.contains(&attached.rule.id)) {
        if let Some(session) = &mut Rc::make_mut(&mut attached.rule).session {
            session.config.forward_token = true;
        }
    }
}

/// Finds and reports the rules whose token must stay in the request, because another rule of one of their hosts matches
/// on the header that carries it.
fn forwarded(group: &ProxyGroup, report: &mut Report) -> BTreeSet<String> {
    let mut matching: BTreeMap<(&VirtualHost, String), Vec<(&AttachedRule, &ValueMatch)>> = BTreeMap::new();
    for attached in &group.rules {
        let mut seen = BTreeSet::new();
        let matches = attached.rule.matches.iter();
        for header in matches.flat_map(|one| &one.value.headers) {
            let name = header.name.value.to_ascii_lowercase();
            if !seen.insert(name.clone()) {
                continue;
            }
            for host in &attached.virtual_hosts {
                let rules = matching.entry((host, name.clone())).or_default();
                // Two are enough: for any rule, at least one of them is another rule.
                if rules.len() < 2 {
                    rules.push((attached, header));
                }
            }
        }
    }
    let mut ids = BTreeSet::new();
    for (attached, session) in group
        .session_rules()
        .filter(|(_, session)| !session.config.forward_token)
    {
        let rule = &attached.rule;
        let carrier = carrier(&session.config);
        let on_hosts = attached.virtual_hosts.iter();
        let mut others = on_hosts
            .filter_map(|host| matching.get(&(host, carrier.clone())))
            .flatten();
        let Some((other, header)) = others.find(|(other, _)| other.rule.id != rule.id) else {
            continue;
        };
        let message = format!(
            "the session token of the rule {} stays in the requests that its backends get: the rule {} of the same host matches on \
             the header `{}`, and Envoy could select it if the token were removed",
            rule.id, other.rule.id, header.name.value
        );
        let warning = Diagnostic::warning(Code::Accepted, message).at(rule.location_of(rule.spec));
        report.add(warning.with(other.rule.location_of(&header.name), "this match"));
        ids.insert(rule.id.clone());
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{document, mesh::Mesh, resources::Resources, source::Sources, translate::translate};

    /// Two rules: one with a session, and one with this match.
    fn input(session: &str, header: &str, hosts: [&str; 2]) -> String {
        let route = |name: &str, host: &str, rule: &str| {
            format!(
                "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: \
                 [{{name: gw}}]\n  hostnames: [{host}]\n  rules:\n  - {rule}\n    backendRefs: [{{name: web, port: 80}}]\n"
            )
        };
        let [one, other] = hosts;
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\nspec:\n  gatewayClassName: istio\n  \
             listeners: [{{name: http, port: 80, protocol: HTTP}}]\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: \
             web}}\nspec: {{ports: [{{port: 80}}]}}\n{}{}",
            route("session", one, &format!("sessionPersistence: {session}")),
            route("other", other, &format!("matches: [{{headers: [{header}]}}]"))
        )
    }

    /// The ids of the rules that leave their tokens in requests, and the messages about them.
    fn forwarding(text: String) -> (Vec<String>, Vec<String>) {
        let mut sources = Sources::default();
        sources.add("input.yaml", text);
        let mut report = Report::default();
        let resources = Resources::new(document::read(&sources, &mut report), &sources, Mesh::default());
        let ir = translate(&resources, &mut report);
        assert_eq!(report.errors(), 0);
        let sessions = ir.proxies.iter().flat_map(ProxyGroup::session_rules);
        let forwarding = sessions.filter(|(_, session)| session.config.forward_token);
        let ids = forwarding.map(|(attached, _)| attached.rule.id.clone()).collect();
        let findings = report.sorted();
        let messages = findings.iter().map(|finding| finding.message().to_owned());
        let messages = messages.filter(|message| message.contains("session token"));
        (ids, messages.collect())
    }

    const SAME: [&str; 2] = ["a.example.com", "a.example.com"];

    #[test]
    fn the_token_stays_where_another_rule_of_the_host_matches_on_its_header() {
        let cookie = "{name: Cookie, type: RegularExpression, value: \".*canary=yes.*\"}";
        let (ids, messages) = forwarding(input("{}", cookie, SAME));
        assert_eq!(ids, ["HTTPRoute/default/session#0"]);
        assert_eq!(
            messages,
            [
                "the session token of the rule HTTPRoute/default/session#0 stays in the requests that its backends get: the rule \
              HTTPRoute/default/other#0 of the same host matches on the header `Cookie`, and Envoy could select it if \
              the token were removed"
            ]
        );
        let header = "{sessionName: x-session, type: Header}";
        assert_eq!(
            forwarding(input(header, "{name: X-Session, value: a}", SAME)).0.len(),
            1
        );
    }

    #[test]
    fn the_token_is_taken_out_where_no_other_rule_of_the_host_looks_at_it() {
        let cookie = "{name: Cookie, value: canary=yes}";
        let none = (Vec::new(), Vec::new());
        assert_eq!(
            forwarding(input("{}", cookie, ["a.example.com", "b.example.com"])),
            none
        );
        assert_eq!(forwarding(input("{}", "{name: x-session, value: a}", SAME)), none);
        assert_eq!(
            forwarding(input("{sessionName: x-session, type: Header}", cookie, SAME)),
            none
        );
    }

    #[test]
    fn a_token_that_stays_anyway_is_not_told_of() {
        let cookie = "{name: Cookie, value: canary=yes}";
        let annotated = input("{}", cookie, SAME).replace(
            "{name: session}",
            "{name: session, annotations: {mooring.dev/forward-token: \"true\"}}",
        );
        let (ids, messages) = forwarding(annotated);
        assert_eq!(ids, ["HTTPRoute/default/session#0"]);
        assert_eq!(messages, [""; 0]);
    }

    /// The messages about Flagger for a rule with these backends and this match on a cookie.
    fn of_flagger(backends: [&str; 2], session: &str, expression: &str) -> usize {
        let [primary, canary] = backends;
        let text = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\nspec:\n  gatewayClassName: istio\n  \
             listeners: [{{name: http, port: 80, protocol: HTTP}}]\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: \
             {primary}}}\nspec: {{ports: [{{port: 80}}]}}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: {canary}}}\nspec: \
             {{ports: [{{port: 80}}]}}\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: web}}\nspec:\n  \
             parentRefs: [{{name: gw}}]\n  rules:\n  - matches: [{{headers: [{{name: Cookie, type: RegularExpression, value: \
             \"{expression}\"}}]}}]\n    backendRefs: [{{name: {primary}, port: 80, weight: 0}}, {{name: {canary}, port: 80, weight: \
             100}}]\n{session}"
        );
        let mut sources = Sources::default();
        sources.add("input.yaml", text);
        let mut report = Report::default();
        let resources = Resources::new(document::read(&sources, &mut report), &sources, Mesh::default());
        translate(&resources, &mut report);
        assert_eq!(report.errors(), 0);
        let findings = report.sorted();
        findings
            .iter()
            .filter(|finding| finding.message().contains("Flagger"))
            .count()
    }

    #[test]
    fn the_session_affinity_of_flagger_is_told_of() {
        let flaggers = ".*flagger-cookie.*LpsIaLdoNZ.*";
        let session = "    sessionPersistence: {}\n";
        assert_eq!(of_flagger(["web-primary", "web-canary"], session, flaggers), 1);
        assert_eq!(of_flagger(["web-primary", "web-canary"], "", flaggers), 0);
        assert_eq!(of_flagger(["web-v1", "web-v2"], session, flaggers), 0);
        assert_eq!(of_flagger(["web-primary", "web-canary"], session, "canary=yes"), 0);
    }

    #[test]
    fn an_expression_sees_a_cookie_that_it_does_not_name() {
        for expression in [".+", ".*", "[^=]+=.*", "mooring-[0-9a-f]+=.*", "[^;]*; [^;]*", "a=b"] {
            assert!(sees(expression, "mooring-032cb137"), "{expression}");
        }
        for expression in [
            "^(.*; ?)?canary=yes(;.*)?$",
            "(.*;)?\\s*user=(jason|anna)(;.*)?",
            "(",
            "canary=yes",
        ] {
            assert!(!sees(expression, "mooring-032cb137"), "{expression}");
        }
    }
}
