//! Watches of a stand-in for the API server. The clock is paused: it goes on only when every task waits.

use std::{
    collections::VecDeque,
    iter::repeat_n,
    sync::{Mutex, MutexGuard},
};

use serde_json::{Value, json};

use super::*;
use crate::stand_in::{Server, failure};

/// Longer than all pauses between two lists together.
const LONG: Duration = Duration::from_secs(120);

/// A watch of a kind. The API server has these answers to lists and watches, one after the other, and then only errors.
struct Rig {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    receiver: mpsc::Receiver<Change>,
    states: WatchStates,
}

impl Rig {
    fn start(name: &str) -> Self {
        let (name, kind) = watched_kinds().find(|(kind, _)| kind.name == name).unwrap();
        let answers = Arc::<Mutex<VecDeque<_>>>::default();
        let later = Arc::clone(&answers);
        let path = format!("GET /apis/{}/{}", kind.group, kind.versions[0]);
        let resource = json!({ "name": "things", "singularName": "thing", "namespaced": true, "kind": kind.name, "verbs": ["list", "watch"] });
        let discovery = json!({ "groupVersion": path.trim_start_matches("GET /apis/"), "resources": [resource] });
        let server = Server::new(move |request, _| match request.strip_prefix(&path) {
            Some("") => (200, discovery.clone()),
            Some("/things") => later.lock().unwrap().pop_front().unwrap_or_else(|| failure(500)),
            _ => failure(404),
        });
        let (sender, receiver) = mpsc::channel(QUEUE);
        let states = WatchStates::default();
        let watch = Watch {
            client: server.client(),
            name,
            kind,
            namespace: None,
            sender,
            states: states.clone(),
            known: BTreeSet::new(),
        };
        states.add(name, None);
        tokio::spawn(watch.run());
        Self {
            answers,
            receiver,
            states,
        }
    }

    fn answers(&self) -> MutexGuard<'_, VecDeque<(u16, Value)>> {
        self.answers.lock().unwrap()
    }

    /// What the watch reports until it has no more answers, and has failed since.
    async fn changes(&mut self) -> Vec<String> {
        sleep(LONG).await;
        assert_eq!(*self.answers(), []);
        let mut changes = Vec::new();
        while let Ok(change) = self.receiver.try_recv() {
            changes.push(match change {
                Change::Listed => "listed".to_owned(),
                Change::Object { key, object } => {
                    format!("{} {}", key.name(), if object.is_some() { "is" } else { "gone" })
                }
            });
        }
        changes
    }
}

/// A page of a list. Only the last one has no next one.
fn page(names: &[&str], next: &str) -> (u16, Value) {
    let items: Vec<Value> = names.iter().map(|name| object(name)).collect();
    (
        200,
        json!({ "metadata": { "resourceVersion": "7", "continue": next }, "items": items }),
    )
}

fn object(name: &str) -> Value {
    let wrote = json!([{ "manager": "kubectl", "operation": "Apply" }]);
    json!({ "metadata": { "name": name, "namespace": "shop", "managedFields": wrote } })
}

/// The server no longer has the changes since the last one.
fn expired() -> (u16, Value) {
    let (_, status) = failure(410);
    (200, json!({ "type": "ERROR", "object": status }))
}

fn event(kind: &str, name: &str) -> (u16, Value) {
    let mut object = object(name);
    object["metadata"]["resourceVersion"] = json!("8");
    (200, json!({ "type": kind, "object": object }))
}

#[tokio::test(start_paused = true)]
async fn a_watch_reports_lists_and_changes() {
    let mut rig = Rig::start("HTTPRoute");
    rig.answers().extend([
        page(&["a"], "next"),
        page(&["b"], ""),
        event("ADDED", "c"),
        event("DELETED", "a"),
    ]);
    assert_eq!(rig.changes().await, ["a is", "b is", "listed", "c is", "a gone"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_second_list_lacks_is_gone() {
    let mut rig = Rig::start("HTTPRoute");
    rig.answers()
        .extend([page(&["a", "b"], ""), expired(), page(&["b"], "")]);
    assert_eq!(
        rig.changes().await,
        ["a is", "b is", "listed", "b is", "a gone", "listed"]
    );
}

#[tokio::test(start_paused = true)]
async fn only_a_complete_list_shows_what_is_gone() {
    let mut rig = Rig::start("HTTPRoute");
    rig.answers().extend([
        page(&["a", "b"], ""),
        expired(),
        page(&[], "next"),
        failure(500),
        page(&["a"], "next"),
        failure(503),
    ]);
    assert_eq!(rig.changes().await, ["a is", "b is", "listed", "a is"]);
    assert_eq!(rig.states.outdated().len(), 1);
    rig.answers().push_back(page(&["a"], ""));
    assert_eq!(rig.changes().await, ["a is", "b gone", "listed"]);
}

/// Each list may be of thousands of objects.
#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_after_each_list_lists_seldom() {
    let rig = Rig::start("HTTPRoute");
    for _ in 0..100 {
        rig.answers().extend([page(&["a"], ""), failure(403)]);
    }
    let before = rig.answers().len();
    sleep(LONG).await;
    let lists = (before - rig.answers().len()) / 2;
    assert!((5..10).contains(&lists), "{lists} lists in two minutes");
}

#[tokio::test(start_paused = true)]
async fn objects_stay_while_their_kind_is_gone() {
    let mut rig = Rig::start("HTTPRoute");
    rig.answers().push_back(page(&["a"], ""));
    rig.answers().extend(repeat_n(failure(404), 4));
    assert_eq!(rig.changes().await, ["a is", "listed"]);
    assert_eq!(rig.states.outdated().len(), 1);
    rig.answers().push_back(page(&[], ""));
    assert_eq!(rig.changes().await, ["a gone", "listed"]);
}

#[tokio::test(start_paused = true)]
async fn only_generated_objects_keep_who_wrote_them() {
    for (kind, label, kept) in [("HTTPRoute", None, false), ("WasmPlugin", Some(MANAGED_BY), true)] {
        let mut rig = Rig::start(kind);
        let (code, mut list) = page(&["a"], "");
        if let Some((label, value)) = label {
            list["items"][0]["metadata"]["labels"] = json!({ label: value });
        }
        rig.answers().push_back((code, list));
        let Some(Change::Object {
            object: Some(object), ..
        }) = rig.receiver.recv().await
        else {
            panic!("no object");
        };
        assert_eq!(object.metadata.managed_fields.is_some(), kept, "{kind}");
    }
}
