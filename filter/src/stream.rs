//! One request and its response.
//!
//! The request costs two host calls that return a value (the route's name and the cookie line) and two or three that do
//! not; a response of a live session costs one that returns nothing. Everything else is for new sessions only.

use std::{iter, rc::Rc};

use mooring_policy::{
    canary::Headers,
    cookie::{self, Remainder},
    decision::{self, Decision, Outcome},
    rule::{Rule, Session, Transport},
};

use crate::{
    host::{self, HostError, REQUEST, RESPONSE},
    metrics,
    plugin::Plugin,
};

/// Names the chosen backend to the route's cluster specifier.
const BACKEND_HEADER: &str = "x-mooring-backend";
/// Carries the pinned host to Envoy's `stateful_session` filter, and the chosen host back.
const HOST_HEADER: &str = "x-mooring-host";

/// Header lines with their names.
type Lines = [(String, Vec<u8>)];

/// The context of one request.
pub(crate) struct Stream {
    plugin: Rc<Plugin>,
    visit: Option<Visit>,
}

/// What the response needs to know of its request.
struct Visit {
    rule: Rc<Rule>,
    decision: Decision,
    https: bool,
}

impl Stream {
    pub(crate) fn new(plugin: Rc<Plugin>) -> Self {
        Self { plugin, visit: None }
    }

    /// The request's headers have come.
    pub(crate) fn on_request(&mut self) {
        #[cfg(feature = "trap")]
        crate::trap::spring_if_told();
        if let Err(error) = self.request() {
            self.plugin.report(error);
        }
    }

    /// The response's headers have come.
    pub(crate) fn on_response(&mut self) {
        if let Some(visit) = self.visit.take()
            && let Err(error) = self.response(&visit)
        {
            self.plugin.report(error);
        }
    }

    fn request(&mut self) -> Result<(), HostError> {
        let Some(rule) = self.find_rule()? else {
            metrics::count_passed_through();
            return Ok(());
        };
        let headers = match rule.canary() {
            Some(_) => REQUEST.lines()?,
            None => Vec::new(),
        };
        let decision = match rule.session() {
            None => self.decide(&rule, iter::empty(), &headers)?,
            Some(session) => match session.transport() {
                Transport::Header => self.read_header(&rule, session, &headers)?,
                Transport::Cookie => self.read_cookies(&rule, session, &headers)?,
            },
        };
        metrics::count_outcome(decision.outcome());
        self.plugin
            .backend_metrics
            .count(&rule, decision.backend(), decision.reason());
        if let Some(key) = decision.backend_header(&rule) {
            REQUEST.set(BACKEND_HEADER, key.as_bytes())?;
        }
        if let Some(host) = decision.host_header(&rule) {
            REQUEST.set(HOST_HEADER, host.as_bytes())?;
        }
        let https = decision.wants_scheme(&rule) && REQUEST.first(":scheme")?.is_some_and(|scheme| scheme == b"https");
        if decision.outcome() != Outcome::Stateless {
            self.visit = Some(Visit { rule, decision, https });
        }
        Ok(())
    }

    fn find_rule(&self) -> Result<Option<Rc<Rule>>, HostError> {
        let Some(route) = host::property("xds\0route_name")? else {
            return Ok(None);
        };
        let virtual_host = || host::property("xds\0virtual_host_name").ok().flatten();
        Ok(self.plugin.routes.find(&route, virtual_host).cloned())
    }

    /// Decides by the token in the session header, and takes it out of the request.
    fn read_header(&self, rule: &Rule, session: &Session, headers: &Lines) -> Result<Decision, HostError> {
        let value = REQUEST.first(session.name())?;
        let decision = self.decide(rule, value.iter().map(Vec::as_slice), headers)?;
        if value.is_some() && !session.forward_token() {
            REQUEST.remove(session.name())?;
        }
        Ok(decision)
    }

    /// Decides by the tokens in the cookies, and takes them out of the request.
    fn read_cookies(&self, rule: &Rule, session: &Session, headers: &Lines) -> Result<Decision, HostError> {
        let name = session.name();
        let lines = match rule.canary() {
            Some(_) => cookie_lines_of(headers),
            None => cookie_lines()?,
        };
        let decision = self.decide(rule, lines.iter().flat_map(|line| cookie::values(line, name)), headers)?;
        let rest: Vec<Remainder> = lines.iter().map(|line| cookie::without(line, name)).collect();
        if session.forward_token() || rest.iter().all(|rest| *rest == Remainder::Unchanged) {
            return Ok(decision);
        }
        if let [Remainder::Line(rest)] = rest.as_slice() {
            REQUEST.set("cookie", rest)?;
            return Ok(decision);
        }
        REQUEST.remove("cookie")?;
        for (line, rest) in lines.iter().zip(&rest) {
            match rest {
                Remainder::Unchanged => REQUEST.add("cookie", line)?,
                Remainder::Line(rest) => REQUEST.add("cookie", rest)?,
                Remainder::Empty => {}
            }
        }
        Ok(decision)
    }

    fn decide<'a>(
        &self,
        rule: &Rule,
        tokens: impl Iterator<Item = &'a [u8]>,
        headers: &Lines,
    ) -> Result<Decision, HostError> {
        // Without randomness the first backend of weight must do: better than none.
        let random = || {
            host::random()
                .inspect_err(|error| self.plugin.report(*error))
                .map_or(0, u64::from_ne_bytes)
        };
        Ok(decision::decide(
            rule,
            self.plugin.keys.as_ref(),
            tokens,
            headers,
            host::now()?,
            random,
        ))
    }

    fn response(&self, visit: &Visit) -> Result<(), HostError> {
        let Visit { rule, decision, https } = visit;
        let new_host = RESPONSE.first(HOST_HEADER)?.is_some();
        if new_host {
            RESPONSE.remove(HOST_HEADER)?;
        }
        let (Some(session), Some(keys), true) = (
            rule.session(),
            self.plugin.keys.as_ref(),
            new_host || decision.is_due_without_host(rule),
        ) else {
            return Ok(());
        };
        // An answer of Envoy's own, such as 503 for a refused connection, may name the host that failed.
        if host::property("response\0code_details")?.is_none_or(|details| details != b"via_upstream") {
            return Ok(());
        }
        // The header says that there is something new; what it is, the app could have written itself.
        let host = if new_host {
            host::property("upstream\0address")?
        } else {
            None
        };
        let now = host::now()?;
        let Some(due) = decision.due(rule, host.as_deref(), *https, now) else {
            return Ok(());
        };
        let Ok(header) = due.seal(session, keys, host::random()?, now) else {
            return Err(HostError::named("sealing a token"));
        };
        RESPONSE.add(header.name, header.value.as_bytes())?;
        if session.transport() == Transport::Cookie && session.cookie().private_cache() {
            keep_private()?;
        }
        metrics::count_issue(due.issue);
        Ok(())
    }
}

/// The `Cookie` lines of the request. HTTP/1.1 clients may send several.
///
/// As a property, Envoy gives all of them joined by commas: one without a comma is the only one. That is cheaper than
/// reading all headers, which is left for the others.
fn cookie_lines() -> Result<Vec<Vec<u8>>, HostError> {
    match host::property("request\0headers\0cookie")? {
        None => Ok(Vec::new()),
        Some(joined) if joined.contains(&b',') => Ok(cookie_lines_of(&REQUEST.lines()?)),
        Some(line) => Ok(vec![line]),
    }
}

fn cookie_lines_of(headers: &Lines) -> Vec<Vec<u8>> {
    headers.values("cookie").map(<[u8]>::to_vec).collect()
}

/// Keeps shared caches from handing one client's cookie to others.
fn keep_private() -> Result<(), HostError> {
    let private = RESPONSE
        .first("cache-control")?
        .is_some_and(|value| cookie::is_private(&value));
    if !private {
        RESPONSE.add("cache-control", b"private")?;
    }
    Ok(())
}
