//! The load: users who each keep a cookie of their own and send the next request when they have the answer to the last.
//!
//! wrk and h2load send one header set on all connections, and their users would share one session. [`mooring_tests::Traffic`]
//! sends at a pace and tries again elsewhere; here a failure ends the run.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use tokio::{task::JoinSet, time::Instant};

use crate::user::{Request, User};

/// How many users send requests at the same time.
pub(crate) const USERS: usize = 32;

/// What the users do.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) request: Request,
    /// Each user keeps its session and must stay on its pod.
    pub(crate) keep: bool,
    pub(crate) duration: Duration,
}

/// Users that are connected and have their sessions.
pub(crate) async fn users(address: SocketAddr, load: &Load) -> Result<Vec<User>> {
    let mut users = Vec::new();
    for _ in 0..USERS {
        users.push(User::start(address, &load.request, load.keep).await?);
    }
    Ok(users)
}

/// Lets the users send requests, and counts them.
pub(crate) async fn run(users: Vec<User>, load: &Load) -> Result<u64> {
    let end = Instant::now() + load.duration;
    let mut tasks = JoinSet::new();
    for user in users {
        tasks.spawn(async move {
            let mut answered = 0;
            while Instant::now() < end {
                user.send().await?;
                answered += 1;
            }
            Ok(answered)
        });
    }
    let answered: Result<Vec<u64>> = tasks.join_all().await.into_iter().collect();
    let answered = answered?.iter().sum();
    ensure!(answered > 0, "no request was answered");
    Ok(answered)
}
