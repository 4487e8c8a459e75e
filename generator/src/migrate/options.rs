//! The options of a translation.

use std::collections::BTreeSet;

use crate::id::Id;

/// The prefix of the annotations, unless ingress-nginx has another one.
pub const DEFAULT_PREFIX: &str = "nginx.ingress.kubernetes.io";

/// The kind of the policies for Services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum PolicyKind {
    /// Gateway API 1.3 and later
    #[default]
    XBackendTrafficPolicy,
    /// Gateway API 1.1 and 1.2
    BackendLBPolicy,
}

/// The options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The Gateway to which the routes attach.
    pub gateway: Option<Id>,
    /// The classes that belong to ingress-nginx, besides those of the input.
    pub classes: BTreeSet<String>,
    /// The prefix of the annotations, without a slash.
    pub prefix: String,
    /// The kind of the policies for Services.
    pub policy_kind: PolicyKind,
    /// What the names of cookies get at their end.
    pub cookie_suffix: String,
}
