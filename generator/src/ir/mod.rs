//! The intermediate representation: for each gateway its rules, with their names, backends and sessions.
//!
//! `crate::translate` builds it from the resources, and the targets in `crate::emit` read it (as in Envoy Gateway, where
//! `internal/gatewayapi` translates to `internal/ir`). No diagnostics here.

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

/// Everything that is to be generated.
#[derive(Debug)]
pub struct Ir<'a> {
    /// The gateways in the order of their ids, also those without sessions.
    pub gateways: Vec<Gateway<'a>>,
    /// The rules of all routes, also those that are on no gateway.
    pub rules: Vec<Rc<Rule<'a>>>,
    /// The canary policies.
    pub canaries: Vec<TargetedCanary<'a>>,
}
