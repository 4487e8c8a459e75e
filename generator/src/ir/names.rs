//! Generates the names of rules, sessions and session routes.

use crate::{
    dns::MAX_LENGTH,
    id::Id,
    labels::NAME_PREFIX,
    name_hash::{HASH_LENGTH, name_hash},
};

/// The key of the hash in default session names. It is not secret. It must never change, because a change would end
/// every session.
const NAME_KEY: [u8; 16] = *b"mooring sessions";

/// The key of the hash in the names of session routes. It must never change, because objects of earlier runs would then
/// stay in the cluster.
const ROUTE_KEY: [u8; 16] = *b"mooring routings";

/// The name of the Envoy routes of a rule, as Istio names them.
#[must_use]
pub fn route_name(route: &Id, rule: Option<&str>, index: usize) -> String {
    match rule {
        Some(name) => name.to_owned(),
        None => format!("{}.{}.{index}", route.namespace, route.name),
    }
}

/// The number of characters reserved for the dash before the hash, the dash before the object number, and that number.
const RESERVED: usize = 6;

/// The name of the object with the session routes of a rule. The hash of the rule's identity makes it unique, even if
/// the names of routes and rules contain dots or dashes. `chosen_gateways` names the gateways of this run if the route is also on
/// gateways of other runs.
#[must_use]
pub fn session_route_object(route: &Id, rule_id: &str, chosen_gateways: Option<&str>) -> String {
    let fixed = NAME_PREFIX.len().saturating_add(HASH_LENGTH).saturating_add(RESERVED);
    let name = route
        .name
        .get(..MAX_LENGTH.saturating_sub(fixed))
        .unwrap_or(&route.name);
    let name = name.trim_end_matches(['.', '-']);
    let hash = match chosen_gateways {
        None => name_hash(ROUTE_KEY, rule_id),
        // A gateway name cannot contain a space.
        Some(gateways) => name_hash(ROUTE_KEY, &format!("{rule_id} {gateways}")),
    };
    format!("{NAME_PREFIX}{name}-{hash}")
}

/// The session name of a rule without `sessionName`. It differs for each rule, because rules do not share sessions (GEP-1619).
#[must_use]
pub fn default_session_name(route_id: &str) -> String {
    format!("mooring-{}", name_hash(NAME_KEY, route_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kind::Kind, rule_id::rule_id};

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
            session_route_object(&id, &rule_id(Kind::HttpRoute, &id, Some(rule), 0), None)
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
        assert_eq!(default_session_name("HTTPRoute/default/demo#0"), "mooring-032cb137");
        assert_ne!(
            default_session_name("HTTPRoute/default/demo#0"),
            default_session_name("HTTPRoute/default/demo#1")
        );
    }
}
