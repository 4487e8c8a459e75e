//! One request and its response.
//!
//! The request costs three host calls that return a value (the names of the route and of the virtual host, and all headers)
//! and two or three that do not; a response of a live session costs one that returns nothing. Everything else is for new
//! sessions, and for those whose host or backend is gone.

use std::rc::Rc;

use mooring_policy::{
    decision::{self, Decision},
    gateway::Found,
    headers::Headers,
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
    /// What the response needs to know of its request.
    decision: Option<Decision>,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        #[cfg(feature = "trap")]
        crate::trap::spring_if_told();
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
        let gateway = &self.plugin.gateway;
        let rule = match gateway.find_rule(&Envoy)? {
            Found::Rule(rule) => rule,
            Found::None => {
                metrics::count_passed_through();
                return Ok(());
            }
            Found::OtherRoute => {
                metrics::count_unknown_backend();
                metrics::count_passed_through();
                return Ok(());
            }
        };
        let pairs = host::request_headers()?;
        let headers = Headers::parse(&pairs).ok_or(HostError::named("reading the headers"))?;
        let decision = decision::decide(rule, gateway, &headers, &Envoy)?;
        host::change_request(&decision.request_changes(&headers))?;
        metrics::count_outcome(decision.outcome());
        if decision.over_budget() {
            metrics::count_over_budget();
        }
        if let Some(backend) = decision.backend() {
            let (rule, reason) = (decision.rule(), decision.reason());
            self.plugin.backend_metrics.count(rule, backend, reason);
        }
        self.decision = Some(decision).filter(Decision::awaits_response);
        Ok(())
    }

    fn response(&self, decision: &Decision, count: usize) -> Result<(), HostError> {
        let response = decision.respond(&self.plugin.gateway, count, &Envoy)?;
        host::change_response(&response.changes)?;
        if response.missed {
            metrics::count_missed_session_route();
        }
        if response.unknown_backend {
            metrics::count_unknown_backend();
        }
        if response.unreachable.is_some() {
            metrics::count_unreachable();
        }
        if response.failed_over {
            metrics::count_failed_over();
        }
        if response.released {
            metrics::count_released();
        }
        if let Some(backend) = response.chosen {
            let (rule, reason) = (decision.rule(), decision.reason());
            self.plugin.backend_metrics.count(rule, backend, reason);
        }
        if let Some(issue) = response.issue {
            metrics::count_issue(issue);
        }
        Ok(())
    }
}
