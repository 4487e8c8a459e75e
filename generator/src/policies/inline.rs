//! `sessionPersistence` on the rules of an `HTTPRoute` or a `GRPCRoute`. The route's annotations hold for all of them.

use super::{annotations::Overrides, persistence};
use crate::{diagnostic::Report, model::route::RouteSpec, resources::Item, session::SessionPolicy};

/// A policy that a rule has of its own.
#[derive(Debug)]
pub struct Inline {
    /// What it says.
    pub policy: SessionPolicy,
    /// Whether nothing is wrong with it.
    pub sound: bool,
}

/// What the rules of a route say: for each rule, in order, the policy it has.
pub fn inline(route: &Item<RouteSpec>, report: &mut Report) -> Vec<Option<Inline>> {
    let before = report.errors();
    let overrides = Overrides::read(&route.metadata.annotations, route.offset, report);
    let mut annotated = report.errors() == before;
    let mut policies = Vec::new();
    let mut sound = Vec::new();
    let mut positions = Vec::new();
    for rule in &route.spec.rules {
        positions.push(rule.value.session_persistence.as_ref().map(|persistence| {
            let before = report.errors();
            policies.push(persistence::read(persistence, route.offset, report));
            sound.push(report.errors() == before);
        }));
    }
    let before = report.errors();
    overrides.apply(&mut policies, report);
    annotated &= report.errors() == before;
    let inline = policies.into_iter().zip(sound).map(|(policy, sound)| Inline {
        sound: policy.check(report) && sound && annotated,
        policy,
    });
    let mut inline = inline.collect::<Vec<Inline>>().into_iter();
    positions
        .into_iter()
        .map(|position| position.and_then(|()| inline.next()))
        .collect()
}
