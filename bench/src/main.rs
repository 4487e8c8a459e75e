//! What a session costs in a stock Envoy. `make bench` runs it.
//!
//! What counts is instructions: they come out nearly the same every time, whatever else the machine does, and all goals are
//! set in them. Processor time is measured beside them and says how much of a request they are.
//!
//! - `variant`: the configurations that are compared. `gateway`: one Envoy under measurement.
//! - `user`, `load`, `upstream`: who sends requests, how many, and who answers.
//! - `instructions`, `access_log`, `times`, `memory`, `sidecars`, `generator`: the parts, each with a section in `docs/performance.md`.
//! - `counts`, `goals`: instructions as counted, and what a session may cost.
//! - `statistics`, `machine`, `document`: quartiles, the machine, and the page.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::format_push_string,
    reason = "this measures and prints; a figure that overflowed would be seen, and nothing else depends on it"
)]

mod access_log;
mod counts;
mod document;
mod gateway;
mod generator;
mod goals;
mod instructions;
mod load;
mod machine;
mod memory;
mod options;
mod sidecars;
mod statistics;
mod times;
mod upstream;
mod user;
mod variant;

use anyhow::Result;
use clap::Parser as _;

use crate::{
    machine::Processors,
    options::{Options, Part},
};

/// How many pods each backend has.
const PODS: usize = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let processors = Processors::found()?;
    processors.to_load()?;
    let pods = upstream::start(PODS)?;
    for part in options.parts() {
        eprintln!("{} ...", part.name());
        let load = machine::load();
        let found = match part {
            Part::Instructions => instructions::measure(&pods, options.quick).await?,
            Part::AccessLog => access_log::measure(&pods).await?,
            Part::Times => times::measure(&pods, &processors, options.effort()).await?,
            Part::Memory => memory::measure(&pods, &processors, options.starts()).await?,
            Part::Sidecars => sidecars::measure(&pods, &processors, options.starts()).await?,
            Part::Generator => generator::measure(&processors)?,
        };
        let machine = machine::described(&processors, &load, found.envoy.as_deref());
        let section = format!("{machine}\n\n{}", found.text);
        println!("## {}\n\n{section}", part.name());
        if options.write {
            document::write(part.name(), &section)?;
        }
    }
    Ok(())
}

/// What a part found.
struct Found {
    /// The version of Envoy, if there was one.
    envoy: Option<String>,
    /// As Markdown.
    text: String,
}
