//! The rules of a gateway, by route: the checked form of a whole [`Config`].

use std::rc::Rc;

use crate::{
    canary::{Canary, InvalidCanary, MAX_MEMORY_OF_GATEWAY},
    config::{CanaryConfig, Config, RuleConfig, VERSION},
    rule::{InvalidRule, Rule},
};

/// All rules of a gateway. Requests find theirs by Envoy's names of the virtual host and the route.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// Sorted by the name of the route.
    entries: Vec<Entry>,
    /// The session routes at which clients may arrive by a header of theirs, sorted.
    session_routes: Box<[Box<[u8]>]>,
    access_log: bool,
    /// Whether the weights of the backends are gauges.
    weight_metric: bool,
}

/// A rule and the virtual hosts that contain its route.
#[derive(Debug)]
struct Entry {
    virtual_hosts: Box<[Box<[u8]>]>,
    rule: Rc<Rule>,
}

/// Why a configuration is invalid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// It is not JSON of the expected form.
    #[error("the plugin configuration cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// It has another version.
    #[error("the plugin configuration has version {found}; this module reads version {VERSION}")]
    Version {
        /// The version of the configuration.
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
    /// The name of a session route is empty or has a control character.
    #[error("each of sessionRoutes must have at least one character and no control characters")]
    SessionRoute,
    /// A canary is invalid.
    #[error("canary `{name}`: {reason}")]
    Canary {
        /// The name of the canary.
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
        /// Their memory, in bytes.
        memory: usize,
    },
    /// A rule is invalid.
    #[error("rule `{id}`: {reason}")]
    Rule {
        /// The id of the rule.
        id: String,
        /// What is wrong.
        reason: InvalidRule,
    },
}

impl RouteTable {
    /// Reads a plugin configuration from JSON.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidConfig> {
        Self::new(&serde_json::from_slice(json)?)
    }

    /// Checks a plugin configuration.
    pub fn new(config: &Config) -> Result<Self, InvalidConfig> {
        if config.version != VERSION {
            return Err(InvalidConfig::Version { found: config.version });
        }
        let names = &config.session_routes;
        if names
            .iter()
            .any(|name| name.is_empty() || name.chars().any(char::is_control))
        {
            return Err(InvalidConfig::SessionRoute);
        }
        let mut session_routes: Vec<Box<[u8]>> = names.iter().map(|name| name.as_bytes().into()).collect();
        session_routes.sort_unstable();
        Ok(Self {
            session_routes: session_routes.into(),
            access_log: config.access_log,
            weight_metric: config.weight_metric,
            ..Self::with_canaries(&config.rules, &canaries(&config.canaries)?)?
        })
    }

    /// Checks the rules of a configuration whose canaries have been checked.
    pub fn with_canaries(rules: &[RuleConfig], canaries: &[Rc<Canary>]) -> Result<Self, InvalidConfig> {
        let mut table = Self {
            entries: Vec::with_capacity(rules.len()),
            ..Self::default()
        };
        for (position, raw) in rules.iter().enumerate() {
            let rule = Rule::new(position, raw, canaries).map_err(|reason| InvalidConfig::Rule {
                id: raw.id.clone(),
                reason,
            })?;
            table.insert(Entry {
                virtual_hosts: raw.virtual_hosts.iter().map(|host| host.as_bytes().into()).collect(),
                rule: Rc::new(rule),
            })?;
        }
        Ok(table)
    }

    fn insert(&mut self, new: Entry) -> Result<(), InvalidConfig> {
        let end = self.entries.partition_point(|other| other.route() <= new.route());
        let earlier = self.entries.iter().take(end).rev();
        let same_route = earlier.take_while(|other| other.route() == new.route());
        if let Some(other) = same_route.filter(|other| other.overlaps(&new)).last() {
            return Err(InvalidConfig::Collision {
                first: other.rule.id().to_owned(),
                second: new.rule.id().to_owned(),
                route: new.rule.route().to_owned(),
            });
        }
        // The generator writes rules nearly in this order, so that few entries have to move.
        self.entries.insert(end, new);
        Ok(())
    }

    /// The number of rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every rule, in no particular order.
    pub fn rules(&self) -> impl Iterator<Item = &Rc<Rule>> {
        self.entries.iter().map(|entry| &entry.rule)
    }

    /// Whether the weights of the backends are gauges.
    #[must_use]
    pub fn weight_metric(&self) -> bool {
        self.weight_metric
    }

    /// Whether a request may have internal headers of the client, because no header sanitizer may have run before the module.
    #[must_use]
    pub fn lacks_sanitizer(&self) -> bool {
        !self.session_routes.is_empty()
    }

    /// Whether the decision about each request is left in the filter state, for access logs.
    #[must_use]
    pub fn has_access_log(&self) -> bool {
        self.access_log
    }

    /// Whether a request that arrives on this route, without a key of the module, carries a key of the client: it is a session
    /// route, and no header sanitizer may have run.
    #[must_use]
    pub fn is_session_route(&self, route: &[u8]) -> bool {
        self.session_routes.binary_search_by(|name| (**name).cmp(route)).is_ok()
    }

    /// The rule for a request on this route. `virtual_host` returns the name of the virtual host; it is only called if there is a
    /// rule for a route of this name. `object` returns the path of the object from which istiod made the route; it is only called
    /// if such a rule has no name in a `VirtualService`.
    pub fn find<E>(
        &self,
        route: &[u8],
        virtual_host: impl FnOnce() -> Result<Option<Vec<u8>>, E>,
        object: impl FnOnce() -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Option<&Rc<Rule>>, E> {
        let start = self.entries.partition_point(|entry| entry.route() < route);
        let entries = self.entries.get(start..).unwrap_or_default().iter();
        let mut entries = entries.take_while(|entry| entry.route() == route).peekable();
        if entries.peek().is_none() {
            return Ok(None);
        }
        let Some(virtual_host) = virtual_host()? else {
            return Ok(None);
        };
        let entries = entries.filter(|entry| entry.virtual_hosts.iter().any(|host| **host == *virtual_host));
        let mut rules = entries.map(|entry| &entry.rule).peekable();
        if rules.peek().is_none_or(|rule| rule.object_path().is_none()) {
            return Ok(rules.next());
        }
        let object = object()?.unwrap_or_default();
        Ok(rules.find(|rule| rule.object_path().is_none_or(|path| object.ends_with(path.as_bytes()))))
    }
}

/// Checks and compiles the canaries of a gateway.
fn canaries(raw: &[CanaryConfig]) -> Result<Vec<Rc<Canary>>, InvalidConfig> {
    let mut memory = 0_usize;
    let mut canaries = Vec::with_capacity(raw.len());
    for raw in raw {
        let canary = Canary::new(raw).map_err(|reason| InvalidConfig::Canary {
            name: raw.name.clone(),
            reason,
        })?;
        memory = memory.saturating_add(canary.memory());
        if memory > MAX_MEMORY_OF_GATEWAY {
            return Err(InvalidConfig::CanaryMemory { memory });
        }
        canaries.push(Rc::new(canary));
    }
    Ok(canaries)
}

impl Entry {
    fn route(&self) -> &[u8] {
        self.rule.route().as_bytes()
    }

    /// Whether both claim the requests of a route, if their routes have the same name.
    fn overlaps(&self, other: &Self) -> bool {
        let differ = match (self.rule.object_path(), other.rule.object_path()) {
            (Some(one), Some(another)) => one != another,
            _ => false,
        };
        !differ && self.virtual_hosts.iter().any(|host| other.virtual_hosts.contains(host))
    }
}

#[cfg(test)]
mod tests;
