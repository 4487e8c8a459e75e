//! The state of a policy on its ancestors.

use std::collections::{BTreeMap, BTreeSet};

use crate::{id::Id, ir::Workload, kind::Kind};

/// How many findings the message of a condition has at most.
const MAX_SHOWN: usize = 4;

/// How many characters a message has at most. The API server accepts 32,768.
const MAX_MESSAGE: usize = 4_000;

/// The state of a policy. Policies that do not concern Mooring have no ancestors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyState {
    /// The state on each ancestor.
    pub ancestors: BTreeMap<Ancestor, AncestorState>,
    /// The state of a policy whose targets cannot be read. It holds for each target that the object names.
    pub unread: Option<AncestorState>,
}

/// The state of a policy in a part of the input.
#[derive(Clone, Debug, Default)]
pub struct PartialState {
    state: PolicyState,
    /// The state on each target for which the part has no proxy.
    unserved: BTreeMap<Ancestor, AncestorState>,
    /// The targets for which it has one.
    served: BTreeSet<Ancestor>,
}

/// An object that a policy affects: a Gateway of either API, or the target of the policy if no Gateway is affected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ancestor {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace and name.
    pub id: Id,
}

/// The state of a policy on one ancestor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AncestorState {
    /// What happens to the policy there.
    pub outcome: Outcome,
    /// The findings about the policy there, or why it does not apply to a rule: some of them if there are many.
    pub findings: BTreeSet<String>,
    /// The generated objects that make the policy effective there.
    pub objects: BTreeSet<ObjectName>,
    /// The pods that need session keys for the policy.
    pub session_pods: BTreeSet<Workload>,
}

/// What happens to a policy. Of several outcomes on one ancestor, the first in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It applies to a rule.
    Applies,
    /// The policy is invalid, or an error leaves out each of its rules.
    Invalid,
    /// The target does not exist.
    TargetNotFound,
    /// Another policy applies.
    Conflicted,
    /// Something more specific applies.
    Overridden,
    /// It is valid, and nothing happens.
    NoEffect,
}

/// A generated object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// `kind`.
    pub kind: String,
    /// Its namespace and name.
    pub id: Id,
}

impl Outcome {
    /// Whether the condition `Accepted` is True.
    #[must_use]
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Applies | Self::Overridden | Self::NoEffect)
    }

    /// The reason of the condition `Accepted` (GEP-713).
    #[must_use]
    pub fn accepted_reason(self) -> &'static str {
        match self {
            Self::Applies | Self::Overridden | Self::NoEffect => "Accepted",
            Self::Invalid => "Invalid",
            Self::TargetNotFound => "TargetNotFound",
            Self::Conflicted => "Conflicted",
        }
    }

    /// The reason why nothing can be programmed, or `None` if the policy applies.
    #[must_use]
    pub fn not_programmed_reason(self) -> Option<&'static str> {
        match self {
            Self::Applies => None,
            Self::Overridden => Some("Overridden"),
            Self::NoEffect => Some("NoEffect"),
            Self::Invalid | Self::TargetNotFound | Self::Conflicted => Some(self.accepted_reason()),
        }
    }

    fn summary(self) -> &'static str {
        match self {
            Self::Applies => "The policy applies.",
            Self::Invalid => "The policy, or each rule that it affects, has an error.",
            Self::TargetNotFound => "The target does not exist.",
            Self::Conflicted => "Another policy applies.",
            Self::Overridden => "A more specific configuration applies.",
            Self::NoEffect => "The policy is valid, but has no effect.",
        }
    }
}

impl AncestorState {
    /// A state without findings and objects.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            findings: BTreeSet::new(),
            objects: BTreeSet::new(),
            session_pods: BTreeSet::new(),
        }
    }

    /// Adds the state for other rules or another target on the same ancestor.
    pub fn merge(&mut self, other: Self) {
        self.outcome = self.outcome.min(other.outcome);
        self.objects.extend(other.objects);
        self.session_pods.extend(other.session_pods);
        for finding in other.findings {
            self.find(finding);
        }
    }

    /// Adds a finding. What the message would not show is not stored.
    pub fn find(&mut self, finding: String) {
        self.findings.insert(finding);
        if self.findings.len() > MAX_SHOWN.saturating_add(1) {
            self.findings.pop_last();
        }
    }

    /// The message of the condition `Accepted`.
    #[must_use]
    pub fn message(&self) -> String {
        let mut message = self.outcome.summary().to_owned();
        for finding in self.findings.iter().take(MAX_SHOWN) {
            message.push(' ');
            message.push_str(finding);
            if !finding.ends_with(['.', '?']) {
                message.push('.');
            }
        }
        if self.findings.len() > MAX_SHOWN {
            message.push_str(" There are more findings.");
        }
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        message
    }
}

impl PolicyState {
    /// Adds the state on an ancestor.
    fn add(&mut self, ancestor: Ancestor, state: AncestorState) {
        match self.ancestors.get_mut(&ancestor) {
            Some(known) => known.merge(state),
            None => {
                self.ancestors.insert(ancestor, state);
            }
        }
    }
}

impl PartialState {
    /// Adds the state on an ancestor with proxies, for a target of the policy.
    pub fn add(&mut self, target: &Ancestor, ancestor: Ancestor, state: AncestorState) {
        self.served.insert(target.clone());
        self.state.add(ancestor, state);
    }

    /// Adds the state on a target for which this part has no proxy.
    pub fn add_unserved(&mut self, target: Ancestor, state: AncestorState) {
        self.unserved
            .entry(target)
            .or_insert_with(|| AncestorState::new(state.outcome))
            .merge(state);
    }

    /// Sets the state of a policy that cannot be read.
    pub fn set_unread(&mut self, state: AncestorState) {
        self.state.unread = Some(state);
    }

    /// Adds the state of the same policy in another part of the input.
    pub fn merge(&mut self, other: Self) {
        for (ancestor, state) in other.state.ancestors {
            self.state.add(ancestor, state);
        }
        for (target, state) in other.unserved {
            self.add_unserved(target, state);
        }
        self.served.extend(other.served);
        self.state.unread = self.state.unread.take().or(other.state.unread);
    }

    /// The state in all parts together: a target is an ancestor itself if none of them has a proxy for it.
    #[must_use]
    pub fn finish(self) -> PolicyState {
        let Self {
            mut state,
            unserved,
            served,
        } = self;
        for (target, found) in unserved {
            if !served.contains(&target) {
                state.add(target, found);
            }
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(outcome: Outcome, findings: &[&str]) -> AncestorState {
        let mut state = AncestorState::new(outcome);
        for finding in findings {
            state.find((*finding).to_owned());
        }
        state
    }

    #[test]
    fn what_applies_counts_before_what_does_not() {
        let mut merged = state(Outcome::Overridden, &["a"]);
        merged.merge(state(Outcome::Applies, &[]));
        assert_eq!(merged.outcome, Outcome::Applies);
        assert_eq!(merged.message(), "The policy applies. a.");
        merged.merge(state(Outcome::Invalid, &["b."]));
        assert_eq!(merged.message(), "The policy applies. a. b.");
    }

    #[test]
    fn an_error_counts_before_what_is_harmless() {
        let mut merged = state(Outcome::NoEffect, &[]);
        merged.merge(state(Outcome::Invalid, &[]));
        assert!(!merged.outcome.is_accepted());
    }

    #[test]
    fn a_message_has_few_findings() {
        let many: Vec<String> = (0..100).map(|number| format!("finding {number:02}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text = state(Outcome::Applies, &many).message();
        assert_eq!(
            text,
            "The policy applies. finding 00. finding 01. finding 02. finding 03. There are more findings."
        );
        assert!(state(Outcome::Applies, &many).findings.len() <= 5);
    }
}
