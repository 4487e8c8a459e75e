//! The names of routes, as Istio makes them, and the names that are ours.

use std::collections::BTreeMap;

use super::Rule;
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    dns::MAX_LENGTH,
    id::Id,
    kind::Kind,
    labels::NAME_PREFIX,
    name_hash::{HASH_LENGTH, name_hash},
    resources::wrong_name,
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

/// Room for the dashes before the hash and before the number of a further object, and for that number.
const RESERVED: usize = 6;

/// The name of the object with the session routes of a rule. The hash of the rule's identity tells it from others, whatever
/// characters the names of routes and rules have. `part`: the gateways for which it is, where there are others.
pub fn session_routes(route: &Id, rule_id: &str, part: Option<&str>) -> String {
    let fixed = NAME_PREFIX.len().saturating_add(HASH_LENGTH).saturating_add(RESERVED);
    let name = route
        .name
        .get(..MAX_LENGTH.saturating_sub(fixed))
        .unwrap_or(&route.name);
    let name = name.trim_end_matches(['.', '-']);
    let hash = match part {
        None => name_hash(ROUTE_KEY, rule_id),
        // No name has this character.
        Some(part) => name_hash(ROUTE_KEY, &format!("{rule_id} {part}")),
    };
    format!("{NAME_PREFIX}{name}-{hash}")
}

/// The session name of a rule that names none: another one for each rule, since rules share no sessions (GEP-1619).
pub fn default_session(route_id: &str) -> String {
    format!("mooring-{}", name_hash(NAME_KEY, route_id))
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
    use crate::rule_id::rule_id;

    #[test]
    fn names_are_those_of_istio() {
        let route = Id::new("bookinfo", "reviews");
        assert_eq!(route_name(&route, None, 1), "bookinfo.reviews.1");
        assert_eq!(route_name(&route, Some("testers"), 1), "testers");
    }

    #[test]
    fn session_routes_have_a_name_of_their_own_that_never_changes() {
        let name = |route: &str, rule: &str| {
            let id = Id::new("shop", route);
            session_routes(&id, &rule_id(Kind::HttpRoute, &id, Some(rule), 0), None)
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
