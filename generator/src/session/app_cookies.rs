//! The names of cookies in which applications keep their own sessions.

/// The names, in lower case; sorted.
const NAMES: [&str; 34] = [
    ".aspnetcore.cookies",
    ".aspnetcore.session",
    ".aspxauth",
    "_session",
    "_session_id",
    "asp.net_sessionid",
    "auth_session",
    "beaker.session.id",
    "cakephp",
    "cfid",
    "cftoken",
    "cgisessid",
    "ci_session",
    "connect.sess",
    "connect.sid",
    "express.sid",
    "jsessionid",
    "koa.sess",
    "koa.sid",
    "laravel_session",
    "next-auth.session-token",
    "phpsessid",
    "phpsessionid",
    "play_session",
    "pyramid_session",
    "rack.session",
    "sails.sid",
    "sess",
    "session",
    "session_id",
    "sessionid",
    "sid",
    "symfony",
    "webpy_session_id",
];

/// How names begin that have something random behind.
const PREFIXES: [&str; 2] = ["aspsessionid", "wordpress_logged_in_"];

/// Whether applications use a cookie of this name for sessions of their own.
pub fn are_used(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    NAMES.binary_search(&lower.as_str()).is_ok() || PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_in_any_case() {
        for name in [
            "JSESSIONID",
            "jsessionid",
            "PHPSESSID",
            "ASP.NET_SessionId",
            "connect.sid",
            "SID",
            "ASPSESSIONIDQQ",
        ] {
            assert!(are_used(name), "{name}");
        }
        for name in ["shop", "shop-session", "mooring-032cb137", "sidecar"] {
            assert!(!are_used(name), "{name}");
        }
    }

    #[test]
    fn the_names_are_sorted_for_the_binary_search() {
        assert!(NAMES.is_sorted());
    }
}
