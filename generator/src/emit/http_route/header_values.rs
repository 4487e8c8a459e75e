//! The names and values of headers that Envoy accepts.

use serde::{Deserialize, Serialize};

use super::values::InvalidValue;

/// A string that is valid in a header.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct Text(pub String);

impl TryFrom<String> for Text {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        if text.contains(|one: char| one.is_ascii_control() && one != '\t') {
            return Err(InvalidValue::Control(text));
        }
        Ok(Self(text))
    }
}

/// The name of a header, or of a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct HeaderName(String);

impl TryFrom<String> for HeaderName {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        if text.is_empty() || text.len() > 1_024 || text.contains(|one: char| one.is_ascii_control() || one == ' ') {
            return Err(InvalidValue::Name(text));
        }
        Ok(Self(text))
    }
}

/// The value of a header that is set or added. Envoy replaces commands between `%` characters.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "Text")]
pub struct HeaderValue(String);

/// The commands of Envoy without a parameter.
const COMMANDS: [&str; 22] = [
    "BYTES_RECEIVED",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_VERSION",
    "HOSTNAME",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_FLAGS",
    "ROUTE_NAME",
    "START_TIME",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_REMOTE_ADDRESS",
];

/// The commands that name a header.
const OF_HEADERS: [&str; 2] = ["REQ", "RESP"];

impl TryFrom<Text> for HeaderValue {
    type Error = InvalidValue;

    fn try_from(Text(text): Text) -> Result<Self, InvalidValue> {
        if has_only_commands(&text) {
            Ok(Self(text))
        } else {
            Err(InvalidValue::Format(text))
        }
    }
}

fn has_only_commands(text: &str) -> bool {
    let mut chunks = text.split('%').skip(1);
    while let Some(command) = chunks.next() {
        // Each command ends with a `%`. Ordinary text follows.
        if chunks.next().is_none() {
            return false;
        }
        let named = |name: &&str| {
            let header = command.strip_prefix(*name).and_then(|rest| rest.strip_prefix('('));
            header.and_then(|rest| rest.strip_suffix(')')).is_some_and(|name| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_:".contains(&byte))
            })
        };
        if !(command.is_empty() || COMMANDS.contains(&command) || OF_HEADERS.iter().any(named)) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_header_has_no_command_that_envoy_does_not_have() {
        let value = |text: &str| HeaderValue::try_from(Text(text.to_owned()));
        for text in ["", "a", "100%%", "%REQ(x-user)%", "a %PROTOCOL% b %START_TIME%"] {
            assert!(value(text).is_ok(), "{text}");
        }
        for text in [
            "%",
            "100%",
            "%20",
            "a%PROTOCOL",
            "%NONSENSE%",
            "%REQ()%",
            "%REQ(a%",
            "50% of 10%",
        ] {
            assert!(value(text).is_err(), "{text}");
        }
    }
}
