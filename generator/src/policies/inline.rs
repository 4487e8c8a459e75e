//! `sessionPersistence` of the rules of an `HTTPRoute` or a `GRPCRoute`. The annotations of the route apply to all of them.

use crate::{
    diagnostic::{Report, Reported},
    model::route::RouteSpec,
    omissions::Omitted,
    resources::Item,
    session::{Session, annotations::Annotations, persistence},
};

/// For each rule of a route, in order, the session that it sets itself, if it sets one.
pub fn inline(route: &Item<RouteSpec>, report: &mut Report) -> Vec<Option<Result<Session, Reported>>> {
    let rules = || {
        route
            .spec
            .rules
            .iter()
            .map(|rule| rule.value.session_persistence.as_ref())
    };
    let transports = rules().flatten().map(persistence::transport);
    let annotations = Annotations::parse(&route.metadata.annotations, route.offset, transports, report);
    let sessions: Vec<Option<_>> = rules()
        .map(|raw| raw.map(|raw| persistence::parse(raw, None, &annotations, route.offset, report)))
        .collect();
    // Otherwise the rules are left out.
    if let Err(error) = annotations.valid
        && sessions.iter().all(Option::is_none)
    {
        report.omit_because(error, Omitted::Annotations, route.name(route.spec.kind));
    }
    sessions
}
