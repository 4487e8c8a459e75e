//! What the status of a policy should say, as conditions on each ancestor.

use mooring_generator::{
    kind::Kind,
    status::{Ancestor, AncestorState, ObjectName, PolicyState},
};
use serde_json::{Map, Value, json};

use crate::{
    apply::{Applied, State},
    key::{Key, KindName},
    planned_policy::kind_name,
};

/// Which pods lack session keys.
pub trait Keys: Send + Sync {
    /// What is wrong with the session keys of pods, as a sentence. `None` if nothing is, or if that is not known.
    fn missing(&self, pods: &mooring_generator::ir::Workload) -> Option<String>;
}

/// An entry of the status: the conditions on one ancestor.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `ancestorRef`.
    pub ancestor: Value,
    /// The condition `Accepted`.
    pub accepted: Verdict,
    /// The condition `Programmed`. `None` while it is not known: a condition that the status already has stays.
    pub programmed: Option<Verdict>,
}

/// A condition without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is met.
    pub met: bool,
    /// The reason in one word.
    pub reason: &'static str,
    /// The reason in a sentence.
    pub message: String,
}

impl Verdict {
    /// The condition while it is not known.
    #[must_use]
    pub fn reconciling() -> Self {
        Self {
            met: false,
            reason: "Reconciling",
            message: "The generated objects are not yet applied.".to_owned(),
        }
    }
}

/// The entries of a policy, in the order of its ancestors.
#[must_use]
pub fn entries(policy: &PolicyState, object: &Value, applied: &Applied, keys: Option<&dyn Keys>) -> Vec<Entry> {
    let entry = |ancestor: Value, state: &AncestorState| Entry {
        ancestor,
        accepted: Verdict {
            met: state.outcome.is_accepted(),
            reason: state.outcome.accepted_reason(),
            message: state.message(),
        },
        programmed: programmed(state, applied, keys),
    };
    let known = policy.ancestors.iter();
    let known = known.filter_map(|(ancestor, state)| Some(entry(reference(ancestor)?, state)));
    let unread = policy.unread.iter().flat_map(|state| {
        let targets = targets(object).into_iter();
        targets.map(move |target| entry(target, state))
    });
    known.chain(unread).collect()
}

/// A reference to an ancestor.
fn reference(ancestor: &Ancestor) -> Option<Value> {
    let KindName { group, name: kind, .. } = kind_name(ancestor.kind)?;
    let id = &ancestor.id;
    Some(json!({ "group": group, "kind": kind, "namespace": id.namespace, "name": id.name }))
}

/// References to the targets that an object names, as far as it names any.
fn targets(object: &Value) -> Vec<Value> {
    let namespace = object.pointer("/metadata/namespace");
    let one = object.pointer("/spec/targetRef").into_iter();
    let several = object.pointer("/spec/targetRefs").and_then(Value::as_array);
    let all = one.chain(several.into_iter().flatten());
    let references = all.filter_map(|target| {
        let mut reference = Map::new();
        for field in ["group", "kind", "name"] {
            reference.insert(field.to_owned(), target.get(field)?.as_str()?.into());
        }
        reference.insert("namespace".to_owned(), namespace?.clone());
        Some(Value::Object(reference))
    });
    references.collect()
}

/// The condition `Programmed`: whether the API server has the objects that make a policy effective. `None` while that is not known.
fn programmed(state: &AncestorState, applied: &Applied, keys: Option<&dyn Keys>) -> Option<Verdict> {
    let not = |reason: &'static str, message: String| {
        Some(Verdict {
            met: false,
            reason,
            message,
        })
    };
    if let Some(reason) = state.outcome.not_programmed_reason() {
        return not(reason, "Nothing is programmed for this policy here.".to_owned());
    }
    let states = state.objects.iter().map(|object| (object, state_of(object, applied)));
    let worst = states.max_by_key(|(_, state)| severity(state));
    match worst {
        Some((object, state @ State::Foreign { .. })) => not("Foreign", about(object, state)),
        Some((object, state @ State::Refused { .. })) => not("Refused", about(object, state)),
        Some((object, state @ State::Failed { .. })) => not("Reconciling", about(object, state)),
        Some((_, State::Pending { .. })) => None,
        Some((_, State::Applied)) | None => {
            let mut missing = state.session_pods.iter().filter_map(|pods| keys?.missing(pods));
            match missing.next() {
                Some(message) => not("KeysMissing", message),
                None => Some(Verdict {
                    met: true,
                    reason: "Programmed",
                    message: "The generated objects are applied.".to_owned(),
                }),
            }
        }
    }
}

/// What became of a generated object. The kinds of generated objects have unique names.
fn state_of<'a>(object: &ObjectName, applied: &'a Applied) -> &'a State {
    key(object).map_or(&State::Applied, |key| applied.state(&key))
}

/// The key of a generated object.
fn key(object: &ObjectName) -> Option<Key> {
    const GROUPS: [(&str, &str); 4] = [
        ("WasmPlugin", "extensions.istio.io"),
        ("EnvoyFilter", "networking.istio.io"),
        ("HTTPRoute", "gateway.networking.k8s.io"),
        ("GRPCRoute", "gateway.networking.k8s.io"),
    ];
    let (kind, group) = GROUPS.into_iter().find(|(kind, _)| *kind == object.kind)?;
    let kind = KindName::find(group, kind)?;
    Some(Key::new(kind, Some(&object.id.namespace), &object.id.name))
}

/// What lasts longest counts most.
fn severity(state: &State) -> u8 {
    match state {
        State::Applied => 0,
        State::Pending { .. } => 1,
        State::Failed { .. } => 2,
        State::Refused { .. } => 3,
        State::Foreign { .. } => 4,
    }
}

fn about(object: &ObjectName, state: &State) -> String {
    format!("{} {}: {state}", object.kind, object.id)
}

/// Whether the status of a kind has a summary of all ancestors.
#[must_use]
pub fn has_summary(kind: KindName) -> bool {
    kind_name(Kind::CanaryPolicy) == Some(kind)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use mooring_generator::{id::Id, ir::Workload, status::Outcome};

    use super::*;

    fn gateway(state: AncestorState) -> PolicyState {
        let ancestor = Ancestor {
            kind: Kind::Gateway,
            id: Id::new("infra", "front"),
        };
        PolicyState {
            ancestors: BTreeMap::from([(ancestor, state)]),
            unread: None,
        }
    }

    fn applying() -> AncestorState {
        let mut state = AncestorState::new(Outcome::Applies);
        for kind in ["EnvoyFilter", "WasmPlugin", "HTTPRoute"] {
            state.objects.insert(ObjectName {
                kind: kind.to_owned(),
                id: Id::new("infra", "mooring-front"),
            });
        }
        state
            .session_pods
            .insert(Workload::for_gateway(&Id::new("infra", "front")));
        state
    }

    fn differing(states: &[(&str, State)]) -> Applied {
        let differing = states.iter().map(|(kind, state)| {
            let object = ObjectName {
                kind: (*kind).to_owned(),
                id: Id::new("infra", "mooring-front"),
            };
            (key(&object).unwrap(), state.clone())
        });
        Applied {
            differing: Arc::new(differing.collect()),
            ..Applied::default()
        }
    }

    fn verdict(applied: &Applied, keys: Option<&dyn Keys>) -> Option<Verdict> {
        let entries = entries(&gateway(applying()), &Value::Null, applied, keys);
        entries.into_iter().next().unwrap().programmed
    }

    struct NoKeys;

    impl Keys for NoKeys {
        fn missing(&self, pods: &Workload) -> Option<String> {
            Some(format!("the pods {pods} have no keys"))
        }
    }

    #[test]
    fn a_policy_is_programmed_when_all_objects_are_applied() {
        let programmed = verdict(&Applied::default(), None).unwrap();
        assert_eq!((programmed.met, programmed.reason), (true, "Programmed"));
        let pending = State::Pending { why: String::new() };
        for kind in ["EnvoyFilter", "WasmPlugin", "HTTPRoute"] {
            assert_eq!(verdict(&differing(&[(kind, pending.clone())]), None), None, "{kind}");
        }
    }

    #[test]
    fn what_keeps_an_object_from_being_applied_is_the_reason() {
        let message = || "denied".to_owned();
        for (state, reason) in [
            (State::Foreign { by: message() }, "Foreign"),
            (State::Refused { message: message() }, "Refused"),
            (State::Failed { message: message() }, "Reconciling"),
        ] {
            let pending = State::Pending { why: String::new() };
            let verdict = verdict(&differing(&[("EnvoyFilter", state), ("WasmPlugin", pending)]), None).unwrap();
            assert_eq!((verdict.met, verdict.reason), (false, reason));
            assert!(
                verdict.message.starts_with("EnvoyFilter infra/mooring-front: "),
                "{}",
                verdict.message
            );
            assert!(verdict.message.contains("denied"), "{}", verdict.message);
        }
    }

    #[test]
    fn objects_of_others_do_not_count() {
        let mut elsewhere = differing(&[]);
        let kind = KindName::find("networking.istio.io", "EnvoyFilter").unwrap();
        let other = Key::new(kind, Some("infra"), "mooring-back-http");
        elsewhere.differing = Arc::new(BTreeMap::from([(other, State::Failed { message: String::new() })]));
        assert!(verdict(&elsewhere, None).unwrap().met);
    }

    #[test]
    fn a_policy_whose_pods_lack_keys_is_not_programmed() {
        let verdict = verdict(&Applied::default(), Some(&NoKeys)).unwrap();
        assert_eq!((verdict.met, verdict.reason), (false, "KeysMissing"));
    }

    #[test]
    fn nothing_is_programmed_for_a_policy_that_does_not_apply() {
        let policy = gateway(AncestorState::new(Outcome::Conflicted));
        let entry = entries(&policy, &Value::Null, &Applied::default(), Some(&NoKeys)).remove(0);
        assert_eq!((entry.accepted.met, entry.accepted.reason), (false, "Conflicted"));
        assert_eq!(entry.programmed.unwrap().reason, "Conflicted");
        assert_eq!(
            entry.ancestor,
            json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "infra", "name": "front" })
        );
    }

    #[test]
    fn a_policy_that_cannot_be_read_has_an_entry_for_each_target_that_it_names() {
        let policy = PolicyState {
            unread: Some(AncestorState::new(Outcome::Invalid)),
            ..PolicyState::default()
        };
        let service = |name: &str| json!({ "group": "", "kind": "Service", "name": name });
        let object = json!({
            "metadata": { "namespace": "shop" },
            "spec": { "targetRefs": [service("web"), service("api"), { "kind": "Service" }] },
        });
        let found = entries(&policy, &object, &Applied::default(), None);
        let names: Vec<&Value> = found.iter().map(|entry| &entry.ancestor["name"]).collect();
        assert_eq!(names, ["web", "api"]);
        assert_eq!(found[0].ancestor["namespace"], "shop");
    }
}
