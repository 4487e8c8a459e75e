//! The route that takes a request, the others that match as well, and those that match nearly.

use std::cmp::Reverse;

use mooring_policy::headers::Headers;

use super::{
    explanation::{ConditionReport, Explanation, RouteReport},
    subject::{Context, Question},
};
use crate::simulate::{Action, Exchange, Route};

/// How many routes that match as well are shown.
const MAX_ALSO: usize = 3;

/// How many routes that match nearly are shown if no route matches.
const MAX_NEAREST: usize = 3;

/// Describes the routes of the virtual host.
pub fn describe(question: &Question, exchange: &Exchange, context: &Context, explanation: &mut Explanation) {
    let Some(host) = exchange.virtual_host else { return };
    let lines = question.request.lines();
    let headers = Headers::from(lines.as_slice());
    let describer = Describer {
        headers: &headers,
        context,
    };
    // Session routes only match requests of the module.
    let routes = (1..)
        .zip(&host.routes)
        .filter(|(_, route)| route.session_backend.is_none());
    let routes: Vec<(usize, &Route)> = routes.collect();
    let taken = exchange.route;
    let is_taken = |route: &Route| taken.is_some_and(|taken| std::ptr::eq(taken, route));
    let matching = routes.iter().filter(|(_, route)| route.conditions.matches(&headers));
    let (first, others): (Vec<_>, Vec<_>) = matching.partition(|(_, route)| is_taken(route));
    explanation.route = first
        .first()
        .map(|(position, route)| describer.report(*position, route));
    let others = others.iter().take(MAX_ALSO);
    explanation.also_matching = others
        .map(|(position, route)| describer.report(*position, route))
        .collect();
    let mut near: Vec<(usize, &Route)> = routes
        .into_iter()
        .filter(|(_, route)| !route.conditions.matches(&headers))
        .collect();
    // Envoy tries earlier routes first, so a route before the one that takes the request could have taken it.
    let before = |position: &usize| first.first().is_none_or(|(taken, _)| position < taken);
    near.sort_by_key(|(position, route)| {
        let failing = route.conditions.failing(&headers);
        let path_fails = failing.iter().any(|condition| condition.is_about_path());
        let common = route.conditions.common_path(&headers);
        (path_fails, failing.len(), Reverse(common), !before(position), *position)
    });
    let count = if taken.is_some() { 1 } else { MAX_NEAREST };
    explanation.nearest = near
        .iter()
        .take(count)
        .map(|(position, route)| describer.report(*position, route))
        .collect();
}

struct Describer<'d> {
    headers: &'d Headers<'d>,
    context: &'d Context<'d>,
}

impl Describer<'_> {
    fn report(&self, position: usize, route: &Route) -> RouteReport {
        let rule = route.rule;
        let conditions = route.conditions.conditions().iter();
        let conditions = conditions.map(|condition| ConditionReport {
            condition: condition.to_string(),
            met: condition.holds(self.headers),
            found: condition.found(self.headers),
        });
        RouteReport {
            name: route.name.clone(),
            position,
            rule: rule.id.clone(),
            location: self
                .context
                .location(route.match_location.unwrap_or_else(|| rule.location_of(rule.spec))),
            conditions: conditions.collect(),
            action: match &route.action {
                Action::Forward(_) => "forwards the request".to_owned(),
                Action::Redirect(status) => format!("answers with a redirect ({status})"),
                Action::Respond(status) => format!("answers {status}"),
            },
        }
    }
}
