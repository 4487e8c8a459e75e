//! "Did you mean …?"

/// The most similar of the candidates, if one is similar enough.
pub fn find<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many characters must be inserted, removed or replaced (Levenshtein); upper and lower case are the same.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, found) in left.to_lowercase().chars().enumerate() {
        let mut next = vec![line.saturating_add(1)];
        for (wanted, (above_left, above)) in right.iter().zip(row.iter().zip(row.iter().skip(1))) {
            let replaced = above_left.saturating_add(usize::from(found != *wanted));
            let before = next.last().copied().unwrap_or(usize::MAX);
            next.push(replaced.min(above.saturating_add(1)).min(before.saturating_add(1)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_typo_and_nothing_far_off() {
        assert_eq!(
            find("sessionPersistance", ["matches", "sessionPersistence"]),
            Some("sessionPersistence")
        );
        assert_eq!(find("revews", ["reviews", "ratings"]), Some("reviews"));
        assert_eq!(find("reviews", ["checkout", "ratings"]), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
