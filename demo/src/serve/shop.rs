//! The gateway, its pods and its visitors, and what the page can do with them.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Mutex as Guarded, MutexGuard, PoisonError},
};

use mooring_tests::{
    Bootstrap, Canary, Client, Envoy, Manifests, Persistence, Pod, Route, Rule, Service, Site, Source, Stats, Update,
    keys,
};
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    board::{Board, Counters, PodTile, Timeouts},
    decisions::{FLUSH, Log},
    tally::{Switch, Tally},
    visit::Answer,
    visitor::{COOKIE, Seal, TESTER, Visitor},
};

/// The versions with the number of their pods.
const VERSIONS: [(&str, usize); 2] = [("v1", 3), ("v2", 2)];
/// The visitors with buttons on the page.
const VISITORS: [&str; 2] = ["a", "b"];
/// The weights at the start.
const WEIGHTS: [u32; 2] = [90, 10];

/// All of it.
pub struct Shop {
    gateway: SocketAddr,
    admin: SocketAddr,
    seal: Seal,
    envoy: Mutex<Envoy>,
    pods: Mutex<Vec<Pod>>,
    log: Guarded<Log>,
    visitors: Vec<Mutex<Visitor>>,
    crowd: Switch,
    board: Guarded<Board>,
}

/// A request of the page that cannot be done, for its status line.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("there is no visitor {0}")]
    Visitor(String),
    #[error("there is no pod {0}")]
    Pod(String),
    #[error("the weights are {0} and {1}: each is 0 to 100, and one of them is above 0")]
    Weights(u32, u32),
    #[error("Envoy refused the configuration")]
    Configuration,
}

impl Shop {
    /// Starts Envoy and the pods.
    pub async fn open(timeouts: Timeouts) -> Self {
        let mut pods = Vec::new();
        for (version, count) in VERSIONS {
            for number in 1..=count {
                pods.push(Pod::start_version(&format!("store-{version}-{number}"), version).await);
            }
        }
        let manifests = manifests(&pods, WEIGHTS, timeouts);
        let site = Site::fresh();
        let mut bootstrap = manifests.generate(site).bootstrap();
        let seal = Seal::new(&keys::key(1), &rule_id(&mut bootstrap));
        let log = Log::new();
        let envoy = Envoy::builder()
            .dynamic()
            // Envoy notices a pod that ends, although no Kubernetes tells it.
            .edit(Bootstrap::check_health)
            .edit(log.edit())
            .log(&["--log-level", "warning", "--file-flush-interval-msec", FLUSH])
            .start_on(site, bootstrap)
            .await;
        let visitors = VISITORS.map(|id| Visitor::new(id, envoy.client()));
        let board = Board {
            envoy: envoy.version().await,
            gateway: envoy.address().to_string(),
            now: 0.0,
            weights: WEIGHTS,
            configurations: 1,
            busy: false,
            timeouts,
            visitors: visitors.iter().map(|visitor| visitor.seen(&seal)).collect(),
            pods: pods.iter().map(tile).collect(),
            crowd: Tally::default(),
            counters: Counters::default(),
            decisions: VecDeque::new(),
            latest: BTreeMap::new(),
            manifests: shown(&manifests),
        };
        Self {
            gateway: envoy.address(),
            admin: envoy.admin(),
            seal,
            envoy: Mutex::new(envoy),
            pods: Mutex::new(pods),
            log: Guarded::new(log),
            visitors: visitors.map(Mutex::new).into(),
            crowd: Switch::new(true),
            board: Guarded::new(board),
        }
    }

    /// Where the gateway listens.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// Where Envoy's admin interface listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Whether there is a crowd.
    pub fn crowd(&self) -> &Switch {
        &self.crowd
    }

    /// What the page shows.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the figures of Envoy and the pods.
    pub async fn refresh(&self) {
        // Envoy and the pods are locked while they change. The next round reads them then.
        let stats = match self.envoy.try_lock() {
            Ok(envoy) => Some(envoy.stats().await),
            Err(_) => None,
        };
        let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner).read();
        let counts: Option<Vec<usize>> = match self.pods.try_lock() {
            Ok(pods) => Some(pods.iter().map(Pod::count).collect()),
            Err(_) => None,
        };
        let mut board = self.board();
        if let Some(stats) = stats {
            board.counters = counters(&stats);
        }
        for (tile, count) in board.pods.iter_mut().zip(counts.into_iter().flatten()) {
            tile.requests = tile.requests.saturating_add(count);
        }
        let name = |address: &String| board.pod_at(address).map_or_else(|| address.clone(), ToOwned::to_owned);
        let lines = lines.into_iter().map(|mut line| {
            line.host = line.host.as_ref().map(name);
            line
        });
        let lines = lines.collect();
        board.decided(lines);
        board.crowd.on = self.crowd.is_on();
    }

    /// Sends requests of a visitor, one after another.
    pub async fn visit(&self, id: &str, times: u32) -> Result<Vec<Answer>, Refusal> {
        let mut answers = Vec::new();
        for _ in 0..times {
            let mut visitor = self.visitor(id)?.lock().await;
            answers.push(visitor.visit().await);
            self.show(&visitor);
        }
        Ok(answers)
    }

    /// Lets a visitor ask for the canary, or no longer.
    pub async fn set_tester(&self, id: &str, tester: bool) -> Result<(), Refusal> {
        let mut visitor = self.visitor(id)?.lock().await;
        visitor.set_tester(tester);
        self.show(&visitor);
        Ok(())
    }

    /// Empties the cookie jar of a visitor.
    pub async fn forget(&self, id: &str) -> Result<(), Refusal> {
        let mut visitor = self.visitor(id)?.lock().await;
        visitor.forget(Client::http1(self.gateway));
        self.show(&visitor);
        Ok(())
    }

    /// Generates with these weights, and gives the running Envoy what is new.
    pub async fn set_weights(&self, weights: [u32; 2]) -> Result<(), Refusal> {
        let [first, second] = weights;
        if first.max(second) > 100 || first.max(second) == 0 {
            return Err(Refusal::Weights(first, second));
        }
        let mut envoy = self.envoy.lock().await;
        let timeouts = self.board().timeouts;
        let manifests = manifests(&self.pods.lock().await, weights, timeouts);
        self.board().busy = true;
        let update = envoy.apply(&manifests).await;
        let mut board = self.board();
        board.busy = false;
        if update == Update::Rejected {
            return Err(Refusal::Configuration);
        }
        board.weights = weights;
        board.manifests = shown(&manifests);
        board.configurations = board.configurations.saturating_add(1);
        board.crowd.weights_changed();
        Ok(())
    }

    /// Ends a pod, or lets it come back.
    pub async fn set_running(&self, name: &str, running: bool) -> Result<(), Refusal> {
        let mut pods = self.pods.lock().await;
        let pod = pods.iter_mut().find(|pod| pod.name() == name);
        let pod = pod.ok_or_else(|| Refusal::Pod(name.to_owned()))?;
        match running {
            true if !pod.is_running() => pod.resume().await,
            true => {}
            false => pod.stop().await,
        }
        let mut board = self.board();
        if let Some(tile) = board.pods.iter_mut().find(|tile| tile.name == name) {
            tile.running = running;
        }
        Ok(())
    }

    fn visitor(&self, id: &str) -> Result<&Mutex<Visitor>, Refusal> {
        let position = VISITORS.iter().position(|known| *known == id);
        let visitor = position.and_then(|position| self.visitors.get(position));
        visitor.ok_or_else(|| Refusal::Visitor(id.to_owned()))
    }

    fn show(&self, visitor: &Visitor) {
        let seen = visitor.seen(&self.seal);
        let mut board = self.board();
        if let Some(visit) = board.visitors.iter_mut().find(|visit| visit.id == seen.id) {
            *visit = seen;
        }
    }
}

/// What a user would write.
fn manifests(pods: &[Pod], [first, second]: [u32; 2], timeouts: Timeouts) -> Manifests {
    let persistence = Persistence::cookie(COOKIE)
        .absolute(&format!("{}s", timeouts.absolute))
        .idle(&format!("{}s", timeouts.idle));
    let rule = Rule::split(&[("store-v1", first), ("store-v2", second)]).persistence(persistence);
    let of = |version: &'static str| pods.iter().filter(move |pod| pod.version() == version).map(Pod::ip);
    Manifests::new()
        .service(&Service::at("store-v1", of("v1")))
        .service(&Service::at("store-v2", of("v2")))
        .route(&Route::new("store").rule(rule))
        .canary(&Canary::on("store").opt_in("tester", "store-v2", Source::Header(TESTER)))
        .flag("--access-log")
}

/// The documents that say something about sessions and weights.
fn shown(manifests: &Manifests) -> String {
    let text = manifests.text();
    let kinds = ["\nkind: HTTPRoute\n", "\nkind: CanaryPolicy\n"];
    let documents = text.split("---\n");
    let shown = documents.filter(|document| kinds.iter().any(|kind| document.contains(kind)));
    shown.collect::<Vec<_>>().join("---\n")
}

/// The id of the one rule, to which its tokens are bound.
fn rule_id(bootstrap: &mut Bootstrap) -> String {
    let configuration = bootstrap.module().read_configuration();
    let configuration: Value = serde_json::from_str(&configuration).expect("the module's configuration is JSON");
    let id = configuration.pointer("/rules/0/id").and_then(Value::as_str);
    id.expect("the configuration has a rule").to_owned()
}

fn tile(pod: &Pod) -> PodTile {
    PodTile {
        name: pod.name().to_owned(),
        version: pod.version().to_owned(),
        address: pod.socket().to_string(),
        running: pod.is_running(),
        requests: 0,
    }
}

fn counters(stats: &Stats) -> Counters {
    let count = |name: &str| stats.mooring(&format!("mooring_session_{name}_total"));
    Counters {
        new: count("new"),
        resumed: count("resumed"),
        refreshed: count("refreshed"),
        moved: count("moved"),
        expired_idle: count("expired_idle"),
        expired_absolute: count("expired_absolute"),
    }
}
