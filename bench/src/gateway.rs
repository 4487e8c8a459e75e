//! One Envoy under measurement, and one run of a load against it.

use anyhow::{Context as _, Result, ensure};
use mooring_tests::{Bootstrap, Envoy, Site, Stats};

use crate::{
    load::{self, Load},
    machine::Processors,
    user::Request,
    variant::{PLAIN, Setup, path},
};

/// See the module.
pub(crate) struct Gateway {
    pub(crate) setup: Setup,
    envoy: Envoy,
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
    /// The request of this kind: the last rule is asked for.
    pub(crate) fn request(self, setup: Setup) -> Request {
        Request {
            host: match self {
                Self::Live | Self::New | Self::Unmatched => setup.host(),
                Self::Elsewhere => setup.elsewhere().to_owned(),
            },
            path: match self {
                Self::Live | Self::New => path(setup.routes),
                Self::Unmatched | Self::Elsewhere => PLAIN.to_owned(),
            },
        }
    }

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
    /// Starts an Envoy on its processors, on a configuration that listens there.
    pub(crate) async fn start(
        setup: Setup,
        workers: u32,
        site: Site,
        bootstrap: Bootstrap,
        processors: &Processors,
    ) -> Result<Self> {
        processors.to_envoy(workers)?;
        let envoy = Envoy::builder().concurrency(workers).start_on(site, bootstrap).await;
        processors.to_load()?;
        Ok(Self { setup, envoy })
    }

    /// Runs the load once, checks that this gateway did with every request what it is there for, and gives the processor time
    /// of the whole Envoy process for one request, in microseconds.
    pub(crate) async fn run(&self, load: &Load, kind: Kind) -> Result<f64> {
        let load = &Load {
            keep: kind == Kind::Live && self.setup.variant.keeps_sessions(),
            ..load.clone()
        };
        let users = load::users(self.envoy.address(), load).await?;
        let before = self.envoy.stats().await;
        let used_before = self.envoy.cpu_time();
        let requests = load::run(users, load).await.context(self.setup.title())?;
        let used = self.envoy.cpu_time().saturating_sub(used_before);
        let after = self.envoy.stats().await;
        check(self.setup, kind, [&before, &after], requests)?;
        Ok(used.as_secs_f64() * 1e6 / requests as f64)
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.envoy.resident()
    }

    /// The same without the pages of files, in bytes.
    pub(crate) fn private_bytes(&self) -> u64 {
        self.envoy.private()
    }

    /// What is allocated, in bytes: without what the allocator keeps for later, and the code that V8 compiled.
    pub(crate) async fn allocated_bytes(&self) -> u64 {
        self.envoy.stats().await.get("server.memory_allocated")
    }

    /// The version of its Envoy.
    pub(crate) async fn version(&self) -> String {
        self.envoy.version().await
    }
}

/// Checks that Mooring did with each of so many requests what it is there for, by its counters before and after.
pub(crate) fn check(setup: Setup, kind: Kind, stats: [&Stats; 2], requests: u64) -> Result<()> {
    if setup.variant.is_mooring() {
        let title = setup.title();
        let [before, after] = stats;
        let (counter, each) = kind.counter();
        let moved = after.mooring(counter) - before.mooring(counter);
        ensure!(
            moved == each * requests,
            "{title}: {counter} moved by {moved} in {requests} requests"
        );
        let errors = after.mooring("mooring_error_total");
        ensure!(errors == 0, "{title}: mooring_error_total is {errors}");
    }
    Ok(())
}
