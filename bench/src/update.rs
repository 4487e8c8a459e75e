//! What clients notice when a configuration of many routes is replaced under load.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use mooring_tests::{Bootstrap, Client, Envoy, Failure, Site, Update};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    machine::Processors,
    variant::{Recipe, Variant, path},
};

/// How many routes the configuration has.
const ROUTES: usize = 1_000;
/// How many clients send requests meanwhile.
const CLIENTS: usize = 8;

/// What clients noticed while a configuration of many routes was replaced again and again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Updates {
    pub(crate) routes: usize,
    /// How long each took until Envoy worked with it, in milliseconds.
    pub(crate) taken: Vec<f64>,
    pub(crate) requests: u64,
    /// Requests whose connection was closed before an answer, also on the second try.
    pub(crate) cut: u64,
    /// Answers that were not 200 from the session's pod.
    pub(crate) wrong: u64,
}

/// Replaces a configuration of 1,000 routes so many times while clients send requests.
pub(crate) async fn measure(pods: &[Ipv4Addr], processors: &Processors, times: usize) -> Result<Updates> {
    let site = Site::fresh();
    let recipe = Recipe {
        routes: ROUTES,
        ..Recipe::new(Variant::Mooring)
    };
    let first = recipe.bootstrap(site, pods)?;
    processors.to_envoy(1)?;
    let mut envoy = Envoy::builder().dynamic().start_on(site, first.clone()).await;
    processors.to_load()?;
    let (stop, stopped) = watch::channel(false);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let stopped = stopped.clone();
        let client = envoy.client();
        clients.spawn(async move { visit(&client, || *stopped.borrow()).await });
    }
    let mut taken = Vec::new();
    for number in 0..times {
        let next = changed(&first, number)?;
        let start = Instant::now();
        ensure!(
            envoy.apply_bootstrap(next).await == Update::Taken,
            "an update was refused"
        );
        taken.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    stop.send(true)?;
    let counts = clients.join_all().await;
    Ok(Updates {
        routes: ROUTES,
        taken,
        requests: counts.iter().map(|count| count.requests).sum(),
        cut: counts.iter().map(|count| count.cut).sum(),
        wrong: counts.iter().map(|count| count.wrong).sum(),
    })
}

/// The same routes with another idle timeout.
fn changed(first: &Bootstrap, number: usize) -> Result<Bootstrap> {
    let mut next = first.clone();
    let module = next.module();
    let configuration = module.read_configuration();
    let other = configuration.replace("\"10m\"", &format!("\"{}m\"", 11 + number));
    ensure!(other != configuration, "no idle timeout of ten minutes to change");
    module.configuration(&other);
    Ok(next)
}

/// What one client saw.
#[derive(Default)]
struct Count {
    requests: u64,
    cut: u64,
    wrong: u64,
}

/// One client with its session.
async fn visit(client: &Client, stopped: impl Fn() -> bool) -> Count {
    let target = path(ROUTES);
    let begin = client.get(&target).await.ok();
    let pair = begin.header("set-cookie").unwrap_or_default();
    let pair = pair.split(|&byte| byte == b';').next().unwrap_or_default();
    let request = client.request(&target).cookie(pair);
    let mut count = Count::default();
    while !stopped() {
        let reply = match request.attempt().await {
            // Envoy closed the connection as the request went out: clients send it again.
            Err(Failure::Broken(error)) if error.is_canceled() || error.is_closed() => request.attempt().await,
            reply => reply,
        };
        count.requests += 1;
        match reply {
            Ok(reply) if reply.status() == 200 && reply.body() == begin.body() => {}
            Ok(_) => count.wrong += 1,
            Err(_) => count.cut += 1,
        }
    }
    count
}
