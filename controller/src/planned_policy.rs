//! The states of policies that a plan contains, and what is found about each object.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mooring_generator::{
    id::Id,
    kind::{Kind, KnownKind, Reads},
    status::{Notice, PolicyState},
};

use crate::key::{Key, KindName};

/// The state of a policy, and the object that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPolicy {
    /// The generation of the policy that was planned.
    pub generation: Option<i64>,
    /// The unique id of the policy.
    pub uid: Option<String>,
    /// Its state.
    pub state: PolicyState,
}

/// The states of the policies of a plan.
pub type Policies = BTreeMap<Key, Arc<PlannedPolicy>>;

/// The findings about the objects of a plan.
pub type ObjectNotices = BTreeMap<Key, Arc<BTreeSet<Notice>>>;

/// The names of a kind.
#[must_use]
pub fn kind_name(kind: Kind) -> Option<KindName> {
    let known = KnownKind::all(Reads::Routing).find(|known| known.kind() == Some(kind))?;
    KindName::find(known.group, known.name)
}

/// The key of an object.
#[must_use]
pub fn key(kind: Kind, id: &Id) -> Option<Key> {
    let namespace = Some(id.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    Some(Key::new(kind_name(kind)?, namespace, &id.name))
}

/// The kind, the namespace and the name of the object with a key. None: it is of no kind that the generator reads.
#[must_use]
pub fn object(key: &Key) -> Option<(Kind, Id)> {
    let known = KnownKind {
        name: key.kind.name,
        group: key.kind.group,
        versions: &[],
    };
    let id = Id::new(key.namespace().unwrap_or_default(), key.name());
    Some((known.kind()?, id))
}
