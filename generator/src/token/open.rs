//! Opens a token. It opens only for the rule and session name that it was sealed for, which it does not show: so they are tried.

use mooring_policy::token::{
    Binding, Rejection, Token,
    outline::{NoToken, Outline},
};

use super::keys::Keys;

/// What a token is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The id of the rule, such as `HTTPRoute/shop/cart/main`.
    pub rule: String,
    /// The name of the session.
    pub session: String,
}

/// An opened token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What it shows without a key.
    pub outline: Outline,
    /// What it is bound to.
    pub bound: Bound,
    /// Its content.
    pub token: Token,
}

/// Why a token cannot be opened. The messages name the ids of keys, never their secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// It is not a token.
    #[error("this is not a token: {0}")]
    NoToken(#[from] NoToken),
    /// The ring has no key with its id.
    #[error("the token was sealed with the key {id:02x}, which the ring does not have; it has: {ring}")]
    UnknownKey {
        /// The id of the key.
        id: u8,
        /// The ids of the ring.
        ring: String,
    },
    /// It is bound to something else.
    #[error(
        "the token belongs to another rule or session than {tried}, or the gateway has another secret under the key ID {id:02x}"
    )]
    Foreign {
        /// What was tried.
        tried: String,
        /// The id of the key.
        id: u8,
    },
    /// Its content is not what was sealed.
    #[error("the token is for {bound}, and is cut off or changed: its content is not what the gateway sealed")]
    Tampered {
        /// What it is bound to, by its hint.
        bound: String,
    },
}

/// Opens a token with the keys of a ring, for the first of these rules and sessions that it belongs to.
pub fn open(text: &str, keys: &Keys, tried: &[Bound]) -> Result<Opened, NotOpened> {
    let outline = Outline::read(text.as_bytes())?;
    let id = outline.key_id;
    let mut tampered = None;
    for bound in tried {
        let binding = Binding::new(&bound.rule, &bound.session);
        match Token::open(text.as_bytes(), keys.ring(), &binding) {
            Ok(token) => {
                return Ok(Opened {
                    outline,
                    bound: bound.clone(),
                    token,
                });
            }
            Err(Rejection::UnknownKey) => return Err(NotOpened::UnknownKey { id, ring: keys.ids() }),
            // The first bytes are those of a token of this rule. Another rule has the same ones with a probability of 2^-16.
            Err(Rejection::Tampered | Rejection::Malformed) => tampered = Some(bound.to_string()),
            Err(Rejection::Foreign | Rejection::Version | Rejection::Future) => {}
        }
    }
    Err(match tampered {
        Some(bound) => NotOpened::Tampered { bound },
        None => NotOpened::Foreign {
            tried: tried.iter().map(Bound::to_string).collect::<Vec<_>>().join(", "),
            id,
        },
    })
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` of {}", self.session, self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_ring::new_entry;

    fn keys(id: u8) -> Keys {
        Keys::parse(&new_entry(Some(id), &[]).unwrap().reveal()).unwrap()
    }

    fn bound(rule: &str) -> Bound {
        Bound {
            rule: rule.to_owned(),
            session: "cart".to_owned(),
        }
    }

    fn sealed(keys: &Keys) -> String {
        let token = Token::new(1_700_000_000, true);
        token.seal(keys.ring(), &Binding::new("rule", "cart"), [7; 24]).unwrap()
    }

    #[test]
    fn the_rule_of_a_token_is_found_among_others() {
        let keys = keys(1);
        let opened = open(&sealed(&keys), &keys, &[bound("other"), bound("rule"), bound("third")]).unwrap();
        assert_eq!(opened.bound, bound("rule"));
        assert_eq!(opened.token, Token::new(1_700_000_000, true));
    }

    #[test]
    fn each_reason_has_its_message() {
        let ring = keys(1);
        let text = sealed(&ring);
        let said = |text: &str, keys: &Keys, rule: &str| open(text, keys, &[bound(rule)]).unwrap_err().to_string();
        assert_eq!(
            said(&text, &keys(7), "rule"),
            "the token was sealed with the key 01, which the ring does not have; it has: 07"
        );
        let foreign = "the token belongs to another rule or session than `cart` of";
        assert!(said(&text, &ring, "other").starts_with(foreign));
        // Another secret under the same id gives another hint.
        assert!(said(&text, &keys(1), "rule").starts_with(foreign));
        let first = |length: usize| text.get(..length).unwrap();
        // A length at which the rest is base64url, whatever its bits are.
        let cut = first(text.len() / 4 * 4 - 4);
        assert!(
            said(cut, &ring, "rule").contains("is cut off or changed"),
            "{}",
            said(cut, &ring, "rule")
        );
        assert!(said(first(40), &ring, "rule").starts_with("this is not a token: it has 40 characters"));
    }
}
