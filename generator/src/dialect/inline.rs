//! `sessionPersistence` on the rules of an `HTTPRoute` or a `GRPCRoute`. The route's annotations hold for all of them.

use super::{annotations::Overrides, persistence};
use crate::{diagnostic::Report, inventory::Item, session::SessionPolicy, wire::route::HttpRouteSpec};

/// The inline policies of a route: for each rule, in order, the one it has.
pub type Inline = Vec<Option<SessionPolicy>>;

/// What the rules of a route say.
pub fn inline(route: &Item<HttpRouteSpec>, report: &mut Report) -> Inline {
    let overrides = Overrides::read(&route.metadata.annotations, route.origin, report);
    let mut policies = Vec::new();
    let mut positions = Vec::new();
    for rule in &route.spec.rules {
        positions.push(rule.value.session_persistence.as_ref().map(|persistence| {
            policies.push(persistence::read(persistence, route.origin, report));
        }));
    }
    overrides.apply(&mut policies, report);
    for policy in &policies {
        policy.check(report);
    }
    let mut policies = policies.into_iter();
    positions
        .into_iter()
        .map(|position| position.and_then(|()| policies.next()))
        .collect()
}
