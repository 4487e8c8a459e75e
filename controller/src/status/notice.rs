//! Which events are due: one for each finding and generation of an object.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};

use crate::key::Key;

/// How many bytes the API server accepts as the note of an event.
const MAX_NOTE: usize = 1_024;

/// How much of the name of an object is in the name of an event.
const MAX_NAME: usize = 200;

/// An event that is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// The object that it is about.
    pub object: Key,
    /// The version in which the object is watched.
    pub api_version: String,
    /// The unique id of the object.
    pub uid: String,
    /// Its generation.
    pub generation: Option<i64>,
    /// The reason in one word.
    pub reason: &'static str,
    /// The reason in a sentence.
    pub note: String,
}

/// The events that were written. It forgets those about objects and findings that are gone.
#[derive(Debug, Default)]
pub struct Told(BTreeMap<Key, BTreeSet<u64>>);

impl Told {
    /// The events that are not yet written. `due` are all that are due now.
    pub fn news<'d>(&mut self, due: &'d [Due]) -> Vec<&'d Due> {
        let mut current: BTreeMap<&Key, BTreeSet<u64>> = BTreeMap::new();
        for one in due {
            current.entry(&one.object).or_default().insert(one.hash());
        }
        self.0.retain(|object, told| {
            told.retain(|hash| current.get(object).is_some_and(|hashes| hashes.contains(hash)));
            !told.is_empty()
        });
        let is_told = |one: &&Due| self.0.get(&one.object).is_some_and(|told| told.contains(&one.hash()));
        due.iter().filter(|one| !is_told(one)).collect()
    }

    /// Notes that an event is written.
    pub fn add(&mut self, one: &Due) {
        self.0.entry(one.object.clone()).or_default().insert(one.hash());
    }
}

impl Due {
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.uid, self.generation, self.reason, &self.note).hash(&mut hasher);
        hasher.finish()
    }

    /// The event. Its name depends on what it says, so the API server has it once, also after a restart of the controller.
    #[must_use]
    pub fn event(&self, controller: &str, instance: &str, now: Timestamp) -> Event {
        // The generation does not count here: the same finding about the next generation is the same event, seen again.
        let mut hasher = DefaultHasher::new();
        (&self.uid, self.reason, &self.note).hash(&mut hasher);
        let object: String = self.object.name().chars().take(MAX_NAME).collect();
        let namespace = self.object.namespace().map(str::to_owned);
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{object}.{:016x}", hasher.finish())),
                // Events about cluster-scoped objects are in the namespace `default`.
                namespace: Some(namespace.clone().unwrap_or_else(|| "default".to_owned())),
                ..ObjectMeta::default()
            },
            action: Some("Plan".to_owned()),
            reason: Some(self.reason.to_owned()),
            note: Some(cut(&self.note)),
            type_: Some("Warning".to_owned()),
            event_time: Some(MicroTime(now)),
            regarding: Some(ObjectReference {
                api_version: Some(self.api_version.clone()),
                kind: Some(self.object.kind.name.to_owned()),
                name: Some(self.object.name().to_owned()),
                namespace,
                uid: Some(self.uid.clone()),
                ..ObjectReference::default()
            }),
            reporting_controller: Some(controller.to_owned()),
            reporting_instance: Some(instance.to_owned()),
            ..Event::default()
        }
    }
}

/// What makes an event that exists one that was seen again.
#[must_use]
pub fn seen_again(now: Timestamp) -> EventSeries {
    EventSeries {
        count: 2,
        last_observed_time: MicroTime(now),
    }
}

/// The text, without its end if it is too long.
fn cut(note: &str) -> String {
    const ELLIPSIS: &str = "…";
    if note.len() <= MAX_NOTE {
        return note.to_owned();
    }
    let room = MAX_NOTE.saturating_sub(ELLIPSIS.len());
    let ends = note.char_indices().map(|(position, _)| position);
    let end = ends.take_while(|position| *position <= room).last().unwrap_or(0);
    format!("{}{ELLIPSIS}", note.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use crate::key::KindName;

    use super::*;

    fn due(name: &str, generation: i64, note: &str) -> Due {
        let kind = KindName::find("gateway.networking.k8s.io", "HTTPRoute").unwrap();
        Due {
            object: Key::new(kind, Some("shop"), name),
            api_version: "gateway.networking.k8s.io/v1".to_owned(),
            uid: format!("uid of {name}"),
            generation: Some(generation),
            reason: "Invalid",
            note: note.to_owned(),
        }
    }

    fn event(due: &Due) -> Event {
        due.event("mooring.dev/controller", "pod", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn each_finding_of_a_generation_is_told_once() {
        let mut told = Told::default();
        let due_now = [due("a", 1, "wrong"), due("b", 1, "wrong")];
        assert_eq!(told.news(&due_now).len(), 2);
        told.add(&due_now[0]);
        assert_eq!(told.news(&due_now), [&due_now[1]]);
        let next = [due("a", 2, "wrong")];
        assert_eq!(told.news(&next), [&next[0]]);
    }

    #[test]
    fn what_is_gone_is_forgotten_and_told_when_it_comes_back() {
        let mut told = Told::default();
        let due_now = [due("a", 1, "wrong")];
        told.add(&due_now[0]);
        assert!(told.news(&due_now).is_empty());
        assert!(told.news(&[]).is_empty());
        assert!(told.0.is_empty());
        assert_eq!(told.news(&due_now).len(), 1);
    }

    #[test]
    fn the_name_of_an_event_depends_on_what_it_says() {
        let name = |due: &Due| event(due).metadata.name.unwrap();
        assert_eq!(name(&due("a", 1, "wrong")), name(&due("a", 2, "wrong")));
        assert_ne!(name(&due("a", 1, "wrong")), name(&due("a", 1, "worse")));
        assert!(name(&due(&"a".repeat(253), 1, "wrong")).len() <= 253);
    }

    #[test]
    fn a_long_note_is_cut_at_a_character() {
        for letter in ["a", "ä", "€", "🙂"] {
            let note = event(&due("a", 1, &letter.repeat(2_000))).note.unwrap();
            assert!(note.len() <= MAX_NOTE && note.len() > MAX_NOTE - 8, "{}", note.len());
        }
        assert_eq!(event(&due("a", 1, "short")).note.as_deref(), Some("short"));
    }
}
