//! What errors remove from the output. An error removes only the rule, route or policy that it concerns. The command
//! writes the rest, and then lists what was removed.

use std::{collections::BTreeMap, fmt};

use crate::{diagnostic::reported::Reported, shorten::shortened};

/// The types of omitted items, in the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Omitted {
    /// A file.
    File,
    /// A document of an unknown kind.
    Document,
    /// An object.
    Object,
    /// A gateway with all its routes.
    Gateway,
    /// A listener of a gateway.
    Listener,
    /// A route with all its rules.
    Route,
    /// A rule of a route.
    Rule,
    /// A policy.
    Policy,
    /// A policy on one of its targets or rules.
    Attachment,
    /// The annotations of a route.
    Annotations,
    /// The endpoints of a Service.
    Endpoints,
    /// A feature that the target does not support.
    Feature,
}

impl Omitted {
    /// Its name in the singular.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.names().0
    }

    fn counted(self, count: usize) -> String {
        let (one, several) = self.names();
        format!("{count} {}", if count == 1 { one } else { several })
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::File => ("file", "files"),
            Self::Document => ("document", "documents"),
            Self::Object => ("object", "objects"),
            Self::Gateway => ("Gateway", "Gateways"),
            Self::Listener => ("listener", "listeners"),
            Self::Route => ("route", "routes"),
            Self::Rule => ("rule", "rules"),
            Self::Policy => ("policy", "policies"),
            Self::Attachment => ("attachment of a policy", "attachments of policies"),
            Self::Annotations => ("set of annotations", "sets of annotations"),
            Self::Endpoints => ("set of endpoints", "sets of endpoints"),
            Self::Feature => ("feature", "features"),
        }
    }
}

/// Everything that is omitted, each item once, with the error that removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Omissions(BTreeMap<Omitted, BTreeMap<String, Option<Reported>>>);

impl Omissions {
    /// Adds an item by its name. Of several errors, the first counts.
    pub fn add(&mut self, what: Omitted, name: impl Into<String>, error: Option<Reported>) {
        let known = self.0.entry(what).or_default().entry(name.into()).or_default();
        *known = known.or(error);
    }

    /// Adds the items of another list.
    pub fn extend(&mut self, other: Self) {
        for (what, names) in other.0 {
            for (name, error) in names {
                self.add(what, name, error);
            }
        }
    }

    /// The items in order: the type, the name, and the error.
    pub fn iter(&self) -> impl Iterator<Item = (Omitted, &str, Option<Reported>)> {
        let all = self.0.iter();
        all.flat_map(|(what, names)| names.iter().map(|(name, error)| (*what, name.as_str(), *error)))
    }

    /// Whether nothing is omitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sorted names of the items of this type.
    pub fn names(&self, what: Omitted) -> impl Iterator<Item = &str> {
        self.0.get(&what).into_iter().flatten().map(|(name, _)| name.as_str())
    }
}

/// One line, complete: `2 rules (HTTPRoute/shop/cart#0, HTTPRoute/shop/cart#1), 1 policy (BackendLBPolicy/shop/sticky)`.
impl fmt::Display for Omissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (what, names)) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            let listed: Vec<String> = names.keys().cloned().map(shortened).collect();
            write!(f, "{} ({})", what.counted(names.len()), listed.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_listed_once_in_order() {
        let mut omissions = Omissions::default();
        assert!(omissions.is_empty());
        omissions.add(Omitted::Policy, "BackendLBPolicy/shop/sticky", None);
        omissions.add(Omitted::Rule, "HTTPRoute/shop/cart#1", None);
        let mut more = Omissions::default();
        more.add(Omitted::Rule, "HTTPRoute/shop/cart#0", None);
        more.add(Omitted::Rule, "HTTPRoute/shop/cart#1", None);
        omissions.extend(more);
        assert_eq!(
            omissions.to_string(),
            "2 rules (HTTPRoute/shop/cart#0, HTTPRoute/shop/cart#1), 1 policy (BackendLBPolicy/shop/sticky)"
        );
        assert_eq!(omissions.names(Omitted::Rule).count(), 2);
    }
}
