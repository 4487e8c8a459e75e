//! The intermediate representation: the proxies with their rules, and the names, backends and sessions of the rules.
//!
//! `crate::translate` builds it from the resources, and the targets in `crate::emit` read it. Envoy Gateway has the
//! same structure: `internal/gatewayapi` translates to `internal/ir`. Code in this module does not report diagnostics.

use std::rc::Rc;

mod attached_rule;
mod backend;
mod canary;
mod destination_rules;
pub mod names;
mod proxy_group;
mod rule;
pub mod service_host;
mod virtual_host;
mod virtual_host_filters;
mod waypoint;
mod workload;

pub use attached_rule::AttachedRule;
pub use backend::{Backend, DRAINING_LABEL};
pub use canary::{AttachedCanary, Routing, TargetedCanary};
pub use destination_rules::destination_rules;
pub use proxy_group::{Gateway, ProxyGroup, Role};
pub use rule::{Refused, Rule, sections};
pub use virtual_host::VirtualHost;
pub use virtual_host_filters::VirtualHostFilters;
pub use waypoint::Waypoint;
pub use workload::{GATEWAY_LABEL, Workload, workload_name};

/// The complete input of the targets.
#[derive(Debug)]
pub struct Ir<'a> {
    /// All groups of proxies, including those without sessions.
    pub proxies: Vec<ProxyGroup<'a>>,
    /// The rules of all routes, including those that apply on no proxy.
    pub rules: Vec<Rc<Rule<'a>>>,
    /// The canary policies.
    pub canaries: Vec<TargetedCanary<'a>>,
}
