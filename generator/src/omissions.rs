//! What errors take out of the output. An error is local: it takes out the rule, route or policy that it is about, and nothing
//! else; what is taken out is listed when everything else is written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::shorten::shortened;

/// What kind of thing is left out, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Omitted {
    /// A file.
    File,
    /// A document that does not even say what it is.
    Document,
    /// An object.
    Object,
    /// A gateway with everything on it.
    Gateway,
    /// A listener of a gateway.
    Listener,
    /// A route with all its rules.
    Route,
    /// A rule of a route.
    Rule,
    /// A policy.
    Policy,
    /// A policy, on one of its targets or rules.
    Attachment,
    /// The annotations of a route.
    Annotations,
    /// The endpoints of a Service.
    Endpoints,
    /// A part of an object that the target does not have.
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

/// Everything that is left out, each thing once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Omissions(BTreeMap<Omitted, BTreeSet<String>>);

impl Omissions {
    /// Adds a thing by its name.
    pub fn add(&mut self, what: Omitted, name: impl Into<String>) {
        self.0.entry(what).or_default().insert(name.into());
    }

    /// Adds what is left out elsewhere.
    pub fn extend(&mut self, other: Self) {
        for (what, names) in other.0 {
            self.0.entry(what).or_default().extend(names);
        }
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the things of a kind, sorted.
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
    fn everything_is_named_once_and_sorted() {
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
