//! The validation as text, for people: two tables, the findings, and a summary line.

use mooring_policy::{config, duration::Duration};

use super::status::{Condition, PolicyStatus, RuleStatus, Validation};
use crate::{
    diagnostic::{Report, Severity},
    shorten::shortened,
    source::Sources,
};

/// The text of an empty cell.
const NOTHING: &str = "-";

/// Renders the validation as text.
#[must_use]
pub fn text(validation: &Validation, report: &Report, sources: &Sources) -> String {
    let mut parts = Vec::new();
    let own = validation.rules.iter().filter_map(own_row);
    let mut policies = Table::new(["POLICY", "TARGET", "CONDITION", "RULES"]);
    policies.rows.extend(validation.policies.iter().flat_map(policy_rows));
    policies.rows.extend(own);
    parts.extend(policies.render());
    let mut sessions = Table::new(["RULE", "GATEWAY", "SESSION", "LASTS", "IDLE"]);
    // The table above lists invalid sessions.
    sessions.rows.extend(validation.rules.iter().flat_map(session_rows));
    parts.extend(sessions.render());
    let findings = report.sorted();
    parts.extend(findings.iter().map(|finding| format!("{}\n", finding.render(sources))));
    parts.push(summary(validation, report));
    parts.join("\n")
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
            let by = by(&target.condition).unwrap_or_else(|| NOTHING.to_owned());
            rows.push(start(&target.condition, &by));
        }
        for (rule, condition) in &target.rules {
            let rule = by(condition).map_or_else(|| rule.clone(), |by| format!("{rule} {by}"));
            rows.push(start(condition, &rule));
        }
    }
    rows
}

/// The policy that applies instead, as text for a table cell.
fn by(condition: &Condition) -> Option<String> {
    match condition {
        Condition::Conflicted(Some(other)) => Some(format!("({other} applies)")),
        Condition::Overridden(None) => Some("(the rule's own sessionPersistence applies)".to_owned()),
        Condition::Overridden(Some(other)) => Some(format!("({other} is for this rule alone)")),
        _ => None,
    }
}

fn own_row(rule: &RuleStatus) -> Option<Vec<String>> {
    let condition = rule.own.as_ref()?;
    let (kind, id) = &rule.route;
    let title = format!("{kind} {id}");
    Some(row(["sessionPersistence", &title, condition.reason(), &rule.id]))
}

fn session_rows(rule: &RuleStatus) -> Vec<Vec<String>> {
    let Ok(session) = &rule.session else {
        return Vec::new();
    };
    let session = &session.config;
    let transport = match session.transport {
        config::Transport::Cookie => "cookie",
        config::Transport::Header => "header",
    };
    let name = format!("{transport} {}", session.name);
    let time = |time: Option<Duration>| time.map_or_else(|| "unlimited".to_owned(), |time| time.to_string());
    let (lasts, idle) = (time(session.absolute_timeout), time(session.idle_timeout));
    let on = |gateway: &str| row([&rule.id, gateway, &name, &lasts, &idle]);
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

fn summary(validation: &Validation, report: &Report) -> String {
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    let serving = validation
        .rules
        .iter()
        .filter(|rule| rule.session.is_ok() && rule.is_served());
    let keep = match serving.count() {
        1 => "1 rule keeps sessions".to_owned(),
        number => format!("{number} rules keep sessions"),
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
    format!("{keep}; {}{nothing}\n", found.join(", "))
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(|cell| shortened(cell.to_owned())).to_vec()
}

/// Rows of cells in columns. Cells that are those of the row above stay empty, from the left up to the first other one.
struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new<const N: usize>(head: [&str; N]) -> Self {
        Self {
            head: row(head),
            rows: Vec::new(),
        }
    }

    /// The table, unless it has no rows.
    fn render(&self) -> Option<String> {
        let mut previous: &[String] = self.rows.first().map(|_| [].as_slice())?;
        let mut rows = vec![self.head.clone()];
        for row in &self.rows {
            let last = row.len().saturating_sub(1);
            let mut same = true;
            let mut shown = Vec::new();
            for (column, cell) in row.iter().enumerate() {
                same = same && column != last && previous.get(column) == Some(cell);
                shown.push(if same { String::new() } else { cell.clone() });
            }
            rows.push(shown);
            previous = row;
        }
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths);
            let cells: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
            format!("{}\n", cells.join("  ").trim_end())
        };
        Some(rows.iter().map(line).collect())
    }
}
