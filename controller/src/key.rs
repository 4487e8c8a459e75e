//! The identity of an object that the controller watches or applies.

use std::{fmt, sync::Arc};

use mooring_generator::{
    cluster::{FILTERS, PLUGINS},
    kind::{KnownKind, Reads},
};

/// A kind that the controller watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindName {
    /// The position in the order in which `mooring generate --from-cluster` reads the kinds.
    position: usize,
    /// The kind.
    pub name: &'static str,
    /// The API group; empty for the core group.
    pub group: &'static str,
}

/// All kinds that the controller watches: those that a run of the generator reads, and the kinds that only Mooring's own objects
/// have among them.
pub fn watched_kinds() -> impl Iterator<Item = (KindName, KnownKind)> {
    let kinds = KnownKind::all(Reads::Routing).chain([PLUGINS, FILTERS]);
    kinds.enumerate().map(|(position, kind)| {
        let name = KindName {
            position,
            name: kind.name,
            group: kind.group,
        };
        (name, kind)
    })
}

impl KindName {
    /// The watched kind with this group and name.
    #[must_use]
    pub fn find(group: &str, name: &str) -> Option<Self> {
        watched_kinds()
            .map(|(kind, _)| kind)
            .find(|kind| (kind.group, kind.name) == (group, name))
    }
}

/// The identity of an object. The order is that of the generator's input: by kind, and then as the API server lists objects.
///
/// Many maps have the same keys, and a plan is copied with all of its keys, so copies share their text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind.
    pub kind: KindName,
    /// The namespace and the name, or the name of a cluster-scoped object.
    path: Arc<str>,
}

impl Key {
    /// The identity of an object. None as its namespace: it is cluster-scoped.
    #[must_use]
    pub fn new(kind: KindName, namespace: Option<&str>, name: &str) -> Self {
        let path = match namespace {
            Some(namespace) => format!("{namespace}/{name}").into(),
            None => name.into(),
        };
        Self { kind, path }
    }

    /// The namespace. None: the object is cluster-scoped.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        Some(self.path.split_once('/')?.0)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.split_once('/').map_or(&self.path, |(_, name)| name)
    }
}

/// As kubectl names objects: `HTTPRoute shop/cart`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_order_of_a_list() {
        let route = KindName::find("gateway.networking.k8s.io", "HTTPRoute").unwrap();
        let gateway = KindName::find("gateway.networking.k8s.io", "Gateway").unwrap();
        let key = |kind, namespace: &str, name: &str| Key::new(kind, Some(namespace), name);
        // etcd compares whole paths: `-` comes before `/`.
        let sorted = [
            key(gateway, "shop", "z"),
            key(route, "shop-b", "a"),
            key(route, "shop", "a"),
            key(route, "shop", "b"),
        ];
        assert!(sorted.is_sorted());
        assert_eq!(sorted[1].namespace(), Some("shop-b"));
        assert_eq!(sorted[1].name(), "a");
        assert_eq!(sorted[1].to_string(), "HTTPRoute shop-b/a");
    }
}
