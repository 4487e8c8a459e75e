//! Counts how many objects of the input were read and skipped. The last line of a run reports the counts.

use std::{collections::BTreeMap, fmt};

use crate::kind::Kind;

/// How many kinds of read objects, and how many kinds of skipped objects, the line lists.
const MAX_READ: usize = 8;
const MAX_SKIPPED: usize = 5;

/// The longest name of a kind: the API server requires a DNS label.
const MAX_NAME: usize = 63;

/// Counts of the objects of the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputSummary {
    read: BTreeMap<Kind, usize>,
    skipped: BTreeMap<String, usize>,
    failed: usize,
    /// Whether an object was skipped, and not only texts that are not objects.
    objects: bool,
}

impl InputSummary {
    /// Counts an object that is read.
    pub fn read(&mut self, kind: Kind) {
        add(self.read.entry(kind).or_default(), 1);
    }

    /// Counts an object of a kind that is not read. A kind with an invalid name is not repeated in the output.
    pub fn skip(&mut self, kind: &str) {
        let named = !kind.is_empty() && kind.len() <= MAX_NAME && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
        self.objects = true;
        self.skip_foreign(if named { kind } else { "other object" });
    }

    /// Counts an object that an earlier run generated.
    pub fn skip_generated(&mut self, kind: Kind) {
        self.objects = true;
        self.skip_foreign(&format!("generated {kind}"));
    }

    /// Counts a text that is not an object.
    pub fn skip_foreign(&mut self, what: &str) {
        add(self.skipped.entry(what.to_owned()).or_default(), 1);
    }

    /// Counts this many skipped objects of a kind no longer as skipped: the run reads them in another way.
    pub fn unskip(&mut self, kind: &str, count: usize) {
        if let Some(skipped) = self.skipped.get_mut(kind) {
            *skipped = skipped.saturating_sub(count);
        }
        self.skipped.retain(|_, count| *count > 0);
    }

    /// Counts an object or document that cannot be read.
    pub fn fail(&mut self) {
        add(&mut self.failed, 1);
    }

    /// Adds the counts of another summary.
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

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read.is_empty() && self.skipped.is_empty() && self.failed == 0
    }

    /// Whether the input has an object of any kind, or a text that may be one.
    #[must_use]
    pub fn any_object(&self) -> bool {
        self.objects || !self.read.is_empty() || self.failed > 0
    }

    /// The kinds that were read, in the order of `Kind`. Two kinds with the same name count as one.
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
impl fmt::Display for InputSummary {
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

/// ` (1 Gateway, 3 HTTPRoutes and 2 other kinds)`; empty for an empty list.
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

/// The plural of a kind, formed by the rules of Kubernetes.
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
    fn read_objects_come_first_then_skipped_ones() {
        let mut summary = InputSummary::default();
        assert!(summary.is_empty());
        for kind in [
            Kind::Service,
            Kind::HttpRoute,
            Kind::Gateway,
            Kind::HttpRoute,
            Kind::IstioGateway,
        ] {
            summary.read(kind);
        }
        for kind in ["ConfigMap", "Ingress", "ConfigMap", "NetworkPolicy", "NetworkPolicy"] {
            summary.skip(kind);
        }
        summary.fail();
        assert_eq!(
            summary.to_string(),
            "read 5 objects (2 Gateways, 2 HTTPRoutes, 1 Service), \
             skipped 5 (2 ConfigMaps, 2 NetworkPolicies, 1 Ingress), could not read 1"
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        let mut summary = InputSummary::default();
        summary.read(Kind::Gateway);
        for kind in ["A", "B", "C", "D", "E", "F", "G", "G"] {
            summary.skip(kind);
        }
        assert_eq!(
            summary.to_string(),
            "read 1 object (1 Gateway), skipped 8 (2 Gs, 1 A, 1 B, 1 C, 1 D and 2 other kinds)"
        );
    }

    #[test]
    fn an_invalid_kind_is_not_repeated() {
        let mut summary = InputSummary::default();
        summary.skip("\u{1b}[31mConfigMap");
        summary.skip(&"x".repeat(64));
        summary.skip("");
        assert_eq!(summary.to_string(), "read 0 objects, skipped 3 (3 other objects)");
    }

    #[test]
    fn what_is_read_in_another_way_does_not_count_as_skipped() {
        let mut summary = InputSummary::default();
        for kind in ["A", "A", "B"] {
            summary.skip(kind);
        }
        summary.unskip("A", 1);
        summary.unskip("B", 1);
        summary.unskip("C", 1);
        assert_eq!(summary.to_string(), "read 0 objects, skipped 1 (1 A)");
    }

    #[test]
    fn plurals_follow_kubernetes() {
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
