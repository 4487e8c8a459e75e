//! The load: users who each keep a cookie of their own, in a closed loop or at a given rate.
//!
//! wrk and h2load send one header set on all connections, so that all of their users would share one session. Here each
//! user has the cookie that it was given, over HTTP/1.1, HTTP/2 or TLS, and checks every answer.

use std::{cell::RefCell, collections::VecDeque, fs::File, io::Read as _, rc::Rc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use tokio::{io::unix::AsyncFd, sync::Notify, task::JoinSet, time::Instant};

use crate::user::{Protocol, Request, User};

/// How many users send requests at the same time.
pub(crate) const USERS: usize = 32;
/// How many of them share a connection of HTTP/2.
const STREAMS: usize = 4;

/// What the users do.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) protocol: Protocol,
    pub(crate) request: Request,
    /// Each user keeps its session and must stay on its pod.
    pub(crate) pinned: bool,
    /// In requests a second; none: each user sends its next request when it has the answer to the last.
    pub(crate) rate: Option<f64>,
    pub(crate) duration: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) elapsed: Duration,
    /// Of each request, in nanoseconds, in ascending order. At a given rate from when it was due, so that a request
    /// that had to wait for its turn counts with its wait.
    pub(crate) latencies: Vec<u64>,
}

impl Done {
    /// How many requests were answered.
    pub(crate) fn requests(&self) -> u64 {
        self.latencies.len().try_into().unwrap_or(u64::MAX)
    }

    /// The latency that this share of the requests did not exceed, in microseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let position = (last as f64 * share).round() as usize;
        self.latencies.get(position).map_or(f64::NAN, |&ns| ns as f64 / 1000.0)
    }
}

/// Users that are connected and have their sessions.
pub(crate) async fn users(address: std::net::SocketAddr, load: &Load) -> Result<Vec<User>> {
    let mut users = Vec::new();
    while users.len() < USERS {
        let user = User::connect(address, load.protocol).await?;
        users.extend((1..STREAMS).map_while(|_| user.beside()));
        users.push(user);
    }
    for user in &mut users {
        user.begin(&load.request, load.pinned).await?;
    }
    Ok(users)
}

/// Lets the users send requests.
pub(crate) async fn run(users: Vec<User>, load: &Load) -> Result<Done> {
    let start = Instant::now();
    let end = start + load.duration;
    let local = tokio::task::LocalSet::new();
    let latencies = match load.rate {
        None => local.run_until(in_a_loop(users, end)).await?,
        Some(rate) => local.run_until(at_a_rate(users, start, end, rate)).await?,
    };
    let elapsed = start.elapsed();
    let mut latencies: Vec<u64> = latencies.into_iter().flatten().collect();
    ensure!(!latencies.is_empty(), "no request was answered");
    latencies.sort_unstable();
    Ok(Done { elapsed, latencies })
}

async fn in_a_loop(users: Vec<User>, end: Instant) -> Result<Vec<Vec<u64>>> {
    let mut tasks = JoinSet::new();
    for mut user in users {
        tasks.spawn_local(async move {
            let mut latencies = Vec::new();
            let mut sent = Instant::now();
            while sent < end {
                user.visit().await?;
                let now = Instant::now();
                latencies.push(nanoseconds(now - sent));
                sent = now;
            }
            Ok(latencies)
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// Requests that are due and have not found a user yet.
#[derive(Default)]
struct Queue {
    due: RefCell<VecDeque<Option<Instant>>>,
    grown: Notify,
}

impl Queue {
    fn push(&self, due: Option<Instant>) {
        self.due.borrow_mut().push_back(due);
        self.grown.notify_one();
    }

    /// The next one; none when no more will come.
    async fn next(&self) -> Option<Instant> {
        loop {
            if let Some(due) = self.due.borrow_mut().pop_front() {
                return due;
            }
            self.grown.notified().await;
        }
    }
}

async fn at_a_rate(users: Vec<User>, start: Instant, end: Instant, rate: f64) -> Result<Vec<Vec<u64>>> {
    let queue = Rc::new(Queue::default());
    let count = users.len();
    let mut tasks = JoinSet::new();
    for mut user in users {
        let queue = Rc::clone(&queue);
        tasks.spawn_local(async move {
            let mut latencies = Vec::new();
            while let Some(due) = queue.next().await {
                user.visit().await?;
                latencies.push(nanoseconds(due.elapsed()));
            }
            Ok(latencies)
        });
    }
    let interval = Duration::from_secs_f64(1.0 / rate);
    let ticks = ticks(interval)?;
    let mut due = start;
    while due < end {
        for _ in 0..expirations(&ticks).await? {
            due += interval;
            queue.push(Some(due));
        }
    }
    for _ in 0..count {
        queue.push(None);
    }
    tasks.join_all().await.into_iter().collect()
}

/// A timer of the kernel: those of the runtime are whole milliseconds.
fn ticks(interval: Duration) -> Result<AsyncFd<File>> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
    timer.set(
        Expiration::Interval(TimeSpec::from_duration(interval)),
        TimerSetTimeFlags::empty(),
    )?;
    let file = File::from(std::os::fd::OwnedFd::from(timer));
    #[expect(
        deprecated,
        reason = "its successor is unsafe; this file is owned, and nothing else closes it"
    )]
    AsyncFd::new(file).context("a timer")
}

/// How often the timer went off since it was last asked; at least once.
async fn expirations(timer: &AsyncFd<File>) -> Result<u64> {
    loop {
        let mut ready = timer.readable().await?;
        let mut count = [0; 8];
        if let Ok(read) = ready.try_io(|timer| timer.get_ref().read(&mut count)) {
            read?;
            return Ok(u64::from_ne_bytes(count));
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}
