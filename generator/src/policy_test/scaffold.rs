//! A first test file for manifests (`mooring test --init`): a case for each rule and for each branch of its canary, which expects
//! what happens today.

use std::{collections::BTreeSet, fmt::Write as _};

use mooring_policy::{
    config::{MatchConfig, MatchType, SourceConfig, Transport},
    duration::Duration,
};
use serde_json::{Map, Value, json};

use super::{
    Coverage, Suite,
    environment::{self, Changes},
    observed::{NONE, Observed},
    run::{self, FileResult},
    values::{ABSENT, PRESENT},
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::Rule,
    kind::TEST_FILE,
    model::route::{self, PathMatchType, ValueMatchType},
    output,
    simulate::{Proxy, Route, VirtualHost},
    source::Sources,
};

/// The seconds by which a generated case exceeds the idle timeout.
const MARGIN: u64 = 60;

/// The name of the generated file in messages.
const NAME: &str = "the generated file";

/// The text of a test file for manifests with these paths. None: they have an error, or nothing to test; both are reported.
pub fn scaffold(paths: &[String], sources: &Sources, report: &mut Report) -> Option<String> {
    let (api_version, kind) = TEST_FILE;
    let file = |cases: &[Value]| json!({ "apiVersion": api_version, "kind": kind, "manifests": paths, "cases": cases });
    // To read the manifests, the file only needs its options, which are the default.
    let empty = Suite::parse(
        NAME,
        &file(&[json!({ "name": NONE, "request": {} })]).to_string(),
        report,
    )
    .ok()?;
    let mut draft = environment::load(&empty.test, sources, report, |environment, report| {
        match environment.proxies(&Changes::default()) {
            Ok(proxies) => Some(Draft::new(&proxies)),
            Err(message) => {
                report.add(Diagnostic::error(Code::Invalid, message));
                None
            }
        }
    })?;
    if draft.cases.is_empty() {
        let message = "the manifests have no rule for which a request can be written: no gateway serves one, or all matches are \
                       expressions";
        let error = Diagnostic::error(Code::NoMatchingParent, message);
        report.add(error.help("for routes of the mesh, write a file with `asSidecar`"));
        return None;
    }
    let suite = Suite::parse(NAME, &file(&draft.cases).to_string(), report).ok()?;
    let (mut coverage, mut found) = (Coverage::default(), Report::default());
    let result = run::run(&suite, sources, &mut coverage, report, &mut found);
    report.extend(found);
    draft.expect(&result?);
    let text = output::yaml_of(&file(&draft.cases)).ok()?;
    Some(format!("{}{text}", draft.comment()))
}

/// The cases of a file that is written.
struct Draft {
    cases: Vec<Value>,
    /// For each case, what carries the session of its rule. None: the rule keeps no session.
    transports: Vec<Option<Transport>>,
    /// The rules and canary rules without a case, because their matches are not plain values.
    skipped: Vec<String>,
    labels: BTreeSet<String>,
}

impl Draft {
    fn new(proxies: &[Proxy]) -> Self {
        let mut draft = Self {
            cases: Vec::new(),
            transports: Vec::new(),
            skipped: Vec::new(),
            labels: BTreeSet::new(),
        };
        let mut done = BTreeSet::new();
        for proxy in proxies {
            let gateway = proxy.group.gateway().filter(|_| proxies.len() > 1);
            let gateway = gateway.map(|gateway| gateway.item.id.to_string());
            let port = |host: &VirtualHost| Some(host.host.port).filter(|_| proxy.ports().len() > 1);
            for host in &proxy.virtual_hosts {
                for route in host.routes.iter().filter(|route| route.session_backend.is_none()) {
                    if !done.insert(route.rule.id.clone()) {
                        continue;
                    }
                    draft.rule(route, host, gateway.as_deref(), port(host));
                }
            }
        }
        draft
    }

    /// The cases of a rule.
    fn rule(&mut self, route: &Route, host: &VirtualHost, gateway: Option<&str>, port: Option<u16>) {
        let rule = route.rule;
        let Some(mut request) = request(rule) else {
            self.skipped.push(rule.id.clone());
            return;
        };
        let name = host.domains.iter().find(|domain| *domain != "*");
        let hostname = name.map(|domain| {
            domain
                .strip_prefix('*')
                .map_or_else(|| domain.clone(), |rest| format!("www{rest}"))
        });
        let mut first = Map::new();
        first.extend(gateway.map(|gateway| ("gateway".to_owned(), gateway.into())));
        first.extend(port.map(|port| ("port".to_owned(), port.into())));
        first.extend(hostname.map(|host| ("host".to_owned(), host.into())));
        first.append(&mut request);
        let request = first;
        let label = self.label(rule);
        let case = |title: &str| format!("{label}: {title}");
        let new = case("a new client");
        self.case(&new, &request, json!({ "draw": 0 }));
        if let Some(session) = &rule.session {
            self.case(
                &case("the client comes back"),
                &request,
                json!({ "session": new, "after": "1m" }),
            );
            if let Some(idle) = session.config.idle_timeout.and_then(|idle| idle.whole_seconds().ok()) {
                let after = Duration::from_secs(idle.saturating_add(MARGIN)).to_string();
                let more = json!({ "session": new, "after": after, "draw": 0 });
                self.case(&case("the client was away for too long"), &request, more);
            }
        }
        self.canary(rule, &label, &request);
        let transport = rule.session.as_ref().map(|session| session.config.transport);
        self.transports.resize(self.cases.len(), transport);
    }

    /// The name of the rule in those of its cases: without kind and namespace, unless another rule has the same.
    fn label(&mut self, rule: &Rule) -> String {
        let short = rule.id.splitn(3, '/').last().unwrap_or(&rule.id).to_owned();
        if self.labels.insert(short.clone()) {
            short
        } else {
            rule.id.clone()
        }
    }

    fn canary(&mut self, rule: &Rule, label: &str, request: &Map<String, Value>) {
        let Some(routing) = rule.canary() else { return };
        let config = &routing.compiled.config;
        for (canary, backend) in config.rules.iter().zip(&routing.backends) {
            if backend.is_none() {
                continue;
            }
            let case = |title: &str| format!("{label}: canary rule {} {title}", canary.name);
            let mut matching = Some(request.clone());
            for condition in &canary.matches {
                matching = matching.and_then(|request| with_match(request, condition));
            }
            match (&canary.opt_in, matching) {
                (Some(source), _) => {
                    let always = with_source(request.clone(), source, "always");
                    self.case(&case("selects its backend"), &always, json!({ "draw": 0 }));
                    let never = with_source(request.clone(), source, "never");
                    self.case(&case("keeps a client away"), &never, json!({ "draw": 0 }));
                }
                (None, Some(matching)) => self.case(&case("applies"), &matching, json!({ "draw": 0 })),
                (None, None) => self.skipped.push(format!("canary rule {} of {}", canary.name, rule.id)),
            }
        }
        if let Some(source) = &config.hash_on {
            let hashed = with_source(request.clone(), source, "client-1");
            self.case(&format!("{label}: the split of client-1"), &hashed, json!({}));
        }
    }

    fn case(&mut self, name: &str, request: &Map<String, Value>, more: Value) {
        let mut case = Map::new();
        case.insert("name".to_owned(), name.into());
        case.insert("request".to_owned(), Value::Object(request.clone()));
        if let Value::Object(more) = more {
            case.extend(more);
        }
        self.cases.push(Value::Object(case));
    }

    /// Expects what was found.
    fn expect(&mut self, result: &FileResult) {
        let cases = self.cases.iter_mut().zip(&self.transports);
        for ((case, transport), (_, request)) in cases.zip(result.requests()) {
            let (Some(case), Ok(observed)) = (case.as_object_mut(), &request.observed) else {
                continue;
            };
            // A draw that makes no difference would only raise questions.
            if observed.reason.as_deref().is_some_and(|reason| reason != "split") {
                case.shift_remove("draw");
            }
            case.insert("expect".to_owned(), expected(observed, *transport));
        }
    }

    fn comment(&self) -> String {
        let mut text =
            "# Written by mooring test --init: it expects what happens today. Change it to what should happen.\n"
                .to_owned();
        for skipped in &self.skipped {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "# No case was written for {skipped}, because its matches are not plain values."
            );
        }
        text
    }
}

fn expected(observed: &Observed, transport: Option<Transport>) -> Value {
    let mut expect = Map::new();
    let mut add = |name: &str, value: Value| expect.insert(name.to_owned(), value);
    add("rule", observed.rule.as_deref().unwrap_or(NONE).into());
    match &observed.backend {
        Some(backend) => add("backend", backend.as_str().into()),
        None => add("status", observed.status.into()),
    };
    if let Some(reason) = &observed.reason {
        add("reason", reason.as_str().into());
        add("session", observed.session.into());
    }
    match transport {
        Some(Transport::Cookie) => {
            let cookie = observed.set_cookie.as_ref().map_or(ABSENT, |_| PRESENT);
            add("setCookie", cookie.into());
        }
        Some(Transport::Header) => {
            let header = observed.session_header.as_deref().unwrap_or(ABSENT);
            add("sessionHeader", header.into());
        }
        None => {}
    }
    Value::Object(expect)
}

/// A request that the first match of a rule with plain values takes.
fn request(rule: &Rule) -> Option<Map<String, Value>> {
    if rule.matches.is_empty() {
        return request_of(&route::Match::EVERYTHING);
    }
    rule.matches.iter().find_map(|one| request_of(&one.value))
}

fn request_of(one: &route::Match) -> Option<Map<String, Value>> {
    if one.path_type() == PathMatchType::RegularExpression {
        return None;
    }
    let mut path = one.path_value().to_owned();
    let mut queries = Vec::new();
    for query in &one.query_params {
        queries.push(format!("{}={}", query.name.value, value_of(query)?));
    }
    if !queries.is_empty() {
        path = format!("{path}?{}", queries.join("&"));
    }
    let mut headers = Map::new();
    for header in &one.headers {
        headers.insert(header.name.value.to_lowercase(), value_of(header)?.into());
    }
    let mut request = Map::from_iter([("path".to_owned(), path.into())]);
    let method = one
        .method
        .as_ref()
        .and_then(|method| serde_json::to_value(method.value).ok());
    request.extend(method.map(|method| ("method".to_owned(), method)));
    if !headers.is_empty() {
        request.insert("headers".to_owned(), headers.into());
    }
    Some(request)
}

fn value_of(one: &route::ValueMatch) -> Option<String> {
    match one.kind {
        ValueMatchType::Exact | ValueMatchType::Prefix => Some(one.value.value.clone()),
        ValueMatchType::Present => Some("any".to_owned()),
        ValueMatchType::RegularExpression => None,
    }
}

/// The request with what a condition of a canary rule wants.
fn with_match(request: Map<String, Value>, condition: &MatchConfig) -> Option<Map<String, Value>> {
    match condition.match_type {
        MatchType::Absent => Some(request),
        MatchType::Present => Some(with_source(request, &condition.on, "any")),
        MatchType::RegularExpression => None,
        MatchType::Exact | MatchType::Prefix | MatchType::Suffix | MatchType::Contains => {
            let value = condition.value.as_deref()?;
            Some(with_source(request, &condition.on, value))
        }
    }
}

fn with_source(mut request: Map<String, Value>, source: &SourceConfig, value: &str) -> Map<String, Value> {
    let (field, name) = match source {
        SourceConfig::Header(name) => ("headers", name.to_lowercase()),
        SourceConfig::Cookie(name) => ("cookies", name.clone()),
    };
    let entries = request.entry(field).or_insert_with(|| json!({}));
    if let Some(entries) = entries.as_object_mut() {
        entries.insert(name, value.into());
    }
    request
}
