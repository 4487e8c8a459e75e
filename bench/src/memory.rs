//! How a configuration weighs on Envoy: how long the module takes to accept it, and how much memory it takes for each worker.

use std::{
    fs::File,
    net::Ipv4Addr,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Result, ensure};
use mooring_tests::{Bootstrap, Site, keys, settings};
use tokio::time::{Instant, sleep};

use crate::{
    Found,
    gateway::{Gateway, Kind},
    load::Load,
    machine::Processors,
    statistics::{median, quartiles},
    variant::{Recipe, Variant},
};

const MIB: f64 = 1024.0 * 1024.0;
/// How many rules there are.
const SIZES: [usize; 2] = [1, 1_000];
/// The numbers of workers whose difference shows what one worker takes.
const WORKERS: (u32, u32) = (1, 3);
/// How long a configuration may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures all sizes, each of them so many times.
pub(crate) async fn measure(pods: &[Ipv4Addr], processors: &Processors, times: usize) -> Result<Found> {
    let mut text = "| rules | plugin configuration KB | accepted in ms | resident MiB, empty module | Mooring | MiB for each worker, empty module | Mooring |\n\
         |---|---|---|---|---|---|---|\n"
        .to_owned();
    let mut envoy = None;
    for routes in SIZES {
        eprintln!("  {routes} rules");
        let recipe = |variant| Recipe { variant, routes };
        let (empty, mooring) = (recipe(Variant::Empty), recipe(Variant::Mooring));
        // Generated once; each Envoy is gone when the next one starts.
        let site = Site::fresh();
        let generated = mooring.generate(site, pods);
        let mut accepted = Vec::new();
        for _ in 0..times {
            accepted.extend(accept(&generated, processors).await?);
        }
        let (low, middle, high) = quartiles(accepted);
        let empty = memory(&empty, site, &generated, processors, times, &mut envoy).await?;
        let with = memory(&mooring, site, &generated, processors, times, &mut envoy).await?;
        text += &format!(
            "| {routes} | {:.0} | {middle:.1} ({low:.1} to {high:.1}) | {:.1} | {:.1} | {:.2} | {:.2} |\n",
            generated.clone().module().read_configuration().len() as f64 / 1000.0,
            empty.0 / MIB,
            with.0 / MIB,
            empty.1 / MIB,
            with.1 / MIB,
        );
    }
    Ok(Found { envoy, text })
}

/// Resident memory with one worker, and what each further worker adds.
async fn memory(
    recipe: &Recipe,
    site: Site,
    generated: &Bootstrap,
    processors: &Processors,
    times: usize,
    envoy: &mut Option<String>,
) -> Result<(f64, f64)> {
    let (few, many) = WORKERS;
    let mut alone = Vec::new();
    let mut added = Vec::new();
    for _ in 0..times {
        let mut resident = [0.0; 2];
        for (resident, workers) in resident.iter_mut().zip([few, many]) {
            let bootstrap = recipe.shape(generated.clone())?;
            let gateway = Gateway::start(recipe.variant, workers, site, bootstrap, processors).await?;
            // After some requests, so that each worker has what it needs for them.
            let load = Load {
                request: Kind::Live.request(recipe.routes),
                pinned: false,
                duration: Duration::from_millis(300),
            };
            gateway.run(&load, Kind::Live).await?;
            *resident = gateway.resident_bytes()? as f64;
            *envoy = Some(gateway.version().await?);
        }
        let [with_few, with_many] = resident;
        alone.push(with_few);
        added.push((with_many - with_few) / f64::from(many - few));
    }
    Ok((median(alone), median(added)))
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
