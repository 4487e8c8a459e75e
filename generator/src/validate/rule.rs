//! Determines the status of each rule.

use super::{
    index::{Index, OnProxies},
    status::{BackendStatus, CanaryRuleStatus, CanaryStatus, Condition, RuleStatus},
};
use crate::ir::{AttachedCanary, Rule};

/// The status of a rule that keeps sessions or has a canary, or would without an error.
pub fn status(rule: &Rule, index: &Index) -> Option<RuleStatus> {
    if !rule.uses_mooring() {
        return None;
    }
    let session = rule.session.clone().map(Ok).or(rule.refused.session.clone());
    let condition = index.condition(rule);
    let none = OnProxies::default();
    let on = index
        .proxies
        .get(rule.id.as_str())
        .filter(|_| condition == Condition::Accepted);
    let OnProxies {
        gateways,
        callers,
        waypoints,
    } = on.unwrap_or(&none);
    let is_own = match &session {
        Some(Ok(session)) => session.policy.is_none(),
        Some(Err(_)) => true,
        None => false,
    };
    Some(RuleStatus {
        id: rule.id.clone(),
        route: (rule.route.spec.kind, rule.route.id.clone()),
        location: rule.location_of(rule.spec),
        gateways: gateways.iter().map(|gateway| (*gateway).clone()).collect(),
        callers: callers.iter().map(|pods| (*pods).clone()).collect(),
        waypoints: waypoints
            .iter()
            .map(|(waypoint, service)| ((*waypoint).clone(), (*service).clone()))
            .collect(),
        own: is_own.then(|| condition.clone()),
        condition,
        session,
        backends: backends(rule),
        rebalances: rule.rebalances(),
        canary: (rule.canary.as_ref().or(rule.refused.canary.as_ref()))
            .map(|canary| canary_status(canary, index, rule)),
        session_routes: rule.session_route_count(),
    })
}

fn backends(rule: &Rule) -> Vec<BackendStatus> {
    let sum: u64 = rule.backends.iter().map(|backend| u64::from(backend.weight)).sum();
    let configs = rule.backend_configs();
    let backends = rule.backends.iter().zip(configs);
    backends
        .map(|(backend, config)| BackendStatus {
            key: config.key,
            weight: backend.weight,
            share: share(backend.weight, sum),
            released: config.released,
            version: config.version,
        })
        .collect()
}

/// The share of a weight in a sum of weights, in thousandths, rounded.
fn share(weight: u32, sum: u64) -> u32 {
    let doubled = u64::from(weight).saturating_mul(2_000).saturating_add(sum);
    let share = doubled.checked_div(sum.saturating_mul(2)).unwrap_or(0);
    u32::try_from(share).unwrap_or(u32::MAX)
}

fn canary_status(canary: &AttachedCanary, index: &Index, rule: &Rule) -> CanaryStatus {
    let applies = index.canary_condition(rule) != Condition::Invalid;
    let routing = canary.routing.as_ref().ok().and_then(Option::as_ref);
    let rules = routing.into_iter().flat_map(|routing| {
        let rules = routing.compiled.config.rules.iter().zip(&routing.backends);
        rules.map(|(rule, backend)| CanaryRuleStatus {
            name: rule.name.clone(),
            matches: rule.matches.clone(),
            opt_in: rule.opt_in.clone(),
            backend: backend.clone(),
        })
    });
    CanaryStatus {
        policy: canary.policy.clone(),
        rules: rules.collect(),
        config: routing
            .filter(|_| applies)
            .map(|routing| routing.compiled.config.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_are_rounded() {
        for (weight, sum, expected) in [
            (90, 100, 900),
            (1, 3, 333),
            (2, 3, 667),
            (0, 0, 0),
            (1, 1, 1_000),
            (1, 1_000_000, 0),
        ] {
            assert_eq!(share(weight, sum), expected, "{weight} of {sum}");
        }
        assert_eq!(share(u32::MAX, u64::from(u32::MAX)), 1_000);
    }
}
