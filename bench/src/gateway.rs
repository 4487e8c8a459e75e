//! One Envoy under measurement, and one run of a load against it.

use anyhow::{Context as _, Result, ensure};
use mooring_tests::{Bootstrap, Envoy, Site, Stats};

use crate::{
    load::{self, Load},
    machine::Processors,
    user::{HOSTNAME, Request},
    variant::{ELSEWHERE, PLAIN, Variant, path},
};

/// See the module.
pub(crate) struct Gateway {
    pub(crate) variant: Variant,
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
    /// The request of this kind, where the virtual host has so many rules: the last of them is asked for.
    pub(crate) fn request(self, routes: usize) -> Request {
        Request {
            host: if self == Self::Elsewhere { ELSEWHERE } else { HOSTNAME },
            path: match self {
                Self::Live | Self::New => path(routes),
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
        variant: Variant,
        workers: u32,
        site: Site,
        bootstrap: Bootstrap,
        processors: &Processors,
    ) -> Result<Self> {
        processors.to_envoy(workers)?;
        let envoy = Envoy::builder().concurrency(workers).start_on(site, bootstrap).await;
        processors.to_load()?;
        Ok(Self { variant, envoy })
    }

    /// Runs the load once, checks that this gateway did with every request what it is there for, and gives the processor time
    /// of the whole Envoy process for one request, in microseconds.
    pub(crate) async fn run(&self, load: &Load, kind: Kind) -> Result<f64> {
        let load = &Load {
            keep: kind == Kind::Live && self.variant.keeps_sessions(),
            ..load.clone()
        };
        let users = load::users(self.envoy.address(), load).await?;
        let before = self.envoy.stats().await;
        let used_before = self.envoy.cpu_time();
        let requests = load::run(users, load).await.context(self.variant.title())?;
        let used = self.envoy.cpu_time().saturating_sub(used_before);
        let after = self.envoy.stats().await;
        check(self.variant, kind, [&before, &after], requests)?;
        Ok(used.as_secs_f64() * 1e6 / requests as f64)
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.envoy.resident()
    }

    /// The version of its Envoy.
    pub(crate) async fn version(&self) -> String {
        self.envoy.version().await
    }
}

/// Checks that Mooring did with each of so many requests what it is there for, by its counters before and after.
pub(crate) fn check(variant: Variant, kind: Kind, stats: [&Stats; 2], requests: u64) -> Result<()> {
    if variant.is_mooring() {
        let title = variant.title();
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
