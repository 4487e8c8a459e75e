//! The order of writes, which is that of `mooring generate`: without the `EnvoyFilter` a client can address a session route, and the
//! module uses the session routes. Objects are removed in the reverse order.

use mooring_generator::cluster::{FILTERS, PLUGINS};

use crate::key::KindName;

/// A group of requests that precedes the next group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Writes of `EnvoyFilter`s.
    Filters,
    /// Writes of session routes.
    Routes,
    /// Writes of `WasmPlugin`s.
    Plugins,
    /// Removals of `WasmPlugin`s.
    RemovePlugins,
    /// Removals of session routes.
    RemoveRoutes,
    /// Removals of `EnvoyFilter`s.
    RemoveFilters,
}

impl Stage {
    /// The stage in which objects of a kind are written.
    #[must_use]
    pub fn of_write(kind: KindName) -> Self {
        match kind.name {
            name if name == FILTERS.name => Self::Filters,
            name if name == PLUGINS.name => Self::Plugins,
            _ => Self::Routes,
        }
    }

    /// The stage in which objects of a kind are removed.
    #[must_use]
    pub fn of_removal(kind: KindName) -> Self {
        match Self::of_write(kind) {
            Self::Filters => Self::RemoveFilters,
            Self::Plugins => Self::RemovePlugins,
            _ => Self::RemoveRoutes,
        }
    }
}
