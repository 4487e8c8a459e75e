//! The explanation as text, for people: a label and what there is to say, line by line.

use std::fmt::Write as _;

use super::explanation::{
    ConditionReport, Explanation, Failure, FailureEvent, HeaderReport, Location, Odds, Outcome, RouteReport,
    SessionReport, Source, TokenReport, Written,
};
use crate::{
    shorten::shortened,
    token::{Left, time::span},
};

/// The width of the labels.
const WIDTH: usize = 15;

/// Renders an explanation as text.
#[must_use]
pub fn text(explanation: &Explanation) -> String {
    let mut lines = Lines::default();
    lines.request(explanation);
    lines.routes(explanation);
    lines.session(explanation);
    lines.decision(explanation);
    for failure in &explanation.failures {
        lines.failure(failure);
    }
    lines.0
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, label: &str, text: String) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{label:WIDTH$}{}", shortened(text));
        self.0.truncate(self.0.trim_end().len());
        self.0.push('\n');
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }

    fn request(&mut self, explanation: &Explanation) {
        let request = &explanation.request;
        self.add(
            "REQUEST",
            format!("{} {} at {}", request.method, request.url, request.time),
        );
        if let Some(path) = &request.normalized_path {
            self.add("", format!("Envoy compares the path `{path}`"));
        }
        let proxy = &explanation.proxy;
        self.add("PROXY", format!("{}, port {}", proxy.name, proxy.port));
        let configuration = &explanation.configuration;
        let rules = match (configuration.source, &configuration.wasm_plugin) {
            (Source::Applied, Some(plugin)) => format!(
                "those of the WasmPlugin {plugin}{}",
                at(configuration.location.as_ref())
            ),
            _ => "those that would be generated".to_owned(),
        };
        self.add("RULES", rules);
        for difference in &configuration.differences {
            self.add("  differs", difference.clone());
        }
        match &explanation.virtual_host {
            Some(host) => {
                let routes = match host.routes {
                    0 => "no routes".to_owned(),
                    1 => "1 route".to_owned(),
                    several => format!("{several} routes"),
                };
                self.add("VIRTUAL HOST", format!("{}, with {routes}", host.name));
            }
            None => self.add("VIRTUAL HOST", "none has the host of the request".to_owned()),
        }
        if explanation.outcome == Outcome::NoVirtualHost {
            let hosts = if explanation.hosts.is_empty() {
                "none".to_owned()
            } else {
                explanation.hosts.join(", ")
            };
            self.add("  hosts", hosts);
        }
    }

    fn routes(&mut self, explanation: &Explanation) {
        self.gap();
        match &explanation.route {
            Some(route) => {
                self.route("ROUTE", route);
                if !route.action.starts_with("forwards") {
                    self.add("  action", route.action.clone());
                }
            }
            None => self.add("ROUTE", "404, no route".to_owned()),
        }
        for route in &explanation.also_matching {
            self.add("LATER", format!("{}, which matches too", name(route)));
        }
        for route in &explanation.nearest {
            self.route("NEAREST", route);
        }
    }

    fn route(&mut self, label: &str, route: &RouteReport) {
        self.add(label, name(route));
        for condition in &route.conditions {
            let ConditionReport { condition, met, found } = condition;
            let found = match found {
                Some(found) => format!("`{found}`"),
                None => "nothing".to_owned(),
            };
            self.add(
                if *met { "  met" } else { "  NOT MET" },
                format!("{condition}: found {found}"),
            );
        }
    }

    fn session(&mut self, explanation: &Explanation) {
        if explanation.outcome == Outcome::Routed {
            self.gap();
        }
        if let Some(session) = &explanation.session {
            self.add("SESSION", of_session(session));
            self.add("  set by", written(&session.set_by));
        }
        for token in &explanation.tokens {
            self.add("TOKEN", format!("{}: {}", token.text, token.verdict));
            if let Some(content) = content(token) {
                self.add("", content);
            }
        }
        if let Some(canary) = &explanation.canary {
            self.add("CANARY", written(&canary.policy));
            if let Some(hash_on) = &canary.hash_on {
                self.add("  split by", format!("the hash of {hash_on}"));
            }
            match &canary.rule {
                Some(rule) => self.add("  rule", written(rule)),
                None => self.add("  rule", "none applies".to_owned()),
            }
            for condition in &canary.conditions {
                self.add("  met", condition.clone());
            }
        }
    }

    fn decision(&mut self, explanation: &Explanation) {
        let decision = &explanation.decision;
        self.add("DECISION", decision.text.clone());
        if let Some(reason) = &decision.reason {
            self.add(
                "  reason",
                format!("{reason}, session {}", decision.session.unwrap_or("none")),
            );
        }
        if let Some(host) = &decision.host {
            self.add("  pod", format!("{host}, if it is a healthy host of the backend"));
        }
        if !explanation.odds.is_empty() {
            let odds: Vec<String> = explanation.odds.iter().map(share).collect();
            self.add("WEIGHTS", odds.join(", "));
        }
        for header in &explanation.request_headers {
            self.add("ON REQUEST", change(header));
        }
        for header in &explanation.response_headers {
            self.add("ON RESPONSE", change(header));
        }
    }

    fn failure(&mut self, failure: &Failure) {
        let label = match failure.event {
            FailureEvent::PodGone => "POD GONE",
            FailureEvent::BackendDown => "BACKEND DOWN",
        };
        self.add(label, failure.then.clone());
    }
}

fn name(route: &RouteReport) -> String {
    format!(
        "{}. {} of {}{}",
        route.position,
        Some(route.name.as_str())
            .filter(|name| !name.is_empty())
            .unwrap_or("(no name)"),
        route.rule,
        at(Some(&route.location))
    )
}

fn at(location: Option<&Location>) -> String {
    location.map_or_else(String::new, |location| format!(" ({location})"))
}

fn written(written: &Written) -> String {
    format!("{}{}", written.name, at(written.location.as_ref()))
}

fn of_session(session: &SessionReport) -> String {
    let timeout = |timeout: &Option<String>| timeout.clone().unwrap_or_else(|| "unlimited".to_owned());
    let bound = match session.bound_to {
        "host" => "a pod",
        other => other,
    };
    format!(
        "{} {}, bound to a {}{}; lasts {}, idle {}",
        session.r#type,
        session.name,
        bound.trim_start_matches("a "),
        if session.strict { ", strict" } else { "" },
        timeout(&session.absolute_timeout),
        timeout(&session.idle_timeout)
    )
}

/// What a token holds.
fn content(token: &TokenReport) -> Option<String> {
    let content = token.content.as_ref()?;
    let places: Vec<&str> = [&content.backend, &content.host]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let bound = if places.is_empty() {
        "nothing".to_owned()
    } else {
        places.join(", ")
    };
    let left = |left: &Option<Left>| {
        left.as_ref()
            .map_or_else(String::new, |left| format!(" ({} left)", span(left.seconds_left)))
    };
    Some(format!(
        "bound to {bound}; begun {}{}; last seen {}{}",
        content.issued.relative,
        left(&content.absolute_timeout),
        content.last_seen.relative,
        left(&content.idle_timeout)
    ))
}

fn share(odds: &Odds) -> String {
    let backend = odds.backend.as_deref().unwrap_or("a backend that does not exist (500)");
    format!("{backend} {} %", odds.percent)
}

fn change(header: &HeaderReport) -> String {
    match &header.value {
        Some(value) => format!("{} {}: {value}", header.action, header.name),
        None => format!("{} {}", header.action, header.name),
    }
}
