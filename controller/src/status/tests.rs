//! Passes of the writer against a stand-in for the API server.

use std::{collections::BTreeMap, sync::Arc};

use kube::core::DynamicObject;
use mooring_generator::{
    id::Id,
    kind::Kind,
    status::{Ancestor, AncestorState, Outcome, PolicyState},
};
use serde_json::{Value, json};

use super::{Options, StatusWriter};
use crate::{
    apply::Applied,
    key::Key,
    live::Live,
    plan::Plan,
    planned_policy::{PlannedPolicy, key},
    stand_in::{Asked, Server, failure},
};

fn policy() -> Key {
    key(Kind::CanaryPolicy, &Id::new("shop", "shop")).unwrap()
}

/// The policy at a version, with these entries of others.
fn object(version: &str, others: &[&str]) -> Value {
    let others: Vec<Value> = others
        .iter()
        .map(|name| json!({ "controllerName": name, "ancestorRef": { "name": "x" } }))
        .collect();
    json!({
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "CanaryPolicy",
        "metadata": { "name": "shop", "namespace": "shop", "uid": "u", "generation": 1, "resourceVersion": version },
        "status": { "ancestors": others },
    })
}

fn writer(server: &Server) -> (StatusWriter, Plan, Live) {
    let live = Live::default();
    let object: DynamicObject = serde_json::from_value(object("1", &[])).unwrap();
    live.lock().set(&policy(), Some(&Arc::new(object)));
    let ancestor = Ancestor {
        kind: Kind::Gateway,
        id: Id::new("infra", "front"),
    };
    let state = PolicyState {
        ancestors: BTreeMap::from([(ancestor, AncestorState::new(Outcome::Applies))]),
        unread: None,
    };
    let mut plan = Plan::default();
    let planned = PlannedPolicy {
        generation: Some(1),
        uid: Some("u".to_owned()),
        state,
    };
    plan.policies.insert(policy(), Arc::new(planned));
    let writer = StatusWriter::new(server.client(), live.clone(), &Options::default(), None);
    (writer, plan, live)
}

/// The policy with the status of a patch.
fn patched(version: &str, patch: &Value) -> Value {
    let mut object = object(version, &[]);
    object["status"] = patch["status"].clone();
    object
}

const PATCH: &str = "PATCH /apis/mooring.dev/v1alpha1/namespaces/shop/canarypolicies/shop/status";
const GET: &str = "GET /apis/mooring.dev/v1alpha1/namespaces/shop/canarypolicies/shop";

fn requests(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|(request, _)| request.as_str()).collect()
}

#[tokio::test]
async fn a_status_is_written_once() {
    let server = Server::new(|_, patch| (200, patched("2", patch)));
    let (mut writer, plan, _live) = writer(&server);
    assert_eq!(writer.write(&plan, &Applied::default()).await, None);
    let asked = server.asked();
    assert_eq!(requests(&asked), [PATCH]);
    assert_eq!(asked[0].1["metadata"]["resourceVersion"], "1");
    // The watch has not seen it yet.
    assert_eq!(writer.write(&plan, &Applied::default()).await, None);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_write_that_meets_a_change_of_others_keeps_it() {
    let server = Server::new(|request, patch| match patch["metadata"]["resourceVersion"].as_str() {
        Some("1") => failure(409),
        Some(_) => (200, patched("3", patch)),
        None => {
            assert_eq!(request, GET);
            (200, object("2", &["example.com/other"]))
        }
    });
    let (mut writer, plan, _live) = writer(&server);
    assert_eq!(writer.write(&plan, &Applied::default()).await, None);
    let asked = server.asked();
    assert_eq!(requests(&asked), [PATCH, GET, PATCH]);
    let names: Vec<&Value> = asked[2].1["status"]["ancestors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["controllerName"])
        .collect();
    assert_eq!(names, ["example.com/other", "mooring.dev/controller"]);
}

#[tokio::test]
async fn a_kind_without_a_status_subresource_is_left_alone() {
    let server = Server::new(|request, _| {
        if request == GET {
            (200, object("1", &[]))
        } else {
            failure(404)
        }
    });
    let (mut writer, plan, _live) = writer(&server);
    writer.write(&plan, &Applied::default()).await;
    assert_eq!(requests(&server.asked()), [PATCH, GET]);
    for _ in 0..3 {
        assert!(writer.write(&plan, &Applied::default()).await.is_some());
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_policy_that_is_gone_is_not_asked_for_again() {
    let server = Server::new(|_, _| failure(404));
    let (mut writer, plan, live) = writer(&server);
    writer.write(&plan, &Applied::default()).await;
    assert_eq!(requests(&server.asked()), [PATCH, GET]);
    writer.write(&plan, &Applied::default()).await;
    live.lock().set(&policy(), None);
    writer.write(&plan, &Applied::default()).await;
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_policy_whose_status_is_refused_waits() {
    let server = Server::new(|_, _| failure(403));
    let (mut writer, plan, _live) = writer(&server);
    assert!(writer.write(&plan, &Applied::default()).await.is_some());
    assert_eq!(requests(&server.asked()), [PATCH]);
    assert!(writer.write(&plan, &Applied::default()).await.is_some());
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_change_that_is_not_planned_yet_is_not_reported_on() {
    let server = Server::new(|_, patch| (200, patched("3", patch)));
    let (mut writer, plan, live) = writer(&server);
    let mut newer = object("2", &[]);
    newer["metadata"]["generation"] = 2.into();
    live.lock()
        .set(&policy(), Some(&Arc::new(serde_json::from_value(newer).unwrap())));
    writer.write(&plan, &Applied::default()).await;
    assert!(server.asked().is_empty());
}
