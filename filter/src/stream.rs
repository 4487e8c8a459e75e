//! One request and its response.
//!
//! The request costs two host calls that return a value (the route's name and all headers) and two or three that do not;
//! a response of a live session costs one that returns nothing. Everything else is for new sessions only.

use std::{iter, rc::Rc};

use mooring_policy::{
    canary::Headers,
    cookie::{self, Remainder},
    decision::{self, Decision, Outcome},
    handover::{BACKEND_HEADER, COOKIE_STATE, HOST_HEADER, HOST_STATE, RELAYED},
    rule::{Rule, Session, Transport},
};

use crate::{
    host::{self, HostError, Line, REQUEST, RESPONSE},
    metrics,
    plugin::Plugin,
};

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
        let pairs = REQUEST.pairs()?;
        let headers = host::lines(&pairs)?;
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
            if is_relayed(&headers) {
                host::leave(HOST_STATE, host.as_bytes())?;
            } else {
                REQUEST.set(HOST_HEADER, host.as_bytes())?;
            }
        }
        let https = headers.values(":scheme").next() == Some(b"https");
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
    fn read_header(&self, rule: &Rule, session: &Session, headers: &[Line<'_>]) -> Result<Decision, HostError> {
        let value = headers.values(session.name()).next();
        let decision = self.decide(rule, value.into_iter(), headers)?;
        if value.is_some() && !session.forward_token() {
            REQUEST.remove(session.name())?;
        }
        Ok(decision)
    }

    /// Decides by the tokens in the cookies, and takes them out of the request. HTTP/1.1 clients may send several lines.
    fn read_cookies(&self, rule: &Rule, session: &Session, headers: &[Line<'_>]) -> Result<Decision, HostError> {
        let name = session.name();
        let lines = || headers.values("cookie");
        let decision = self.decide(rule, lines().flat_map(|line| cookie::values(line, name)), headers)?;
        if session.forward_token() {
            return Ok(decision);
        }
        let rest: Vec<Remainder> = lines().map(|line| cookie::without(line, name)).collect();
        match rest.as_slice() {
            [Remainder::Line(rest)] if is_relayed(headers) => host::leave(COOKIE_STATE, rest)?,
            [Remainder::Line(rest)] => REQUEST.set("cookie", rest)?,
            rest if rest.iter().all(|rest| *rest == Remainder::Unchanged) => {}
            rest => {
                REQUEST.remove("cookie")?;
                for (line, rest) in lines().zip(rest) {
                    match rest {
                        Remainder::Unchanged => REQUEST.add("cookie", line)?,
                        Remainder::Line(rest) => REQUEST.add("cookie", rest)?,
                        Remainder::Empty => {}
                    }
                }
            }
        }
        Ok(decision)
    }

    fn decide<'a>(
        &self,
        rule: &Rule,
        tokens: impl Iterator<Item = &'a [u8]>,
        headers: &[Line<'_>],
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

/// Whether the route has a relay.
fn is_relayed(headers: &[Line<'_>]) -> bool {
    headers.values(HOST_HEADER).next() == Some(RELAYED.as_bytes())
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
