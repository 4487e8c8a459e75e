use serde_json::{Value, json};

use super::*;
use crate::apply::{
    failure::Failure,
    marks::MANAGER,
    wanted::{Wanted, tests::wanted},
};

fn filter(priority: u8) -> Wanted {
    wanted(json!({
        "metadata": {
            "name": "mooring-web",
            "labels": { "app.kubernetes.io/managed-by": "mooring" },
            "annotations": { "mooring.dev/version": "1" },
        },
        "spec": { "priority": priority },
    }))
}

/// The metadata of an object that the controller has written.
fn own(wanted: &Wanted, changes: &Value) -> ObjectMeta {
    let mut metadata = wanted.body()["metadata"].clone();
    let fields = metadata.as_object_mut().unwrap();
    fields.extend(
        json!({
            "uid": "1",
            "resourceVersion": "100",
            "generation": 1,
            "managedFields": [entry(MANAGER, "Apply", &json!({ "f:priority": {} }))],
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    fields.extend(changes.as_object().unwrap().clone());
    serde_json::from_value(metadata).unwrap()
}

fn entry(manager: &str, operation: &str, spec: &Value) -> Value {
    json!({ "manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": spec } })
}

fn written(wanted: &Wanted, metadata: &ObjectMeta) -> Memory {
    Memory {
        written: Some(Written::new(metadata, wanted, Instant::now())),
        ..Memory::default()
    }
}

fn decided(wanted: &Wanted, live: Live, memory: &Memory) -> Decision {
    decide(wanted, live, memory, false, Instant::now())
}

#[test]
fn a_restart_writes_nothing() {
    let wanted = filter(1);
    let live = own(&wanted, &json!({}));
    let fresh = Memory::default();
    assert_eq!(decided(&wanted, Live::There(&live), &fresh), Decision::InPlace(None));
    // Defaults of the server and the status of istiod are no differences.
    let defaulted = json!({ "managedFields": [
        entry(MANAGER, "Apply", &json!({ "f:priority": {} })),
        { "manager": "istiod", "operation": "Update", "subresource": "status", "fieldsV1": { "f:spec": { "f:x": {} } } },
    ]});
    let live = own(&wanted, &defaulted);
    assert_eq!(decided(&wanted, Live::There(&live), &fresh), Decision::InPlace(None));
}

#[test]
fn what_is_rendered_otherwise_is_written() {
    let live = own(&filter(1), &json!({}));
    let changed = Decision::Apply(Reason::Changed);
    assert_eq!(decided(&filter(2), Live::There(&live), &Memory::default()), changed);
    assert_eq!(
        decided(&filter(2), Live::There(&live), &written(&filter(1), &live)),
        changed
    );
    assert_eq!(
        decided(&filter(1), Live::There(&live), &written(&filter(1), &live)),
        Decision::InPlace(None)
    );
}

#[test]
fn an_object_that_the_watch_does_not_show_is_looked_for() {
    let wanted = filter(1);
    assert_eq!(decided(&wanted, Live::Unseen, &Memory::default()), Decision::Look);
    assert_eq!(
        decided(&wanted, Live::Absent, &Memory::default()),
        Decision::Apply(Reason::Missing)
    );
    assert!(!Reason::Missing.is_forced() && Reason::Changed.is_forced());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_lags_behind_a_write_changes_nothing() {
    let wanted = filter(1);
    let answer = own(&wanted, &json!({ "resourceVersion": "101", "generation": 2 }));
    let mut memory = written(&wanted, &answer);
    let older = own(&filter(0), &json!({}));
    assert_eq!(decided(&wanted, Live::There(&older), &memory), Decision::InPlace(None));
    assert!(matches!(
        decided(&wanted, Live::Unseen, &memory),
        Decision::InPlace(Some(_))
    ));
    tokio::time::advance(LAG).await;
    assert_eq!(decided(&wanted, Live::Unseen, &memory), Decision::Look);
    // What was there and is gone was deleted.
    memory = written(&wanted, &answer);
    memory.written.as_mut().unwrap().seen = true;
    assert_eq!(decided(&wanted, Live::Unseen, &memory), Decision::Look);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_edit_is_put_back_with_growing_waits() {
    let wanted = filter(1);
    let mut memory = written(&wanted, &own(&wanted, &json!({})));
    let changes = json!({ "resourceVersion": "101", "generation": 2, "managedFields": [
        entry(MANAGER, "Apply", &json!({})),
        entry("ann", "Update", &json!({ "f:priority": {} })),
    ]});
    let edited = own(&wanted, &changes);
    let by = Some("ann".to_owned());
    let expected = Decision::Apply(Reason::Edited { by });
    assert_eq!(decided(&wanted, Live::There(&edited), &memory), expected);
    assert_eq!(
        decided(&wanted, Live::There(&edited), &Memory::default()),
        expected,
        "after a restart"
    );
    memory.edits.add(Instant::now());
    let Decision::Wait(State::Pending { .. }, Some(next)) = decided(&wanted, Live::There(&edited), &memory) else {
        panic!("two writers fight at full speed")
    };
    tokio::time::advance(next.saturating_duration_since(Instant::now())).await;
    assert_eq!(decided(&wanted, Live::There(&edited), &memory), expected);
}

#[test]
fn edits_without_a_field_manager_are_seen_too() {
    let wanted = filter(1);
    let edited = Decision::Apply(Reason::Edited { by: None });
    for (what, changes) in [
        ("a label", json!({ "labels": {}, "resourceVersion": "101" })),
        (
            "an annotation",
            json!({ "resourceVersion": "101",
            "annotations": { "mooring.dev/version": "0", "mooring.dev/applied": *wanted.hash } }),
        ),
    ] {
        let live = own(&wanted, &changes);
        let memory = written(&wanted, &own(&wanted, &json!({})));
        assert_eq!(decided(&wanted, Live::There(&live), &memory), edited, "{what}");
        assert_eq!(
            decided(&wanted, Live::There(&live), &Memory::default()),
            edited,
            "{what}"
        );
    }
    // A removed field has no owner any more.
    let removed = json!({ "managedFields": [entry(MANAGER, "Apply", &json!({ "f:other": {} }))] });
    assert_eq!(
        decided(&wanted, Live::There(&own(&wanted, &removed)), &Memory::default()),
        edited
    );
}

#[test]
fn a_webhook_that_changes_every_write_is_no_foreign_edit() {
    let wanted = filter(1);
    let answer = own(
        &wanted,
        &json!({ "annotations": { "mooring.dev/version": "x", "mooring.dev/applied": *wanted.hash } }),
    );
    let memory = written(&wanted, &answer);
    let later = ObjectMeta {
        resource_version: Some("105".to_owned()),
        ..answer
    };
    assert_eq!(decided(&wanted, Live::There(&later), &memory), Decision::InPlace(None));
}

#[test]
fn what_others_have_applied_is_reported_unless_it_is_adopted() {
    let wanted = filter(1);
    let piped = own(
        &wanted,
        &json!({ "managedFields": [entry("kubectl", "Apply", &json!({ "f:priority": {} }))] }),
    );
    let other = ObjectMeta {
        labels: None,
        ..piped.clone()
    };
    let by = "`kubectl`".to_owned();
    let foreign = Decision::Wait(State::Foreign { by }, None);
    let adopting = |live| decide(&wanted, Live::There(live), &Memory::default(), true, Instant::now());
    assert_eq!(decided(&wanted, Live::There(&piped), &Memory::default()), foreign);
    assert_eq!(adopting(&piped), Decision::Apply(Reason::Adopted));
    assert_eq!(decided(&wanted, Live::There(&other), &Memory::default()), foreign);
    assert_eq!(adopting(&other), foreign, "without Mooring's label, it is a user's");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_repeated_at_once() {
    let failed = |cause, wanted: &Wanted| {
        let mut memory = Memory::default();
        let message = "no".to_owned();
        memory.fail(Failure { cause, message }, Some(wanted.hash.clone()), Instant::now());
        memory
    };
    let waits = |decision| matches!(decision, Decision::Wait(_, Some(_)));
    let refused = failed(Cause::Refused, &filter(1));
    assert!(waits(decided(&filter(1), Live::Absent, &refused)));
    assert_eq!(
        decided(&filter(2), Live::Absent, &refused),
        Decision::Apply(Reason::Missing),
        "another object"
    );
    let busy = failed(Cause::Busy(None), &filter(1));
    assert!(waits(decided(&filter(2), Live::Absent, &busy)));
    tokio::time::advance(Duration::from_secs(300)).await;
    assert_eq!(
        decided(&filter(1), Live::Absent, &refused),
        Decision::Apply(Reason::Missing)
    );
}

#[tokio::test(start_paused = true)]
async fn an_unwanted_object_is_not_removed_at_once() {
    let live = own(&filter(1), &json!({}));
    let memory = Memory {
        unwanted: Some(Instant::now()),
        ..Memory::default()
    };
    let removal = |live: &ObjectMeta| decide_removal(live, &memory, Instant::now());
    assert!(matches!(removal(&live), Some(Decision::Wait(_, Some(_)))));
    tokio::time::advance(GRACE).await;
    let expected = Decision::Remove {
        uid: "1".to_owned(),
        version: "100".to_owned(),
    };
    assert_eq!(removal(&live), Some(expected));
    let gone = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
    assert_eq!(removal(&own(&filter(1), &gone)), None);
    assert_eq!(decide_removal(&live, &Memory::default(), Instant::now()), None);
}
