//! One request and its response.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mooring_policy::{
    change::Change,
    decision::{self, Decision, IssueReason, Response},
    gateway::{Gateway, RuleLookup},
    headers::Headers,
    internal_headers::{HEADER_PREFIX, HOST_HEADER, STRICT_HOST_HEADER},
    memory_host::MemoryHost,
    token::SealError,
};

use super::{
    circumstances::Circumstances,
    proxy::{Proxy, VirtualHost},
    request::Request,
    route::{Answer, AskedHost, Route},
};

/// The number of header lines of a response from a backend. It only has to be larger than that of a local reply.
const RESPONSE_LINES: usize = 20;

/// The number of header lines of a local reply of Envoy.
const LOCAL_REPLY_LINES: usize = 3;

/// What happened to a request.
#[derive(Debug)]
pub struct Exchange<'s, 'a> {
    /// The virtual host, or `None` if the proxies have no such host.
    pub virtual_host: Option<&'s VirtualHost<'a>>,
    /// The route that Envoy selected first.
    pub route: Option<&'s Route<'a>>,
    /// Why the module was not involved. None: it made a decision.
    pub uninvolved: Option<Uninvolved>,
    /// The decision of the module.
    pub decision: Option<Decision>,
    /// The changes that the module made to the request.
    pub request_changes: Vec<HeaderChange>,
    /// The session route that Envoy selected after these changes.
    pub session_route: Option<&'s Route<'a>>,
    /// The headers that the backend gets.
    pub forwarded: Vec<(String, Vec<u8>)>,
    /// Who answers.
    pub answer: Answer,
    /// The changes that the module made to the response.
    pub response_changes: Vec<HeaderChange>,
    /// Why the response carries a token. None: it carries none.
    pub issued: Option<IssueReason>,
}

/// Why the module made no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uninvolved {
    /// No route matches.
    NoRoute,
    /// The configuration of the module has no rule for the route.
    NoRule,
    /// Another rule has the name of the route in the configuration: it is older than the routes.
    OtherBackend,
}

/// A change to a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderChange {
    /// It replaces the lines of this name.
    Set(String, Vec<u8>),
    /// It adds a line.
    Add(String, Vec<u8>),
    /// It removes the lines of this name.
    Remove(String),
}

impl<'a> Proxy<'a> {
    /// Simulates a request. The module remembers it, as that of a real proxy does.
    pub fn send(&self, request: &Request, circumstances: &Circumstances) -> Result<Exchange<'_, 'a>, SealError> {
        let mut lines = request.lines();
        if self.group.is_managed() {
            lines.retain(|(name, _)| !name.starts_with(HEADER_PREFIX));
        }
        let virtual_host = self.virtual_host(request);
        let route = virtual_host.and_then(|host| host.find(&lines.as_slice().into()));
        let mut exchange = Exchange {
            virtual_host,
            route,
            uninvolved: None,
            decision: None,
            request_changes: Vec::new(),
            session_route: None,
            forwarded: lines,
            answer: Answer::Envoy {
                status: 404,
                backend: None,
            },
            response_changes: Vec::new(),
            issued: None,
        };
        let (Some(virtual_host), Some(route)) = (virtual_host, route) else {
            exchange.uninvolved = Some(Uninvolved::NoRoute);
            return Ok(exchange);
        };
        let mut host = MemoryHost {
            now: circumstances.now,
            random: u64::from(circumstances.draw).to_ne_bytes().into(),
            route_name: Some(route.name.clone().into_bytes()),
            virtual_host_name: Some(self.group.virtual_host_name(&virtual_host.host).into_bytes()),
            route_object: route.rule.object_path().map(String::into_bytes),
            cluster_name: route.target(circumstances).map(|target| route.cluster(target)),
            ..MemoryHost::default()
        };
        match self.module.find_rule(&host)? {
            RuleLookup::Found(rule) => {
                let headers = Headers::from(exchange.forwarded.as_slice());
                let decision = decision::decide(rule, &self.module, &headers, &host)?;
                exchange.follow(&decision, virtual_host, route, circumstances, &mut host);
                exchange.respond(&decision, &self.module, &host)?;
                exchange.decision = Some(decision);
            }
            RuleLookup::OtherBackend(_) => exchange.pass(Uninvolved::OtherBackend, route, circumstances),
            RuleLookup::NoRule | RuleLookup::SessionRoute => exchange.pass(Uninvolved::NoRule, route, circumstances),
        }
        exchange.forwarded.retain(|(name, _)| !name.starts_with(HEADER_PREFIX));
        Ok(exchange)
    }
}

impl<'s, 'a> Exchange<'s, 'a> {
    /// The request follows its route without the module.
    fn pass(&mut self, why: Uninvolved, route: &Route, circumstances: &Circumstances) {
        self.uninvolved = Some(why);
        self.answer = route.answer(None, circumstances);
    }

    /// The request follows the decision: Envoy selects the route again, and a host.
    fn follow(
        &mut self,
        decision: &Decision,
        virtual_host: &'s VirtualHost<'a>,
        route: &'s Route<'a>,
        circumstances: &Circumstances,
        host: &mut MemoryHost,
    ) {
        self.apply(decision);
        let selected = virtual_host.find(&self.forwarded.as_slice().into());
        self.session_route = selected.filter(|route| route.session_backend.is_some());
        let asked = self.asked_host();
        let selected = selected.unwrap_or(route);
        self.answer = selected.answer(asked.as_ref(), circumstances);
        self.set_response(host, selected, asked.as_ref(), circumstances);
    }

    /// The module decides about the response.
    fn respond(&mut self, decision: &Decision, module: &Gateway, host: &MemoryHost) -> Result<(), SealError> {
        let count = match self.answer {
            Answer::Backend { .. } => RESPONSE_LINES,
            Answer::Envoy { .. } => LOCAL_REPLY_LINES,
        };
        if decision.awaits_response() {
            let Response { changes, issued, .. } = decision.respond(module, count, host)?;
            self.response_changes = changes.into_iter().filter_map(HeaderChange::new).collect();
            self.issued = issued;
        }
        Ok(())
    }

    /// Applies the changes of the module to the request.
    fn apply(&mut self, decision: &Decision) {
        let headers = Headers::from(self.forwarded.as_slice());
        let changes = decision.request_changes(&headers);
        self.request_changes = changes.into_iter().filter_map(HeaderChange::new).collect();
        for change in &self.request_changes {
            change.apply(&mut self.forwarded);
        }
    }

    /// The address of the host that the module asks for: that of the session.
    #[must_use]
    pub fn host_of_session(&self) -> Option<String> {
        let asked = self.request_changes.iter().find_map(|change| match change {
            HeaderChange::Set(name, value) if name == HOST_HEADER => STANDARD.decode(value).ok(),
            _ => None,
        });
        String::from_utf8(asked?).ok()
    }

    fn asked_host(&self) -> Option<AskedHost> {
        let headers = Headers::from(self.forwarded.as_slice());
        let address = STANDARD.decode(headers.first(HOST_HEADER)?).ok()?;
        Some(AskedHost {
            address: String::from_utf8(address).ok()?,
            strict: headers.first(STRICT_HOST_HEADER).is_some(),
        })
    }

    /// Sets what Envoy tells the module about the response.
    fn set_response(
        &self,
        host: &mut MemoryHost,
        route: &Route,
        asked: Option<&AskedHost>,
        circumstances: &Circumstances,
    ) {
        host.cluster_name = route.target(circumstances).map(|target| route.cluster(target));
        match &self.answer {
            Answer::Backend { host: address, .. } => {
                host.code_details = Some(b"via_upstream".into());
                host.upstream_address = Some(address.clone().into_bytes());
                if asked.is_none_or(|asked| asked.address != *address) {
                    host.response
                        .push((HOST_HEADER.to_owned(), STANDARD.encode(address).into_bytes()));
                }
            }
            Answer::Envoy { backend, .. } => {
                let details = if backend.is_some() {
                    "no_healthy_upstream"
                } else {
                    "direct_response"
                };
                host.code_details = Some(details.into());
            }
        }
    }
}

impl HeaderChange {
    fn new(change: Change) -> Option<Self> {
        Some(match change {
            Change::Set(name, value) => Self::Set(name.to_owned(), value.into_owned()),
            Change::Add(name, value) => Self::Add(name.to_owned(), value.into_owned()),
            Change::Remove(name) => Self::Remove(name.to_owned()),
            Change::SetField(field) => Self::Set(field.name.into(), field.value.into()),
            Change::SetFilterState(..) => return None,
        })
    }

    fn apply(&self, lines: &mut Vec<(String, Vec<u8>)>) {
        let (name, value) = match self {
            Self::Set(name, value) | Self::Add(name, value) => (name, Some(value)),
            Self::Remove(name) => (name, None),
        };
        if !matches!(self, Self::Add(..)) {
            lines.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        }
        lines.extend(value.map(|value| (name.clone(), value.clone())));
    }
}
