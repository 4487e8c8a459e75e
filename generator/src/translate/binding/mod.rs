//! Finds the proxies and virtual hosts on which a route applies.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    id::Id,
    ir::{VirtualHost, Workload},
    kind::Kind,
};

pub mod gateway_api;
pub mod istio;
pub mod listener_sets;
pub mod match_attachment;
pub mod match_scopes;
pub mod mesh;
pub mod named;
pub mod namespace_selectors;

/// What a route binds to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupKey {
    /// A Gateway of Gateway API or of Istio's API.
    Gateway(Kind, Id),
    /// The sidecars of callers.
    Callers(Workload),
    /// A waypoint, for one of its Services.
    Waypoint {
        /// The Gateway object.
        gateway: Id,
        /// The Service.
        service: Id,
    },
}

/// A Gateway as `NAMESPACE/NAME`, which is part of the names of generated objects.
impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(_, id) => id.fmt(f),
            Self::Callers(pods) => write!(f, "callers/{pods}"),
            Self::Waypoint { gateway, service } => write!(f, "waypoint/{gateway}/{service}"),
        }
    }
}

/// What a route binds to, and its virtual hosts there.
pub type Bindings = BTreeMap<GroupKey, BTreeSet<VirtualHost>>;
