//! "Did you mean …?"

use strsim::osa_distance;

/// The most similar candidate, if it is similar enough: up to a third of its characters, and at least one, may differ.
pub fn find<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Whether two names differ only in case and in at most this many typing errors.
pub fn is_typo(name: &str, other: &str, typos: usize) -> bool {
    osa_distance(&name.to_lowercase(), &other.to_lowercase()) <= typos
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_typo_and_nothing_far_off() {
        let fields = ["matches", "sessionPersistence"];
        assert_eq!(find("sessionPersistance", fields), Some("sessionPersistence"));
        assert_eq!(find("wbe", ["web", "app"]), Some("web"));
        assert_eq!(find("reviews", ["checkout", "ratings"]), None);
    }
}
