//! What the module takes in every sidecar that loads it: memory, against the same sidecar without Mooring.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Result;
use mooring_tests::Site;

use crate::{
    Found,
    gateway::{Gateway, Kind},
    load::Load,
    machine::Processors,
    memory::MIB,
    statistics::{extremes, median},
    variant::{Setup, Variant},
};

/// How many rules a sidecar has, each for a Service of its own.
const RULES: [usize; 3] = [1, 10, 100];
/// How many workers. Two are the default of a sidecar.
const WORKERS: [u32; 2] = [1, 2];

/// What was measured once for each start of an Envoy, in MiB.
#[derive(Default)]
struct Memory {
    resident: Vec<f64>,
    private: Vec<f64>,
    allocated: Vec<f64>,
}

/// Measures all of them, each so many times.
pub(crate) async fn measure(pods: &[Ipv4Addr], processors: &Processors, times: usize) -> Result<Found> {
    let mut text = format!(
        "In MiB after requests: the median of {times} starts, and the least and the greatest.\n\n\
         | rules | workers | resident without Mooring | with Mooring | added | of this private | allocated | plugin configuration |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    let mut envoy = None;
    for rules in RULES {
        let configuration = configuration(rules, pods);
        for workers in WORKERS {
            eprintln!("  rules: {rules}, workers: {workers}");
            let mut without = Memory::default();
            let mut with = Memory::default();
            for _ in 0..times {
                for (variant, memory) in [(Variant::NoFilter, &mut without), (Variant::Mooring, &mut with)] {
                    let setup = Setup::sidecar(variant, rules);
                    envoy = Some(memory.add(setup, workers, pods, processors).await?);
                }
            }
            text += &row(rules, workers, &without, &with, configuration);
        }
    }
    Ok(Found { envoy, text })
}

impl Memory {
    /// Starts an Envoy, sends requests, and reads its memory. The version of Envoy comes back.
    async fn add(&mut self, setup: Setup, workers: u32, pods: &[Ipv4Addr], processors: &Processors) -> Result<String> {
        let site = Site::fresh();
        let gateway = Gateway::start(setup, workers, site, setup.bootstrap(site, pods)?, processors).await?;
        let load = Load {
            request: Kind::Live.request(setup),
            keep: false,
            duration: Duration::from_secs(1),
        };
        gateway.run(&load, Kind::Live).await?;
        self.resident.push(gateway.resident_bytes() as f64 / MIB);
        self.private.push(gateway.private_bytes() as f64 / MIB);
        self.allocated.push(gateway.allocated_bytes().await as f64 / MIB);
        Ok(gateway.version().await)
    }
}

/// The size of the plugin configuration in KB.
fn configuration(rules: usize, pods: &[Ipv4Addr]) -> f64 {
    let mut generated = Setup::sidecar(Variant::Mooring, rules).generate(Site::fresh(), pods);
    generated.module().read_configuration().len() as f64 / 1000.0
}

fn row(rules: usize, workers: u32, without: &Memory, with: &Memory, configuration: f64) -> String {
    let resident = |memory: &Memory| {
        let (least, greatest) = extremes(&memory.resident);
        format!(
            "{:.1} ({least:.1} to {greatest:.1})",
            median(memory.resident.iter().copied())
        )
    };
    let added = |values: fn(&Memory) -> &Vec<f64>| {
        median(values(with).iter().copied()) - median(values(without).iter().copied())
    };
    format!(
        "| {rules} | {workers} | {} | {} | {:.1} | {:.1} | {:.1} | {configuration:.1} KB |\n",
        resident(without),
        resident(with),
        added(|memory| &memory.resident),
        added(|memory| &memory.private),
        added(|memory| &memory.allocated),
    )
}
