//! The names of routes, as Istio makes them, and the names that are ours.

use std::{collections::BTreeMap, fmt::Write as _, hash::Hasher as _};

use siphasher::sip::SipHasher24;

use super::Rule;
use crate::{
    api::NAME_PREFIX,
    diagnostic::{Code, Diagnostic, Report},
    dns::MAX_LENGTH,
    kind::Kind,
    resources::{Id, wrong_name},
};

/// The key of the hash in default session names. It is no secret; it must never change, or every session would end.
const NAME_KEY: [u8; 16] = *b"mooring sessions";

/// The key of the hash in the names of session routes. It must never change either, or old objects would stay behind.
const ROUTE_KEY: [u8; 16] = *b"mooring routings";

/// The name of the Envoy routes of a rule, as Istio names them.
pub fn route_name(route: &Id, rule: Option<&str>, index: usize) -> String {
    match rule {
        Some(name) => name.to_owned(),
        None => format!("{}.{}.{index}", route.namespace, route.name),
    }
}

/// The identity that tokens are bound to: it stays when the rule moves to another gateway or host name, and, where the
/// rule has a name, when rules are added before it.
pub fn route_id(kind: Kind, route: &Id, rule: Option<&str>, index: usize) -> String {
    match rule {
        Some(name) => format!("{kind}/{route}/{}", encoded(name)),
        None => format!("{kind}/{route}#{index}"),
    }
}

/// A name as part of an identity, which goes into headers and labels: the route of a `VirtualService` may have any text for its
/// name. Of a name of an object nothing is changed.
fn encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The route of the rule with this identity. None: the text is no such identity.
#[must_use]
pub fn route_of(rule_id: &str) -> Option<(Kind, Id)> {
    let (kind, rest) = rule_id.split_once('/')?;
    let (namespace, rest) = rest.split_once('/')?;
    let name = rest.split(['/', '#']).next()?;
    let kinds = [Kind::HttpRoute, Kind::GrpcRoute, Kind::VirtualService];
    let kind = kinds.into_iter().find(|known| known.to_string() == kind)?;
    Some((kind, Id::new(namespace, name)))
}

/// How many hexadecimal digits of a hash tell session routes apart.
const HASH_DIGITS: usize = 8;

/// Room for the dashes before the hash and before the number of a further object, and for that number.
const RESERVED: usize = 6;

/// The name of the object with the session routes of a rule. The hash of the rule's identity tells it from others, whatever
/// characters the names of routes and rules have. `part`: the gateways for which it is, where there are others.
pub fn session_routes(route: &Id, rule_id: &str, part: Option<&str>) -> String {
    let fixed = NAME_PREFIX.len().saturating_add(HASH_DIGITS).saturating_add(RESERVED);
    let name = route
        .name
        .get(..MAX_LENGTH.saturating_sub(fixed))
        .unwrap_or(&route.name);
    let name = name.trim_end_matches(['.', '-']);
    let hash = match part {
        None => hash(ROUTE_KEY, rule_id),
        // No name has this character.
        Some(part) => hash(ROUTE_KEY, &format!("{rule_id} {part}")),
    };
    format!("{NAME_PREFIX}{name}-{hash}")
}

/// Hexadecimal digits for a text.
pub fn hash(key: [u8; 16], text: &str) -> String {
    let mut hasher = SipHasher24::new_with_key(&key);
    hasher.write(text.as_bytes());
    let mut digits = format!("{:016x}", hasher.finish());
    digits.truncate(HASH_DIGITS);
    digits
}

/// The session name of a rule that names none: another one for each rule, since rules share no sessions (GEP-1619).
pub fn default_session(route_id: &str) -> String {
    format!("mooring-{}", hash(NAME_KEY, route_id))
}

/// Notes the rules without a name in routes with several rules: those are the routes in which rules come and go.
pub fn note_unnamed(rules: &[&Rule], report: &mut Report) {
    let unnamed: BTreeMap<&str, &Rule> = rules
        .iter()
        .filter(|rule| rule.is_managed() && rule.is_known_by_position())
        .map(|rule| (rule.id.as_str(), *rule))
        .collect();
    let mut rules = unnamed.into_values();
    let Some(first) = rules.next() else { return };
    let message = match rules.len() {
        0 => format!(
            "the rule {} has no name and is known by its position: its sessions end when a rule is put before it",
            first.id
        ),
        more => format!(
            "{} rules (this and {more} more) have no name and are known by their positions: their sessions end when a rule is put \
             before them",
            more.saturating_add(1)
        ),
    };
    let note = Diagnostic::note(Code::Unnamed, message).at(first.location_of(first.spec));
    report.add(note.help("give a rule a `name`; the sessions that it has then begin again, once"));
}

/// What is to be said about the name of a rule. That of a route of a `VirtualService` may be any text.
pub fn wrong_rule_name(rule: &Rule) -> Option<Diagnostic> {
    if rule.route.spec.kind == Kind::VirtualService {
        return None;
    }
    wrong_name(rule.spec.value.name.as_ref()?, rule.route.offset)
}

/// What is to be said about the second of two rules of one name in a route.
pub fn same_name(rule: &Rule, first: &Rule) -> Diagnostic {
    let location = |rule: &Rule| {
        let name = rule.spec.value.name.as_ref();
        name.map_or(rule.location_of(rule.spec), |name| rule.location_of(name))
    };
    let name = rule.spec.value.name.as_ref().map_or("", |name| &name.value);
    let message = format!("two rules of {} have the name `{name}`", rule.route.title());
    Diagnostic::error(Code::Duplicate, message)
        .at(location(rule))
        .with(location(first), "the first one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_istio() {
        let route = Id::new("bookinfo", "reviews");
        assert_eq!(route_name(&route, None, 1), "bookinfo.reviews.1");
        assert_eq!(route_name(&route, Some("testers"), 1), "testers");
    }

    #[test]
    fn an_id_tells_named_and_unnamed_rules_apart() {
        let route = Id::new("bookinfo", "reviews");
        assert_eq!(
            route_id(Kind::HttpRoute, &route, None, 1),
            "HTTPRoute/bookinfo/reviews#1"
        );
        assert_eq!(
            route_id(Kind::GrpcRoute, &route, Some("1"), 0),
            "GRPCRoute/bookinfo/reviews/1"
        );
        assert_eq!(
            route_id(Kind::HttpRoute, &route, Some("1"), 0),
            "HTTPRoute/bookinfo/reviews/1"
        );
    }

    #[test]
    fn an_id_has_visible_characters_whatever_a_rule_is_called() {
        let route = Id::new("bookinfo", "reviews");
        let id = |name| route_id(Kind::VirtualService, &route, Some(name), 0);
        assert_eq!(id("Reviews_V2.a~b"), "VirtualService/bookinfo/reviews/Reviews_V2.a~b");
        assert_eq!(
            id("a b/ü#1;%"),
            "VirtualService/bookinfo/reviews/a%20b%2F%C3%BC%231%3B%25"
        );
        assert_ne!(id("a b"), id("a%20b"));
    }

    #[test]
    fn the_route_of_an_id_is_found_again() {
        let route = Id::new("bookinfo", "reviews.v1");
        for kind in [Kind::HttpRoute, Kind::GrpcRoute, Kind::VirtualService] {
            for name in [None, Some("testers"), Some("a/b#1"), Some("#")] {
                let id = route_id(kind, &route, name, 7);
                assert_eq!(route_of(&id), Some((kind, route.clone())), "{id}");
            }
        }
        for wrong in ["", "HTTPRoute", "HTTPRoute/shop", "TCPRoute/shop/cart#0", "shop/cart"] {
            assert_eq!(route_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn session_routes_have_a_name_of_their_own_that_never_changes() {
        let name = |route: &str, rule: &str| {
            let id = Id::new("shop", route);
            session_routes(&id, &route_id(Kind::HttpRoute, &id, Some(rule), 0), None)
        };
        assert_eq!(name("cart", "main"), "mooring-cart-a43a9214");
        assert_ne!(name("a.b", "c"), name("a", "b.c"));
        assert_ne!(name("a-b", "c"), name("a", "b-c"));
        let long = name(&"a".repeat(253), "main");
        assert!(long.len() <= 253 - "-64".len(), "{long}");
        assert!(crate::dns::is_name(&name(
            &format!("{}.{}", "a".repeat(230), "b".repeat(22)),
            "main"
        )));
    }

    #[test]
    fn the_default_session_name_never_changes() {
        assert_eq!(default_session("HTTPRoute/default/demo#0"), "mooring-032cb137");
        assert_ne!(
            default_session("HTTPRoute/default/demo#0"),
            default_session("HTTPRoute/default/demo#1")
        );
    }
}
