//! How a configuration of many routes weighs on Envoy: how long the module takes to accept it, and how much memory it
//! takes for each worker.

use std::{
    fs::File,
    net::Ipv4Addr,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Result, ensure};
use mooring_tests::{Bootstrap, Site, keys, settings};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::{
    figures::median,
    gateway::{Gateway, Kind},
    load::Load,
    machine::Processors,
    user::{HOSTNAME, Protocol, Request},
    variant::{Recipe, Variant, path},
};

/// How many routes there are.
const SIZES: [usize; 4] = [1, 100, 1_000, 10_000];
/// The numbers of workers whose difference shows what one worker takes.
const WORKERS: (u32, u32) = (1, 3);
/// How long a configuration may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The figures of one size.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Size {
    pub(crate) routes: usize,
    /// The plugin configuration, in bytes.
    pub(crate) configuration: usize,
    /// How long the module took to accept it, in milliseconds, in each virtual machine.
    pub(crate) accepted: Vec<f64>,
    /// Resident memory of an Envoy with one worker, in bytes: with the empty module, and with Mooring.
    pub(crate) resident: (f64, f64),
    /// What each further worker adds, in bytes: with the empty module, and with Mooring.
    pub(crate) per_worker: (f64, f64),
}

/// Measures all sizes up to `largest`, each of them so many times.
pub(crate) async fn measure(
    pods: &[Ipv4Addr],
    processors: &Processors,
    largest: usize,
    times: usize,
) -> Result<Vec<Size>> {
    let mut sizes = Vec::new();
    for routes in SIZES.into_iter().filter(|&size| size <= largest) {
        eprintln!("  {routes} routes");
        let recipe = |variant| Recipe {
            routes,
            ..Recipe::new(variant)
        };
        let (empty, mooring) = (recipe(Variant::Empty), recipe(Variant::Mooring));
        // Generated once; each Envoy is gone when the next one starts.
        let site = Site::fresh();
        let generated = mooring.generate(site, pods);
        let mut accepted = Vec::new();
        for _ in 0..times {
            accepted.extend(accept(&generated, processors).await?);
        }
        let empty = memory(&empty, site, &generated, processors, times).await?;
        let with = memory(&mooring, site, &generated, processors, times).await?;
        sizes.push(Size {
            routes,
            configuration: generated.clone().module().read_configuration().len(),
            accepted,
            resident: (empty.0, with.0),
            per_worker: (empty.1, with.1),
        });
    }
    Ok(sizes)
}

/// Resident memory with one worker, and what each further worker adds.
async fn memory(
    recipe: &Recipe,
    site: Site,
    generated: &Bootstrap,
    processors: &Processors,
    times: usize,
) -> Result<(f64, f64)> {
    let (few, many) = WORKERS;
    let mut alone = Vec::new();
    let mut added = Vec::new();
    for _ in 0..times {
        let with_few = resident(recipe, few, site, generated, processors).await?;
        let with_many = resident(recipe, many, site, generated, processors).await?;
        alone.push(with_few);
        added.push((with_many - with_few) / f64::from(many - few));
    }
    Ok((median(alone), median(added)))
}

/// After some requests, so that each worker has what it needs for them.
async fn resident(
    recipe: &Recipe,
    workers: u32,
    site: Site,
    generated: &Bootstrap,
    processors: &Processors,
) -> Result<f64> {
    let bootstrap = recipe.shape(generated.clone())?;
    let title = recipe.variant.title();
    let gateway = Gateway::start_on(title, recipe.variant, workers, site, bootstrap, processors).await?;
    let load = Load {
        protocol: Protocol::Http1,
        request: Request {
            host: HOSTNAME,
            path: path(recipe.routes),
            cookies: String::new(),
        },
        pinned: false,
        rate: None,
        duration: Duration::from_millis(300),
    };
    gateway.run(&load, Kind::Live).await?;
    Ok(gateway.resident_bytes()? as f64)
}

/// Starts an Envoy and reads in its trace how long the module took, in milliseconds, in each of its virtual machines.
async fn accept(generated: &Bootstrap, processors: &Processors) -> Result<Vec<f64>> {
    // One is tried out, one belongs to the main thread, one to the worker.
    const MACHINES: usize = 3;
    let directory = tempfile::tempdir()?;
    let config = directory.path().join("bootstrap.json");
    let log = directory.path().join("envoy.log");
    std::fs::write(&config, generated.json().to_string())?;
    let output = File::create(&log)?;
    processors.to_envoy(1)?;
    let child = settings::envoy_command()
        .arg("-c")
        .arg(&config)
        .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"])
        .args(["--component-log-level", "wasm:trace", "--log-format", "%E %F %t %v"])
        .env("MOORING_KEYS", keys::key(1))
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    let _running = Ending(child);
    processors.to_load()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let times = read_trace(&std::fs::read_to_string(&log)?);
        if times.len() >= MACHINES {
            return Ok(times);
        }
        ensure!(
            Instant::now() < deadline,
            "the module has accepted nothing within {PATIENCE:?}"
        );
        sleep(Duration::from_millis(50)).await;
    }
}

/// The times between the call that configures the module and its return, in milliseconds.
fn read_trace(log: &str) -> Vec<f64> {
    let mut times = Vec::new();
    let mut called = None;
    for line in log.lines() {
        let mut words = line.split_whitespace();
        let (Some(Ok(seconds)), Some(Ok(nanoseconds))) =
            (words.next().map(str::parse::<u64>), words.next().map(str::parse::<u64>))
        else {
            continue;
        };
        let at = Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds);
        if line.contains("[host->vm] proxy_on_configure(") {
            called = Some(at);
        } else if line.contains("[host<-vm] proxy_on_configure return: 1")
            && let Some(called) = called.take()
        {
            times.push(at.saturating_sub(called).as_secs_f64() * 1000.0);
        }
    }
    times
}

/// A child process that ends with its owner.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}
