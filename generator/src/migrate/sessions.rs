//! The sessions of an Ingress, and their form as `sessionPersistence` and annotations.

use mooring_policy::config::{CookieConfig, SameSite, Secure};
use serde_json::{Map, Value, json};

/// The sessions of an Ingress, without their locations: equal sessions are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// The name of the cookie.
    pub name: String,
    /// The `Path`. None: the path of the Ingress that matches.
    pub path: Option<String>,
    /// The `Domain`.
    pub domain: Option<String>,
    /// The `SameSite`. None: ingress-nginx sets none.
    pub same_site: Option<SameSite>,
    /// Whether the cookie is `Secure` on connections without TLS, too.
    pub secure: bool,
    /// The seconds after which the cookie expires. None: with the browser session.
    pub max_age: Option<u64>,
    /// Whether a request stays with its pod when the pod fails: `session-cookie-change-on-failure: "false"`, written.
    pub stays_on_failure: bool,
}

impl Sessions {
    /// The attributes of the cookie, as Mooring checks them.
    pub fn cookie(&self) -> CookieConfig {
        CookieConfig {
            path: self.path.clone().unwrap_or_else(|| "/".to_owned()),
            domain: self.domain.clone(),
            same_site: self.same_site.unwrap_or_default(),
            secure: if self.secure { Secure::Always } else { Secure::Auto },
            ..CookieConfig::default()
        }
    }
}

/// `sessionPersistence` in the form of Gateway API 1.1 to 1.6.
pub fn persistence(name: &str, max_age: Option<u64>) -> Value {
    json!({
        "sessionName": name,
        "type": "Cookie",
        "absoluteTimeout": max_age.map(duration),
        "cookieConfig": max_age.map(|_| json!({ "lifetimeType": "Permanent" })),
    })
}

/// A duration of Gateway API (GEP-2257), whose numbers have five digits at most.
pub fn duration(seconds: u64) -> String {
    let units = [("h", seconds / 3_600), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    let written = units.into_iter().filter(|(_, count)| *count > 0);
    let written: Vec<String> = written.map(|(unit, count)| format!("{count}{unit}")).collect();
    if written.is_empty() {
        "0s".to_owned()
    } else {
        written.concat()
    }
}

/// The annotations for what has no field, with the `Path` of the cookie.
pub fn annotations(sessions: &Sessions, path: &str) -> Map<String, Value> {
    let same_site = sessions.same_site.map(|same_site| match same_site {
        SameSite::Strict => "Strict",
        SameSite::Lax => "Lax",
        SameSite::None => "None",
    });
    let all = [
        ("cookie-path", Some(path).filter(|path| *path != "/")),
        ("cookie-domain", sessions.domain.as_deref()),
        ("cookie-same-site", same_site),
        ("cookie-secure", sessions.secure.then_some("Always")),
    ];
    let given = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given
        .map(|(name, value)| (format!("mooring.dev/{name}"), json!(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_gateway_api() {
        for (seconds, expected) in [
            (0, "0s"),
            (1, "1s"),
            (60, "1m"),
            (172_800, "48h"),
            (259_261, "72h1m1s"),
            (100_000, "27h46m40s"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
    }
}
