//! Clients that keep sending requests while a scenario changes the gateway, and the answers they got.
//!
//! Each client has a session, and a connection to each gateway that stays open. A failure is what a user would see: like a
//! browser, a client repeats a GET once when its connection was closed or refused, and then takes the next gateway, as with
//! several addresses for one name. A request without an answer after that, or with another answer than 200, has failed.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::Add,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    client::{Client, Failure},
    reply::Reply,
};

/// Many clients, and what they do.
#[derive(Clone, Copy, Debug)]
pub struct Clients {
    /// Their number.
    pub count: usize,
    /// The time from one request of a client to its next.
    pub pace: Duration,
    /// What each does with its token.
    pub behavior: Behavior,
}

/// What a client does with its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    /// Sends it back.
    Keeps,
    /// Sends none, so each request starts a session.
    Forgets,
    /// Sends it with one character changed.
    Tampers,
}

impl Clients {
    /// Clients that keep their session and send ten requests a second each.
    pub fn steady(count: usize) -> Self {
        Self {
            count,
            pace: Duration::from_millis(100),
            behavior: Behavior::Keeps,
        }
    }
}

/// What all clients saw, added up.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests sent, repetitions not counted.
    pub requests: u64,
    /// Requests that were not answered by 200: what they came to, and how often.
    pub failed: BTreeMap<String, u64>,
    /// Requests of clients that keep their session which another pod answered than the one before.
    pub moved: u64,
    /// Requests without a good token that got none.
    pub without_token: u64,
    /// Tokens that clients got.
    pub tokens: u64,
    /// Requests repeated because the connection was closed or refused.
    pub repeated: u64,
}

impl Tally {
    /// How many requests failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// No request failed and no session was lost, in at least so many requests.
    #[track_caller]
    pub fn unharmed(&self, at_least: u64) {
        assert!(
            self.failed.is_empty() && self.moved == 0 && self.without_token == 0,
            "{self:?}"
        );
        assert!(self.requests >= at_least, "{self:?}");
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        for (what, count) in other.failed {
            *self.failed.entry(what).or_default() += count;
        }
        Self {
            requests: self.requests + other.requests,
            failed: self.failed,
            moved: self.moved + other.moved,
            without_token: self.without_token + other.without_token,
            tokens: self.tokens + other.tokens,
            repeated: self.repeated + other.repeated,
        }
    }
}

/// Clients that are running.
pub struct Traffic {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

struct Shared {
    gateways: Mutex<Vec<SocketAddr>>,
    cookie: String,
    clients: Clients,
    stop: AtomicBool,
    tally: Mutex<Tally>,
    /// What each client sends next, and the pod that answered it last.
    seen: Mutex<BTreeMap<usize, Seen>>,
}

/// What a client has.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its session cookie, `name=value`.
    pub cookie: Option<String>,
    /// The pod that answered it last.
    pub pod: Option<String>,
}

struct Running {
    number: usize,
    shared: Arc<Shared>,
    /// Each request goes to the next gateway.
    turn: usize,
    connections: BTreeMap<SocketAddr, Client>,
    seen: Seen,
}

impl Traffic {
    /// Starts clients whose session is in this cookie; returns when each has its session.
    pub async fn start(gateways: &[SocketAddr], clients: Clients, cookie: &str) -> Self {
        let shared = Arc::new(Shared {
            gateways: Mutex::new(gateways.to_vec()),
            cookie: cookie.to_owned(),
            clients,
            stop: AtomicBool::new(false),
            tally: Mutex::default(),
            seen: Mutex::default(),
        });
        let mut all = JoinSet::new();
        for number in 0..clients.count {
            let mut client = Running {
                number,
                shared: Arc::clone(&shared),
                turn: number,
                connections: BTreeMap::new(),
                seen: Seen::default(),
            };
            client.send().await;
            assert!(
                client.seen.cookie.is_some(),
                "a client without a session: {:?}",
                shared.tally()
            );
            all.spawn(client.run());
        }
        Self { shared, clients: all }
    }

    /// The gateways that the load balancer in front knows from now on.
    pub fn route_to(&self, gateways: &[SocketAddr]) {
        *self.shared.gateways() = gateways.to_vec();
    }

    /// What each client has now.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen().values().cloned().collect()
    }

    /// What the clients have seen up to now.
    pub fn tally(&self) -> Tally {
        self.shared.tally().clone()
    }

    /// Waits until each client has sent `rounds` more requests or so.
    pub async fn goes_on(&self, rounds: u32) {
        let clients = u64::try_from(self.clients.len()).expect("a number of clients");
        let target = self.tally().requests + clients * u64::from(rounds);
        crate::wait::until("the clients go on", || async {
            (self.tally().requests >= target).then_some(())
        })
        .await;
    }

    /// Lets every client finish its request, and returns what all saw.
    pub async fn stop(self) -> Tally {
        self.shared.stop.store(true, Ordering::Relaxed);
        // A client that panicked has failed the test.
        self.clients.join_all().await;
        self.shared.tally().clone()
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<usize, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gateways(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    async fn run(mut self) {
        let mut pace = interval(self.shared.clients.pace);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.shared.stop.load(Ordering::Relaxed) {
            pace.tick().await;
            self.send().await;
        }
    }

    async fn send(&mut self) {
        let gateways = self.shared.gateways().clone();
        let mut order = gateways.iter().cycle().skip(self.turn % gateways.len());
        self.turn += 1;
        let first = order.next().expect("a gateway");
        let attempts = [first, first].into_iter().chain(order.take(gateways.len() - 1));
        let mut outcome = None;
        for (tries, gateway) in (0..).zip(attempts) {
            let attempt = self.attempt(*gateway).await;
            let answered = attempt.is_ok();
            outcome = Some((attempt, tries));
            if answered {
                break;
            }
        }
        let (outcome, repeated) = outcome.expect("at least one attempt");
        self.book(outcome, repeated);
    }

    async fn attempt(&mut self, gateway: SocketAddr) -> Result<Reply, Failure> {
        let client = self
            .connections
            .entry(gateway)
            .or_insert_with(|| Client::http1(gateway));
        let request = client.request("/");
        let cookie = self
            .seen
            .cookie
            .as_ref()
            .map(|cookie| match self.shared.clients.behavior {
                Behavior::Keeps | Behavior::Forgets => cookie.clone(),
                Behavior::Tampers => tampered(cookie),
            });
        match cookie.filter(|_| self.shared.clients.behavior != Behavior::Forgets) {
            Some(cookie) => request.cookie(cookie).attempt().await,
            None => request.attempt().await,
        }
    }

    fn book(&mut self, outcome: Result<Reply, Failure>, repeated: u64) {
        let mut tally = self.shared.tally();
        tally.requests += 1;
        tally.repeated += repeated;
        let failed = match &outcome {
            Ok(reply) => (reply.status() != 200).then(|| reply.status().to_string()),
            Err(failure) => Some(failure.to_string()),
        };
        if let Some(what) = failed {
            *tally.failed.entry(what).or_default() += 1;
        }
        let Some(reply) = outcome.ok().filter(|reply| reply.status() == 200) else {
            return;
        };
        let token = reply.set_cookie(&self.shared.cookie);
        let keeps = self.shared.clients.behavior == Behavior::Keeps;
        tally.tokens += u64::from(token.is_some());
        tally.without_token += u64::from(token.is_none() && !keeps);
        if let Some(token) = token {
            self.seen.cookie = Some(token.stripped().to_string());
        }
        let pod = reply.pod();
        if keeps && self.seen.pod.as_ref().is_some_and(|before| *before != pod) {
            tally.moved += 1;
        }
        self.seen.pod = Some(pod);
        drop(tally);
        self.shared.seen().insert(self.number, self.seen.clone());
    }
}

/// A cookie with one character of its sealed part changed.
fn tampered(cookie: &str) -> String {
    let position = cookie.len() - 20;
    let changed = |(at, character)| match character {
        'A' if at == position => 'B',
        _ if at == position => 'A',
        other => other,
    };
    cookie.chars().enumerate().map(changed).collect()
}
