//! Evaluates label selectors for namespaces (`allowedRoutes.namespaces.selector` of a listener).

use crate::{
    api::gateway::{LabelOperator, LabelRequirement, LabelSelector},
    id::Id,
    resources::{Found, Resources},
};

/// The label with the name of the namespace. The API server adds it, so it may be missing in manifests.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Whether a selector selects a namespace. `None` if that depends on the labels of the namespace, which is not in the
/// input.
pub fn selects(selector: Option<&LabelSelector>, namespace: &str, resources: &Resources) -> Option<bool> {
    // A missing selector selects nothing; an empty selector selects everything.
    let Some(selector) = selector else { return Some(false) };
    let labels = match resources.namespaces.find(&Id::new("", namespace)) {
        Found::Item(item) => Some(&item.metadata.labels),
        // The unreadable Namespace is reported already; a second error would not help.
        Found::Unknown => return Some(true),
        Found::Nothing(_) => None,
    };
    let label = |name: &str| match labels {
        // Every namespace has this label.
        _ if name == NAME_LABEL => Label::Known(Some(namespace)),
        Some(labels) => Label::Known(labels.get(name)),
        None => Label::Unknown,
    };
    let pairs = selector.match_labels.iter();
    let pairs = pairs.map(|(name, value)| label(&name.value).holds(|found| found == Some(value.value.as_str())));
    let requirements = selector.match_expressions.iter();
    let requirements = requirements.map(|one| label(&one.key).holds(|found| holds(one, found)));
    let verdicts: Vec<Option<bool>> = pairs.chain(requirements).collect();
    if verdicts.contains(&Some(false)) {
        return Some(false);
    }
    verdicts.into_iter().collect::<Option<Vec<bool>>>().map(|_| true)
}

/// The names of all namespaces that a selector can select. `None` if it does not select by name, so that it can select
/// any namespace.
pub fn names(selector: &LabelSelector) -> Option<Vec<&str>> {
    let mut pairs = selector.match_labels.iter();
    let by_pair = pairs.find(|(name, _)| name.value == NAME_LABEL);
    let mut requirements = selector.match_expressions.iter();
    let by_requirement = requirements.find(|one| one.key == NAME_LABEL && one.operator == LabelOperator::In);
    match (by_pair, by_requirement) {
        (Some((_, value)), _) => Some(vec![value.value.as_str()]),
        (None, Some(one)) => Some(one.values.iter().map(String::as_str).collect()),
        (None, None) => None,
    }
}

/// What is known about a label of a namespace.
enum Label<'a> {
    /// The value, or `None` if the namespace does not have the label.
    Known(Option<&'a str>),
    /// The namespace is not in the input.
    Unknown,
}

impl Label<'_> {
    fn holds(self, test: impl FnOnce(Option<&str>) -> bool) -> Option<bool> {
        match self {
            Self::Known(found) => Some(test(found)),
            Self::Unknown => None,
        }
    }
}

fn holds(requirement: &LabelRequirement, found: Option<&str>) -> bool {
    let listed = found.is_some_and(|found| requirement.values.iter().any(|value| value == found));
    match requirement.operator {
        LabelOperator::In => listed,
        LabelOperator::NotIn => !listed,
        LabelOperator::Exists => found.is_some(),
        LabelOperator::DoesNotExist => found.is_none(),
    }
}
