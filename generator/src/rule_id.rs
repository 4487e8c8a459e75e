//! The identity of a rule: tokens are bound to it, and metrics are labelled with it.

use std::fmt::Write as _;

use crate::{id::Id, kind::Kind};

/// The identity of a rule. It stays the same when the rule moves to another gateway or host name and, if the rule has a name,
/// when rules are added before it.
#[must_use]
pub fn rule_id(kind: Kind, route: &Id, rule: Option<&str>, index: usize) -> String {
    match rule {
        Some(name) => format!("{kind}/{route}/{}", encoded(name)),
        None => format!("{kind}/{route}#{index}"),
    }
}

/// Percent-encodes a rule name for use in headers and metric labels. A route of a `VirtualService` can have any text as its name;
/// the name of a Kubernetes object stays as it is.
fn encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The kind and id of the route to which the rule with this identity belongs, or `None` if the text is not the identity of a rule.
#[must_use]
pub fn route_of_rule(rule_id: &str) -> Option<(Kind, Id)> {
    let (kind, rest) = rule_id.split_once('/')?;
    let (namespace, rest) = rest.split_once('/')?;
    let name = rest.split(['/', '#']).next()?;
    let kinds = [Kind::HttpRoute, Kind::GrpcRoute, Kind::VirtualService];
    let kind = kinds.into_iter().find(|known| known.to_string() == kind)?;
    Some((kind, Id::new(namespace, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_named_and_unnamed_rules_apart() {
        let route = Id::new("bookinfo", "reviews");
        assert_eq!(
            rule_id(Kind::HttpRoute, &route, None, 1),
            "HTTPRoute/bookinfo/reviews#1"
        );
        assert_eq!(
            rule_id(Kind::GrpcRoute, &route, Some("1"), 0),
            "GRPCRoute/bookinfo/reviews/1"
        );
        assert_eq!(
            rule_id(Kind::HttpRoute, &route, Some("1"), 0),
            "HTTPRoute/bookinfo/reviews/1"
        );
    }

    #[test]
    fn an_id_has_visible_characters_whatever_a_rule_is_called() {
        let route = Id::new("bookinfo", "reviews");
        let id = |name| rule_id(Kind::VirtualService, &route, Some(name), 0);
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
                let id = rule_id(kind, &route, name, 7);
                assert_eq!(route_of_rule(&id), Some((kind, route.clone())), "{id}");
            }
        }
        for wrong in ["", "HTTPRoute", "HTTPRoute/shop", "TCPRoute/shop/cart#0", "shop/cart"] {
            assert_eq!(route_of_rule(wrong), None, "{wrong}");
        }
    }
}
