//! What errors remove from the output. An error removes only the rule, route or policy that it concerns. The command
//! writes the rest, and then lists what was removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::shorten::shortened;

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
    fn counted(self, count: usize) -> String {
        let (one, several) = match self {
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
        };
        format!("{count} {}", if count == 1 { one } else { several })
    }
}

/// Everything that is omitted, each item once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Omissions(BTreeMap<Omitted, BTreeSet<String>>);

impl Omissions {
    /// Adds an item by its name.
    pub fn add(&mut self, what: Omitted, name: impl Into<String>) {
        self.0.entry(what).or_default().insert(name.into());
    }

    /// Adds the items of another list.
    pub fn extend(&mut self, other: Self) {
        for (what, names) in other.0 {
            self.0.entry(what).or_default().extend(names);
        }
    }

    /// Whether nothing is omitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sorted names of the items of this type.
    pub fn names(&self, what: Omitted) -> impl Iterator<Item = &str> {
        self.0.get(&what).into_iter().flatten().map(String::as_str)
    }
}

/// One line, complete: `2 rules (HTTPRoute/shop/cart#0, HTTPRoute/shop/cart#1), 1 policy (BackendLBPolicy/shop/sticky)`.
impl fmt::Display for Omissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (what, names)) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            let listed: Vec<String> = names.iter().cloned().map(shortened).collect();
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
        omissions.add(Omitted::Policy, "BackendLBPolicy/shop/sticky");
        omissions.add(Omitted::Rule, "HTTPRoute/shop/cart#1");
        let mut more = Omissions::default();
        more.add(Omitted::Rule, "HTTPRoute/shop/cart#0");
        more.add(Omitted::Rule, "HTTPRoute/shop/cart#1");
        omissions.extend(more);
        assert_eq!(
            omissions.to_string(),
            "2 rules (HTTPRoute/shop/cart#0, HTTPRoute/shop/cart#1), 1 policy (BackendLBPolicy/shop/sticky)"
        );
        assert_eq!(omissions.names(Omitted::Rule).count(), 2);
    }
}
