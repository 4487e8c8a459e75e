//! The configuration, checked and compiled once: a rule that exists is a rule that works.

use std::rc::Rc;

use crate::{
    canary::{Canary, Conditions, InvalidCanary, InvalidCanaryOfRule, MAX_MEMORY_OF_GATEWAY},
    config,
    duration::{Duration, NotWholeSeconds},
    handover::session_key,
    name::InvalidName,
};

mod attributes;
mod cluster;
mod session;

use self::cluster::Cluster;
pub use self::{attributes::CookieAttributes, session::Session};
pub use crate::config::{Pin, SameSite, Secure, Transport};

/// The longest backend key: its length is one byte of a token.
const MAX_KEY_LENGTH: usize = 255;

/// All rules of a gateway, found by Envoy's names of the virtual host and the route.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// In the order of their routes' names.
    places: Vec<Placed>,
}

/// A rule and the virtual hosts in which it counts.
#[derive(Debug)]
struct Placed {
    virtual_hosts: Box<[Box<[u8]>]>,
    rule: Rc<Rule>,
}

/// A route rule, ready for requests.
#[derive(Debug)]
pub struct Rule {
    position: usize,
    id: Box<str>,
    route: Box<str>,
    session: Option<Session>,
    backends: Box<[Backend]>,
    canary: Option<Canary>,
}

/// One destination of a rule.
#[derive(Debug)]
pub struct Backend {
    key: Box<str>,
    session_key: Box<str>,
    weight: u32,
    released: bool,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// It is not JSON of the expected shape.
    #[error("the plugin configuration cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// It is of another version.
    #[error(
        "the plugin configuration is of version {found}; this module reads version {}",
        config::VERSION
    )]
    Version {
        /// The version that was found.
        found: u32,
    },
    /// Two rules claim the same requests.
    #[error(
        "rules `{first}` and `{second}` both claim the route `{route}` of a virtual host; give each its own virtualHosts"
    )]
    Collision {
        /// The id of the earlier rule.
        first: String,
        /// The id of the later rule.
        second: String,
        /// The route name that both have.
        route: String,
    },
    /// A canary is wrong in itself.
    #[error("canary `{name}`: {reason}")]
    Canary {
        /// The canary's name.
        name: String,
        /// What is wrong.
        reason: InvalidCanary,
    },
    /// The regular expressions of all canaries are too large together.
    #[error(
        "the regular expressions of all canaries take {} KiB of memory together, and {} KiB are allowed",
        memory.div_ceil(1 << 10),
        MAX_MEMORY_OF_GATEWAY >> 10
    )]
    CanaryMemory {
        /// What they take, in bytes.
        memory: usize,
    },
    /// A rule is wrong in itself.
    #[error("rule `{id}`: {reason}")]
    Rule {
        /// The rule's id.
        id: String,
        /// What is wrong.
        reason: InvalidRule,
    },
}

/// Why a rule is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// `route` or `id` is empty or has a control character.
    #[error("`{0}` must have at least one character and no control characters")]
    Identity(&'static str),
    /// It is in no virtual host.
    #[error("virtualHosts must name at least one virtual host")]
    NoVirtualHost,
    /// There are no backends.
    #[error("a rule needs at least one backend")]
    NoBackends,
    /// The key of a backend cannot be a header value or does not fit into a token.
    #[error("`{0}` is not a backend key: 1 to {MAX_KEY_LENGTH} visible ASCII characters are")]
    BackendKey(String),
    /// Two backends have one key.
    #[error("two backends have the key `{0}`")]
    DuplicateBackend(String),
    /// Its canary routing is wrong.
    #[error(transparent)]
    Canary(#[from] InvalidCanaryOfRule),
    /// The session name cannot be used.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A timeout is zero or not in whole seconds.
    #[error("{field} {reason}")]
    Timeout {
        /// Which one.
        field: &'static str,
        /// What is wrong with it.
        reason: NotWholeSeconds,
    },
    /// A permanent cookie would have no end.
    #[error("absoluteTimeout must be specified when cookie lifetimeType is Permanent")]
    PermanentWithoutEnd,
    /// A refresh interval without an idle timeout has no use.
    #[error("refreshInterval is only used with an idleTimeout")]
    RefreshWithoutIdle,
    /// The last-seen time would be renewed too late.
    #[error(
        "the refresh interval is {refresh}, and it must be shorter than the idle timeout of {idle}: else every session ends \
         before it is renewed"
    )]
    RefreshTooLong {
        /// The refresh interval.
        refresh: Duration,
        /// The idle timeout.
        idle: Duration,
    },
    /// Cookie attributes without a cookie.
    #[error("cookie attributes can only be set with type Cookie")]
    CookieWithHeader,
    /// `Path` or `Domain` has a character that would end the attribute.
    #[error("`{value}` is not a cookie {attribute}: {allowed}")]
    Attribute {
        /// `Path` or `Domain`.
        attribute: &'static str,
        /// What was found.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Browsers refuse the cookie without `Secure`.
    #[error("{0} needs the Secure attribute, so secure cannot be Never")]
    NeedsSecure(&'static str),
    /// Browsers refuse the cookie under this name.
    #[error("a cookie whose name begins with __Host- must have the Path / and no Domain")]
    HostPrefix,
}

impl RouteTable {
    /// Reads a plugin configuration from JSON.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidConfig> {
        Self::try_from(serde_json::from_slice::<config::Config>(json)?)
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Every rule, in no particular order.
    pub fn rules(&self) -> impl Iterator<Item = &Rc<Rule>> {
        self.places.iter().map(|placed| &placed.rule)
    }

    /// The rule for a request on the route `route`. The name of the virtual host is only asked for where there is a rule for a
    /// route of this name.
    pub fn find<E>(
        &self,
        route: &[u8],
        virtual_host: impl FnOnce() -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Option<&Rc<Rule>>, E> {
        let from = self.places.partition_point(|placed| placed.route() < route);
        let places = self.places.get(from..).unwrap_or_default().iter();
        let mut places = places.take_while(|placed| placed.route() == route).peekable();
        if places.peek().is_none() {
            return Ok(None);
        }
        let Some(virtual_host) = virtual_host()? else {
            return Ok(None);
        };
        let mut places = places.filter(|placed| placed.virtual_hosts.iter().any(|host| **host == *virtual_host));
        Ok(places.next().map(|placed| &placed.rule))
    }
}

impl TryFrom<config::Config> for RouteTable {
    type Error = InvalidConfig;

    fn try_from(config: config::Config) -> Result<Self, InvalidConfig> {
        if config.version != config::VERSION {
            return Err(InvalidConfig::Version { found: config.version });
        }
        let canaries = canaries(config.canaries)?;
        let mut places: Vec<Placed> = Vec::with_capacity(config.rules.len());
        for (position, raw) in config.rules.into_iter().enumerate() {
            let virtual_hosts = raw.virtual_hosts.iter().map(|host| host.as_bytes().into()).collect();
            let id = raw.id.clone();
            let rule = Rule::new(position, raw, &canaries).map_err(|reason| InvalidConfig::Rule { id, reason })?;
            let new = Placed {
                virtual_hosts,
                rule: Rc::new(rule),
            };
            let (before, _) = places.split_at(places.partition_point(|other| other.route() <= new.route()));
            let claims = before.iter().rev().take_while(|other| other.route() == new.route());
            if let Some(other) = claims.filter(|other| other.overlaps(&new)).last() {
                return Err(InvalidConfig::Collision {
                    first: other.rule.id.to_string(),
                    second: new.rule.id.to_string(),
                    route: new.rule.route.to_string(),
                });
            }
            // The generator writes rules nearly in this order, so that few have to make room.
            places.insert(before.len(), new);
        }
        Ok(Self { places })
    }
}

/// Checks and compiles the canaries of a gateway.
fn canaries(raw: Vec<config::Canary>) -> Result<Vec<Rc<Conditions>>, InvalidConfig> {
    let mut memory = 0_usize;
    let mut canaries = Vec::with_capacity(raw.len());
    for canary in raw {
        let name = canary.name.clone();
        let conditions = Conditions::new(canary).map_err(|reason| InvalidConfig::Canary { name, reason })?;
        memory = memory.saturating_add(conditions.memory());
        if memory > MAX_MEMORY_OF_GATEWAY {
            return Err(InvalidConfig::CanaryMemory { memory });
        }
        canaries.push(Rc::new(conditions));
    }
    Ok(canaries)
}

impl Placed {
    fn route(&self) -> &[u8] {
        self.rule.route.as_bytes()
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.virtual_hosts.iter().any(|host| other.virtual_hosts.contains(host))
    }
}

impl Rule {
    /// The place of the rule in the configuration, counted from 0.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The identity that tokens are bound to.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name of the Envoy route.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.route
    }

    /// How sessions are kept, if they are.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// The backends in their order.
    #[must_use]
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// The position of the backend with this key.
    #[must_use]
    pub fn backend(&self, key: &[u8]) -> Option<usize> {
        self.backends.iter().position(|backend| backend.key.as_bytes() == key)
    }

    /// Canary routing, if there is any.
    #[must_use]
    pub fn canary(&self) -> Option<&Canary> {
        self.canary.as_ref()
    }

    /// Whether each backend has a session route.
    #[must_use]
    pub fn has_session_routes(&self) -> bool {
        self.backends.len() > 1
    }

    /// Whether the name of its route is only a position among the rules of its route, and so may be another rule's by now.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.id.contains('#')
    }

    /// The position of the backend of this Envoy cluster, if it is one of the rule's.
    #[must_use]
    pub fn backend_of_cluster(&self, cluster: &[u8]) -> Option<usize> {
        let cluster = Cluster::parse(str::from_utf8(cluster).ok()?)?;
        cluster.find_in(&self.backends.iter().map(Backend::key))
    }

    /// The position of a backend other than `except`. Evenly distributed `random` numbers follow the weights of the others.
    #[must_use]
    pub fn draw(&self, random: u64, except: usize) -> usize {
        let others = || (0..).zip(&self.backends).filter(|(position, _)| *position != except);
        let total: u64 = others().map(|(_, backend)| u64::from(backend.weight)).sum();
        let mut left = random.checked_rem(total).unwrap_or(0);
        for (position, backend) in others() {
            match left.checked_sub(backend.weight.into()) {
                Some(rest) => left = rest,
                None => return position,
            }
        }
        // The others have no weight: the first of them, for there is no better.
        others().next().map_or(0, |(position, _)| position)
    }
}

impl Rule {
    /// Checks one rule of a configuration.
    pub(crate) fn new(position: usize, raw: config::Rule, canaries: &[Rc<Conditions>]) -> Result<Self, InvalidRule> {
        for (field, value) in [("route", &raw.route), ("id", &raw.id)] {
            if value.is_empty() || value.chars().any(char::is_control) {
                return Err(InvalidRule::Identity(field));
            }
        }
        if raw.virtual_hosts.is_empty() {
            return Err(InvalidRule::NoVirtualHost);
        }
        let mut backends: Vec<Backend> = Vec::with_capacity(raw.backends.len());
        for backend in raw.backends {
            let backend = Backend::new(backend, &raw.id)?;
            if backends.iter().any(|other| other.key == backend.key) {
                return Err(InvalidRule::DuplicateBackend(backend.key.into()));
            }
            backends.push(backend);
        }
        if backends.is_empty() {
            return Err(InvalidRule::NoBackends);
        }
        let canary = raw.canary.map(|canary| Canary::new(canary, canaries, backends.len()));
        let canary = canary.transpose()?;
        let session = raw.session.map(|session| Session::new(session, &raw.id)).transpose()?;
        Ok(Self {
            position,
            id: raw.id.into(),
            route: raw.route.into(),
            session,
            backends: backends.into(),
            canary,
        })
    }
}

impl Backend {
    fn new(raw: config::Backend, rule: &str) -> Result<Self, InvalidRule> {
        let visible = raw.key.bytes().all(|byte| byte.is_ascii_graphic());
        if raw.key.is_empty() || raw.key.len() > MAX_KEY_LENGTH || !visible {
            return Err(InvalidRule::BackendKey(raw.key));
        }
        Ok(Self {
            session_key: session_key(rule, &raw.key).into(),
            key: raw.key.into(),
            weight: raw.weight.unwrap_or(0),
            released: raw.released,
        })
    }

    /// What tokens call it.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value of `x-mooring-backend` that leads to its session route.
    #[must_use]
    pub fn session_key(&self) -> &str {
        &self.session_key
    }

    /// Its share of the clients that the module places, relative to the other backends' weights.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Whether its sessions are released: its weight in the route was 0 when the configuration was written.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.released
    }
}

#[cfg(test)]
mod tests;
