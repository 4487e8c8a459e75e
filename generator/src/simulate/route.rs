//! A route: its conditions, what it does, and who answers a request on it.

use super::{
    circumstances::{Circumstances, DRAWS},
    route_match::RouteMatch,
};
use crate::{
    emit::envoy::route_table::Entry,
    ir::{Backend, Rule},
    location::SourceLocation,
};

/// A route of a virtual host.
#[derive(Debug)]
pub struct Route<'a> {
    /// Its name in Envoy.
    pub name: String,
    /// The rule that it belongs to.
    pub rule: &'a Rule<'a>,
    /// Where its match is written, or `None` if the rule has no matches.
    pub match_location: Option<SourceLocation>,
    /// The position of its backend in the rule, if it is a session route.
    pub session_backend: Option<usize>,
    /// What requests must fulfil.
    pub conditions: RouteMatch,
    /// What it does.
    pub action: Action,
}

/// What a route does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It forwards the request, by weight, to one of these. If all weights are 0, Envoy answers 500.
    Forward(Vec<Target>),
    /// It answers with a redirect of this status.
    Redirect(u16),
    /// It answers with this status.
    Respond(u16),
}

/// A backend reference of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The position of the backend in the rule, or `None` if the backend does not exist.
    pub backend: Option<usize>,
    /// The weight.
    pub weight: u32,
}

/// Who answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A host of a backend.
    Backend {
        /// The key of the backend.
        key: String,
        /// The address of the host.
        host: String,
    },
    /// Envoy itself.
    Envoy {
        /// The status.
        status: u16,
        /// The backend that Envoy could not reach, if any.
        backend: Option<String>,
    },
}

/// The host that the module asks for.
pub(super) struct AskedHost {
    /// Its address.
    pub(super) address: String,
    /// Whether no other host may answer.
    pub(super) strict: bool,
}

impl<'a> Route<'a> {
    pub(super) fn new(rule: &'a Rule<'a>, entry: &Entry) -> Self {
        let mut written = rule.matches.iter();
        let written = written.find(|one| std::ptr::eq(&raw const one.value, entry.one.one));
        let position = |key: &str| rule.backends.iter().position(|backend| backend.key() == key);
        Self {
            name: entry.name(),
            rule,
            match_location: written.map(|field| rule.location_of(field)),
            session_backend: entry.backend.and_then(|backend| position(&backend.key())),
            conditions: RouteMatch::new(&entry.conditions()),
            action: Action::of(entry, position),
        }
    }
}

impl Action {
    fn of(entry: &Entry, position: impl Fn(&str) -> Option<usize>) -> Self {
        let served = entry.served;
        let status = |pointer: &str| {
            let status = served.user.as_ref()?.pointer(pointer)?.as_u64()?;
            u16::try_from(status).ok().filter(|status| *status > 0)
        };
        let has = |field| served.uses(field);
        if has("redirect") {
            return Self::Redirect(status("/redirect/redirectCode").unwrap_or(301));
        }
        if has("directResponse") {
            return Self::Respond(status("/directResponse/status").unwrap_or(500));
        }
        let references = served.rule.references.iter().zip(&served.references);
        let targets = references.map(|(backend, reference)| Target {
            backend: backend.as_ref().and_then(|backend| position(&backend.key())),
            weight: reference.weight,
        });
        if let Some(backend) = entry.backend {
            let backend = position(&backend.key());
            return Self::Forward(vec![Target { backend, weight: 1 }]);
        }
        Self::Forward(targets.collect())
    }
}

impl Route<'_> {
    /// The weights of its targets in these circumstances, in the order of the route.
    #[must_use]
    pub fn weights(&self, circumstances: &Circumstances) -> Vec<Target> {
        let Action::Forward(targets) = &self.action else {
            return Vec::new();
        };
        let targets = targets.iter().map(|target| {
            let key = target.backend.map(|backend| self.backend_key(backend));
            let weight = key.and_then(|key| circumstances.weights.get(&key).copied());
            Target {
                weight: weight.unwrap_or(target.weight),
                ..*target
            }
        });
        targets.collect()
    }

    /// The target that the weights select.
    pub(super) fn target(&self, circumstances: &Circumstances) -> Option<Target> {
        let targets = self.weights(circumstances);
        if self.session_backend.is_some() {
            return targets.first().copied();
        }
        let sum: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
        let mut left = u64::from(circumstances.draw)
            .saturating_mul(sum)
            .checked_div(DRAWS.into())?;
        for target in targets {
            match left.checked_sub(target.weight.into()) {
                Some(rest) => left = rest,
                None => return Some(target),
            }
        }
        None
    }

    fn backend_key(&self, position: usize) -> String {
        let backend = self.rule.backends.get(position);
        backend.map(Backend::key).unwrap_or_default()
    }

    pub(super) fn cluster(&self, target: Target) -> Vec<u8> {
        let backend = target.backend.and_then(|position| self.rule.backends.get(position));
        backend
            .map(|backend| backend.cluster().into_bytes())
            .unwrap_or_default()
    }

    /// Who answers a request on this route.
    pub(super) fn answer(&self, asked: Option<&AskedHost>, circumstances: &Circumstances) -> Answer {
        let by_envoy = |status| Answer::Envoy { status, backend: None };
        match &self.action {
            Action::Redirect(status) | Action::Respond(status) => return by_envoy(*status),
            Action::Forward(_) => {}
        }
        let Some(position) = self.target(circumstances).and_then(|target| target.backend) else {
            return by_envoy(500);
        };
        let key = self.backend_key(position);
        let is_there = |address: &String| !circumstances.gone.contains(address);
        let same = asked
            .filter(|asked| is_there(&asked.address))
            .map(|asked| asked.address.clone());
        let strict = asked.is_some_and(|asked| asked.strict);
        let mut others = circumstances.hosts_of(&key, position).into_iter().filter(is_there);
        let host = same.or_else(|| if strict { None } else { others.next() });
        match host.filter(|_| !circumstances.down.contains(&key)) {
            Some(host) => Answer::Backend { key, host },
            None => Answer::Envoy {
                status: 503,
                backend: Some(key),
            },
        }
    }
}
