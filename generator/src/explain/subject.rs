//! What is explained: a request to proxies of the input.

use std::collections::BTreeMap;

use mooring_policy::config::Config;

use super::{
    config_source::Unusable,
    explanation::{Configuration, Location},
};
use crate::{
    document::Applied,
    ir::{Ir, ProxyGroup},
    location::SourceLocation,
    simulate::{Proxy, Request},
    source::Sources,
    token::Keys,
};

/// The input that all explanations share.
pub struct Context<'a> {
    /// The texts.
    pub sources: &'a Sources,
    /// The routes and proxies.
    pub ir: &'a Ir<'a>,
    /// The objects of Mooring that are applied.
    pub applied: Applied,
    /// The hosts of backends by key.
    pub hosts: BTreeMap<String, Vec<String>>,
}

impl Context<'_> {
    /// A location, for people.
    pub fn location(&self, location: SourceLocation) -> Location {
        Location::new(location, self.sources)
    }
}

/// Proxies that can be explained.
pub struct Subject<'a> {
    /// The proxies.
    pub proxy: Proxy<'a>,
    /// The configuration of their module.
    pub config: Config,
    /// Where the configuration comes from.
    pub configuration: Configuration,
    /// Why the configuration that the proxies run cannot be used.
    pub problem: Option<Unusable>,
}

/// A request, and what is known about it.
pub struct Question<'q> {
    /// The request.
    pub request: &'q Request,
    /// The time, in seconds since the Unix epoch.
    pub now: u64,
    /// The keys of the gateway, if they are known.
    pub keys: Option<&'q Keys>,
}

impl Subject<'_> {
    /// The group of the proxies.
    pub fn group(&self) -> &ProxyGroup<'_> {
        self.proxy.group
    }
}
