//! Checks that browsers send the session cookie with all requests of its rule.

use mooring_policy::{config::Transport, cookie};

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::Rule,
    kind::Kind,
    model::route::{Match, PathMatchType},
    session::Session,
};

/// Warns of a session cookie that browsers do not send with all requests of its rule, because some of their paths are
/// not below the path of the cookie.
pub fn warn(rule: &Rule, report: &mut Report) {
    let Some(session) = of_cookie(rule) else { return };
    let path = session.config.cookie.path.as_str();
    let matches = &rule.spec.value.matches;
    let outside = matches.iter().find(|one| !covers(path, &one.value));
    let takes_all = matches.is_empty() && !covers(path, &Match::default());
    if (outside.is_none() && !takes_all) || rule.route.spec.kind == Kind::GrpcRoute {
        return;
    }
    let message = format!(
        "the rule {} takes requests that are not below the Path `{path}` of its session cookie: browsers send them without the \
         cookie, so no session can be kept for them",
        rule.id
    );
    let rule_location = rule.route.location_of(rule.spec);
    let path_location = session.locations.get("path");
    let warning = Diagnostic::warning(Code::Accepted, message).at(path_location.unwrap_or(rule_location));
    let location = outside.map_or(rule_location, |one| rule.route.location_of(one));
    let warning = if path_location.is_some() {
        warning.with(location, "these requests")
    } else {
        warning
    };
    report.add(warning.help("set the Path to one that all matches of the rule are below, such as /"));
}

/// The session of a rule, if it is kept in a cookie.
fn of_cookie<'a>(rule: &'a Rule) -> Option<&'a Session> {
    let session = rule.session.as_ref();
    session.filter(|session| session.config.transport == Transport::Cookie)
}

/// Whether browsers send a cookie with this path in all requests of a match (RFC 6265, section 5.1.4). A regular
/// expression is assumed to match only such requests.
fn covers(path: &str, one: &Match) -> bool {
    let request = match one.path_type() {
        PathMatchType::Exact | PathMatchType::TextPrefix => one.path_value(),
        // A path prefix ignores a trailing slash.
        PathMatchType::PathPrefix => one.path_value().trim_end_matches('/'),
        PathMatchType::RegularExpression => return true,
    };
    cookie::is_sent_to(path, request.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::field::Field, model::route::PathMatch};

    fn on(kind: PathMatchType, value: &str) -> Match {
        let at = crate::location::Span {
            line: 1,
            column: 1,
            length: 1,
        };
        let value = Some(Field {
            value: value.to_owned(),
            at,
        });
        Match {
            path: Some(PathMatch { kind, value }),
            ..Match::default()
        }
    }

    #[test]
    fn a_cookie_is_sent_below_its_path() {
        use PathMatchType::{Exact, PathPrefix, RegularExpression, TextPrefix};
        for (path, kind, value) in [
            ("/", PathPrefix, "/"),
            ("/app", PathPrefix, "/app"),
            ("/app", PathPrefix, "/app/"),
            ("/app", PathPrefix, "/app/cart"),
            ("/app/", PathPrefix, "/app/cart"),
            ("/app", Exact, "/app"),
            ("/app/", Exact, "/app/"),
            ("/app", TextPrefix, "/app"),
            ("/app", RegularExpression, "/.*"),
        ] {
            assert!(covers(path, &on(kind, value)), "{path} {value}");
        }
        for (path, kind, value) in [
            ("/app", PathPrefix, "/"),
            ("/app", PathPrefix, "/apple"),
            ("/app/", PathPrefix, "/app"),
            ("/app/cart", PathPrefix, "/app"),
            ("/app", Exact, "/apple"),
            ("/app/", Exact, "/app"),
            ("/App", PathPrefix, "/app"),
        ] {
            assert!(!covers(path, &on(kind, value)), "{path} {value}");
        }
        assert!(!covers("/app", &Match::default()));
    }
}
