//! One request and its response.
//!
//! The request costs three host calls that return a value (the names of the route and of the virtual host, and all headers)
//! and two or three that do not; a response of a live session costs one that returns nothing. Everything else is for new
//! sessions, and for those whose host or backend is gone.

use std::{iter, rc::Rc};

use mooring_policy::{
    cookie::{self, Remainder},
    decision::{self, Decision, Outcome},
    handover::{BACKEND_HEADER, COOKIE_STATE, HOST_HEADER, HOST_STATE, RELAYED, STRICT_HOST_HEADER, STRICT_HOST_STATE},
    headers::Headers,
    outage,
    rule::{Pin, Rule, Session, Transport},
};

use crate::{
    host::{self, HostError, REQUEST, RESPONSE},
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
    host_asked: bool,
}

/// An answer of Envoy's own has at most so many headers here (`:status`, `content-type`, `content-length`); one of an
/// upstream has more. Asking Envoy whose answer it is costs a call that returns a value, so only such answers are asked about.
const LOCAL_HEADERS: usize = 3;

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

    /// The response's headers have come, so many of them.
    pub(crate) fn on_response(&mut self, headers: usize) {
        if let Some(visit) = self.visit.take()
            && let Err(error) = self.response(&visit, headers)
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
        let headers = Headers::parse(&pairs).ok_or(HostError::named("reading the headers"))?;
        let decision = match rule.session() {
            None => self.decide(&rule, iter::empty(), &headers)?,
            Some(session) => match session.transport() {
                Transport::Header => self.read_header(&rule, session, &headers)?,
                Transport::Cookie => self.read_cookies(&rule, session, &headers)?,
            },
        };
        metrics::count_outcome(decision.outcome());
        if let Some(backend) = decision.backend() {
            self.plugin.backend_metrics.count(&rule, backend, decision.reason());
        }
        let key = decision.backend_header(&rule);
        if let Some(key) = key {
            REQUEST.set(BACKEND_HEADER, key.as_bytes())?;
        }
        let host = decision.host_header(&rule);
        if let (Some(host), Some(session)) = (&host, rule.session()) {
            let relayed = is_relayed(&headers);
            ask_for_host(HOST_HEADER, HOST_STATE, host, relayed)?;
            // The other one too: Envoy may not have been told yet that sessions of this virtual host are strict.
            if session.strict() {
                ask_for_host(STRICT_HOST_HEADER, STRICT_HOST_STATE, host, relayed)?;
            }
        }
        if decision.outcome() != Outcome::Stateless || decision.backend().is_none() || key.is_some() {
            let https = headers.values(":scheme").next() == Some(b"https");
            let host_asked = host.is_some();
            self.visit = Some(Visit {
                rule,
                decision,
                https,
                host_asked,
            });
        }
        Ok(())
    }

    fn find_rule(&self) -> Result<Option<Rc<Rule>>, HostError> {
        let Some(route) = host::property("xds\0route_name")? else {
            return Ok(None);
        };
        let virtual_host = || host::property("xds\0virtual_host_name").ok().flatten();
        let Some(rule) = self.plugin.routes.find(&route, virtual_host) else {
            return Ok(None);
        };
        // Another rule may have taken the position of one without a name. A session of the old one must not be sent to a session
        // route then, so the route has to lead to one of its backends.
        if rule.is_unnamed() && rule.has_session_routes() {
            let cluster = host::property("xds\0cluster_name")?;
            if cluster.and_then(|cluster| rule.backend_of_cluster(&cluster)).is_none() {
                metrics::count_unknown_backend();
                return Ok(None);
            }
        }
        Ok(Some(Rc::clone(rule)))
    }

    /// Decides by the token in the session header, and takes it out of the request.
    fn read_header(&self, rule: &Rule, session: &Session, headers: &Headers) -> Result<Decision, HostError> {
        let value = headers.values(session.name()).next();
        let decision = self.decide(rule, value.into_iter(), headers)?;
        if value.is_some() && !session.forward_token() {
            REQUEST.remove(session.name())?;
        }
        Ok(decision)
    }

    /// Decides by the tokens in the cookies, and takes them out of the request. HTTP/1.1 clients may send several lines.
    fn read_cookies(&self, rule: &Rule, session: &Session, headers: &Headers) -> Result<Decision, HostError> {
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
        headers: &Headers,
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
            &self.plugin.outages,
            host::now()?,
            random,
        ))
    }

    fn response(&self, visit: &Visit, headers: usize) -> Result<(), HostError> {
        let Visit { rule, decision, .. } = visit;
        // The pin names the host unless it is the one that was asked for.
        let new_host = if visit.host_asked {
            RESPONSE.first(HOST_HEADER)?.is_some()
        } else {
            rule.session().is_some_and(|session| session.pin() == Pin::Host)
        };
        let close = decision.needs_response(rule, new_host);
        let asked = decision.backend().filter(|_| rule.has_session_routes());
        if !close && (asked.is_none() || headers > LOCAL_HEADERS) {
            return Ok(());
        }
        // An answer of Envoy's own, such as 503 for a refused connection, may name the host that failed.
        match host::property("response\0code_details")?.as_deref() {
            Some(b"via_upstream") if close => self.answered(visit, new_host),
            Some(details) => self.not_answered(rule, asked, details),
            None => Ok(()),
        }
    }

    /// The response is one of a backend.
    fn answered(&self, visit: &Visit, new_host: bool) -> Result<(), HostError> {
        let Visit {
            rule, decision, https, ..
        } = visit;
        let mut answered = decision.backend();
        if decision.needs_cluster(rule, new_host) {
            let cluster = host::property("xds\0cluster_name")?;
            answered = cluster.and_then(|cluster| rule.backend_of_cluster(&cluster));
            self.count_answer(rule, decision, answered);
        }
        let (Some(session), Some(keys)) = (rule.session(), self.plugin.keys.as_ref()) else {
            return Ok(());
        };
        // The header says that there is something new; what it is, the app could have written itself.
        let host = if new_host {
            host::property("upstream\0address")?
        } else {
            None
        };
        let now = host::now()?;
        let Some(due) = decision.due(rule, answered, host.as_deref(), *https, now) else {
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

    /// Counts the request to the backend that the route chose, and what went wrong with that.
    fn count_answer(&self, rule: &Rule, decision: &Decision, answered: Option<usize>) {
        if decision.missed(rule, answered) {
            metrics::count_missed_session_route();
        }
        match answered {
            Some(backend) if decision.backend().is_none() => {
                self.plugin.backend_metrics.count(rule, backend, decision.reason());
            }
            Some(_) => {}
            None => metrics::count_unknown_backend(),
        }
    }

    /// The response is Envoy's own: what it says of the session route is remembered.
    fn not_answered(&self, rule: &Rule, asked: Option<usize>, details: &[u8]) -> Result<(), HostError> {
        if let Some(backend) = asked.filter(|_| outage::is_outage(details)) {
            metrics::count_missed_session_route();
            self.plugin.outages.note(rule.position(), backend, host::now()?);
        }
        Ok(())
    }
}

/// Names the host of a session to Envoy: by a header, or where there is a relay by the filter state.
fn ask_for_host(header: &str, state: &str, host: &str, relayed: bool) -> Result<(), HostError> {
    if relayed {
        host::leave(state, host.as_bytes())
    } else {
        REQUEST.set(header, host.as_bytes())
    }
}

/// Whether the route has a relay.
fn is_relayed(headers: &Headers) -> bool {
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
