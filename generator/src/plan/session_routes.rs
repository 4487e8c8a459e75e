//! What stands in the way of session routes: the routes that lead to one backend of a rule with several, for requests that
//! carry the backend's key.

use super::Rule;
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    inventory::{Id, Inventory},
    kind::Kind,
};

/// How many objects the session routes of a rule can be: one for each backend at most, and a rule has 16 of these (Gateway API:
/// `maxItems`).
const MAX_OBJECTS: usize = 16;

/// Reports an object of the user's that has a name that the session routes would have.
pub fn check(rule: &Rule, inventory: &Inventory, report: &mut Report) {
    let routes = match rule.route.spec.kind {
        _ if !rule.has_session_routes() => return,
        Kind::HttpRoute => &inventory.http_routes,
        Kind::GrpcRoute => &inventory.grpc_routes,
        // Those of a VirtualService are patches.
        _ => return,
    };
    let ids = (1..=MAX_OBJECTS).map(|number| Id::new(&rule.route.id.namespace, &rule.session_routes(number)));
    let Some(other) = ids.into_iter().find_map(|id| routes.get(&id)) else {
        return;
    };
    let message = format!(
        "the {} {} has the name of the session routes of the rule {}, which would replace it",
        rule.route.spec.kind, other.id, rule.id
    );
    let diagnostic = Diagnostic::error(Code::Duplicate, message).at(rule.route.place_of(rule.wire));
    let diagnostic = diagnostic.with(other.place(), "the other route");
    report.add(diagnostic.help("give that route a name that does not begin with `mooring-`"));
}
