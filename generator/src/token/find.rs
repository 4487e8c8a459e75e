//! The token in a text that was copied from a browser, a log or a terminal: the token alone, a cookie, or a header line.

use mooring_policy::token::outline::{NoToken, Outline};

/// A token in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The token.
    pub value: String,
    /// The name of the cookie or header that has it, which is the name of the session.
    pub name: Option<String>,
    /// What it shows without a key.
    pub outline: Outline,
}

/// Why there is no token in a text. The messages contain nothing of the values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// The text is empty.
    #[error("there is no token: the text is empty")]
    Empty,
    /// The text alone is not a token.
    #[error("this is not a token: {0}")]
    Value(NoToken),
    /// The only value is not a token.
    #[error("the value of `{name}` is not a token: {reason}")]
    Pair {
        /// The name.
        name: String,
        /// What is wrong with its value.
        reason: NoToken,
    },
    /// None of several values is a token.
    #[error("none of these cookies has a token: {0}")]
    NoneOf(String),
    /// Several values are tokens.
    #[error("several of these cookies have a token: {0}; give one of them alone, or its name with --session")]
    Several(String),
    /// No cookie has the name of the session.
    #[error("there is no cookie or header `{session}`; there is: {names}")]
    Name {
        /// The name of the session.
        session: String,
        /// The names that there are.
        names: String,
    },
}

/// Finds the token in a text. `session` selects one of several cookies.
///
/// The text is a token, `NAME=VALUE` with more cookies or attributes after a `;`, or a line `Cookie: …`, `Set-Cookie: …` or
/// `NAME: VALUE`.
pub fn find(text: &str, session: Option<&str>) -> Result<Found, NotFound> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NotFound::Empty);
    }
    let Some(mut pairs) = pairs(text) else {
        let outline = Outline::read(text.as_bytes()).map_err(NotFound::Value)?;
        return Ok(Found {
            value: text.to_owned(),
            name: None,
            outline,
        });
    };
    if let Some(session) = session
        && pairs.iter().any(|(name, _)| *name == session)
    {
        pairs.retain(|(name, _)| *name == session);
    } else if let Some(session) = session {
        return Err(NotFound::Name {
            session: session.to_owned(),
            names: names(&pairs),
        });
    }
    let read = |(name, value): &(&str, &str)| match Outline::read(value.as_bytes()) {
        Ok(outline) => Ok(Found {
            value: (*value).to_owned(),
            name: Some((*name).to_owned()),
            outline,
        }),
        Err(reason) => Err(NotFound::Pair {
            name: (*name).to_owned(),
            reason,
        }),
    };
    let mut tokens: Vec<Found> = pairs.iter().filter_map(|pair| read(pair).ok()).collect();
    if tokens.len() > 1 {
        let names: Vec<String> = tokens
            .iter()
            .filter_map(|found| found.name.as_deref())
            .map(quoted)
            .collect();
        return Err(NotFound::Several(names.join(", ")));
    }
    match (tokens.pop(), pairs.as_slice()) {
        (Some(found), _) => Ok(found),
        (None, [pair]) => read(pair),
        (None, _) => Err(NotFound::NoneOf(names(&pairs))),
    }
}

/// The names and values of a text. None: it is one value without a name.
fn pairs(text: &str) -> Option<Vec<(&str, &str)>> {
    // curl and Envoy's logs print `<` or `>` before the headers.
    let line = text.trim_start_matches(['<', '>', ' ']);
    let header = line.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
    match header {
        Some((name, value)) if name.eq_ignore_ascii_case("cookie") => Some(cookies(value)),
        Some((name, value)) if name.eq_ignore_ascii_case("set-cookie") => {
            Some(cookies(value).into_iter().take(1).collect())
        }
        Some((name, value)) if !name.contains(['=', ';']) => Some(vec![(name, unquoted(value))]),
        _ if text.contains('=') => Some(cookies(text)),
        _ => None,
    }
}

fn cookies(text: &str) -> Vec<(&str, &str)> {
    let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.trim(), unquoted(value.trim())))
        .collect()
}

fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value)
}

fn names(pairs: &[(&str, &str)]) -> String {
    let names: Vec<String> = pairs.iter().map(|(name, _)| quoted(name)).collect();
    names.join(", ")
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.escape_debug())
}

#[cfg(test)]
mod tests {
    use mooring_policy::{
        keys::KeyRing,
        token::{Binding, Token},
    };

    use super::*;
    use crate::key_ring::new_entry;

    fn token() -> String {
        let keys = KeyRing::parse(&new_entry(Some(1), &[]).unwrap().reveal()).unwrap();
        let token = Token::new(1_700_000_000, false);
        token.seal(&keys, &Binding::new("rule", "cart"), [7; 24]).unwrap()
    }

    #[test]
    fn a_token_is_found_in_what_people_copy() {
        let token = token();
        for (text, name) in [
            (token.clone(), None),
            (format!(" {token}\n"), None),
            (format!("cart={token}"), Some("cart")),
            (format!("a=b; cart={token}; c"), Some("cart")),
            (format!("Cookie: a=b; cart={token}"), Some("cart")),
            (format!("cookie:cart=\"{token}\""), Some("cart")),
            (
                format!("Set-Cookie: cart={token}; Path=/; HttpOnly; SameSite=Lax"),
                Some("cart"),
            ),
            (format!("< set-cookie: cart={token}; Path=/"), Some("cart")),
            (format!("X-Session: {token}"), Some("X-Session")),
        ] {
            let found = find(&text, None).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (found.value.as_str(), found.name.as_deref()),
                (token.as_str(), name),
                "{text}"
            );
            assert_eq!(found.outline.key_id, 1);
        }
    }

    #[test]
    fn the_session_selects_one_of_several_cookies() {
        let (one, two) = (token(), token());
        let line = format!("Cookie: cart={one}; user={two}; a=b");
        assert_eq!(find(&line, Some("user")).unwrap().value, two);
        // Without a name in the text, the session says nothing about it.
        assert_eq!(find(&one, Some("user")).unwrap().value, one);
        let said = |session| find(&line, session).unwrap_err().to_string();
        assert!(said(None).starts_with("several of these cookies have a token: `cart`, `user`;"));
        assert_eq!(
            said(Some("other")),
            "there is no cookie or header `other`; there is: `cart`, `user`, `a`"
        );
        assert_eq!(
            said(Some("a")),
            "the value of `a` is not a token: it has 1 characters, and a token has 59 to 1024"
        );
    }

    #[test]
    fn what_is_no_token_is_refused_without_showing_it() {
        for (text, expected) in [
            ("  ", "there is no token: the text is empty"),
            (
                "secret",
                "this is not a token: it has 6 characters, and a token has 59 to 1024",
            ),
            (
                "a b",
                "this is not a token: its character 2 is not a letter, a digit, `-` or `_`",
            ),
            (
                "Cookie: a=secret; b=secret",
                "none of these cookies has a token: `a`, `b`",
            ),
        ] {
            let error = find(text, None).unwrap_err().to_string();
            assert_eq!(error, expected);
            assert!(!error.contains("secret"));
        }
    }
}
