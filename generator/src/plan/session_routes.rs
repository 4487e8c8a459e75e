//! What stands in the way of session routes: the routes that lead to one backend of a rule with several, for requests that
//! carry the backend's key.

use super::Rule;
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    inventory::{Found, Id, Inventory},
    kind::Kind,
};

/// Reports an object of the user's that has the name that the session routes would have.
pub fn check(rule: &Rule, inventory: &Inventory, report: &mut Report) {
    let routes = match rule.route.spec.kind {
        Kind::HttpRoute => &inventory.http_routes,
        Kind::GrpcRoute => &inventory.grpc_routes,
        // Those of a VirtualService are patches.
        _ => return,
    };
    let id = Id::new(&rule.route.id.namespace, &rule.session_routes);
    if let Found::Item(other) = routes.find(&id)
        && rule.has_session_routes()
    {
        let message = format!(
            "the {} {id} has the name of the session routes of the rule {}, which would replace it",
            rule.route.spec.kind, rule.id
        );
        let diagnostic = Diagnostic::error(Code::Duplicate, message).at(rule.route.place_of(rule.wire));
        let diagnostic = diagnostic.with(other.place(), "the other route");
        report.add(diagnostic.help("give that route a name that does not begin with `mooring-`"));
    }
}
