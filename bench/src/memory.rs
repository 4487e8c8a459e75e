//! How a configuration weighs on Envoy: how long the module takes to accept it, and how much memory it takes for each worker.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Result;
use mooring_tests::{Bootstrap, Envoy, Site, wait};

use crate::{
    Found,
    gateway::{Gateway, Kind},
    load::Load,
    machine::Processors,
    statistics::{median, quartiles},
    variant::{Setup, Variant},
};

pub(crate) const MIB: f64 = 1024.0 * 1024.0;
/// How many rules there are.
const SIZES: [usize; 2] = [1, 1_000];
/// The numbers of workers whose difference shows what one worker takes.
const WORKERS: (u32, u32) = (1, 3);

/// Measures all sizes, each of them so many times.
pub(crate) async fn measure(pods: &[Ipv4Addr], processors: &Processors, times: usize) -> Result<Found> {
    let mut text = String::new();
    let mut envoy = None;
    for routes in SIZES {
        eprintln!("  {routes} rules");
        let setup = |variant| Setup::gateway(variant, routes);
        let (empty, mooring) = (setup(Variant::Empty), setup(Variant::Mooring));
        // Generated once; each Envoy is gone when the next one starts.
        let site = Site::fresh();
        let generated = mooring.generate(site, pods);
        let mut accepted = Vec::new();
        for _ in 0..times {
            accepted.extend(accept(site, &generated, processors).await?);
        }
        let (low, middle, high) = quartiles(accepted);
        let empty = memory(empty, site, &generated, processors, times, &mut envoy).await?;
        let with = memory(mooring, site, &generated, processors, times, &mut envoy).await?;
        text += &format!(
            "- Rules: {routes}. Plugin configuration {:.0} KB, accepted in {middle:.1} ms ({low:.1} to {high:.1}). Resident {:.1} MiB, \
             with an empty module {:.1}; for each further worker {:.2} MiB, with an empty module {:.2}.\n",
            generated.clone().module().read_configuration().len() as f64 / 1000.0,
            with.0 / MIB,
            empty.0 / MIB,
            with.1 / MIB,
            empty.1 / MIB,
        );
    }
    Ok(Found { envoy, text })
}

/// Resident memory with one worker, and what each further worker adds.
async fn memory(
    setup: Setup,
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
            let bootstrap = setup.shape(generated.clone())?;
            let gateway = Gateway::start(setup, workers, site, bootstrap, processors).await?;
            // After some requests, so that each worker has what it needs for them.
            let load = Load {
                request: Kind::Live.request(setup),
                keep: false,
                duration: Duration::from_millis(300),
            };
            gateway.run(&load, Kind::Live).await?;
            *resident = gateway.resident_bytes() as f64;
            *envoy = Some(gateway.version().await);
        }
        let [with_few, with_many] = resident;
        alone.push(with_few);
        added.push((with_many - with_few) / f64::from(many - few));
    }
    Ok((median(alone), median(added)))
}

/// Starts an Envoy and reads in its trace how long the module took, in milliseconds, in each of its virtual machines.
async fn accept(site: Site, generated: &Bootstrap, processors: &Processors) -> Result<Vec<f64>> {
    // One tries the configuration, one belongs to the main thread, one to the worker.
    const MACHINES: usize = 3;
    processors.to_envoy(1)?;
    let trace = [
        "--log-level",
        "error",
        "--component-log-level",
        "wasm:trace",
        "--log-format",
        "%E %F %t %v",
    ];
    let envoy = Envoy::builder().log(&trace).start_on(site, generated.clone()).await;
    processors.to_load()?;
    let times = wait::until("the module has accepted its configuration", || async {
        let times = read_trace(&envoy.log());
        (times.len() >= MACHINES).then_some(times)
    })
    .await;
    Ok(times)
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
