//! Which namespaces a label selector selects (`allowedRoutes.namespaces.selector` of a listener).

use crate::{
    inventory::{Found, Id, Inventory},
    wire::{
        Pairs,
        gateway::{LabelOperator, LabelRequirement, LabelSelector},
    },
};

/// The label that every namespace has: its name. The API server adds it, so manifests need not have it.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Whether a selector selects a namespace. None: its labels are needed to tell, and it is not in the input.
pub fn selects(selector: Option<&LabelSelector>, namespace: &str, inventory: &Inventory) -> Option<bool> {
    // No selector selects nothing; one that demands nothing selects everything.
    let Some(selector) = selector else { return Some(false) };
    let labels = match inventory.namespaces.find(&Id::new("", namespace)) {
        Found::Item(item) => Some(&item.metadata.labels),
        // There is an error already; another one would not help.
        Found::Unknown => return Some(true),
        Found::Nothing(_) => None,
    };
    let label = |name: &str| label(name, namespace, labels);
    let pairs = selector.match_labels.iter();
    let pairs = pairs.map(|(name, value)| Some(label(&name.value)? == Some(value.value.as_str())));
    let requirements = selector.match_expressions.iter();
    let requirements = requirements.map(|requirement| Some(holds(requirement, label(&requirement.key)?)));
    let verdicts: Vec<Option<bool>> = pairs.chain(requirements).collect();
    if verdicts.contains(&Some(false)) {
        return Some(false);
    }
    verdicts.into_iter().collect::<Option<Vec<bool>>>().map(|_| true)
}

/// The value of a label, if the namespace has it. None: that is not known.
fn label<'a>(name: &str, namespace: &'a str, labels: Option<&'a Pairs>) -> Option<Option<&'a str>> {
    if name == NAME_LABEL {
        return Some(Some(namespace));
    }
    labels.map(|labels| labels.get(name))
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
