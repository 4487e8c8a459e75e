//! A route rule: the checked form of [`RuleConfig`].

use std::rc::Rc;

use crate::{
    backend::{Backend, InvalidBackend},
    canary::{Canary, InvalidRuleCanary, RuleCanary},
    config::RuleConfig,
    session::{InvalidSession, Session},
};

mod cluster;

use self::cluster::ClusterName;

/// A checked route rule.
#[derive(Debug)]
pub struct Rule {
    position: usize,
    id: Box<str>,
    route: Box<str>,
    object_path: Option<Box<str>>,
    session: Option<Session>,
    backends: Box<[Backend]>,
    canary: Option<RuleCanary>,
}

/// Why a rule is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// `id` is empty, or `route` is and the rule is not an unnamed one of a `VirtualService`, or one of the two has a control
    /// character.
    #[error("`{0}` must have at least one character and no control characters")]
    Identity(&'static str),
    /// It names no virtual host.
    #[error("virtualHosts must name at least one virtual host")]
    NoVirtualHost,
    /// It has no backends.
    #[error("a rule needs at least one backend")]
    NoBackends,
    /// A backend is invalid.
    #[error(transparent)]
    Backend(#[from] InvalidBackend),
    /// Two backends have the same key.
    #[error("two backends have the key `{0}`")]
    DuplicateBackend(String),
    /// Its canary is invalid.
    #[error(transparent)]
    Canary(#[from] InvalidRuleCanary),
    /// Its session is invalid.
    #[error(transparent)]
    Session(#[from] InvalidSession),
}

impl Rule {
    /// Checks the rule at this position of a configuration with these canaries.
    pub fn new(position: usize, raw: &RuleConfig, canaries: &[Rc<Canary>]) -> Result<Self, InvalidRule> {
        let object_path = object_path(&raw.id);
        for (field, value, may_be_empty) in [("route", &raw.route, object_path.is_some()), ("id", &raw.id, false)] {
            if (value.is_empty() && !may_be_empty) || value.chars().any(char::is_control) {
                return Err(InvalidRule::Identity(field));
            }
        }
        if raw.virtual_hosts.is_empty() {
            return Err(InvalidRule::NoVirtualHost);
        }
        let mut backends: Vec<Backend> = Vec::with_capacity(raw.backends.len());
        for backend in &raw.backends {
            let backend = Backend::new(backend, &raw.id)?;
            if backends.iter().any(|other| other.key() == backend.key()) {
                return Err(InvalidRule::DuplicateBackend(backend.key().to_owned()));
            }
            backends.push(backend);
        }
        if backends.is_empty() {
            return Err(InvalidRule::NoBackends);
        }
        let canary = raw.canary.as_ref();
        let canary = canary.map(|canary| RuleCanary::new(canary, canaries, backends.len()));
        if raw.rebalance {
            let total = backends.iter().map(|backend| u64::from(backend.weight())).sum();
            backends = backends.into_iter().map(|backend| backend.with_share(total)).collect();
        }
        let session = raw.session.as_ref().map(|session| Session::new(session, &raw.id));
        Ok(Self {
            position,
            id: raw.id.as_str().into(),
            route: raw.route.as_str().into(),
            object_path: object_path.map(Into::into),
            canary: canary.transpose()?,
            session: session.transpose()?,
            backends: backends.into(),
        })
    }

    /// The position of the rule in the configuration, counted from 0.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The identity that tokens are bound to.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name of the Envoy route. It is empty if the rule is an unnamed one of a `VirtualService`.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.route
    }

    /// The end of the path by which the metadata of a route names the `VirtualService` of the rule
    /// ([`route_object`](crate::host::Host::route_object)), if the rule has no name there. istiod gives such routes no name, so
    /// that those of several `VirtualService`s differ in the metadata only.
    #[must_use]
    pub fn object_path(&self) -> Option<&str> {
        self.object_path.as_deref()
    }

    /// How sessions are kept. None: the rule keeps no sessions.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// The backends, in the order of the configuration.
    #[must_use]
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// The position of the backend with this key.
    #[must_use]
    pub fn backend(&self, key: &[u8]) -> Option<usize> {
        self.backends.iter().position(|backend| backend.key().as_bytes() == key)
    }

    /// The canary.
    #[must_use]
    pub fn canary(&self) -> Option<&RuleCanary> {
        self.canary.as_ref()
    }

    /// Whether each backend has a session route.
    #[must_use]
    pub fn has_session_routes(&self) -> bool {
        self.backends.len() > 1
    }

    /// Whether the rule has no name and is identified by its position in its route. Another rule may have that position by now.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.id.contains('#')
    }

    /// The position of the backend of this Envoy cluster. None if the rule has no such backend.
    #[must_use]
    pub fn backend_of_cluster(&self, cluster: &[u8]) -> Option<usize> {
        let cluster = ClusterName::parse(str::from_utf8(cluster).ok()?)?;
        cluster.find_in(&self.backends.iter().map(Backend::key))
    }

    /// The position of a backend other than `excluded`, by weight: evenly distributed `random` numbers follow the weights of the
    /// other backends.
    #[must_use]
    pub fn select_other(&self, random: u64, excluded: usize) -> usize {
        let others = || (0..).zip(&self.backends).filter(|(position, _)| *position != excluded);
        let total: u64 = others().map(|(_, backend)| u64::from(backend.weight())).sum();
        let mut left = random.checked_rem(total).unwrap_or(0);
        for (position, backend) in others() {
            match left.checked_sub(backend.weight().into()) {
                Some(rest) => left = rest,
                None => return position,
            }
        }
        // None of the others has a weight: the first of them, or if there are no others the only backend.
        others().next().map_or(0, |(position, _)| position)
    }
}

/// The end of the path of the `VirtualService` of an unnamed rule with this identity, `VirtualService/NAMESPACE/NAME#NUMBER`. None if
/// it is another rule.
fn object_path(id: &str) -> Option<String> {
    let (virtual_service, _) = id.strip_prefix("VirtualService/")?.split_once('#')?;
    let (namespace, name) = virtual_service.split_once('/')?;
    Some(format!("/namespaces/{namespace}/virtual-service/{name}"))
}
