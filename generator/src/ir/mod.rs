//! The intermediate representation: the gateways with their rules, and the names, backends and sessions of the rules.
//!
//! `crate::translate` builds it from the resources, and the targets in `crate::emit` read it. Envoy Gateway has the
//! same structure: `internal/gatewayapi` translates to `internal/ir`. Code in this module does not report diagnostics.

use std::rc::Rc;

mod attached_rule;
mod backend;
mod canary;
mod destination_rules;
mod gateway;
pub mod names;
mod rule;
pub mod service_host;
mod virtual_host;
mod virtual_host_filters;
mod workload;

pub use attached_rule::AttachedRule;
pub use backend::{Backend, DRAINING_LABEL};
pub use canary::{AttachedCanary, Routing, TargetedCanary};
pub use destination_rules::destination_rules;
pub use gateway::Gateway;
pub use rule::{Refused, Rule, sections};
pub use virtual_host::VirtualHost;
pub use virtual_host_filters::VirtualHostFilters;
pub use workload::{GATEWAY_LABEL, Workload, workload_name};

/// The complete input of the targets.
#[derive(Debug)]
pub struct Ir<'a> {
    /// All gateways, including those without sessions.
    pub gateways: Vec<Gateway<'a>>,
    /// The rules of all routes, including those that are on no gateway.
    pub rules: Vec<Rc<Rule<'a>>>,
    /// The canary policies.
    pub canaries: Vec<TargetedCanary<'a>>,
}
