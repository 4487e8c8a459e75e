//! The paths that Gateway API allows in the match of a route.

/// Whether Gateway API accepts the text as an exact path or a prefix (CEL rules of `HTTPPathMatch`).
#[must_use]
pub fn is_path(text: &str) -> bool {
    let Some(elements) = text.strip_prefix('/') else {
        return false;
    };
    let last = elements.split('/').count().saturating_sub(1);
    let wrong = |(position, element): (usize, &str)| match element {
        "" => position != last,
        "." | ".." => true,
        _ => false,
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@%".contains(&byte);
    let escapes = text.split('%').skip(1);
    let mut escapes = escapes.map(|rest| rest.get(..2).unwrap_or("").to_ascii_lowercase());
    text.bytes().all(allowed)
        && !elements.split('/').enumerate().any(wrong)
        && escapes
            .all(|digits| digits != "2f" && digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_that_gateway_api_takes() {
        for path in ["/", "/a", "/a/", "/a/b.c", "/a%20b", "/a:b@c", "/...", "/a..b"] {
            assert!(is_path(path), "{path}");
        }
        for path in [
            "", "a", "//", "/a//b", "/./a", "/a/..", "/a/.", "/a?b", "/a#b", "/a%2fb", "/a%2F", "/a%", "/a%zz", "/a b",
            "/é",
        ] {
            assert!(!is_path(path), "{path}");
        }
    }
}
