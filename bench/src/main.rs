//! What a session costs in a stock Envoy.
//!
//! `make bench` runs it. Gateways that differ in one thing are alive side by side and take short runs of the same load
//! in rotating order; what counts is the processor time of the Envoy process for one request, which is steadier than
//! rates and latencies on a machine that does other things too.
//!
//! - `variant`: the configurations that are compared.
//! - `gateway`: one Envoy under measurement.
//! - `user`, `load`, `upstream`: who sends requests, how many, and who answers.
//! - `figures`: the situations.
//! - `report`: the tables.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    reason = "this measures and prints; a figure that overflowed would be seen, and nothing else depends on it"
)]

mod certificate;
mod figures;
mod gateway;
mod load;
mod machine;
mod options;
mod report;
mod upstream;
mod user;
mod variant;

use anyhow::{Result, ensure};
use clap::Parser as _;

use crate::{
    figures::Bench,
    machine::{Machine, Processors},
    options::Options,
};

/// How many pods each backend has.
const PODS: usize = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let situations = figures::situations();
    if options.list {
        situations
            .iter()
            .for_each(|one| println!("{:12} {}", one.name, one.title));
        return Ok(());
    }
    let known = |name: &String| situations.iter().any(|one| one.name == name);
    ensure!(options.only.iter().all(known), "--only wants names that --list prints");
    let processors = Processors::found()?;
    processors.to_load()?;
    let pods = upstream::start(PODS)?;
    let mut bench = Bench::new(&pods, &processors, options.effort());
    let mut measured = Vec::new();
    let mut envoy = String::new();
    for situation in situations.iter().filter(|one| options.wants(one.name)) {
        eprintln!("{} ...", situation.title);
        let one = bench.measure(situation).await?;
        envoy = bench.envoy_version().await?;
        println!("{}", report::situation(&one));
        measured.push(one);
    }
    let machine = Machine::this(&processors, envoy);
    let json = serde_json::json!({"machine": machine, "situations": measured});
    std::fs::write(&options.json, serde_json::to_string_pretty(&json)?)?;
    Ok(())
}
