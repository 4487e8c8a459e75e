//! The changes to headers, without the tokens in them.

use super::explanation::{Explanation, HeaderReport};
use crate::simulate::HeaderChange;

/// The changes to headers. Tokens are not shown: a token gives its holder the session.
pub fn describe(changes: &[HeaderChange], explanation: &Explanation) -> Vec<HeaderReport> {
    let session = explanation.session.as_ref();
    let text = |value: &[u8]| Some(String::from_utf8_lossy(value).into_owned());
    let report = |change: &HeaderChange| match change {
        HeaderChange::Set(name, value) => HeaderReport {
            action: "set",
            name: name.clone(),
            value: text(value),
        },
        HeaderChange::Add(name, value) => {
            let value = match session {
                Some(session) if name == "set-cookie" => {
                    text(value).map(|cookie| without_token(&cookie, &session.name))
                }
                Some(session) if name.eq_ignore_ascii_case(&session.name) => Some("<token>".to_owned()),
                _ => text(value),
            };
            HeaderReport {
                action: "add",
                name: name.clone(),
                value,
            }
        }
        HeaderChange::Remove(name) => HeaderReport {
            action: "remove",
            name: name.clone(),
            value: None,
        },
    };
    changes.iter().map(report).collect()
}

fn without_token(cookie: &str, name: &str) -> String {
    let attributes = cookie.split_once(';').map_or("", |(_, attributes)| attributes);
    match attributes {
        "" => format!("{name}=<token>"),
        attributes => format!("{name}=<token>;{attributes}"),
    }
}
