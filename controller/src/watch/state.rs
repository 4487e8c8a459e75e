//! How current the knowledge about each kind is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::key::KindName;

/// How current the known objects of a kind are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindState {
    /// Its first list is not complete.
    Listing,
    /// They are current.
    Current,
    /// The API server does not have the kind, and no object of it is known.
    Missing,
    /// The API server had the kind and no longer has it, and did not say that its objects were deleted. They stay in force until the
    /// kind is back or the controller restarts.
    Removed,
    /// The controller may not list it, and never could.
    Forbidden(String),
    /// The first list fails.
    Unlisted(String),
    /// They may be outdated: the watch fails.
    Outdated(String),
}

/// How current the known objects of all kinds are.
#[derive(Clone, Debug, Default)]
pub struct WatchStates(Arc<Mutex<BTreeMap<Scope, KindState>>>);

/// A kind, and the namespace in which it is watched.
type Scope = (KindName, Option<String>);

impl WatchStates {
    /// Adds a watch that has not listed anything yet.
    pub fn add(&self, kind: KindName, namespace: Option<&str>) {
        self.lock().insert(scope(kind, namespace), KindState::Listing);
    }

    /// Sets the state of a watch.
    pub fn set(&self, kind: KindName, namespace: Option<&str>, state: KindState) {
        self.lock().insert(scope(kind, namespace), state);
    }

    /// Records that a watch fails. Returns whether that is news.
    #[must_use]
    pub fn fail(&self, kind: KindName, namespace: Option<&str>, forbidden: bool, message: &str) -> bool {
        let mut states = self.lock();
        let current = states.entry(scope(kind, namespace)).or_insert(KindState::Listing);
        let message = message.to_owned();
        let state = match current {
            KindState::Current | KindState::Outdated(_) | KindState::Removed => KindState::Outdated(message),
            _ if forbidden => KindState::Forbidden(message),
            _ => KindState::Unlisted(message),
        };
        let news = std::mem::discriminant(current) != std::mem::discriminant(&state);
        *current = state;
        news
    }

    /// The watches without a complete first list. The controller must not plan before there are none.
    #[must_use]
    pub fn unlisted(&self) -> Vec<(KindName, KindState)> {
        self.select(|kind, state| match state {
            KindState::Listing | KindState::Unlisted(_) => true,
            KindState::Forbidden(_) => !may_be_forbidden(kind),
            _ => false,
        })
    }

    /// The watches whose objects may be outdated. While there are any, the controller must not remove anything.
    #[must_use]
    pub fn outdated(&self) -> Vec<(KindName, KindState)> {
        self.select(|_, state| matches!(state, KindState::Outdated(_) | KindState::Removed))
    }

    fn select(&self, wanted: impl Fn(KindName, &KindState) -> bool) -> Vec<(KindName, KindState)> {
        let states = self.lock();
        let selected = states.iter().filter(|((kind, _), state)| wanted(*kind, state));
        selected.map(|((kind, _), state)| (*kind, state.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Scope, KindState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn scope(kind: KindName, namespace: Option<&str>) -> Scope {
    (kind, namespace.map(str::to_owned))
}

/// Whether `mooring generate --from-cluster` does without this kind if it may not be listed.
fn may_be_forbidden(kind: KindName) -> bool {
    let known = mooring_generator::kind::KnownKind {
        name: kind.name,
        group: kind.group,
        versions: &[],
    };
    // The controller's own objects have no such kind: without them it cannot know what it applied.
    known
        .kind()
        .is_some_and(|kind| kind.is_cluster_wide() || kind.only_helps())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(group: &str, name: &str) -> KindName {
        KindName::find(group, name).unwrap()
    }

    #[test]
    fn a_kind_without_a_complete_list_is_unlisted() {
        let states = WatchStates::default();
        let services = kind("", "Service");
        states.add(services, None);
        assert_eq!(states.unlisted().len(), 1);
        assert!(states.fail(services, None, false, "500"));
        assert!(!states.fail(services, None, false, "500"));
        assert_eq!(states.unlisted().len(), 1);
        states.set(services, None, KindState::Current);
        assert!(states.unlisted().is_empty() && states.outdated().is_empty());
    }

    #[test]
    fn the_objects_of_a_kind_that_fails_or_vanishes_later_are_outdated() {
        let states = WatchStates::default();
        let services = kind("", "Service");
        states.set(services, None, KindState::Current);
        assert!(states.fail(services, None, true, "403"));
        assert!(states.unlisted().is_empty());
        assert_eq!(states.outdated().len(), 1);
        states.set(services, None, KindState::Current);
        assert!(states.outdated().is_empty());
        states.set(services, None, KindState::Removed);
        assert_eq!(states.outdated().len(), 1);
        states.set(services, None, KindState::Missing);
        assert!(states.outdated().is_empty());
    }

    #[test]
    fn a_missing_kind_is_not_waited_for() {
        let states = WatchStates::default();
        let policies = kind("mooring.dev", "CanaryPolicy");
        states.add(policies, None);
        states.set(policies, None, KindState::Missing);
        assert!(states.unlisted().is_empty() && states.outdated().is_empty());
    }

    #[test]
    fn only_kinds_that_the_generator_can_do_without_may_be_forbidden() {
        for (kind, waits) in [
            (kind("gateway.networking.k8s.io", "GatewayClass"), false),
            (kind("apps", "Deployment"), false),
            (kind("", "Service"), true),
            (kind("extensions.istio.io", "WasmPlugin"), true),
        ] {
            let states = WatchStates::default();
            states.add(kind, None);
            assert!(states.fail(kind, None, true, "403"));
            assert_eq!(!states.unlisted().is_empty(), waits, "{kind:?}");
        }
    }
}
