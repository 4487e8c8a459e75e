//! Canary routing: who reaches which version, and who stays there.

use std::collections::BTreeMap;

use mooring_tests::{
    Canary, Client, Envoy, HOSTNAME, Manifests, Match, Pod, Reply, Route, Rule, Service, Source, Stats,
};

mod conditions;
mod cost;
mod counters;
mod hash;
mod match_rules;
mod opt_in;
mod rebalance;
mod release;
mod sessions;
mod sticky;
mod versions;

/// The two versions of the shop, each a Service with three pods. The pods are named after their Service.
pub struct Versions {
    pub stable: Vec<Pod>,
    pub canary: Vec<Pod>,
}

impl Versions {
    pub async fn start() -> Self {
        Self {
            stable: Pod::start_several("stable", 3).await,
            canary: Pod::start_several("canary", 3).await,
        }
    }

    /// Both, with these weights, in a route `shop`.
    fn split(&self, stable: u32, canary: u32) -> Manifests {
        self.rule(Rule::split(&[("stable", stable), ("canary", canary)]))
    }

    /// Both, in a route `shop` with this rule.
    fn rule(&self, rule: Rule) -> Manifests {
        self.services().route(&Route::new("shop").rule(rule))
    }

    /// Both, without a route.
    pub fn services(&self) -> Manifests {
        Manifests::new()
            .service(&Service::new("stable", &self.stable))
            .service(&Service::new("canary", &self.canary))
    }
}

/// The condition of the one user whom the canary is for.
fn vijay() -> Match {
    Source::Header("end-user").is("vijay")
}

/// A policy that sends this user to the canary.
fn canary_for_vijay() -> Canary {
    Canary::on("shop").force("vijay", "canary", &[vijay()])
}

/// The version that answered.
#[track_caller]
fn version(reply: &Reply) -> String {
    let pod = reply.pod();
    pod.split('-').next().unwrap_or_default().to_owned()
}

/// Sends a request with header lines, which is answered by 200: the version that answered.
async fn version_for(client: &Client, lines: &[(&str, &str)]) -> String {
    version(&send(client, lines).await)
}

/// Sends a request with header lines, which is answered by 200.
async fn send(client: &Client, lines: &[(&str, &str)]) -> Reply {
    let request = client.request("/").host(HOSTNAME);
    let request = lines
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value));
    request.send().await.ok()
}

/// The requests that the filter counted for the route `shop`, by version and reason.
fn counted(stats: &Stats) -> BTreeMap<(String, String), u64> {
    let route = "wasmcustom.mooring_backend_requests_total.mooring_route=.=HTTPRoute/shop/shop#0;.;mooring_backend=.=";
    let counters = stats.starting_with(route).map(|(name, value)| {
        let rest = name.strip_prefix(route).unwrap();
        let (backend, reason) = rest.split_once(".shop:80;.;mooring_reason=.=").unwrap();
        let reason = reason.strip_suffix(";.;").unwrap();
        ((backend.to_owned(), reason.to_owned()), value)
    });
    counters.collect()
}

/// What [`counted`] should give.
fn counts(expected: &[(&str, &str, u64)]) -> BTreeMap<(String, String), u64> {
    let counts = expected.iter();
    counts
        .map(|(backend, reason, count)| (((*backend).to_owned(), (*reason).to_owned()), *count))
        .collect()
}

/// An Envoy on the two versions with these weights and a policy.
async fn serve(versions: &Versions, stable: u32, canary: u32, policy: &Canary) -> Envoy {
    Envoy::serve(&versions.split(stable, canary).canary(policy)).await
}
