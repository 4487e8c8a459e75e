//! Campaigns against a stand-in for the API server. The clock is paused: it goes on only when every task waits, so neither the speed of
//! the machine nor a duration costs anything.

use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::time::sleep_until;

use super::*;
use crate::stand_in::{Server, failure};

/// How long the API server takes for each answer.
const ANSWERS: Duration = Duration::from_secs(1);
/// How long a replica may write after it began to renew: four sixths of the duration.
const TERM: Duration = Duration::from_secs(20);
/// Longer than any campaign of a test.
const LONG: Duration = Duration::from_secs(3_600);
const MOMENT: Duration = Duration::from_millis(1);

/// An API server with a Lease.
struct Rig {
    server: Server,
    stored: Arc<Mutex<Stored>>,
    metrics: Metrics,
}

#[derive(Default)]
struct Stored {
    /// Null: there is none.
    lease: Value,
    version: u32,
    /// Every answer is an error.
    fails: bool,
}

impl Stored {
    fn answer(&mut self, request: &str, body: &Value) -> (u16, Value) {
        let version = &self.lease["metadata"]["resourceVersion"];
        match request.split('/').next() {
            _ if self.fails => failure(500),
            Some("GET ") if self.lease.is_null() => failure(404),
            Some("GET ") => (200, self.lease.clone()),
            Some("POST ") if !self.lease.is_null() => failure(409),
            Some("PUT ") if body["metadata"]["resourceVersion"] != *version => failure(409),
            _ => {
                self.write(body.clone());
                (200, self.lease.clone())
            }
        }
    }

    fn write(&mut self, lease: Value) {
        self.version = self.version.saturating_add(1);
        self.lease = lease;
        self.lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }
}

impl Rig {
    fn new() -> Self {
        let stored = Arc::<Mutex<Stored>>::default();
        let answers = Arc::clone(&stored);
        let server = Server::new(move |request, body| answers.lock().unwrap().answer(request, body));
        server.answer_after(ANSWERS);
        let metrics = Metrics::new();
        Self {
            server,
            stored,
            metrics,
        }
    }

    /// Replica `a` takes part.
    fn start(&self) -> Campaign {
        let options = Options {
            lease_namespace: Some("mooring".to_owned()),
            lease_name: "mooring-controller".to_owned(),
            lease_duration: 30,
            replica: Some("a".to_owned()),
        };
        Campaign::start(&self.server.client(), &options, self.metrics.clone())
    }

    /// Replica `a` leads since this moment.
    async fn lead(&self) -> (Campaign, Permit) {
        let campaign = self.start();
        let mut permit = campaign.permit();
        assert!(is_granted(&mut permit, TERM).await);
        (campaign, permit)
    }

    /// A replica writes itself into the Lease.
    fn hold(&self, replica: &str) {
        let spec = json!({ "holderIdentity": replica, "leaseDurationSeconds": 30 });
        let lease = json!({ "metadata": { "name": "mooring-controller", "namespace": "mooring" }, "spec": spec });
        self.stored.lock().unwrap().write(lease);
    }

    fn holder(&self) -> Value {
        self.stored.lock().unwrap().lease["spec"]["holderIdentity"].clone()
    }

    fn metric(&self, name: &str) -> String {
        let text = self.metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().to_owned()
    }

    fn shows_leader(&self) -> bool {
        self.metric("mooring_controller_leader ") == "1"
    }

    fn errors(&self) -> String {
        self.metric("mooring_controller_errors_total{stage=\"lease\"}")
    }
}

async fn is_granted(permit: &mut Permit, within: Duration) -> bool {
    timeout(within, permit.granted()).await.is_ok()
}

/// Nothing is left of a campaign that has ended.
async fn assert_ended(rig: &Rig, permit: &mut Permit) {
    assert!(!permit.may_write());
    assert!(!rig.shows_leader());
    rig.server.asked();
    assert!(!is_granted(permit, LONG).await);
    assert_eq!(rig.server.asked(), [], "after its end");
}

#[tokio::test(start_paused = true)]
async fn a_holder_renews_and_stays() {
    let rig = Rig::new();
    let (_campaign, permit) = rig.lead().await;
    assert!(rig.shows_leader());
    for _ in 0..100 {
        sleep(ANSWERS).await;
        assert!(permit.may_write());
        assert_eq!(rig.holder(), "a");
    }
    let writes = rig
        .server
        .asked()
        .iter()
        .filter(|(request, _)| !request.starts_with("GET"))
        .count();
    // One in each 5 s and 2 s of answers, after the first.
    assert_eq!(writes, 1 + 100 / 7);
}

#[tokio::test(start_paused = true)]
async fn a_replica_waits_for_its_turn() {
    let rig = Rig::new();
    rig.hold("b");
    let campaign = rig.start();
    let mut permit = campaign.permit();
    // It counts from its first answer.
    assert!(!is_granted(&mut permit, ANSWERS + TERM).await);
    assert!(!permit.may_write());
    assert!(!rig.shows_leader());
    assert_eq!(rig.holder(), "b");

    rig.hold("");
    assert!(is_granted(&mut permit, RETRY + ANSWERS * 2).await);
    assert!(permit.may_write());
    assert!(rig.shows_leader());
    assert_eq!(rig.holder(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_replica_takes_over_from_one_that_no_longer_renews() {
    let rig = Rig::new();
    rig.hold("b");
    let campaign = rig.start();
    let mut permit = campaign.permit();
    let duration = Duration::from_secs(30);
    assert!(!is_granted(&mut permit, ANSWERS + duration).await);
    assert!(is_granted(&mut permit, RETRY + ANSWERS * 2).await);
    assert_eq!(rig.holder(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_was_overtaken_while_it_wrote_does_not_lead() {
    let rig = Rig::new();
    let campaign = rig.start();
    let mut permit = campaign.permit();
    // After it has read that there is no Lease.
    sleep(ANSWERS * 3 / 2).await;
    rig.hold("b");
    assert!(!is_granted(&mut permit, TERM).await);
    assert_eq!(rig.holder(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_does_not_wait() {
    assert!(is_granted(&mut Permit::DryRun, MOMENT).await);
}

#[tokio::test(start_paused = true)]
async fn a_term_counts_from_before_the_request() {
    let rig = Rig::new();
    let began = Instant::now();
    let (_campaign, permit) = rig.lead().await;
    assert_eq!(began.elapsed(), ANSWERS * 2, "it has read and written the Lease");
    rig.server.answer_after(LONG);
    sleep_until(began + TERM.saturating_sub(MOMENT)).await;
    assert!(permit.may_write());
    sleep_until(began + TERM).await;
    assert!(!permit.may_write());
}

#[tokio::test(start_paused = true)]
async fn a_campaign_ends_when_another_replica_holds_the_lease() {
    let rig = Rig::new();
    let (mut campaign, mut permit) = rig.lead().await;
    rig.hold("b");
    let ended = timeout(TERM / 2, campaign.ended()).await;
    assert!(matches!(ended, Ok(Ended::Lost)), "{ended:?}");
    assert_ended(&rig, &mut permit).await;
    assert_eq!(rig.holder(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_campaign_ends_when_the_lease_cannot_be_renewed() {
    // With an answer that is an error, and without any.
    for latency in [ANSWERS, LONG] {
        let rig = Rig::new();
        let (mut campaign, mut permit) = rig.lead().await;
        rig.stored.lock().unwrap().fails = true;
        rig.server.answer_after(latency);
        let ended = timeout(TERM + ATTEMPT + RETRY, campaign.ended()).await;
        assert!(matches!(ended, Ok(Ended::Lost)), "{latency:?} {ended:?}");
        assert_ended(&rig, &mut permit).await;
        assert_ne!(rig.errors(), "0", "{latency:?}");
        assert_eq!(rig.holder(), "a", "others take over when its duration is over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_stays_although_some_renewals_fail() {
    let rig = Rig::new();
    let (_campaign, permit) = rig.lead().await;
    rig.stored.lock().unwrap().fails = true;
    sleep(TERM / 2).await;
    rig.stored.lock().unwrap().fails = false;
    for _ in 0..100 {
        sleep(ANSWERS).await;
        assert!(permit.may_write());
    }
    assert!(rig.shows_leader());
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_released_when_release_returns() {
    let rig = Rig::new();
    let (campaign, mut permit) = rig.lead().await;
    let mut release = tokio::spawn(campaign.release());
    assert!(timeout(ANSWERS, &mut release).await.is_err(), "it awaits the answers");
    assert_eq!(rig.holder(), "a");
    assert!(!permit.may_write(), "another replica may write from now on");
    assert!(!rig.shows_leader());

    let released = release.await;
    assert!(matches!(released, Ok(Ended::Released)), "{released:?}");
    assert_eq!(rig.holder(), "");
    assert_ended(&rig, &mut permit).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_released_although_it_was_renewed_meanwhile() {
    let rig = Rig::new();
    let (campaign, _) = rig.lead().await;
    let release = tokio::spawn(campaign.release());
    // After it has read the Lease. The renewal was sent before, and arrives now.
    sleep(ANSWERS * 3 / 2).await;
    rig.hold("a");
    let released = release.await;
    assert!(matches!(released, Ok(Ended::Released)), "{released:?}");
    assert_eq!(rig.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_waits_leaves_the_lease_to_its_holder() {
    let rig = Rig::new();
    rig.hold("b");
    let campaign = rig.start();
    sleep(TERM).await;
    campaign.release().await;
    assert_eq!(rig.holder(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_release_does_not_wait_for_ever() {
    let rig = Rig::new();
    let (campaign, mut permit) = rig.lead().await;
    rig.server.answer_after(LONG);
    // While an attempt is under way.
    sleep(Duration::from_secs(6)).await;
    let began = Instant::now();
    campaign.release().await;
    assert_eq!(began.elapsed(), ATTEMPT);
    assert_ended(&rig, &mut permit).await;
}
