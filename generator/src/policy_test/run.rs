//! Runs the cases of a test file.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{
    checked::{Case, Time},
    coverage::Coverage,
    environment::{self, Changes, Client, Environment},
    expect::{Expected, Mismatch},
    names,
    observed::Observed,
    request::Request,
    suite::Suite,
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::Backend,
    location::{SourceLocation, Spanned},
    simulate::{self, Circumstances, DRAWS, Proxy},
    source::Sources,
    suggest,
};

/// The result of a test file.
#[derive(Debug)]
pub struct FileResult {
    /// The name of the file.
    pub name: String,
    /// The results of its cases.
    pub cases: Vec<CaseResult>,
}

/// The result of a case.
#[derive(Debug)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// Where it is written.
    pub location: SourceLocation,
    /// The results of its requests.
    pub requests: Vec<RequestResult>,
}

/// The result of a request.
#[derive(Debug)]
pub struct RequestResult {
    /// The request.
    pub request: Request,
    /// What became of it, or why it could not be sent.
    pub observed: Result<Observed, String>,
    /// What is not as expected.
    pub mismatches: Vec<Mismatch>,
}

impl RequestResult {
    /// Whether everything is as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.observed.is_ok() && self.mismatches.is_empty()
    }
}

impl FileResult {
    /// The results of all requests, with their cases.
    pub fn requests(&self) -> impl Iterator<Item = (&CaseResult, &RequestResult)> {
        self.cases
            .iter()
            .flat_map(|case| case.requests.iter().map(move |request| (case, request)))
    }
}

/// Runs a test file on its manifests, and adds what it covers. `manifests` is the report about the manifests. None: they, or the
/// names in the test file, have errors, which are reported.
pub fn run(
    suite: &Suite,
    sources: &Sources,
    coverage: &mut Coverage,
    manifests: &mut Report,
    report: &mut Report,
) -> Option<FileResult> {
    environment::load(&suite.test, sources, manifests, |environment, manifests| {
        let test = &suite.test;
        let named = Named::new(environment);
        let circumstances = test.cases.iter().map(|case| named.circumstances(case, report));
        let circumstances: Vec<(Circumstances, Changes)> = circumstances.collect();
        report.result().ok()?;
        let proxies = match environment.proxies(&Changes::default()) {
            Ok(proxies) => proxies,
            Err(message) => {
                manifests.add(Diagnostic::error(Code::Invalid, message));
                return None;
            }
        };
        let id = sources_id(sources);
        coverage.add_rules(&id, &proxies, sources);
        let mut run = Run {
            environment,
            named: &named,
            proxies: BTreeMap::from([(Changes::default(), proxies)]),
            clients: Vec::new(),
            times: Vec::new(),
            start: test.start,
            covers: &mut |touched| coverage.touch(&id, touched),
        };
        let cases = test.cases.iter().zip(circumstances);
        let cases = cases.map(|(case, (circumstances, changes))| run.case(case, circumstances, &changes));
        Some(FileResult {
            name: suite.name.clone(),
            cases: cases.collect(),
        })
    })
}

/// What identifies manifests: their names and texts.
fn sources_id(sources: &Sources) -> String {
    let texts = sources
        .texts()
        .map(|(file, text)| format!("{}\n{text}", sources.name(file)));
    let texts: BTreeSet<String> = texts.collect();
    texts.into_iter().collect()
}

/// The names in the manifests that a test file can use.
struct Named {
    backends: BTreeSet<String>,
    rules: BTreeSet<String>,
    hosts: BTreeMap<String, Vec<String>>,
}

impl Named {
    fn new(environment: &Environment) -> Self {
        let rules = || environment.ir.rules.iter();
        Self {
            backends: rules().flat_map(|rule| &rule.backends).map(Backend::key).collect(),
            rules: rules().map(|rule| rule.id.clone()).collect(),
            hosts: simulate::hosts(environment.ir, environment.resources),
        }
    }

    /// The circumstances of a case, except for the time, and its weights and versions.
    fn circumstances(&self, case: &Case, report: &mut Report) -> (Circumstances, Changes) {
        let mut changes = Changes::default();
        for (name, weight) in &case.weights {
            let keys = self.keys(name, report).into_iter();
            changes.weights.extend(keys.map(|key| (key, *weight)));
        }
        for (name, version) in &case.versions {
            let keys = self.keys(name, report).into_iter();
            changes.versions.extend(keys.map(|key| (key, version.clone())));
        }
        let (hosts, backends): (Vec<_>, Vec<_>) = case.down.iter().partition(|name| is_host(&name.value));
        let down = backends.into_iter().flat_map(|name| self.keys(name, report));
        let circumstances = Circumstances {
            now: 0,
            draw: case.draw.unwrap_or(0),
            weights: changes.weights.clone(),
            down: down.collect(),
            gone: hosts.into_iter().map(|host| host.value.clone()).collect(),
            hosts: self.hosts.clone(),
        };
        (circumstances, changes)
    }

    /// The keys of the backends of this name. That there are none is reported.
    fn keys(&self, name: &Spanned<String>, report: &mut Report) -> Vec<String> {
        let keys = self.backends.iter().filter(|key| names::is_backend(&name.value, key));
        let keys: Vec<String> = keys.cloned().collect();
        if keys.is_empty() {
            let message = format!("no rule of the manifests has a backend `{}`", name.value);
            let error = Diagnostic::error(Code::BackendNotFound, message).at(name.location);
            report.reject(match self.similar_backend(&name.value) {
                Some(help) => error.help(help),
                None => error,
            });
        }
        keys
    }

    fn similar_backend(&self, name: &str) -> Option<String> {
        let short = self.backends.iter().filter_map(|key| key.split(['.', ':']).next());
        let all = short.chain(self.backends.iter().map(String::as_str));
        let similar = suggest::find(name, all);
        similar.map(|similar| format!("did you mean `{similar}`?"))
    }

    /// Advice for a name that is in no manifest.
    fn help(&self, expected: &Expected) -> Option<String> {
        match expected {
            Expected::Rule(Some(name)) if !self.rules.iter().any(|rule| names::is_rule(name, rule)) => {
                let ends = self.rules.iter().flat_map(|rule| {
                    let ends = rule
                        .match_indices(['/', '#'])
                        .filter_map(|(at, _)| rule.get(at.saturating_add(1)..));
                    ends.chain([rule.as_str()])
                });
                let similar = suggest::find(name, ends).map(|similar| format!("; did you mean `{similar}`?"));
                Some(format!(
                    "the manifests have no rule `{name}`{}",
                    similar.unwrap_or_default()
                ))
            }
            Expected::Backend(Some(name)) if !self.backends.iter().any(|key| names::is_backend(name, key)) => {
                let similar = self.similar_backend(name).map(|similar| format!("; {similar}"));
                Some(format!(
                    "no rule of the manifests has a backend `{name}`{}",
                    similar.unwrap_or_default()
                ))
            }
            _ => None,
        }
    }
}

fn is_host(name: &str) -> bool {
    name.parse::<SocketAddr>().is_ok()
}

/// A run of the cases of one file.
struct Run<'r, 'a> {
    environment: &'r Environment<'a>,
    named: &'r Named,
    proxies: BTreeMap<Changes, Vec<Proxy<'a>>>,
    /// The client of each case that has run, afterwards.
    clients: Vec<Client>,
    /// The time of each case that has run.
    times: Vec<u64>,
    start: u64,
    covers: &'r mut dyn FnMut(&super::coverage::Touched),
}

impl Run<'_, '_> {
    fn case(&mut self, case: &Case, circumstances: Circumstances, changes: &Changes) -> CaseResult {
        let base = case
            .client
            .as_ref()
            .map_or(self.times.last(), |client| self.times.get(client.value));
        let now = match case.time {
            Time::At(time) => time,
            Time::After(seconds) => base.copied().unwrap_or(self.start).saturating_add(seconds),
        };
        let client = case.client.as_ref().and_then(|client| self.clients.get(client.value));
        let client = client.cloned().unwrap_or_default();
        let circumstances = Circumstances { now, ..circumstances };
        let mut after = client.clone();
        let requests = case.requests.iter();
        let requests = requests
            .map(|request| self.request(case, request, (&client, &mut after), &circumstances, changes))
            .collect();
        self.clients.push(after);
        self.times.push(now);
        CaseResult {
            name: case.name.clone(),
            location: case.location,
            requests,
        }
    }

    fn request(
        &mut self,
        case: &Case,
        request: &Request,
        (client, after): (&Client, &mut Client),
        circumstances: &Circumstances,
        changes: &Changes,
    ) -> RequestResult {
        let sent = self.send(case, request, client, circumstances, changes);
        let mut mismatches = Vec::new();
        if let Some(of) = case.client.as_ref().filter(|_| !client.has_session()) {
            mismatches.push(Mismatch {
                field: "session",
                location: of.location,
                expected: "a session of an earlier case".to_owned(),
                found: "that case has begun no session".to_owned(),
                help: None,
            });
        }
        let observed = sent.map(|(observed, new)| {
            *after = new;
            for expectation in &case.expectations {
                mismatches.extend(expectation.compare(&observed).map(|mismatch| Mismatch {
                    help: self.named.help(&expectation.value).or(mismatch.help),
                    ..mismatch
                }));
            }
            observed
        });
        RequestResult {
            request: request.clone(),
            observed,
            mismatches,
        }
    }

    fn send(
        &mut self,
        case: &Case,
        request: &Request,
        client: &Client,
        circumstances: &Circumstances,
        changes: &Changes,
    ) -> Result<(Observed, Client), String> {
        if !self.proxies.contains_key(changes) {
            let proxies = self.environment.proxies(changes)?;
            self.proxies.insert(changes.clone(), proxies);
        }
        let proxies = self.proxies.get_mut(changes).map(Vec::as_mut_slice).unwrap_or_default();
        let selected = environment::select(proxies, request)?;
        let Some(proxy) = proxies.get_mut(selected) else {
            return Err("no proxy gets the request".to_owned());
        };
        let sent = environment::send(proxy, request, client, circumstances)?;
        if let Some(touched) = &sent.touched {
            (self.covers)(touched);
        }
        let mut observed = sent.observed;
        let needs_draw = case.draw.is_none()
            && case
                .expectations
                .iter()
                .any(|expectation| matches!(expectation.value, Expected::Backend(Some(_)) | Expected::Host(_)));
        if needs_draw {
            observed.odds = odds(proxy, request, client, circumstances)?;
        }
        Ok((observed, sent.client))
    }
}

/// The backends of a request by the draw, with their shares in percent. Empty: the draw does not matter.
fn odds(
    proxy: &mut Proxy,
    request: &Request,
    client: &Client,
    circumstances: &Circumstances,
) -> Result<Vec<(String, u8)>, String> {
    let mut backends: Vec<(String, u8)> = Vec::new();
    for draw in 0..DRAWS {
        let circumstances = Circumstances {
            draw,
            ..circumstances.clone()
        };
        let sent = environment::send(proxy, request, client, &circumstances)?;
        let backend = sent
            .observed
            .backend
            .unwrap_or_else(|| super::observed::NONE.to_owned());
        match backends.iter_mut().find(|(other, _)| *other == backend) {
            Some((_, share)) => *share = share.saturating_add(1),
            None => backends.push((backend, 1)),
        }
    }
    if backends.len() < 2 {
        backends.clear();
    }
    Ok(backends)
}
