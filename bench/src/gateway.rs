//! One Envoy under measurement, and one run of a load against it.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use mooring_tests::{Bootstrap, Envoy, Site, Stats};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    load::{self, Load},
    machine::{Process, Processors},
    variant::{Recipe, Variant},
};

/// See the module.
pub(crate) struct Gateway {
    pub(crate) label: String,
    pub(crate) variant: Variant,
    envoy: Envoy,
    process: Process,
}

/// The figures of one run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    /// Processor time of the whole Envoy process for one request, in microseconds.
    pub(crate) cpu: f64,
    /// Requests a second.
    pub(crate) rate: f64,
    /// In microseconds.
    pub(crate) p50: f64,
    /// In microseconds.
    pub(crate) p99: f64,
    /// The share of one processor that Envoy used.
    pub(crate) busy: f64,
}

/// What Mooring must have counted for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The session lives.
    Live,
    /// The client has none.
    New,
    /// The route has no rule, and others of its virtual host have.
    Unmatched,
    /// No route of the virtual host has a rule.
    Elsewhere,
}

impl Kind {
    /// A counter that such requests move, and by how many each. The filter does not run in virtual hosts without a rule.
    fn counter(self) -> (&'static str, u64) {
        match self {
            Self::Live => ("mooring_session_resumed_total", 1),
            Self::New => ("mooring_session_new_total", 1),
            Self::Unmatched => ("mooring_passed_through_total", 1),
            Self::Elsewhere => ("mooring_passed_through_total", 0),
        }
    }
}

impl Gateway {
    /// Starts an Envoy on its processors.
    pub(crate) async fn start(
        label: &str,
        recipe: &Recipe,
        workers: u32,
        pods: &[Ipv4Addr],
        processors: &Processors,
    ) -> Result<Self> {
        let site = Site::fresh();
        let bootstrap = recipe.bootstrap(site, pods)?;
        Self::start_on(label, recipe.variant, workers, site, bootstrap, processors).await
    }

    /// Starts an Envoy on a configuration that listens there.
    pub(crate) async fn start_on(
        label: &str,
        variant: Variant,
        workers: u32,
        site: Site,
        bootstrap: Bootstrap,
        processors: &Processors,
    ) -> Result<Self> {
        processors.to_envoy(workers)?;
        let envoy = Envoy::builder().concurrency(workers).start_on(site, bootstrap).await;
        processors.to_load()?;
        Ok(Self {
            label: label.to_owned(),
            variant,
            process: process(&envoy, "envoy").await?,
            envoy,
        })
    }

    /// Runs the load once and checks that this gateway did with every request what it is there for.
    pub(crate) async fn run(&self, load: &Load, kind: Kind) -> Result<Run> {
        let load = &Load {
            pinned: kind == Kind::Live && self.variant.keeps_sessions(),
            ..load.clone()
        };
        let users = load::users(self.envoy.address(), load).await?;
        let before = self.envoy.stats().await;
        let used_before = self.process.cpu_nanoseconds()?;
        let done = load::run(users, load).await.with_context(|| self.label.clone())?;
        let used = self.process.cpu_nanoseconds()?.saturating_sub(used_before);
        let after = self.envoy.stats().await;
        check(&self.label, self.variant, kind, [&before, &after], done.requests())?;
        let requests = done.requests() as f64;
        Ok(Run {
            cpu: used as f64 / 1000.0 / requests,
            rate: requests / done.elapsed.as_secs_f64(),
            p50: done.percentile(0.50),
            p99: done.percentile(0.99),
            busy: used as f64 / 1e9 / done.elapsed.as_secs_f64(),
        })
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        self.process.resident_bytes()
    }

    /// What it says it is.
    pub(crate) async fn version(&self) -> Result<String> {
        let info = server_info(&self.envoy).await?;
        let version = info.get("version").and_then(Value::as_str).context("a version")?;
        // commit/version/Clean/RELEASE/BoringSSL
        Ok(version.split('/').nth(1).unwrap_or(version).to_owned())
    }
}

/// Checks that Mooring did with each of so many requests what it is there for, by its counters before and after.
pub(crate) fn check(label: &str, variant: Variant, kind: Kind, stats: [&Stats; 2], requests: u64) -> Result<()> {
    if variant.is_mooring() {
        let [before, after] = stats;
        let (counter, each) = kind.counter();
        let moved = after.mooring(counter) - before.mooring(counter);
        ensure!(
            moved == each * requests,
            "{label}: {counter} moved by {moved} in {requests} requests"
        );
        let errors = after.mooring("mooring_error_total");
        ensure!(errors == 0, "{label}: mooring_error_total is {errors}");
    }
    Ok(())
}

async fn server_info(envoy: &Envoy) -> Result<Value> {
    Ok(serde_json::from_str(&envoy.ask("/server_info").await)?)
}

/// The process behind an Envoy's admin interface, whose name begins so: the harness starts it through a shell, or `func-e`.
pub(crate) async fn process(envoy: &Envoy, name: &str) -> Result<Process> {
    let info = server_info(envoy).await?;
    let config = info
        .pointer("/command_line_options/config_path")
        .and_then(Value::as_str);
    Process::find(name, config.context("a config path")?)
}
