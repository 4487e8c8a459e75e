//! What of the input was read, and what was skipped: the line with which a run ends.

use std::{collections::BTreeMap, fmt};

use crate::kind::Kind;

/// How many kinds of objects that were read, and of those that were skipped, the line names.
const MAX_READ: usize = 8;
const MAX_SKIPPED: usize = 5;

/// The longest name of a kind: it is a DNS label.
const MAX_NAME: usize = 63;

/// How much of what there is in the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    read: BTreeMap<Kind, usize>,
    skipped: BTreeMap<String, usize>,
    failed: usize,
    /// Whether there is any object that is skipped.
    objects: bool,
}

impl Tally {
    /// Counts an object that is read.
    pub fn read(&mut self, kind: Kind) {
        add(self.read.entry(kind).or_default(), 1);
    }

    /// Counts an object of a kind that is not read. A text that is no name of a kind is not repeated.
    pub fn skip(&mut self, kind: &str) {
        let named = !kind.is_empty() && kind.len() <= MAX_NAME && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
        self.objects = true;
        self.skip_foreign(if named { kind } else { "other object" });
    }

    /// Counts an object that an earlier run has generated.
    pub fn skip_generated(&mut self, kind: Kind) {
        self.objects = true;
        self.skip_foreign(&format!("generated {kind}"));
    }

    /// Counts something that is no object.
    pub fn skip_foreign(&mut self, what: &str) {
        add(self.skipped.entry(what.to_owned()).or_default(), 1);
    }

    /// Counts an object or document that cannot be read.
    pub fn fail(&mut self) {
        add(&mut self.failed, 1);
    }

    /// Adds what was counted elsewhere.
    pub fn extend(&mut self, other: Self) {
        for (kind, count) in other.read {
            add(self.read.entry(kind).or_default(), count);
        }
        for (what, count) in other.skipped {
            add(self.skipped.entry(what).or_default(), count);
        }
        add(&mut self.failed, other.failed);
        self.objects |= other.objects;
    }

    /// Whether there was nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read.is_empty() && self.skipped.is_empty() && self.failed == 0
    }

    /// Whether there was any object, of whatever kind, or something that may be one.
    #[must_use]
    pub fn any_object(&self) -> bool {
        self.objects || !self.read.is_empty() || self.failed > 0
    }

    /// The kinds that were read, in the order of their importance. Two kinds of one name are told as one.
    fn kinds(&self) -> Vec<(String, usize)> {
        let mut kinds: Vec<(String, usize)> = Vec::new();
        for (kind, count) in &self.read {
            let name = kind.to_string();
            match kinds.iter_mut().find(|(other, _)| *other == name) {
                Some((_, sum)) => add(sum, *count),
                None => kinds.push((name, *count)),
            }
        }
        kinds
    }
}

/// One line: `read 14 objects (1 Gateway, 3 HTTPRoutes, 10 Services), skipped 2 (2 ConfigMaps), could not read 1`.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds();
        let read = sum(&kinds);
        let objects = if read == 1 { "object" } else { "objects" };
        write!(f, "read {read} {objects}{}", list(&kinds, MAX_READ))?;
        let mut skipped: Vec<(String, usize)> = self.skipped.clone().into_iter().collect();
        skipped.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        if !skipped.is_empty() {
            write!(f, ", skipped {}{}", sum(&skipped), list(&skipped, MAX_SKIPPED))?;
        }
        if self.failed > 0 {
            write!(f, ", could not read {}", self.failed)?;
        }
        Ok(())
    }
}

fn add(sum: &mut usize, count: usize) {
    *sum = sum.saturating_add(count);
}

fn sum(counted: &[(String, usize)]) -> usize {
    counted.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

/// ` (1 Gateway, 3 HTTPRoutes and 2 other kinds)`; empty where there is nothing.
fn list(counted: &[(String, usize)], most: usize) -> String {
    if counted.is_empty() {
        return String::new();
    }
    let shown = counted.iter().take(most).map(|(name, count)| match count {
        1 => format!("1 {name}"),
        _ => format!("{count} {}", plural(name)),
    });
    let shown: Vec<String> = shown.collect();
    let more = match counted.len().saturating_sub(shown.len()) {
        0 => String::new(),
        1 => " and 1 other kind".to_owned(),
        count => format!(" and {count} other kinds"),
    };
    format!(" ({}{more})", shown.join(", "))
}

/// The plural of a kind, as Kubernetes makes it.
fn plural(name: &str) -> String {
    let vowel = |letter: char| "aeiou".contains(letter);
    if name.ends_with("Endpoints") {
        name.to_owned()
    } else if let Some(stem) = name.strip_suffix('y')
        && !stem.ends_with(vowel)
    {
        format!("{stem}ies")
    } else if ["s", "x", "ch", "sh"].iter().any(|ending| name.ends_with(ending)) {
        format!("{name}es")
    } else {
        format!("{name}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_comes_first_then_what_was_skipped() {
        let mut tally = Tally::default();
        assert!(tally.is_empty());
        for kind in [
            Kind::Service,
            Kind::HttpRoute,
            Kind::Gateway,
            Kind::HttpRoute,
            Kind::IstioGateway,
        ] {
            tally.read(kind);
        }
        for kind in ["ConfigMap", "Ingress", "ConfigMap", "NetworkPolicy", "NetworkPolicy"] {
            tally.skip(kind);
        }
        tally.fail();
        assert_eq!(
            tally.to_string(),
            "read 5 objects (2 Gateways, 2 HTTPRoutes, 1 Service), \
             skipped 5 (2 ConfigMaps, 2 NetworkPolicies, 1 Ingress), could not read 1"
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        let mut tally = Tally::default();
        tally.read(Kind::Gateway);
        for kind in ["A", "B", "C", "D", "E", "F", "G", "G"] {
            tally.skip(kind);
        }
        assert_eq!(
            tally.to_string(),
            "read 1 object (1 Gateway), skipped 8 (2 Gs, 1 A, 1 B, 1 C, 1 D and 2 other kinds)"
        );
    }

    #[test]
    fn a_kind_that_is_no_name_is_not_repeated() {
        let mut tally = Tally::default();
        tally.skip("\u{1b}[31mConfigMap");
        tally.skip(&"x".repeat(64));
        tally.skip("");
        assert_eq!(tally.to_string(), "read 0 objects, skipped 3 (3 other objects)");
    }

    #[test]
    fn plurals_are_those_of_kubernetes() {
        for (one, several) in [
            ("BackendLBPolicy", "BackendLBPolicies"),
            ("Gateway", "Gateways"),
            ("Ingress", "Ingresses"),
            ("ReferenceGrant", "ReferenceGrants"),
            ("Endpoints", "Endpoints"),
        ] {
            assert_eq!(plural(one), several);
        }
    }
}
