//! The decision of the module in words, and the odds of the backends.

use mooring_policy::decision::{Decision, IssueReason, Reason, SessionOutcome};

use super::{
    explanation::{DecisionReport, Explanation, Odds},
    subject::Question,
};
use crate::simulate::{Circumstances, Exchange, Route, Uninvolved};

/// The decision about a request that a route takes. `gone` is the host of the session if it is no longer there.
pub fn describe(
    question: &Question,
    exchange: &Exchange,
    gone: Option<&str>,
    explanation: &Explanation,
) -> DecisionReport {
    let Some(decision) = &exchange.decision else {
        let text = match exchange.uninvolved {
            Some(Uninvolved::OtherBackend) => {
                "the configuration is older than the routes: another rule has the position of this one there, so Mooring does nothing"
            }
            _ if explanation.configuration.wasm_plugin.is_some() => {
                "the applied configuration has no rule for this route, so Mooring does nothing"
            }
            _ => "no session and no canary applies to this rule, so Mooring does nothing",
        };
        return DecisionReport {
            text: text.to_owned(),
            ..DecisionReport::default()
        };
    };
    let unopened = question.keys.is_none() && matches!(decision.session_outcome(), SessionOutcome::Rejected(_));
    let outcome = decision.session_outcome();
    let backend = decision
        .backend()
        .and_then(|position| decision.rule().backends().get(position));
    let backend = backend.map(|backend| backend.key().to_owned());
    let mut sentences = vec![because(decision, backend.as_deref(), explanation)];
    sentences.extend(if unopened {
        Some("without --keys, this is the decision for a client without a session".to_owned())
    } else {
        of_session(outcome, explanation)
    });
    if let Some(host) = gone {
        sentences.push(format!(
            "its pod {host} is not in the EndpointSlices of the input, so another one answers"
        ));
    }
    if decision.over_budget() {
        sentences.push(
            "the conditions of the canary take more steps than a request has, so no rule of it applies".to_owned(),
        );
    }
    DecisionReport {
        backend,
        host: exchange.host_of_session(),
        reason: Some(decision.reason().label(decision.rule()).into_owned()),
        session: Some(if unopened { "not-opened" } else { outcome.label() }),
        token: exchange.issued.map(issued),
        text: sentences.join("; "),
    }
}

/// The backend and the reason for it.
fn because(decision: &Decision, backend: Option<&str>, explanation: &Explanation) -> String {
    let backend = backend.unwrap_or("the backend of the route");
    match decision.reason() {
        Reason::Session => format!("{backend}, because the session of the client is bound to it"),
        Reason::Single => format!("{backend}, the only backend of the rule"),
        Reason::Split => "the weights of the route select the backend".to_owned(),
        Reason::Hash => {
            let hash_on = explanation.canary.as_ref().and_then(|canary| canary.hash_on.as_deref());
            format!("{backend}, by the hash of {}", hash_on.unwrap_or("the client"))
        }
        Reason::CanaryRule(position) => {
            let canary = decision.rule().canary();
            let name = canary.and_then(|canary| canary.rule_name(position)).unwrap_or_default();
            format!("{backend}, because the canary rule `{name}` matches")
        }
        Reason::Failover => format!("{backend}, because the backend of the session is unreachable"),
    }
}

/// What becomes of the session.
fn of_session(outcome: SessionOutcome, explanation: &Explanation) -> Option<String> {
    let text = match outcome {
        SessionOutcome::Stateless => {
            explanation.session.as_ref()?;
            "the cookie of the session has another path, so the request has no session"
        }
        SessionOutcome::New => "the client has no session, and the response begins one",
        SessionOutcome::Resumed => "the session is live",
        SessionOutcome::NeedsRefresh => "the session is live, and the response renews its token",
        SessionOutcome::BackendRemoved => "the session is live, but the rule no longer has its backend",
        SessionOutcome::BackendUnreachable => "the session is live, but its backend is unreachable",
        SessionOutcome::Released => "the policy releases the session, because the weight of its backend is 0",
        SessionOutcome::Followed => "the session is live and follows its version to another backend",
        SessionOutcome::VersionRemoved => {
            "the session is live, but its backend has another version now, and no other backend has its version"
        }
        SessionOutcome::Rebalanced => {
            "the session is live, but the share of its backend has fallen, and it was drawn again for another backend"
        }
        SessionOutcome::ExpiredIdle | SessionOutcome::ExpiredAbsolute => {
            "the session has expired, and the response begins a new one"
        }
        SessionOutcome::Rejected(_) => "no token of the request counts, and the response begins a session",
    };
    Some(text.to_owned())
}

fn issued(reason: IssueReason) -> &'static str {
    match reason {
        IssueReason::New => "new",
        IssueReason::Moved => "moved",
        IssueReason::Refreshed => "refreshed",
        IssueReason::Ended => "ended",
    }
}

/// The shares of the backends of a route.
pub fn odds(route: &Route, circumstances: &Circumstances) -> Vec<Odds> {
    let targets = route.weights(circumstances);
    let sum: f64 = targets.iter().map(|target| f64::from(target.weight)).sum();
    let odds = targets.iter().map(|target| {
        let backend = target.backend.and_then(|position| route.rule.backends.get(position));
        let percent = 100.0 * f64::from(target.weight) / sum;
        Odds {
            backend: backend.map(crate::ir::Backend::key),
            percent: (percent * 100.0).round() / 100.0,
        }
    });
    odds.collect()
}
