//! What the functions of `mooring-policy` take, natively and inside Envoy.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use mooring_tests::{Bootstrap, Envoy, Site};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    machine::Processors,
    variant::{EMPTY_MODULE, Recipe, Variant, module},
};

#[path = "../../policy/benches/policy/cases.rs"]
mod cases;

/// A module that measures when it is configured.
const MODULE: &str = "mooring-bench-functions.wasm";
/// How long the calls are that are timed together, in nanoseconds.
const BATCH: u64 = 1_000_000;

/// The time of one call, in nanoseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) native: u64,
    pub(crate) in_envoy: u64,
}

/// Measures all of them.
pub(crate) async fn measure(pods: &[Ipv4Addr], processors: &Processors) -> Result<Vec<Function>> {
    let site = Site::fresh();
    let measuring = module(MODULE)?;
    let measuring = measuring.to_str().context("a path of UTF-8")?;
    let empty = module(EMPTY_MODULE)?;
    let bootstrap = Recipe::new(Variant::Empty).bootstrap(site, pods)?.json().to_string();
    let bootstrap = bootstrap.replace(empty.to_str().context("a path of UTF-8")?, measuring);
    processors.to_envoy(1)?;
    let envoy = Envoy::builder().start_on(site, Bootstrap::parse(&bootstrap)?).await;
    processors.to_load()?;
    let log = envoy.log();
    drop(envoy);
    let start = Instant::now();
    let clock = || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let mut functions = Vec::new();
    for mut case in cases::all() {
        let name = case.name;
        functions.push(Function {
            name: name.to_owned(),
            native: case.measure(BATCH, clock),
            in_envoy: logged(&log, name).with_context(|| format!("Envoy's log says nothing of {name}"))?,
        });
    }
    Ok(functions)
}

/// Each virtual machine has measured it; the least disturbed counts.
fn logged(log: &str, name: &str) -> Option<u64> {
    let found = log.lines().filter_map(|line| {
        let (_, said) = line.split_once("mooring-bench: ")?;
        let (nanoseconds, of) = said.split_once(' ')?;
        (of == name).then(|| nanoseconds.parse().ok())?
    });
    found.min()
}
