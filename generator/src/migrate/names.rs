//! Names for routes and rules, from hosts and paths.

/// The longest name of a rule: that of a DNS label.
const MAX_LENGTH: usize = 50;

/// A name from a path: `/api/v1` becomes `api-v1`, and `/` becomes `root`.
pub fn of_path(path: &str) -> String {
    match slug(path) {
        slug if slug.is_empty() => "root".to_owned(),
        slug => slug,
    }
}

/// A name from a host: `*.example.com` becomes `wildcard-example-com`.
pub fn of_host(host: &str) -> String {
    match host.strip_prefix('*') {
        Some(rest) => slug(&format!("wildcard{rest}")),
        None if host.is_empty() => "all-hosts".to_owned(),
        None => slug(host),
    }
}

/// The letters and digits of a text in lower case, and single hyphens in between.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug: String = slug.chars().take(MAX_LENGTH).collect();
    slug.trim_end_matches('-').to_owned()
}

/// The first of `wanted`, `wanted-2`, `wanted-3` and so on that is not taken.
pub fn free(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2_u32..).map(|number| format!("{wanted}-{number}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or_else(|| wanted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels() {
        assert_eq!(of_path("/"), "root");
        assert_eq!(of_path("/api/V1/"), "api-v1");
        assert_eq!(of_path("/app(/|$)(.*)"), "app");
        assert_eq!(of_host("*.example.com"), "wildcard-example-com");
        assert_eq!(of_host(""), "all-hosts");
        assert_eq!(free("a", |name| name != "a-3"), "a-3");
    }
}
