//! `mooring explain`: which route takes a request, what the module decides about it, and why.
//!
//! Nothing here decides: [`crate::simulate`] finds the route and runs the decision of `mooring_policy`, and this module
//! puts the result into words. [`text()`] prints it for people, and [`Explanation`] is its form in JSON.

use mooring_policy::{keys::KeyRing, routes::InvalidConfig, token::SealError};

use crate::{
    document::{Applied, RawObjects},
    ir::Ir,
    key_ring,
    resources::Resources,
    simulate::{self, Circumstances, Exchange, Proxy, Request},
    source::Sources,
    token::{Keys, time::rfc3339},
};

mod config_source;
mod configuration;
mod decision;
mod explanation;
mod failures;
mod headers;
mod routes;
mod session;
mod subject;
mod text;
mod tokens;

pub use config_source::{ConfigSource, Unusable};
pub use explanation::{Explanation, Outcome};
pub use text::text;

use explanation::{DecisionReport, ProxyName, RequestLine, VERSION, VirtualHostName};
use subject::{Context, Question, Subject};

/// Why a request cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum Unexplained {
    /// No proxy has a route.
    #[error("no proxy of the input has a route: the input needs Gateways with their routes, or for sidecars --callers")]
    NoProxy,
    /// No proxy has a listener on the port.
    #[error("no proxy of the input listens on port {port}; there {}", shown_ports(.ports))]
    NoListener {
        /// The port of the URL.
        port: u16,
        /// The ports with routes.
        ports: Vec<u16>,
    },
    /// Several proxies may receive the request.
    #[error("several proxies may receive the request: {}; select a Gateway with --gateway NAMESPACE/NAME", .0.join(", "))]
    SeveralProxies(Vec<String>),
    /// The configuration that the proxy runs cannot be used.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The module would refuse the configuration.
    #[error("the module refuses the configuration: {0}")]
    Refused(#[from] InvalidConfig),
    /// A token could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The system has no random numbers.
    #[error("cannot make a key: {0}")]
    Key(#[from] key_ring::NoEntry),
}

fn shown_ports(ports: &[u16]) -> String {
    let texts: Vec<String> = ports.iter().map(u16::to_string).collect();
    match texts.as_slice() {
        [one] => format!("is port {one}"),
        several => format!("are the ports {}", several.join(", ")),
    }
}

/// The input, translated.
#[derive(Clone, Copy)]
pub struct Input<'a, 'r> {
    /// The texts.
    pub sources: &'a Sources,
    /// The objects.
    pub resources: &'a Resources,
    /// The routes and proxies.
    pub ir: &'a Ir<'a>,
    /// The objects with all fields.
    pub raw: &'r RawObjects<'a>,
}

/// The input of explanations: its proxies with their routes and their modules.
pub struct Explainer<'a> {
    context: Context<'a>,
    proxies: Vec<Subject<'a>>,
    keys: Option<Keys>,
}

impl<'a> Explainer<'a> {
    /// Prepares the proxies of the input. `keys` is the key ring of all gateways.
    pub fn new(
        Input {
            sources,
            resources,
            ir,
            raw,
        }: Input<'a, '_>,
        applied: Applied,
        source: ConfigSource,
        keys: Option<&str>,
    ) -> Result<Self, Unexplained> {
        // Without a key, the module would keep no sessions. With any key, tokens are not opened, but new ones are sealed.
        let own = key_ring::new_entry(None, &[])?.reveal();
        let ring = keys.unwrap_or(&own);
        let proxies = ir.proxies.iter().map(|group| {
            let (config, configuration, problem) = configuration::select(group, &applied, source, sources);
            Ok(Subject {
                proxy: Proxy::new(group, resources, raw, &config, KeyRing::parse_lossy(ring).ring)?,
                config,
                configuration,
                problem,
            })
        });
        let proxies = proxies.collect::<Result<Vec<_>, InvalidConfig>>()?;
        Ok(Self {
            context: Context {
                sources,
                ir,
                applied,
                hosts: simulate::hosts(ir, resources),
            },
            proxies,
            keys: keys.and_then(|keys| Keys::parse(keys).ok()),
        })
    }

    /// Explains a request at a time in seconds since the Unix epoch.
    pub fn explain(&mut self, request: &Request, now: u64) -> Result<Explanation, Unexplained> {
        let position = self.select(request)?;
        if let Some(subject) = self.proxies.get_mut(position) {
            subject.proxy.forget_requests();
        }
        let Some(subject) = self.proxies.get(position) else {
            return Err(Unexplained::NoProxy);
        };
        if let Some(problem) = &subject.problem {
            return Err(problem.clone().into());
        }
        let question = Question {
            request,
            now,
            keys: self.keys.as_ref(),
        };
        subject.explain(&question, &self.context)
    }

    /// The position of the proxies that receive a request.
    fn select(&self, request: &Request) -> Result<usize, Unexplained> {
        let all = || {
            (0..)
                .zip(&self.proxies)
                .filter(|(_, one)| !one.proxy.virtual_hosts.is_empty())
        };
        if all().next().is_none() {
            return Err(Unexplained::NoProxy);
        }
        let port = request.port();
        let listens = |(_, one): &(usize, &Subject)| {
            let ports = one.proxy.ports();
            ports.contains(&port) || (ports.len() == 1 && all().count() == 1)
        };
        let listening: Vec<(usize, &Subject)> = all().filter(listens).collect();
        let serving = listening
            .iter()
            .filter(|(_, one)| one.proxy.virtual_host(request).is_some());
        let serving: Vec<&(usize, &Subject)> = serving.collect();
        let names = |proxies: &mut dyn Iterator<Item = &(usize, &Subject)>| {
            proxies.map(|(_, one)| one.proxy.group.title()).collect()
        };
        match (serving.as_slice(), listening.as_slice()) {
            ([(position, _)], _) | ([], [(position, _)]) => Ok(*position),
            ([], []) => {
                let mut ports: Vec<u16> = all().flat_map(|(_, one)| one.proxy.ports()).collect();
                ports.sort_unstable();
                ports.dedup();
                Err(Unexplained::NoListener { port, ports })
            }
            ([], several) => Err(Unexplained::SeveralProxies(names(&mut several.iter()))),
            (several, _) => Err(Unexplained::SeveralProxies(names(&mut several.iter().copied()))),
        }
    }
}

impl Subject<'_> {
    fn explain(&self, question: &Question, context: &Context) -> Result<Explanation, Unexplained> {
        let mut circumstances = Circumstances {
            now: question.now,
            hosts: context.hosts.clone(),
            ..Circumstances::default()
        };
        let mut exchange = self.proxy.send(question.request, &circumstances)?;
        let gone = gone_host(&exchange, &circumstances);
        if let Some(host) = &gone {
            circumstances.gone.insert(host.clone());
            exchange = self.proxy.send(question.request, &circumstances)?;
        }
        let mut explanation = self.begin(question, &exchange);
        routes::describe(question, &exchange, context, &mut explanation);
        let Some(route) = exchange.route else {
            return Ok(explanation);
        };
        explanation.configuration.differences = configuration::differences(self, route.rule, exchange.virtual_host);
        let off = configuration::is_off(self, exchange.virtual_host, &context.applied);
        if off {
            explanation.decision = DecisionReport {
                text: "no EnvoyFilter of the input enables the module in this virtual host, so Mooring does nothing"
                    .to_owned(),
                ..DecisionReport::default()
            };
            explanation.odds = decision::odds(route, &circumstances);
            return Ok(explanation);
        }
        explanation.session = session::describe(route.rule, self, context);
        explanation.tokens = tokens::describe(question, &exchange);
        explanation.canary = session::canary(self, route, &exchange, context);
        explanation.decision = decision::describe(question, &exchange, gone.as_deref(), &explanation);
        explanation.odds = decision::odds(route, &circumstances);
        explanation.request_headers = headers::describe(&exchange.request_changes, &explanation);
        explanation.response_headers = headers::describe(&exchange.response_changes, &explanation);
        explanation.failures = failures::describe(self, question, &exchange, &circumstances)?;
        Ok(explanation)
    }

    fn begin(&self, question: &Question, exchange: &Exchange) -> Explanation {
        let Question { request, now, .. } = question;
        let outcome = match (exchange.virtual_host, exchange.route) {
            (_, Some(_)) => Outcome::Routed,
            (Some(_), None) => Outcome::NoRoute,
            (None, None) => Outcome::NoVirtualHost,
        };
        let ports = self.proxy.ports();
        let port = match ports.as_slice() {
            [only] => *only,
            _ => request.port(),
        };
        let hosts = self.proxy.virtual_hosts.iter().filter(|host| host.host.port == port);
        let hosts = hosts.filter(|_| outcome == Outcome::NoVirtualHost);
        let Request {
            method,
            scheme,
            authority,
            path,
            ..
        } = request;
        let lines = request.lines();
        let normalized = lines.iter().find(|(name, _)| name == ":path");
        let normalized = normalized.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        Explanation {
            version: VERSION,
            request: RequestLine {
                method: method.clone(),
                url: format!("{scheme}://{authority}{path}"),
                normalized_path: normalized.filter(|normalized| normalized != path),
                time: rfc3339(*now),
            },
            outcome,
            proxy: ProxyName {
                name: self.group().title(),
                port,
            },
            configuration: self.configuration.clone(),
            virtual_host: exchange.virtual_host.map(|host| VirtualHostName {
                name: self.group().virtual_host_name(&host.host),
                domains: host.domains.clone(),
                routes: host.routes.len(),
            }),
            hosts: hosts.flat_map(|host| host.domains.clone()).collect(),
            route: None,
            also_matching: Vec::new(),
            nearest: Vec::new(),
            session: None,
            canary: None,
            tokens: Vec::new(),
            decision: DecisionReport {
                text: "no route takes the request, so Envoy answers 404".to_owned(),
                ..DecisionReport::default()
            },
            odds: Vec::new(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            failures: Vec::new(),
        }
    }
}

impl Explanation {
    /// Whether a route takes the request.
    #[must_use]
    pub fn is_routed(&self) -> bool {
        self.outcome == Outcome::Routed
    }

    /// The explanation as JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("{value:#}\n")
    }
}

/// The host of the session, if the input has hosts of its backend and this is none of them.
fn gone_host(exchange: &Exchange, circumstances: &Circumstances) -> Option<String> {
    let host = exchange.host_of_session()?;
    let decision = exchange.decision.as_ref()?;
    let backend = decision.rule().backends().get(decision.backend()?)?;
    let hosts = circumstances.hosts.get(backend.key())?;
    // On waypoints, the address of a pod follows the name of a listener.
    let is_there = hosts.iter().any(|known| {
        host.strip_suffix(known.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    });
    (!is_there).then_some(host)
}
