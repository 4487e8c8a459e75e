use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use kube::core::DynamicObject;
use mooring_generator::emit::Output;
use serde_json::{Value, json};

use super::*;
use crate::{key::KindName, plan::Planned};

/// An API server in memory.
#[derive(Clone, Debug, Default)]
struct Fake(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    log: Vec<String>,
    there: BTreeMap<String, ObjectMeta>,
    /// The answers instead of success, by what the log says.
    failures: BTreeMap<String, Cause>,
    /// How long an answer takes, by what the log says.
    delays: BTreeMap<String, Duration>,
    parallel: usize,
    most: usize,
}

impl Fake {
    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }

    fn fails(&self, request: &str, cause: Cause) {
        self.0.lock().unwrap().failures.insert(request.to_owned(), cause);
    }

    async fn request(&self, request: String) -> Result<(), Failure> {
        let (delay, failure) = {
            let mut inner = self.0.lock().unwrap();
            inner.parallel = inner.parallel.saturating_add(1);
            inner.most = inner.most.max(inner.parallel);
            inner.log.push(request.clone());
            (
                inner.delays.get(&request).copied(),
                inner.failures.get(&request).copied(),
            )
        };
        tokio::time::sleep(delay.unwrap_or_default()).await;
        {
            let mut inner = self.0.lock().unwrap();
            inner.parallel = inner.parallel.saturating_sub(1);
        }
        let message = request;
        failure.map_or(Ok(()), |cause| Err(Failure { cause, message }))
    }
}

impl Server for Fake {
    async fn look(&self, target: &Target) -> Result<Option<ObjectMeta>, Failure> {
        self.request(format!("get {}", target.key)).await?;
        Ok(self.0.lock().unwrap().there.get(&target.key.to_string()).cloned())
    }

    async fn apply(&self, target: &Target, body: &Value, force: bool) -> Result<ObjectMeta, Failure> {
        let how = if force { "force" } else { "apply" };
        self.request(format!("{how} {}", target.key)).await?;
        let mut inner = self.0.lock().unwrap();
        let generation = inner.log.len();
        let mut metadata = body["metadata"].clone();
        let managed = json!([{ "manager": "mooring", "operation": "Apply", "fieldsV1": {} }]);
        let answer = json!({ "uid": "1", "generation": generation, "resourceVersion": generation.to_string(), "managedFields": managed });
        metadata
            .as_object_mut()
            .unwrap()
            .extend(answer.as_object().unwrap().clone());
        let metadata: ObjectMeta = serde_json::from_value(metadata).unwrap();
        inner.there.insert(target.key.to_string(), metadata.clone());
        Ok(metadata)
    }

    async fn remove(&self, target: &Target, _uid: &str, _version: &str) -> Result<(), Failure> {
        self.request(format!("delete {}", target.key)).await?;
        self.0.lock().unwrap().there.remove(&target.key.to_string());
        Ok(())
    }

    async fn preview(&self, target: &Target, body: &Value) -> Result<(Option<Value>, Value), Failure> {
        self.request(format!("preview {}", target.key)).await?;
        Ok((None, body.clone()))
    }
}

const KINDS: [(&str, &str); 3] = [
    ("networking.istio.io", "EnvoyFilter"),
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("extensions.istio.io", "WasmPlugin"),
];

fn key(kind: &str, namespace: &str, name: &str) -> Key {
    let (group, _) = KINDS.into_iter().find(|(_, known)| *known == kind).unwrap();
    Key::new(KindName::find(group, kind).unwrap(), Some(namespace), name)
}

fn planned(kind: &str, name: &str, spec: &Value) -> Planned {
    let metadata =
        json!({ "name": name, "namespace": "edge", "labels": { "app.kubernetes.io/managed-by": "mooring" } });
    let value = json!({ "apiVersion": "x/v1", "kind": kind, "metadata": metadata, "spec": spec });
    Planned {
        output: Arc::new(Output::new(String::new(), value)),
    }
}

/// A plan with one object of each kind.
#[allow(clippy::needless_update, reason = "a plan may have more fields")]
fn plan() -> Plan {
    let objects = KINDS.map(|(_, kind)| {
        let object = planned(kind, "mooring-web", &json!({}));
        (key(kind, "edge", "mooring-web"), Arc::new(object))
    });
    Plan {
        objects: objects.into(),
        allows_removal: true,
        ..Plan::default()
    }
}

/// A plan that wants nothing.
fn nothing() -> Plan {
    Plan {
        allows_removal: true,
        ..Plan::default()
    }
}

fn writer(fake: &Fake) -> Writer<Fake> {
    Writer::new(fake.clone(), Live::default(), Options::default())
}

/// Makes the watch show what the server has.
fn watch(writer: &Writer<Fake>, fake: &Fake, plan: &Plan) {
    let inner = fake.0.lock().unwrap();
    let mut live = writer.live.lock();
    live.generated.clear();
    for key in plan.objects.keys() {
        if let Some(metadata) = inner.there.get(&key.to_string()) {
            let object = DynamicObject {
                types: None,
                metadata: metadata.clone(),
                data: Value::Null,
            };
            live.generated.insert(key.clone(), Arc::new(object));
        }
    }
}

/// A server that has the objects of the plan, and a writer that has written them.
async fn applied() -> (Fake, Writer<Fake>, Plan) {
    let fake = Fake::default();
    let mut writer = writer(&fake);
    let plan = plan();
    writer.apply(&plan).await;
    watch(&writer, &fake, &plan);
    fake.log();
    (fake, writer, plan)
}

const CREATED: [&str; 6] = [
    "get EnvoyFilter edge/mooring-web",
    "apply EnvoyFilter edge/mooring-web",
    "get HTTPRoute edge/mooring-web",
    "apply HTTPRoute edge/mooring-web",
    "get WasmPlugin edge/mooring-web",
    "apply WasmPlugin edge/mooring-web",
];

#[tokio::test(start_paused = true)]
async fn objects_are_created_in_order_and_removed_in_reverse() {
    let fake = Fake::default();
    let mut writer = writer(&fake);
    let plan = plan();
    let applied = writer.apply(&plan).await;
    assert_eq!(fake.log(), CREATED);
    assert!(applied.differing.is_empty(), "{applied:?}");
    watch(&writer, &fake, &plan);
    writer.apply(&plan).await;
    assert!(fake.log().is_empty(), "nothing is written twice");

    let none = nothing();
    let applied = writer.apply(&none).await;
    assert!(
        fake.log().is_empty() && applied.retry.is_some(),
        "what is gone for a moment stays"
    );
    tokio::time::sleep(applied.retry.unwrap()).await;
    writer.apply(&none).await;
    let removed = ["WasmPlugin", "HTTPRoute", "EnvoyFilter"].map(|kind| format!("delete {kind} edge/mooring-web"));
    assert_eq!(fake.log(), removed);
}

#[tokio::test(start_paused = true)]
async fn a_new_writer_writes_nothing() {
    let fake = Fake::default();
    let plan = plan();
    writer(&fake).apply(&plan).await;
    fake.log();
    let mut restarted = writer(&fake);
    watch(&restarted, &fake, &plan);
    let applied = restarted.apply(&plan).await;
    assert!(fake.log().is_empty() && applied.differing.is_empty(), "{applied:?}");
}

/// Without the label, the watch shows the object no longer, so nothing but the writer itself looks again.
#[tokio::test(start_paused = true)]
async fn a_label_that_is_removed_again_and_again_is_put_back_in_the_end() {
    let fake = Fake::default();
    let plan = plan();
    let mut writer = writer(&fake);
    writer.apply(&plan).await;
    watch(&writer, &fake, &plan);
    writer.apply(&plan).await;
    let plugin = key("WasmPlugin", "edge", "mooring-web");
    for _ in 0..4 {
        {
            let mut inner = fake.0.lock().unwrap();
            inner.there.get_mut(&plugin.to_string()).unwrap().labels = None;
            writer.live.lock().generated.remove(&plugin);
        }
        let mut passes = 0;
        while fake.0.lock().unwrap().there[&plugin.to_string()].labels.is_none() {
            let retry = writer.apply(&plan).await.retry;
            let is_back = fake.0.lock().unwrap().there[&plugin.to_string()].labels.is_some();
            assert!(is_back || retry.is_some(), "nothing looks for the object again");
            tokio::time::sleep(retry.unwrap_or_default()).await;
            passes += 1;
            assert!(passes < 10);
        }
        watch(&writer, &fake, &plan);
        writer.apply(&plan).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_if_the_plan_may_lack_something() {
    let fake = Fake::default();
    let mut writer = writer(&fake);
    let full = plan();
    writer.apply(&full).await;
    watch(&writer, &fake, &full);
    fake.log();
    for _ in 0..3 {
        let applied = writer.apply(&Plan::default()).await;
        assert_eq!(applied.retry, None);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(fake.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plugin_waits_for_its_filters_and_others_do_not() {
    let fake = Fake::default();
    fake.fails("apply EnvoyFilter edge/mooring-web", Cause::Refused);
    let mut writer = writer(&fake);
    let mut plan = plan();
    let other = key("WasmPlugin", "shop", "mooring-other");
    plan.objects.insert(
        other.clone(),
        Arc::new(planned("WasmPlugin", "mooring-other", &json!({}))),
    );
    let applied = writer.apply(&plan).await;
    let log = fake.log();
    assert!(
        !log.contains(&"apply WasmPlugin edge/mooring-web".to_owned()),
        "{log:?}"
    );
    assert!(
        log.contains(&"apply WasmPlugin shop/mooring-other".to_owned()),
        "{log:?}"
    );
    assert!(matches!(
        applied.state(&key("EnvoyFilter", "edge", "mooring-web")),
        State::Refused { .. }
    ));
    assert!(matches!(
        applied.state(&key("WasmPlugin", "edge", "mooring-web")),
        State::Pending { .. }
    ));
    assert_eq!(*applied.state(&other), State::Applied);

    fake.0.lock().unwrap().failures.clear();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let applied = writer.apply(&plan).await;
    assert!(applied.differing.is_empty(), "{applied:?}");
}

/// The rule of a plugin and of a session route.
const RULE: &str = "HTTPRoute/shop/cart#0";

/// The plan, whose session route is one of the plugin's rule.
fn plan_with_rule() -> Plan {
    let mut plan = plan();
    let spec = json!({ "pluginConfig": { "rules": [{ "id": RULE }] } });
    let plugin = planned("WasmPlugin", "mooring-web", &spec);
    plan.objects
        .insert(key("WasmPlugin", "edge", "mooring-web"), Arc::new(plugin));
    add_route(&mut plan, "mooring-web", RULE);
    plan
}

fn add_route(plan: &mut Plan, name: &str, rule: &str) {
    let mut route = planned("HTTPRoute", name, &json!({}));
    let output = Arc::get_mut(&mut route.output).unwrap();
    output.value["metadata"]["annotations"] = json!({ "mooring.dev/rule": rule });
    plan.objects.insert(key("HTTPRoute", "edge", name), Arc::new(route));
}

/// Without the filter, a client could choose a session route, and so a backend.
#[tokio::test(start_paused = true)]
async fn a_new_session_route_waits_for_the_filters_of_its_gateway() {
    let filter = key("EnvoyFilter", "edge", "mooring-web");
    let route = key("HTTPRoute", "edge", "mooring-web");
    for cause in [Cause::Refused, Cause::Foreign, Cause::Busy(None)] {
        let fake = Fake::default();
        fake.fails(&format!("apply {filter}"), cause);
        let mut writer = writer(&fake);
        let mut plan = plan_with_rule();
        add_route(&mut plan, "mooring-other", "HTTPRoute/shop/other#0");
        let applied = writer.apply(&plan).await;
        let log = fake.log();
        assert!(!log.iter().any(|line| line.ends_with(&route.to_string())), "{log:?}");
        assert!(
            log.contains(&"apply HTTPRoute edge/mooring-other".to_owned()),
            "{log:?}"
        );
        assert!(matches!(applied.state(&route), State::Pending { .. }), "{applied:?}");

        fake.0.lock().unwrap().failures.clear();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let retry = writer.apply(&plan).await.retry;
        tokio::time::sleep(retry.unwrap()).await;
        let applied = writer.apply(&plan).await;
        assert!(applied.differing.is_empty(), "{applied:?}");
        watch(&writer, &fake, &plan);
        writer.apply(&plan).await;
        fake.log();

        // A filter that is there may lack the patch of a new rule.
        fake.fails(&format!("force {filter}"), cause);
        let changed = planned("EnvoyFilter", "mooring-web", &json!({ "more": 1 }));
        plan.objects.insert(filter.clone(), Arc::new(changed));
        add_route(&mut plan, "mooring-second", RULE);
        writer.apply(&plan).await;
        assert_eq!(fake.log(), [format!("force {filter}")]);
    }
}

/// When a gateway gets more filters, the present ones pass patches to the new ones.
#[tokio::test(start_paused = true)]
async fn a_filter_is_changed_after_new_ones_of_its_gateway_are_created() {
    let fake = Fake::default();
    let mut writer = writer(&fake);
    let mut plan = plan();
    writer.apply(&plan).await;
    watch(&writer, &fake, &plan);
    writer.apply(&plan).await;
    fake.log();
    let filter = |name: &str| key("EnvoyFilter", "edge", name);
    for (name, spec) in [("mooring-web", json!({ "half": 1 })), ("mooring-web-1", json!({}))] {
        plan.objects
            .insert(filter(name), Arc::new(planned("EnvoyFilter", name, &spec)));
    }
    fake.fails("apply EnvoyFilter edge/mooring-web-1", Cause::Refused);
    for _ in 0..2 {
        let retry = writer.apply(&plan).await.retry;
        tokio::time::sleep(retry.unwrap()).await;
    }
    let log = fake.log();
    assert!(
        !log.contains(&"force EnvoyFilter edge/mooring-web".to_owned()),
        "{log:?}"
    );
    fake.0.lock().unwrap().failures.clear();
    for _ in 0..2 {
        let retry = writer.apply(&plan).await.retry;
        tokio::time::sleep(retry.unwrap_or_default()).await;
    }
    assert_eq!(
        fake.log(),
        [
            "get EnvoyFilter edge/mooring-web-1",
            "apply EnvoyFilter edge/mooring-web-1",
            "force EnvoyFilter edge/mooring-web"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn filters_stay_while_a_session_route_cannot_be_removed() {
    let (fake, mut writer, plan) = applied().await;
    fake.fails("delete HTTPRoute edge/mooring-web", Cause::Refused);
    let none = nothing();
    for _ in 0..10 {
        let applied = writer.apply(&none).await;
        watch(&writer, &fake, &plan);
        tokio::time::sleep(applied.retry.unwrap()).await;
    }
    let log = fake.log();
    assert!(log.contains(&"delete HTTPRoute edge/mooring-web".to_owned()), "{log:?}");
    assert!(
        !log.contains(&"delete EnvoyFilter edge/mooring-web".to_owned()),
        "{log:?}"
    );
    fake.0.lock().unwrap().failures.clear();
    tokio::time::sleep(Duration::from_secs(300)).await;
    writer.apply(&none).await;
    watch(&writer, &fake, &plan);
    writer.apply(&none).await;
    let removed = ["HTTPRoute", "EnvoyFilter"].map(|kind| format!("delete {kind} edge/mooring-web"));
    assert_eq!(fake.log(), removed);
}

#[tokio::test(start_paused = true)]
async fn a_writer_for_some_gateways_leaves_the_objects_of_others() {
    let (fake, mut writer, mut plan) = applied().await;
    assert_eq!(removals(&mut writer, &fake, Some("edge/other")).await, 0);
    assert_eq!(removals(&mut writer, &fake, None).await, plan.objects.len());

    plan.gateways = Some("edge/other".into());
    writer.apply(&plan).await;
    watch(&writer, &fake, &plan);
    fake.log();
    assert_eq!(removals(&mut writer, &fake, Some("edge/web")).await, 0);
    assert_eq!(
        removals(&mut writer, &fake, Some("edge/other")).await,
        plan.objects.len()
    );
}

/// How many objects are removed when the plan has none.
async fn removals(writer: &mut Writer<Fake>, fake: &Fake, gateways: Option<&str>) -> usize {
    let none = Plan {
        gateways: gateways.map(Arc::from),
        ..nothing()
    };
    writer.apply(&none).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    writer.apply(&none).await;
    fake.log().len()
}

#[tokio::test(start_paused = true)]
async fn the_object_of_another_writer_does_not_keep_filters() {
    let (fake, mut writer, _) = applied().await;
    {
        let mut live = writer.live.lock();
        let plugin = live
            .generated
            .get_mut(&key("WasmPlugin", "edge", "mooring-web"))
            .unwrap();
        Arc::make_mut(plugin).metadata.managed_fields = None;
    }
    let none = nothing();
    let retry = writer.apply(&none).await.retry;
    tokio::time::sleep(retry.unwrap()).await;
    writer.apply(&none).await;
    let removed = ["HTTPRoute", "EnvoyFilter"].map(|kind| format!("delete {kind} edge/mooring-web"));
    assert_eq!(fake.log(), removed);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_deleted_again_and_again_is_created_seldom() {
    let fake = Fake::default();
    let mut writer = writer(&fake);
    let plan = plan();
    let plugin = key("WasmPlugin", "edge", "mooring-web");
    let start = Instant::now();
    let mut created = 0;
    while start.elapsed() < Duration::from_secs(600) {
        let applied = writer.apply(&plan).await;
        watch(&writer, &fake, &plan);
        let wait = writer.apply(&plan).await.retry.or(applied.retry);
        created += fake
            .log()
            .iter()
            .filter(|line| **line == format!("apply {plugin}"))
            .count();
        fake.0.lock().unwrap().there.remove(&plugin.to_string());
        watch(&writer, &fake, &plan);
        tokio::time::sleep(wait.unwrap_or(Duration::from_secs(1))).await;
    }
    assert!((4..20).contains(&created), "{created} times in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_the_plan_changes_on_its_way_is_written_again() {
    let fake = Fake::default();
    let plugin = key("WasmPlugin", "edge", "mooring-web");
    fake.0
        .lock()
        .unwrap()
        .delays
        .insert(format!("apply {plugin}"), Duration::from_secs(3));
    let mut writer = writer(&fake);
    let mut plan = plan();
    writer.apply(&plan).await;
    let changed = planned("WasmPlugin", "mooring-web", &json!({ "priority": 7 }));
    plan.objects.insert(plugin.clone(), Arc::new(changed));
    fake.fails(&format!("force {plugin}"), Cause::Refused);
    let applied = writer.apply(&plan).await;
    assert!(!matches!(applied.state(&plugin), State::Applied), "{applied:?}");
    tokio::time::sleep(applied.retry.unwrap()).await;
    let applied = writer.apply(&plan).await;
    assert!(matches!(applied.state(&plugin), State::Refused { .. }), "{applied:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_object_does_not_hold_up_others_and_is_repeated_seldom() {
    let fake = Fake::default();
    fake.fails("apply HTTPRoute edge/mooring-web", Cause::Refused);
    let mut writer = writer(&fake);
    let plan = plan();
    let start = Instant::now();
    let mut requests = 0;
    while start.elapsed() < Duration::from_secs(600) {
        let applied = writer.apply(&plan).await;
        watch(&writer, &fake, &plan);
        requests += fake
            .log()
            .iter()
            .filter(|line| line.contains("apply HTTPRoute"))
            .count();
        tokio::time::sleep(applied.retry.unwrap()).await;
    }
    assert!((5..12).contains(&requests), "{requests} requests in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_collected_later() {
    let fake = Fake::default();
    let slow = "apply EnvoyFilter edge/mooring-web".to_owned();
    fake.0.lock().unwrap().delays.insert(slow, Duration::from_secs(14));
    let mut writer = writer(&fake);
    let plan = plan();
    let start = Instant::now();
    let mut applied = writer.apply(&plan).await;
    assert!(start.elapsed() <= PASS);
    while !applied.differing.is_empty() {
        tokio::time::sleep(applied.retry.unwrap()).await;
        applied = writer.apply(&plan).await;
    }
    assert_eq!(fake.log(), CREATED, "no request is sent twice");
}

#[tokio::test(start_paused = true)]
async fn requests_are_bounded() {
    let fake = Fake::default();
    let mut writer = writer(&fake);
    let objects = (0..200).map(|number| {
        let name = format!("mooring-{number}");
        let request = format!("apply HTTPRoute edge/{name}");
        fake.0.lock().unwrap().delays.insert(request, Duration::from_millis(10));
        (
            key("HTTPRoute", "edge", &name),
            Arc::new(planned("HTTPRoute", &name, &json!({}))),
        )
    });
    let plan = Plan {
        objects: objects.collect(),
        ..Plan::default()
    };
    let applied = writer.apply(&plan).await;
    assert!(applied.differing.is_empty());
    assert_eq!(fake.0.lock().unwrap().most, PARALLEL);
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_server_is_asked_seldom_and_again_soon_after() {
    let fake = Fake::default();
    let mut plan = plan();
    for number in 0..100 {
        let name = format!("mooring-{number}");
        fake.fails(&format!("get HTTPRoute edge/{name}"), Cause::Unreachable);
        plan.objects.insert(
            key("HTTPRoute", "edge", &name),
            Arc::new(planned("HTTPRoute", &name, &json!({}))),
        );
    }
    plan.objects.retain(|key, _| key.name() != "mooring-web");
    let mut writer = writer(&fake);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        let applied = writer.apply(&plan).await;
        tokio::time::sleep(applied.retry.unwrap()).await;
    }
    let requests = fake.log().len();
    assert!(requests < 1_500, "{requests} requests for 100 objects in a minute");
    fake.0.lock().unwrap().failures.clear();
    let start = Instant::now();
    loop {
        let applied = writer.apply(&plan).await;
        if applied.differing.is_empty() {
            break;
        }
        tokio::time::sleep(applied.retry.unwrap()).await;
    }
    assert!(start.elapsed() <= LONGEST_PAUSE, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_writes_nothing() {
    let fake = Fake::default();
    let options = Options {
        dry_run: true,
        ..Options::default()
    };
    let mut writer = Writer::new(fake.clone(), Live::default(), options);
    for _ in 0..2 {
        writer.apply(&plan()).await;
    }
    let previews = fake.log().iter().filter(|line| line.starts_with("preview ")).count();
    assert_eq!(previews, 3, "each difference is shown once");
    assert!(fake.0.lock().unwrap().there.is_empty());
}
