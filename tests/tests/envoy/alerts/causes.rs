//! The causes of the alerts.

use std::time::Duration;

use mooring_tests::{Bootstrap, Canary, Envoy, Manifests, Pod, Site, Source, Update, keys, settings, wait::Stopwatch};

use crate::{
    session_routes::{is_session_route, routes},
    shop::{COOKIE, cart, client_on, persistence, split},
    tokens::Forge,
};

/// The alerts, each of which has a cause.
pub const CAUSES: [&str; 10] = [
    "MooringBackendUnreachable",
    "MooringCanaryBudgetExceeded",
    "MooringConfigRefused",
    "MooringErrors",
    "MooringKeysRejected",
    "MooringSessionRoutesMissed",
    "MooringSessionsOff",
    "MooringTokensFromTheFuture",
    "MooringUnknownBackends",
    "MooringUnknownKeys",
];

/// The gateway on which the cause of one alert is made, and a client whose session is live until then.
pub struct Gateway {
    alert: &'static str,
    site: Site,
    envoy: Envoy,
    manifests: Manifests,
    stable: Vec<Pod>,
    canary: Vec<Pod>,
    /// The header lines of the client.
    lines: Vec<(&'static str, String)>,
    cause: Option<Stopwatch>,
}

impl Gateway {
    pub async fn start(alert: &'static str) -> Self {
        let stable = Pod::start_several("stable", 1).await;
        let canary = Pod::start_several("canary", 1).await;
        let manifests = match alert {
            "MooringTokensFromTheFuture" => cart(&stable, persistence()),
            "MooringCanaryBudgetExceeded" => {
                let slow = Source::Header("x").matches("RegularExpression", "(?:a*){220}b");
                let policy = Canary::on("shop").force("slow", "canary", &[slow]);
                split((&stable, 50), (&canary, 50)).canary(&policy)
            }
            _ => split((&stable, 50), (&canary, 50)),
        };
        let site = Site::fresh();
        let mut bootstrap = manifests.generate(site).bootstrap();
        if alert == "MooringErrors" {
            bootstrap.module().file(&settings::trapping_wasm());
        }
        let envoy = Envoy::builder().dynamic().start_on(site, bootstrap).await;
        let mut gateway = Self {
            alert,
            site,
            envoy,
            manifests,
            stable,
            canary,
            lines: Vec::new(),
            cause: None,
        };
        let service = if alert == "MooringTokensFromTheFuture" {
            "stable"
        } else {
            "canary"
        };
        gateway.lines = vec![(
            "cookie",
            client_on(&gateway.envoy, service).await.cookie_header().unwrap(),
        )];
        gateway
    }

    pub fn alert(&self) -> &'static str {
        self.alert
    }

    pub fn site(&self) -> Site {
        self.site
    }

    /// How long ago the cause was made.
    pub fn since_cause(&self) -> Duration {
        self.cause.unwrap().elapsed()
    }

    /// The alerts that it has.
    pub fn expected(&self) -> Vec<(String, String)> {
        let mut alerts = vec![self.alert];
        if self.alert == "MooringConfigRefused" {
            // Without a configuration there are no sessions either.
            alerts.push("MooringSessionsOff");
        }
        let instance = self.site.admin.to_string();
        alerts
            .into_iter()
            .map(|alert| (alert.to_owned(), instance.clone()))
            .collect()
    }

    /// Sends a request of the client. What it answers does not matter.
    pub async fn send(&self) {
        let client = self.envoy.client();
        let lines = self.lines.iter();
        let request = lines.fold(client.request("/"), |request, (name, value)| {
            request.header(name, value)
        });
        request.send().await;
    }

    /// Makes the cause.
    pub async fn cause(mut self) -> Self {
        match self.alert {
            "MooringSessionsOff" => self.envoy.restart_with_keys("").await,
            "MooringKeysRejected" => self.envoy.restart_with_keys(&format!("junk,{}", keys::key(1))).await,
            "MooringUnknownKeys" => self.envoy.restart_with_keys(&keys::key(2)).await,
            "MooringConfigRefused" => self.restart_without_configuration().await,
            "MooringErrors" => self.lines.push(("x-fail-now", "1".to_owned())),
            "MooringCanaryBudgetExceeded" => {
                let lines = (0..50).map(|_| ("x", "a".repeat(1_000)));
                self.lines = lines.collect();
            }
            "MooringTokensFromTheFuture" => {
                let forge = Forge::of(&mut self.envoy.generate(&self.manifests));
                self.lines = vec![(
                    "cookie",
                    format!("{COOKIE}={}", forge.token(&self.stable[0], 3_600, 3_600)),
                )];
            }
            "MooringSessionRoutesMissed" => {
                self.apply(|bootstrap| {
                    for routes in routes(bootstrap) {
                        routes.retain(|route| !is_session_route(route, ""));
                    }
                })
                .await;
            }
            "MooringUnknownBackends" => {
                self.apply(|bootstrap| {
                    let known = bootstrap.module().read_configuration();
                    bootstrap
                        .module()
                        .configuration(&known.replace("canary.shop:80", "gone.shop:80"));
                })
                .await;
                self.lines.clear();
            }
            "MooringBackendUnreachable" => self.has_canary(false).await,
            other => panic!("{other} has no cause"),
        }
        self.cause = Some(Stopwatch::start());
        self
    }

    /// Makes the cause again if its effect gets rarer: the pauses between requests that fail double, and are not shorter here as the
    /// minutes of the alerts are. That matters if the machine was too busy to see the first of them.
    pub async fn keep_up(&mut self) {
        let late = Duration::from_secs(35);
        if self.alert == "MooringBackendUnreachable" && self.since_cause() > late {
            self.has_canary(true).await;
            client_on(&self.envoy, "canary").await;
            self.has_canary(false).await;
            self.cause = Some(Stopwatch::start());
        }
    }

    async fn has_canary(&mut self, has: bool) {
        let canary: &[Pod] = if has { &self.canary } else { &[] };
        let manifests = split((&self.stable, 50), (canary, 50));
        assert_eq!(self.envoy.apply(&manifests).await, Update::Taken);
    }

    async fn apply(&mut self, edit: impl FnOnce(&mut Bootstrap)) {
        let mut next = self.envoy.generate(&self.manifests);
        edit(&mut next);
        assert_eq!(self.envoy.apply_bootstrap(next).await, Update::Taken);
    }

    /// Only the first configuration of a gateway is refused in this way. It keeps an earlier one.
    async fn restart_without_configuration(&mut self) {
        let mut bootstrap = self.envoy.generate(&self.manifests);
        bootstrap.module().configuration("no JSON");
        self.envoy.stop().await;
        self.envoy = Envoy::builder().start_on(self.site, bootstrap).await;
    }
}
