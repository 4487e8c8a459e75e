//! The validation as text, for people: tables, the findings, and a summary line.

use mooring_policy::{
    config::{self, BoundTo, MatchConfig, MatchType, Override, SourceConfig},
    duration::Duration,
};

use super::status::{CanaryStatus, Cause, Condition, PolicyStatus, RuleStatus, Validation};
use crate::{
    diagnostic::{Report, Reported, Severity},
    source::Sources,
    table::{Table, row},
};

/// The text of an empty cell.
const NOTHING: &str = "-";

/// Renders validations of one input as text. `findings` says whether the text contains the findings.
#[must_use]
pub fn text(validations: &[Validation], report: &Report, sources: &Sources, findings: bool) -> String {
    let mut parts = tables_of_targets(validations);
    parts.extend(omissions(report, sources).render());
    if findings {
        let findings = report.sorted();
        parts.extend(findings.iter().map(|finding| format!("{}\n", finding.render(sources))));
    }
    parts.push(summary(validations, report));
    parts.join("\n")
}

/// The tables of each target, or those of the first if the others have the same.
fn tables_of_targets(validations: &[Validation]) -> Vec<String> {
    let mut all = validations
        .iter()
        .map(|validation| (validation.target, tables(validation)));
    let Some((_, first)) = all.next() else {
        return Vec::new();
    };
    if all.all(|(_, other)| other == first) {
        return first;
    }
    let mut parts = Vec::new();
    for validation in validations {
        parts.push(format!("Target {}:\n", validation.target.name()));
        parts.extend(tables(validation));
    }
    parts
}

fn tables(validation: &Validation) -> Vec<String> {
    let mut policies = Table::new(["POLICY", "TARGET", "CONDITION", "RULES"]);
    policies.rows.extend(validation.policies.iter().flat_map(policy_rows));
    policies.rows.extend(validation.rules.iter().filter_map(own_row));
    let mut sessions = Table::new(["RULE", "GATEWAY", "SESSION", "LASTS", "IDLE", "BOUND TO"]);
    let mut backends = Table::new(["RULE", "BACKEND", "WEIGHT"]);
    let mut canaries = Table::new(["RULE", "CANARY RULE", "REQUESTS", "BACKEND"]);
    // What an error leaves out has a table of its own.
    for rule in validation.rules.iter().filter(|rule| !rule.is_left_out()) {
        sessions.rows.extend(session_rows(rule));
        backends.rows.extend(backend_rows(rule));
        canaries
            .rows
            .extend(rule.canary.iter().flat_map(|canary| canary_rows(rule, canary)));
    }
    let tables = [policies, sessions, backends, canaries];
    tables.iter().filter_map(Table::render).collect()
}

fn policy_rows(policy: &PolicyStatus) -> Vec<Vec<String>> {
    let title = format!("{} {}", policy.kind, policy.id);
    if policy.targets.is_empty() {
        return vec![row([&title, NOTHING, Condition::Invalid.reason(), NOTHING])];
    }
    let mut rows = Vec::new();
    for target in &policy.targets {
        let section = target.section.as_ref().map_or(String::new(), |name| format!("/{name}"));
        let object = format!("{} {}{section}", target.kind, target.id);
        let start = |condition: &Condition, rule: &str| row([&title, &object, condition.reason(), rule]);
        if target.rules.is_empty() {
            let why = why(&target.condition).unwrap_or_else(|| NOTHING.to_owned());
            rows.push(start(&target.condition, &why));
        }
        for (rule, condition) in &target.rules {
            let rule = why(condition).map_or_else(|| rule.clone(), |why| format!("{rule} {why}"));
            rows.push(start(condition, &rule));
        }
    }
    rows
}

/// The reason of a condition, as text for a table cell.
fn why(condition: &Condition) -> Option<String> {
    match condition {
        Condition::Conflicted(Some(other)) => Some(format!("({other} applies)")),
        Condition::Overridden(None) => Some("(the rule's own sessionPersistence applies)".to_owned()),
        Condition::Overridden(Some(other)) => Some(format!("({other} is for this rule alone)")),
        Condition::NoEffect(Cause::NoSession) => Some("(it has no sessionPersistence)".to_owned()),
        Condition::NoEffect(Cause::NoRule) => Some("(it applies to no rule)".to_owned()),
        Condition::NoEffect(Cause::NoProxy) => Some("(no proxy serves the rule)".to_owned()),
        _ => None,
    }
}

fn own_row(rule: &RuleStatus) -> Option<Vec<String>> {
    let condition = rule.own.as_ref()?;
    let (kind, id) = &rule.route;
    let title = format!("{kind} {id}");
    let rule = why(condition).map_or_else(|| rule.id.clone(), |why| format!("{} {why}", rule.id));
    Some(row(["sessionPersistence", &title, condition.reason(), &rule]))
}

fn session_rows(rule: &RuleStatus) -> Vec<Vec<String>> {
    let cells = match rule.valid_session() {
        Some(session) => session_cells(&session.config),
        None => [NOTHING; 4].map(ToOwned::to_owned),
    };
    let [name, lasts, idle, bound] = &cells;
    let on = |gateway: &str| row([&rule.id, gateway, name, lasts, idle, bound]);
    if !rule.is_served() {
        return vec![on("none")];
    }
    let gateways = rule.gateways.iter().map(ToString::to_string);
    let callers = rule.callers.iter().map(|pods| format!("callers/{pods}"));
    let waypoints = rule.waypoints.iter();
    let waypoints = waypoints.map(|(waypoint, service)| format!("waypoint/{waypoint} of Service/{service}"));
    gateways
        .chain(callers)
        .chain(waypoints)
        .map(|proxies| on(&proxies))
        .collect()
}

/// What carries a session, how long it lasts, and what it is bound to.
fn session_cells(session: &config::SessionConfig) -> [String; 4] {
    let transport = match session.transport {
        config::Transport::Cookie => "cookie",
        config::Transport::Header => "header",
    };
    let time = |time: Option<Duration>| time.map_or_else(|| "unlimited".to_owned(), |time| time.to_string());
    let bound = match (session.bound_to, session.strict) {
        (BoundTo::Backend, _) => "backend",
        (BoundTo::Host, false) => "pod",
        (BoundTo::Host, true) => "pod (strict)",
    };
    [
        format!("{transport} {}", session.name),
        time(session.absolute_timeout),
        time(session.idle_timeout),
        bound.to_owned(),
    ]
}

fn backend_rows(rule: &RuleStatus) -> Vec<Vec<String>> {
    let backends = rule.backends.iter();
    backends
        .map(|backend| {
            let released = if backend.released {
                " (sessions are released)"
            } else {
                ""
            };
            let version = backend.version.iter().map(|version| format!(", version {version}"));
            let version: String = version.collect();
            let rebalanced = if rule.rebalances { " (sessions follow)" } else { "" };
            let share = percent(backend.share);
            row([
                &rule.id,
                &backend.key,
                &format!("{share}{version}{rebalanced}{released}"),
            ])
        })
        .collect()
}

/// Thousandths as percent, with one decimal if it is not 0.
fn percent(thousandths: u32) -> String {
    let whole = thousandths.checked_div(10).unwrap_or(0);
    match thousandths.checked_rem(10) {
        Some(tenths) if tenths > 0 => format!("{whole}.{tenths}%"),
        _ => format!("{whole}%"),
    }
}

/// The rules of a canary in the order in which they are tried, and how all other requests are split if not at random.
fn canary_rows(rule: &RuleStatus, canary: &CanaryStatus) -> Vec<Vec<String>> {
    let Some(config) = &canary.config else {
        return Vec::new();
    };
    let one = |name: &str, requests: &str, backend: &str| row([&rule.id, name, requests, backend]);
    let mut rows = Vec::new();
    for entry in &canary.rules {
        let mut requests = match &entry.opt_in {
            Some(source) => format!("{} says always", source_text(source)),
            None => entry
                .matches
                .iter()
                .map(condition_text)
                .collect::<Vec<_>>()
                .join(" and "),
        };
        if config.override_session == Override::Never {
            requests.push_str(", without a session");
        }
        let backend = entry.backend.as_deref().unwrap_or("- (the rule does not have it)");
        rows.push(one(&entry.name, &requests, backend));
    }
    if let Some(source) = &config.hash_on {
        let seed = config
            .seed
            .as_ref()
            .map_or(String::new(), |seed| format!(", seed {seed}"));
        let requests = format!("new sessions with {}", source_text(source));
        rows.push(one("hashOn", &requests, &format!("by its hash and the weights{seed}")));
    }
    rows
}

fn source_text(source: &SourceConfig) -> String {
    match source {
        SourceConfig::Header(name) => format!("header {name}"),
        SourceConfig::Cookie(name) => format!("cookie {name}"),
    }
}

fn condition_text(one: &MatchConfig) -> String {
    let source = source_text(&one.on);
    let value = one.value.as_ref().map_or(String::new(), |value| format!("`{value}`"));
    match one.match_type {
        MatchType::Exact => format!("{source} = {value}"),
        MatchType::Prefix => format!("{source} begins with {value}"),
        MatchType::Suffix => format!("{source} ends with {value}"),
        MatchType::Contains => format!("{source} contains {value}"),
        MatchType::RegularExpression => format!("{source} matches {value}"),
        MatchType::Present => source,
        MatchType::Absent => format!("no {source}"),
    }
}

/// What errors leave out, each with its error.
fn omissions(report: &Report, sources: &Sources) -> Table {
    let mut table = Table::new(["LEFT OUT", "ERROR"]);
    for (what, name, error) in report.omissions().iter() {
        let error = error.map_or_else(
            || NOTHING.to_owned(),
            |Reported { code, location }| match location {
                Some(at) => format!("{code} at {}:{}:{}", sources.name(at.file), at.line, at.column),
                None => code.to_string(),
            },
        );
        table.rows.push(row([&format!("{} {name}", what.name()), &error]));
    }
    table
}

fn summary(validations: &[Validation], report: &Report) -> String {
    let kept: Vec<String> = validations.iter().map(kept).collect();
    let rules = match kept.as_slice() {
        [first, others @ ..] if others.iter().all(|other| other == first) => first.clone(),
        several => {
            let several = several.iter().zip(validations);
            let several = several.map(|(kept, validation)| format!("{}: {kept}", validation.target.name()));
            several.collect::<Vec<_>>().join("; ")
        }
    };
    let found = [
        (Severity::Error, "error"),
        (Severity::Warning, "warning"),
        (Severity::Note, "note"),
    ]
    .map(|(severity, what)| count(report.count(severity), what));
    let nothing = match (report.is_fatal(), report.has_errors()) {
        (true, _) => "; nothing would be generated",
        (false, true) => "; invalid parts would be left out",
        (false, false) => "",
    };
    format!("{rules}; {}{nothing}\n", found.join(", "))
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// How many rules keep sessions, and how many only have a canary.
fn kept(validation: &Validation) -> String {
    let served = validation.rules.iter().filter(|rule| rule.is_served());
    let (sessions, canaries): (Vec<&RuleStatus>, Vec<&RuleStatus>) =
        served.partition(|rule| rule.valid_session().is_some());
    let keep = match sessions.len() {
        1 => "1 rule keeps sessions".to_owned(),
        number => format!("{number} rules keep sessions"),
    };
    match canaries.len() {
        0 => keep,
        1 => format!("{keep}, 1 has a canary only"),
        number => format!("{keep}, {number} have a canary only"),
    }
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_share_has_one_decimal_at_most() {
        for (thousandths, expected) in [(1_000, "100%"), (667, "66.7%"), (1, "0.1%"), (0, "0%"), (120, "12%")] {
            assert_eq!(percent(thousandths), expected);
        }
    }
}
