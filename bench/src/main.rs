//! What a session costs in a stock Envoy.
//!
//! `make bench` runs it. Gateways that differ in one thing are alive side by side and take short runs of the same load
//! in rotating order; what counts is the processor time of the Envoy process for one request, which is steadier than
//! rates and latencies on a machine that does other things too.
//!
//! - `variant`: the configurations that are compared.
//! - `gateway`: one Envoy under measurement.
//! - `user`, `load`, `upstream`: who sends requests, how many, and who answers.
//! - `figures`: the situations. `instructions`, `functions`, `scale`, `update`, `generator`: everything that is no request.
//! - `results`, `goals`, `report`, `document`, `chart`: what comes out.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::format_collect,
    reason = "this measures and prints; a figure that overflowed would be seen, and nothing else depends on it"
)]

mod certificate;
mod chart;
mod document;
mod figures;
mod functions;
mod gateway;
mod generator;
mod goals;
mod instructions;
mod load;
mod machine;
mod options;
mod report;
mod results;
mod scale;
mod update;
mod upstream;
mod user;
mod variant;

use anyhow::{Result, ensure};
use clap::Parser as _;

use crate::{
    figures::Bench,
    machine::{Machine, Processors},
    options::Options,
    results::Results,
};

/// How many pods each backend has.
const PODS: usize = 3;

/// The parts that are no situation.
const OTHERS: [(&str, &str); 5] = [
    ("instructions", "instructions a request takes, by valgrind"),
    ("functions", "functions of the policy, natively and inside Envoy"),
    ("scale", "configurations of 1 to 10,000 routes: time and memory"),
    ("update", "a configuration of 1,000 routes, replaced under load"),
    ("generator", "10 to 10,000 HTTPRoutes through the generator"),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    if options.list {
        for (name, title) in parts() {
            println!("{name:12} {title}");
        }
        return Ok(());
    }
    let known = |name: &String| parts().iter().any(|(part, _)| part == name);
    ensure!(options.only.iter().all(known), "--only wants names that --list prints");
    let earlier = options.report || options.resume;
    let mut results = if earlier {
        Results::read(&options.json)?
    } else {
        Results::default()
    };
    if !options.report {
        measure(&options, &mut results).await?;
        std::fs::write(&options.json, serde_json::to_string_pretty(&results)?)?;
    }
    let report = report::report(&results);
    if options.write {
        document::write(&results, &report)?;
    }
    println!("{report}");
    Ok(())
}

fn parts() -> Vec<(&'static str, &'static str)> {
    let situations = figures::situations().into_iter().map(|one| (one.name, one.title));
    situations.chain(OTHERS).collect()
}

async fn measure(options: &Options, results: &mut Results) -> Result<()> {
    let processors = Processors::found()?;
    let envoy = std::mem::take(&mut results.machine.envoy);
    results.machine = Machine {
        envoy,
        ..Machine::this(&processors)
    };
    results.module = machine::sizes(&mooring_tests::settings::wasm())?;
    // It is measured by itself, with all processors.
    if options.wants("generator") {
        eprintln!("generator ...");
        match generator::measure() {
            Ok(generated) => results.generator = generated,
            Err(error) => eprintln!("not measured: {error:#}"),
        }
    }
    processors.to_load()?;
    let pods = upstream::start(PODS)?;
    if options.wants("instructions") {
        eprintln!("instructions ...");
        match instructions::measure(&pods).await {
            Ok(counted) => results.instructions = counted,
            Err(error) => eprintln!("not measured: {error:#}"),
        }
    }
    let mut bench = Bench::new(&pods, &processors, options.effort());
    for situation in figures::situations().iter().filter(|one| options.wants(one.name)) {
        eprintln!("{} ...", situation.title);
        results.put(bench.measure(situation).await?);
        results.machine.envoy = bench.envoy_version().await?;
    }
    drop(bench);
    if options.wants("functions") {
        eprintln!("functions ...");
        results.functions = functions::measure(&pods, &processors).await?;
    }
    if options.wants("scale") {
        eprintln!("scale ...");
        results.scale = scale::measure(&pods, &processors, options.routes(), options.starts()).await?;
    }
    if options.wants("update") {
        eprintln!("update ...");
        results.updates = Some(update::measure(&pods, &processors, options.updates()).await?);
    }
    Ok(())
}
