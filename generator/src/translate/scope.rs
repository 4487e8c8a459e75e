//! Which part of the routes is translated.

use std::collections::BTreeSet;

use crate::{id::Id, kind::Kind};

/// A part of the routes, with everything that they share proxies with.
#[derive(Debug, Default)]
pub struct Scope {
    /// The routes. Those that do not exist are ignored.
    pub routes: BTreeSet<(Kind, Id)>,
    /// All gateways that these routes name, and all that share pods with them.
    pub gateways: BTreeSet<(Kind, Id)>,
    /// The canary policies that target these routes.
    pub canaries: BTreeSet<Id>,
    /// Whether it has the callers and the waypoints, and all routes of the mesh.
    pub mesh: bool,
}
