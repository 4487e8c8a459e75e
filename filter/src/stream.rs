//! One request and its response.
//!
//! A request makes three host calls that return a value (for the names of the route and of the virtual host, and for all
//! headers) and two or three that do not. A response of a live session makes one that returns nothing. Further calls are only
//! made for new sessions, and for those whose host or backend is gone.

use std::rc::Rc;

use mooring_policy::{
    change::Change,
    decision::{self, Decision},
    gateway::RuleLookup,
    headers::Headers,
    internal_headers,
};
use proxy_wasm::{
    traits::{Context, HttpContext},
    types::Action,
};

use crate::{
    host::{self, Envoy, HostError},
    metrics,
    plugin::Plugin,
};

/// The context of one request.
pub(crate) struct Stream {
    plugin: Rc<Plugin>,
    /// The decision about the request, if its response needs it.
    decision: Option<Decision>,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        #[cfg(feature = "trap")]
        crate::trap::abort_if_requested();
        if let Err(error) = self.request() {
            self.plugin.report(error);
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, count: usize, _end_of_stream: bool) -> Action {
        if let Some(decision) = self.decision.take()
            && let Err(error) = self.response(&decision, count)
        {
            self.plugin.report(error);
        }
        Action::Continue
    }
}

impl Stream {
    pub(crate) fn new(plugin: Rc<Plugin>) -> Self {
        Self { plugin, decision: None }
    }

    fn request(&mut self) -> Result<(), HostError> {
        #[cfg(feature = "trap")]
        crate::trap::fail_if_requested()?;
        let gateway = &self.plugin.gateway;
        let lookup = gateway.find_rule(&Envoy)?;
        let RuleLookup::Found(rule) = lookup else {
            metrics::count_passed_through(&lookup, &self.plugin.rule_metrics);
            if matches!(lookup, RuleLookup::SessionRoute) {
                remove_internal_headers()?;
            }
            return Ok(());
        };
        let pairs = host::request_headers()?;
        let headers = parse(&pairs)?;
        let decision = decision::decide(rule, gateway, &headers, &Envoy)?;
        host::change_request(&decision.request_changes(&headers))?;
        metrics::count_decision(&decision, &self.plugin.rule_metrics);
        self.decision = Some(decision).filter(Decision::awaits_response);
        Ok(())
    }

    fn response(&self, decision: &Decision, count: usize) -> Result<(), HostError> {
        let response = decision.respond(&self.plugin.gateway, count, &Envoy)?;
        host::change_response(&response.changes)?;
        metrics::count_response(decision, &response, &self.plugin.rule_metrics);
        Ok(())
    }
}

/// Removes the header with which the client selected the session route. Envoy then selects the route again.
fn remove_internal_headers() -> Result<(), HostError> {
    let pairs = host::request_headers()?;
    let changes: Vec<Change> = internal_headers::remove_all(&parse(&pairs)?).collect();
    host::change_request(&changes)
}

fn parse(pairs: &[u8]) -> Result<Headers<'_>, HostError> {
    Headers::parse(pairs).ok_or(HostError::without_status("reading the headers"))
}
