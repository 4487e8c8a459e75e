//! What `mooring explain` says, as data. `docs/explain.md` documents the JSON. Fields may be added but are never removed.

use std::fmt;

use serde::Serialize;

use crate::{location::SourceLocation, source::Sources, token};

/// The version of the format.
pub const VERSION: u32 = 1;

/// The explanation of one request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The version of the format.
    pub version: u32,
    /// The request.
    pub request: RequestLine,
    /// Whether a route takes the request.
    pub outcome: Outcome,
    /// The proxies that receive the request.
    pub proxy: ProxyName,
    /// The configuration of the module.
    pub configuration: Configuration,
    /// The virtual host of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_host: Option<VirtualHostName>,
    /// The host names that the proxies have on the port, if the host of the request is none of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The route that takes the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteReport>,
    /// Later routes that match as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_matching: Vec<RouteReport>,
    /// The routes that match nearly, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<RouteReport>,
    /// The session of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionReport>,
    /// The canary of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryReport>,
    /// The tokens in the request for this session.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenReport>,
    /// What the module decides. Without it, the module does nothing, for this reason.
    pub decision: DecisionReport,
    /// Which backends a new session or a request without one gets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub odds: Vec<Odds>,
    /// The changes of the module to the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<HeaderReport>,
    /// The changes of the module to the response of a backend.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub response_headers: Vec<HeaderReport>,
    /// What happens to this client when something fails.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestLine {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The path as Envoy compares it, if that differs from the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalized_path: Option<String>,
    /// The time (RFC 3339, UTC).
    pub time: String,
}

/// Whether a route takes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A route takes it.
    Routed,
    /// The virtual host has no route for it: 404.
    NoRoute,
    /// The proxies have no virtual host for it: 404.
    NoVirtualHost,
}

/// Proxies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyName {
    /// What they are, in a sentence, such as `Gateway infra/front`.
    pub name: String,
    /// The port of the listener.
    pub port: u16,
}

/// The configuration of the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// Where it comes from.
    pub source: Source,
    /// The `WasmPlugin`: `NAMESPACE/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wasm_plugin: Option<String>,
    /// Where the `WasmPlugin` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// The release of Mooring that generated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// How it differs from what this release would generate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// Where a configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// It would be generated.
    Generated,
    /// It is in a `WasmPlugin` of the input.
    Applied,
}

/// A virtual host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualHostName {
    /// Its name in Envoy.
    pub name: String,
    /// Its host names.
    pub domains: Vec<String>,
    /// The number of its routes.
    pub routes: usize,
}

/// A route and how a request meets its conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteReport {
    /// Its name in Envoy.
    pub name: String,
    /// Its position in the virtual host, counted from 1. Envoy takes the first route that matches.
    pub position: usize,
    /// The identity of its rule.
    pub rule: String,
    /// Where the match, or the rule without matches, is written.
    pub location: Location,
    /// Its conditions.
    pub conditions: Vec<ConditionReport>,
    /// What it does with requests.
    pub action: String,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionReport {
    /// The condition in words.
    pub condition: String,
    /// Whether the request meets it.
    pub met: bool,
    /// What the request has. None: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// A policy or another part of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// What it is, such as `CanaryPolicy shop/web`.
    pub name: String,
    /// Where it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

/// The session of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionReport {
    /// The policy or the rule that sets it.
    pub set_by: Written,
    /// What carries the token: `cookie` or `header`.
    pub r#type: &'static str,
    /// The name of the cookie or header.
    pub name: String,
    /// What a session is bound to: `host` or `backend`.
    pub bound_to: &'static str,
    /// The absolute timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absolute_timeout: Option<String>,
    /// The idle timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<String>,
    /// Whether a request fails when the host of its session is gone.
    pub strict: bool,
}

/// The canary of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryReport {
    /// The policy.
    pub policy: Written,
    /// The rule of it that selects the backend of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Written>,
    /// The conditions of that rule, all of which the request meets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
    /// By what clients are split, instead of at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_on: Option<String>,
}

/// A token of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenReport {
    /// The beginning of its text.
    pub text: String,
    /// Whether it decides about the request.
    pub counts: bool,
    /// Why it counts or does not.
    pub verdict: String,
    /// What it holds, if it could be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<token::Description>,
}

/// What the module decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionReport {
    /// The backend. None: the weights of the route select it, or Envoy itself answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The host of the session that the module asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Why, in the words of metrics. None: the module does not act on the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What becomes of the session, in the words of the access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<&'static str>,
    /// Why the response carries a token: `new`, `moved`, `refreshed` or `ended`. None: it carries none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<&'static str>,
    /// The decision in words.
    pub text: String,
}

/// The share of a backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Odds {
    /// The backend. None: it does not exist, and Envoy answers 500.
    pub backend: Option<String>,
    /// Its share, in percent.
    pub percent: f64,
}

/// A change to a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderReport {
    /// `set`, `add` or `remove`.
    pub action: &'static str,
    /// The name.
    pub name: String,
    /// The value. `<token>` stands for a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// What happens when something fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What fails.
    pub event: FailureEvent,
    /// What happens then.
    pub then: String,
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureEvent {
    /// The pod of the session is gone.
    PodGone,
    /// The backend has no healthy host.
    BackendDown,
}

/// A position in the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1.
    pub column: usize,
}

impl Configuration {
    /// The one that would be generated.
    pub fn generated() -> Self {
        Self {
            source: Source::Generated,
            wasm_plugin: None,
            location: None,
            release: None,
            differences: Vec::new(),
        }
    }
}

impl Location {
    /// The position with the name of its file.
    #[must_use]
    pub fn new(location: SourceLocation, sources: &Sources) -> Self {
        Self {
            file: sources.name(location.file).to_owned(),
            line: location.line,
            column: location.column,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}
