//! Merges the entries of this controller into the status of a policy.
//!
//! The list of ancestors is shared with other controllers, and the API server treats it as one value. So the whole list is written,
//! with the entries of others as they are, and only if nobody has changed the object since it was read.

use mooring_generator::api::policy_status::MAX_ANCESTORS;
use serde_json::{Map, Value, json};

use super::entry::{Entry, Verdict};

/// The types of the conditions that the controller writes.
const ACCEPTED: &str = "Accepted";
const PROGRAMMED: &str = "Programmed";

/// What is written into each entry.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The name of the controller.
    pub controller: &'a str,
    /// The generation of the policy that was planned.
    pub generation: Option<i64>,
    /// The time (RFC 3339, UTC).
    pub now: &'a str,
}

/// The status with the entries of this controller, or `None` if it has them already. Entries of this controller for other ancestors
/// are removed. Without room for all, the first entries are written.
#[must_use]
pub fn merged(status: Option<&Value>, entries: &[Entry], author: Author, summary: bool) -> Option<Value> {
    let none = Value::Null;
    let status = status.unwrap_or(&none);
    let old = status.get("ancestors").and_then(Value::as_array);
    let old: &[Value] = old.map_or(&[], Vec::as_slice);
    let ancestors = ancestors(old, entries, author);
    let mut new = Map::new();
    if ancestors != old {
        new.insert("ancestors".to_owned(), ancestors.clone().into());
    }
    if summary {
        let old = status.get("conditions").and_then(Value::as_array);
        let old: &[Value] = old.map_or(&[], Vec::as_slice);
        let conditions = summarized(old, &ancestors, author);
        if conditions != old {
            new.insert("conditions".to_owned(), conditions.into());
        }
    }
    (!new.is_empty()).then_some(Value::Object(new))
}

/// How many entries of this controller have no room in the status.
#[must_use]
pub fn without_room(status: Option<&Value>, entries: &[Entry], controller: &str) -> usize {
    let old = status
        .and_then(|status| status.get("ancestors"))
        .and_then(Value::as_array);
    let others = old
        .into_iter()
        .flatten()
        .filter(|entry| !is_of(entry, controller))
        .count();
    entries.len().saturating_sub(MAX_ANCESTORS.saturating_sub(others))
}

fn is_of(entry: &Value, controller: &str) -> bool {
    entry.get("controllerName").and_then(Value::as_str) == Some(controller)
}

/// Whether two references name the same object.
fn is_same(one: &Value, other: &Value) -> bool {
    let field = |reference: &Value, name: &str, default: &str| {
        let value = reference.get(name).and_then(Value::as_str);
        value.unwrap_or(default).to_owned()
    };
    // The defaults of Gateway API.
    let names = [
        ("group", "gateway.networking.k8s.io"),
        ("kind", "Gateway"),
        ("namespace", ""),
        ("name", ""),
    ];
    names
        .into_iter()
        .all(|(name, default)| field(one, name, default) == field(other, name, default))
}

fn ancestors(old: &[Value], entries: &[Entry], author: Author) -> Vec<Value> {
    let is_own = |entry: &&Value| is_of(entry, author.controller);
    let others = old.iter().filter(|entry| !is_own(entry)).count();
    let wanted: Vec<&Entry> = entries.iter().take(MAX_ANCESTORS.saturating_sub(others)).collect();
    let reference = |entry: &Value| entry.get("ancestorRef").cloned().unwrap_or_default();
    let mut written = vec![false; wanted.len()];
    let mut ancestors = Vec::new();
    for known in old {
        if !is_own(&known) {
            ancestors.push(known.clone());
            continue;
        }
        let of_known = reference(known);
        let mut open = wanted.iter().zip(&mut written);
        if let Some((entry, written)) = open.find(|(entry, written)| !**written && is_same(&entry.ancestor, &of_known))
        {
            *written = true;
            ancestors.push(updated(Some(known), entry, author));
        }
    }
    let new = wanted.iter().zip(&written).filter(|(_, written)| !**written);
    ancestors.extend(new.map(|(entry, _)| updated(None, entry, author)));
    ancestors
}

/// The entry with the conditions of this controller. Conditions of other types stay.
fn updated(known: Option<&Value>, entry: &Entry, author: Author) -> Value {
    let conditions = known
        .and_then(|known| known.get("conditions"))
        .and_then(Value::as_array);
    let mut conditions = conditions.cloned().unwrap_or_default();
    put(&mut conditions, ACCEPTED, &entry.accepted, author);
    match &entry.programmed {
        Some(programmed) => put(&mut conditions, PROGRAMMED, programmed, author),
        None if conditions.iter().any(|condition| is_type(condition, PROGRAMMED)) => {}
        None => put(&mut conditions, PROGRAMMED, &Verdict::reconciling(), author),
    }
    json!({ "ancestorRef": entry.ancestor, "controllerName": author.controller, "conditions": conditions })
}

fn is_type(condition: &Value, name: &str) -> bool {
    condition.get("type").and_then(Value::as_str) == Some(name)
}

/// Sets a condition. Its time stays while its status stays, and so does a condition about a newer generation.
fn put(conditions: &mut Vec<Value>, name: &str, verdict: &Verdict, author: Author) {
    let known = conditions.iter_mut().find(|condition| is_type(condition, name));
    let generation = |condition: &Value| condition.get("observedGeneration").and_then(Value::as_i64);
    if known
        .as_ref()
        .is_some_and(|known| generation(known) > author.generation)
    {
        return;
    }
    let status = if verdict.met { "True" } else { "False" };
    let since = known.as_ref().and_then(|known| since(known, status));
    let mut condition = json!({
        "type": name,
        "status": status,
        "reason": verdict.reason,
        "message": verdict.message,
        "lastTransitionTime": since.unwrap_or_else(|| author.now.to_owned()),
    });
    if let (Some(generation), Some(condition)) = (author.generation, condition.as_object_mut()) {
        condition.insert("observedGeneration".to_owned(), generation.into());
    }
    match known {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}

/// Since when a condition has this status.
fn since(condition: &Value, status: &str) -> Option<String> {
    let text = |field: &str| condition.get(field).and_then(Value::as_str);
    (text("status") == Some(status)).then(|| text("lastTransitionTime").map(str::to_owned))?
}

/// The summary of all ancestors, whoever wrote them: so all controllers write the same.
fn summarized(old: &[Value], ancestors: &[Value], author: Author) -> Vec<Value> {
    let mut summary: Vec<Value> = old.to_vec();
    for name in [ACCEPTED, PROGRAMMED] {
        let all = ancestors
            .iter()
            .filter_map(|ancestor| ancestor.get("conditions")?.as_array());
        let all = all.flatten().filter(|condition| is_type(condition, name));
        let all: Vec<&Value> = all.collect();
        let is_met = |condition: &&&Value| condition.get("status").and_then(Value::as_str) == Some("True");
        let worst = all.iter().find(|condition| !is_met(condition)).or(all.first());
        let known = summary.iter().position(|condition| is_type(condition, name));
        let Some(worst) = worst else {
            summary.retain(|condition| !is_type(condition, name));
            continue;
        };
        let mut condition = (*worst).clone();
        let status = worst.get("status").and_then(Value::as_str).unwrap_or("Unknown");
        let before = known.and_then(|position| summary.get(position));
        let since = before.and_then(|before| since(before, status));
        let generations = all
            .iter()
            .filter_map(|condition| condition.get("observedGeneration")?.as_i64());
        if let Some(condition) = condition.as_object_mut() {
            let since = since.unwrap_or_else(|| author.now.to_owned());
            condition.insert("lastTransitionTime".to_owned(), since.into());
            let oldest = generations
                .min()
                .map(|oldest| ("observedGeneration".to_owned(), oldest.into()));
            condition.extend(oldest);
        }
        match known.and_then(|position| summary.get_mut(position)) {
            Some(known) => *known = condition,
            None => summary.push(condition),
        }
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "mooring.dev/controller";

    fn author(generation: i64, now: &str) -> Author<'_> {
        Author {
            controller: OURS,
            generation: Some(generation),
            now,
        }
    }

    fn gateway(name: &str) -> Value {
        json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "infra", "name": name })
    }

    fn entry(name: &str, programmed: Option<bool>) -> Entry {
        Entry {
            ancestor: gateway(name),
            accepted: Verdict {
                met: true,
                reason: "Accepted",
                message: "The policy applies.".to_owned(),
            },
            programmed: programmed.map(|met| Verdict {
                met,
                reason: if met { "Programmed" } else { "Refused" },
                message: String::new(),
            }),
        }
    }

    fn after(status: Option<&Value>, entries: &[Entry], author: Author) -> Value {
        merged(status, entries, author, false).unwrap()
    }

    fn condition<'a>(status: &'a Value, position: usize, name: &str) -> &'a Value {
        let conditions = status["ancestors"][position]["conditions"].as_array().unwrap();
        conditions.iter().find(|condition| condition["type"] == name).unwrap()
    }

    /// An entry of another controller, with fields that Mooring does not know.
    fn other() -> Value {
        json!({
            "controllerName": "example.com/other",
            "ancestorRef": { "name": "front", "future": [1, null] },
            "conditions": [{ "type": "Accepted", "status": "Unknown" }],
        })
    }

    #[test]
    fn a_status_that_says_it_already_is_not_written() {
        let first = after(None, &[entry("front", Some(true))], author(1, "then"));
        assert_eq!(
            merged(Some(&first), &[entry("front", Some(true))], author(1, "now"), false),
            None
        );
        assert_eq!(merged(None, &[], author(1, "now"), true), None);
    }

    #[test]
    fn the_time_is_that_of_the_last_change_of_the_status() {
        let first = after(None, &[entry("front", Some(false))], author(1, "then"));
        let second = after(Some(&first), &[entry("front", Some(true))], author(2, "now"));
        let accepted = condition(&second, 0, "Accepted");
        assert_eq!(
            (&accepted["lastTransitionTime"], &accepted["observedGeneration"]),
            (&json!("then"), &json!(2))
        );
        let programmed = condition(&second, 0, "Programmed");
        assert_eq!(
            (&programmed["lastTransitionTime"], &programmed["status"]),
            (&json!("now"), &json!("True"))
        );
    }

    #[test]
    fn entries_of_others_stay_as_they_are_and_where_they_are() {
        let ours = after(
            None,
            &[entry("front", Some(true)), entry("back", Some(true))],
            author(1, "then"),
        );
        let ours = ours["ancestors"].as_array().unwrap();
        let status = json!({ "ancestors": [ours[0], other(), ours[1]], "future": true });
        // The Gateway `front` is no longer affected.
        let new = after(
            Some(&status),
            &[entry("back", Some(true)), entry("third", Some(true))],
            author(1, "now"),
        );
        let new = new["ancestors"].as_array().unwrap();
        assert_eq!(new.len(), 3);
        assert_eq!(
            serde_json::to_string(&new[0]).unwrap(),
            serde_json::to_string(&other()).unwrap()
        );
        assert_eq!(new[1], ours[1]);
        assert_eq!(new[2]["ancestorRef"], gateway("third"));
        // A policy that concerns Mooring no more keeps the entries of others.
        assert_eq!(
            after(Some(&status), &[], author(1, "now")),
            json!({ "ancestors": [other()] })
        );
    }

    #[test]
    fn what_is_not_known_stays_with_its_generation() {
        let first = after(None, &[entry("front", Some(true))], author(1, "then"));
        let second = after(Some(&first), &[entry("front", None)], author(2, "now"));
        assert_eq!(condition(&second, 0, "Programmed"), condition(&first, 0, "Programmed"));
        assert_eq!(condition(&second, 0, "Accepted")["observedGeneration"], 2);
        let new = after(None, &[entry("front", None)], author(1, "now"));
        assert_eq!(condition(&new, 0, "Programmed")["reason"], "Reconciling");
    }

    #[test]
    fn a_condition_about_a_newer_generation_stays() {
        let first = after(None, &[entry("front", Some(true))], author(3, "then"));
        assert_eq!(
            merged(Some(&first), &[entry("front", Some(false))], author(2, "now"), false),
            None
        );
    }

    #[test]
    fn there_are_sixteen_entries_at_most_and_those_of_others_come_first() {
        let others: Vec<Value> = (0..15).map(|_| other()).collect();
        let status = json!({ "ancestors": others });
        let entries = [entry("a", Some(true)), entry("b", Some(true))];
        let new = after(Some(&status), &entries, author(1, "now"));
        assert_eq!(new["ancestors"].as_array().unwrap().len(), MAX_ANCESTORS);
        assert_eq!(new["ancestors"][15]["ancestorRef"]["name"], "a");
        assert_eq!(without_room(Some(&status), &entries, OURS), 1);
        assert_eq!(without_room(None, &entries, OURS), 0);
        // Once the list is full, nothing is written again and again.
        assert_eq!(merged(Some(&new), &entries, author(1, "later"), false), None);
    }

    #[test]
    fn the_summary_is_true_if_all_ancestors_are() {
        let summary = |entries: &[Entry]| merged(None, entries, author(1, "now"), true).unwrap()["conditions"].clone();
        let programmed = |conditions: &Value| {
            let conditions = conditions.as_array().unwrap().clone();
            conditions
                .into_iter()
                .find(|condition| condition["type"] == "Programmed")
                .unwrap()
        };
        let good = programmed(&summary(&[entry("a", Some(true)), entry("b", Some(true))]));
        assert_eq!(
            (&good["status"], &good["reason"]),
            (&json!("True"), &json!("Programmed"))
        );
        let bad = programmed(&summary(&[entry("a", Some(true)), entry("b", Some(false))]));
        assert_eq!((&bad["status"], &bad["reason"]), (&json!("False"), &json!("Refused")));
    }

    #[test]
    fn two_controllers_write_the_same_summary() {
        let both = [entry("a", Some(true))];
        let first = merged(None, &both, author(1, "now"), true).unwrap();
        let theirs = Author {
            controller: "mooring.dev/canary",
            ..author(1, "now")
        };
        let second = merged(Some(&first), &[entry("a", Some(false))], theirs, true).unwrap();
        // The first one has nothing to change.
        assert_eq!(merged(Some(&second), &both, author(1, "later"), true), None);
    }

    #[test]
    fn the_summary_goes_with_the_last_entry() {
        let first = merged(None, &[entry("a", Some(true))], author(1, "then"), true).unwrap();
        let last = merged(Some(&first), &[], author(1, "now"), true).unwrap();
        assert_eq!(last, json!({ "ancestors": [], "conditions": [] }));
        assert_eq!(merged(Some(&last), &[], author(1, "later"), true), None);
    }
}
