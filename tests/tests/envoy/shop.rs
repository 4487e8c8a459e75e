//! The shop that most scenarios play in: a Service `cart` behind the Gateway, and sessions in a cookie.

use std::{collections::BTreeMap, time::Duration};

use mooring_tests::{Browser, Client, Envoy, Manifests, Persistence, Pod, Policy, Reply, Route, Rule, Service};

/// The name of the session cookie.
pub const COOKIE: &str = "cart-session";

/// Sessions in that cookie, without timeouts.
pub fn persistence() -> Persistence {
    Persistence::cookie(COOKIE)
}

/// The Service `cart` alone, with a policy.
pub fn cart<'a>(pods: impl IntoIterator<Item = &'a Pod>, persistence: Persistence) -> Manifests {
    cart_service(&Service::new("cart", pods), persistence)
}

/// The same with this number of further routes on the host name, all of them with sessions.
pub fn large<'a>(pods: impl IntoIterator<Item = &'a Pod>, others: usize) -> Manifests {
    (0..others).fold(cart(pods, persistence()), |manifests, number| {
        let rule = Rule::to("cart").below(&format!("/other-{number:04}"));
        manifests.route(&Route::new(&format!("other-{number:04}")).rule(rule))
    })
}

/// Neither the client nor the pod sees how Mooring talks to Envoy.
pub fn nothing_internal(reply: &Reply) {
    let echo = reply.echo();
    for name in reply.header_names().into_iter().chain(echo.header_names()) {
        assert!(!name.starts_with("x-mooring"), "{name}: {reply:?}");
    }
}

/// The Service `cart` as it is given, with a policy.
pub fn cart_service(cart: &Service, persistence: Persistence) -> Manifests {
    Manifests::new()
        .service(cart)
        .route(&Route::to("cart"))
        .policy(&Policy::on("cart", persistence))
}

/// The Services `stable` and `canary` with these weights, and sessions over both.
pub fn split(stable: (&[Pod], u32), canary: (&[Pod], u32)) -> Manifests {
    split_with(stable, canary, persistence())
}

/// The same with other sessions.
pub fn split_with(stable: (&[Pod], u32), canary: (&[Pod], u32), persistence: Persistence) -> Manifests {
    let rule = Rule::split(&[("stable", stable.1), ("canary", canary.1)]).persistence(persistence);
    Manifests::new()
        .service(&Service::new("stable", stable.0))
        .service(&Service::new("canary", canary.0))
        .route(&Route::new("shop").rule(rule))
}

/// A new client whose session is on the Service.
pub async fn client_on(envoy: &Envoy, service: &str) -> Browser {
    first_on(envoy, service).await.0
}

/// The same, with its first answer.
pub async fn first_on(envoy: &Envoy, service: &str) -> (Browser, Reply) {
    for _ in 0..500 {
        let mut browser = envoy.browser();
        let reply = browser.get("/").await.ok();
        if reply.pod().starts_with(service) {
            return (browser, reply);
        }
    }
    panic!("no client came to {service}");
}

/// Sends as many requests without any cookie, each from another client, and returns how many each pod answered.
pub async fn strangers(client: &Client, count: u32) -> BTreeMap<String, u32> {
    let mut answered = BTreeMap::new();
    for _ in 0..count {
        *answered.entry(client.get("/").await.ok().pod()).or_default() += 1;
    }
    answered
}

/// Whether a count is within five standard deviations of what it should be on average: less than one run in a million
/// misses that by chance.
pub fn within_five_sigma(count: u32, of: u32, probability: f64) -> bool {
    let (count, of) = (f64::from(count), f64::from(of));
    let sigma = (of * probability * (1.0 - probability)).sqrt();
    (count - of * probability).abs() <= 5.0 * sigma
}

/// How many requests of each worker may fail within a time: one at once, and one after each interval of 1, 2, 4, 8 seconds
/// and so on.
pub fn intervals(within: Duration) -> u64 {
    let intervals = std::iter::successors(Some(1), |interval| Some(interval * 2));
    let ends = intervals.scan(0, |end, interval| {
        *end += interval;
        Some(*end)
    });
    let over = ends.take_while(|end| *end <= within.as_secs()).count();
    1 + u64::try_from(over).unwrap()
}
