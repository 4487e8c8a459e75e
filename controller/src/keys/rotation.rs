//! The steps of a rotation: what comes next follows from the Secret and from the pods alone, so a rotation goes on after a restart, and
//! each step can be repeated.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{key::Key, pods::Pods};

/// How far a rotation is. The Secret has it in an annotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The value of the annotation that asked for the rotation.
    pub request: String,
    /// The ID of the new key.
    pub key: String,
    /// The last step that was taken.
    pub step: Step,
    /// When the old key was used last, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// A step that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The new key is in the ring, behind the old ones.
    Appended,
    /// The new key is the first one.
    Promoted,
    /// All pods encrypt with the new key; tokens of the old ones expire.
    Expiring,
    /// The old keys are removed.
    Removed,
    /// All pods have the new ring.
    Done,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: no rotation is asked for.
    Nothing,
    /// Append a new key to the ring.
    Append,
    /// Let these pods start with the ring.
    RollOut(Vec<Key>),
    /// Wait for the rollout of these.
    AwaitRollout(Vec<Key>),
    /// Make the new key the first one.
    Promote,
    /// Note that the old keys are no longer used for new tokens.
    Expire,
    /// Wait until the tokens of the old keys have expired. None: they never do, so the user decides.
    AwaitExpiry(Option<u64>),
    /// Remove the old keys.
    Remove,
    /// Note that the rotation is complete.
    Finish,
}

/// What a rotation depends on.
#[derive(Clone, Copy, Debug)]
pub struct State<'s> {
    /// The value of the annotation that asks for a rotation.
    pub request: Option<&'s str>,
    /// How far it is.
    pub progress: Option<&'s Progress>,
    /// Whether the old keys are to be removed at once.
    pub at_once: bool,
    /// The IDs of the ring, as pods name them.
    pub ring: &'s str,
    /// The pods that use the Secret.
    pub pods: &'s [(Key, Pods)],
    /// After how many seconds a token has expired at the latest. None: never.
    pub lifetime: Option<u64>,
    /// Now, in seconds since 1970.
    pub now: u64,
}

/// What comes next.
#[must_use]
pub fn next(state: State) -> Next {
    let going_on = state.progress.filter(|progress| progress.step != Step::Done);
    let Some(progress) = going_on else {
        let last = state.progress.map(|progress| progress.request.as_str());
        return match state.request {
            Some(request) if !request.is_empty() && last != Some(request) => Next::Append,
            _ => Next::Nothing,
        };
    };
    match progress.step {
        Step::Appended => rolled_out(state).unwrap_or(Next::Promote),
        Step::Promoted => rolled_out(state).unwrap_or(Next::Expire),
        Step::Expiring => {
            let since = progress.since.unwrap_or(state.now);
            let until = state.lifetime.map(|lifetime| since.saturating_add(lifetime));
            if state.at_once || until.is_some_and(|until| until <= state.now) {
                Next::Remove
            } else {
                Next::AwaitExpiry(until)
            }
        }
        Step::Removed => rolled_out(state).unwrap_or(Next::Finish),
        Step::Done => Next::Nothing,
    }
}

/// What is to be done until all pods have the ring. None: they have it.
fn rolled_out(state: State) -> Option<Next> {
    if state.pods.is_empty() {
        // Whose pods they are is not known now. To go on could take their sessions away.
        return Some(Next::AwaitRollout(Vec::new()));
    }
    let select = |is: &dyn Fn(&Pods) -> bool| -> Vec<Key> {
        let selected = state.pods.iter().filter(|(_, pods)| is(pods));
        selected.map(|(key, _)| key.clone()).collect()
    };
    let outdated = select(&|pods| pods.ring.as_deref() != Some(state.ring));
    if !outdated.is_empty() {
        return Some(Next::RollOut(outdated));
    }
    let rolling = select(&|pods| !pods.is_rolled_out);
    (!rolling.is_empty()).then_some(Next::AwaitRollout(rolling))
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Appended => "the new key is in the ring; the pods get it",
            Self::Promoted => "the new key encrypts new tokens; the pods get the ring",
            Self::Expiring => "all pods encrypt with the new key; the old keys stay until their tokens have expired",
            Self::Removed => "the old keys are removed; the pods get the ring",
            Self::Done => "the rotation is complete",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{key::KindName, pods::KeySource};

    fn pods(name: &str, ring: &str, is_rolled_out: bool) -> (Key, Pods) {
        let key = Key::new(KindName::find("apps", "Deployment").unwrap(), Some("edge"), name);
        let pods = Pods {
            labels: BTreeMap::new(),
            keys: KeySource::Secret("mooring-keys".to_owned()),
            ring: Some(ring.to_owned()),
            is_rolled_out,
        };
        (key, pods)
    }

    fn progress(step: Step) -> Progress {
        Progress {
            request: "1".to_owned(),
            key: "02".to_owned(),
            step,
            since: Some(1_000),
        }
    }

    fn at(progress: Option<&Progress>, pods: &[(Key, Pods)]) -> Next {
        next(State {
            request: Some("1"),
            progress,
            at_once: false,
            ring: "01-02",
            pods,
            lifetime: Some(60),
            now: 1_030,
        })
    }

    #[test]
    fn a_rotation_is_asked_for_once() {
        assert_eq!(at(None, &[]), Next::Append);
        assert_eq!(at(Some(&progress(Step::Done)), &[]), Next::Nothing);
        let idle = State {
            request: None,
            progress: None,
            at_once: true,
            ring: "01",
            pods: &[],
            lifetime: None,
            now: 0,
        };
        assert_eq!(next(idle), Next::Nothing);
        let done = progress(Step::Done);
        assert_eq!(
            next(State {
                request: Some("2"),
                progress: Some(&done),
                ..idle
            }),
            Next::Append
        );
    }

    #[test]
    fn each_step_waits_for_all_rollouts() {
        for (step, after) in [
            (Step::Appended, Next::Promote),
            (Step::Promoted, Next::Expire),
            (Step::Removed, Next::Finish),
        ] {
            let progress = progress(step);
            let one = pods("a", "01-02", true);
            let outdated = pods("b", "01", true);
            let expected = Next::RollOut(vec![outdated.0.clone()]);
            assert_eq!(at(Some(&progress), &[one.clone(), outdated]), expected, "{step:?}");
            let rolling = pods("b", "01-02", false);
            let expected = Next::AwaitRollout(vec![rolling.0.clone()]);
            assert_eq!(at(Some(&progress), &[one.clone(), rolling]), expected, "{step:?}");
            assert_eq!(at(Some(&progress), &[one]), after, "{step:?}");
            assert_eq!(
                at(Some(&progress), &[]),
                Next::AwaitRollout(Vec::new()),
                "{step:?}: the pods are not known"
            );
        }
    }

    #[test]
    fn old_keys_stay_until_their_tokens_have_expired() {
        let expiring = progress(Step::Expiring);
        assert_eq!(at(Some(&expiring), &[]), Next::AwaitExpiry(Some(1_060)));
        let state = |lifetime, at_once, now| {
            next(State {
                request: Some("1"),
                progress: Some(&expiring),
                at_once,
                ring: "02-01",
                pods: &[],
                lifetime,
                now,
            })
        };
        assert_eq!(state(Some(60), false, 1_060), Next::Remove);
        assert_eq!(
            state(None, false, u64::MAX),
            Next::AwaitExpiry(None),
            "tokens that do not expire"
        );
        assert_eq!(state(None, true, 1_001), Next::Remove);
    }
}
