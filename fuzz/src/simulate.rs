//! What holds for requests to the proxies of any input: they reach a backend of the rule that they match first, with a session or
//! without one, and a session stays where it began.

use mooring_generator::{
    diagnostic::Report,
    document::{self, RawObjects},
    ir::{ProxyGroup, Rule},
    mesh::Mesh,
    model::route::{Match, PathMatchType, ValueMatchType},
    resources::Resources,
    simulate::{self, Answer, Circumstances, Exchange, HeaderChange, Proxy, Request},
    source::Sources,
    translate,
};
use mooring_policy::decision::{Reason, SessionOutcome};

use crate::ring;

/// The numbers of virtual hosts and of rules in each that are tried: an input of the fuzzer is small, and its runs must be short.
const MAX_HOSTS: usize = 4;
const MAX_RULES: usize = 8;

const NOW: u64 = 1_800_000_000;

/// Sends requests to the gateways of an input.
pub fn check(sources: &Sources) {
    let mut report = Report::default();
    let resources = Resources::new(document::read(sources, &mut report), sources, Mesh::default());
    let ir = translate::translate(&resources, &mut report);
    let raw = RawObjects::new(sources);
    let proxies = simulate::proxies(&ir, &resources, &raw, ProxyGroup::config, || Some(ring(&[1])));
    for proxy in &proxies.expect("the filter accepts the configuration") {
        for host in proxy.virtual_hosts.iter().take(MAX_HOSTS) {
            let rules = host.routes.iter().filter(|route| route.session_backend.is_none());
            for rule in rules.map(|route| route.rule).take(MAX_RULES) {
                let authority = format!("{}:{}", host.host.hostname.replace('*', "any"), host.host.port);
                for request in requests(rule, &authority) {
                    check_request(proxy, &request);
                }
            }
        }
    }
}

/// A request for each match of a rule, as far as one can be told from the match.
fn requests(rule: &Rule, authority: &str) -> Vec<Request> {
    let everything = [&Match::EVERYTHING];
    let written: Vec<&Match> = rule.matches.iter().map(|one| &one.value).collect();
    let matches = if written.is_empty() {
        everything.as_slice()
    } else {
        &written
    };
    matches.iter().filter_map(|one| request(one, authority)).collect()
}

fn request(one: &Match, authority: &str) -> Option<Request> {
    let value = one.path_value();
    let path = match one.path_type() {
        PathMatchType::Exact => value.to_owned(),
        PathMatchType::PathPrefix | PathMatchType::TextPrefix => format!("{}/x", value.trim_end_matches('/')),
        PathMatchType::RegularExpression => "/x".to_owned(),
    };
    let sample = |kind: ValueMatchType, value: &str| match kind {
        ValueMatchType::Exact | ValueMatchType::Prefix => value.to_owned(),
        ValueMatchType::RegularExpression | ValueMatchType::Present => "1".to_owned(),
    };
    let query = one.query_params.iter();
    let query = query.map(|one| format!("{}={}", one.name.value, sample(one.kind, &one.value.value)));
    let query: Vec<String> = query.collect();
    let method = one.method.as_ref();
    let method = method.and_then(|method| Some(serde_json::to_value(method.value).ok()?.as_str()?.to_owned()));
    let method = method.unwrap_or_else(|| "GET".to_owned());
    let request = Request::new(&method, &format!("http://{authority}{path}?{}", query.join("&"))).ok()?;
    let headers = one.headers.iter();
    Some(headers.fold(request, |request, one| {
        request.with_header(&one.name.value, &sample(one.kind, &one.value.value))
    }))
}

fn check_request(proxy: &Proxy, request: &Request) {
    let send = |request: &Request, now| {
        let at = Circumstances {
            now,
            ..Circumstances::default()
        };
        let exchange = proxy.send(request, &at).expect("sealing works");
        check_exchange(&exchange);
        exchange
    };
    let first = send(request, NOW);
    let Some(carried) = token(&first) else { return };
    let (name, value) = carried;
    let resumed = send(&request.clone().with_header(&name, &value), NOW.saturating_add(1));
    let decision = resumed.decision.as_ref();
    let Some(decision) = decision.filter(|decision| decision.session_outcome() == SessionOutcome::Resumed) else {
        return;
    };
    if !matches!(decision.reason(), Reason::CanaryRule(_)) {
        assert_eq!(first.answer, resumed.answer, "a session moved: {request:?}");
        assert_eq!(
            resumed.issued, None,
            "a session gets tokens again and again: {request:?}"
        );
    }
}

/// A request only reaches backends of the rule that it matched first.
fn check_exchange(exchange: &Exchange) {
    let Some(route) = exchange.route else { return };
    if let Some(session_route) = exchange.session_route {
        assert_eq!(session_route.rule.id, route.rule.id, "a session route of another rule");
    }
    if let Answer::Backend { key, .. } = &exchange.answer {
        let own = route.rule.backends.iter().any(|backend| backend.key() == *key);
        assert!(own, "{key} is not a backend of {}", route.rule.id);
    }
}

/// The header with which a client sends the token of a response.
fn token(exchange: &Exchange) -> Option<(String, String)> {
    exchange.issued?;
    let session = exchange.decision.as_ref()?.rule().session()?;
    exchange.response_changes.iter().find_map(|change| match change {
        HeaderChange::Add(name, value) if name == "set-cookie" => {
            let cookie = String::from_utf8_lossy(value);
            Some(("cookie".to_owned(), cookie.split(';').next()?.to_owned()))
        }
        HeaderChange::Add(name, value) if name == session.name() => {
            Some((name.clone(), String::from_utf8_lossy(value).into_owned()))
        }
        _ => None,
    })
}
