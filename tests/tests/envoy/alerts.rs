//! Each alert of `alerts/mooring.yaml` fires on the gateway that has its cause, on no other, and not before.
//!
//! A real Prometheus scrapes a gateway for each alert, with the alerts as they ship, except that a minute in them is 1.5 seconds.
//! `promtool test rules` has tests of their durations.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mooring_tests::{Prometheus, settings, wait::Stopwatch};
use tokio::task::JoinSet;

mod causes;

use self::causes::{CAUSES, Gateway};

/// The length of a minute in the alerts.
const MINUTE: u32 = 1_500;

/// The alerts with short minutes.
fn short_minutes(alerts: &str) -> String {
    let short = |minutes: &str| format!("{}ms", minutes.parse::<u32>().unwrap() * MINUTE);
    let line = |line: &str| {
        if let Some(minutes) = line.strip_prefix("    for: ") {
            return format!("    for: {}\n", short(minutes.strip_suffix('m').unwrap()));
        }
        // `[5m]` is a range. Other brackets, if any, are as they are.
        let parts = line
            .split('[')
            .enumerate()
            .map(|(position, part)| match part.split_once("m]") {
                Some((minutes, rest)) if position > 0 => format!("[{}]{rest}", short(minutes)),
                _ if position > 0 => format!("[{part}"),
                _ => part.to_owned(),
            });
        parts.collect::<String>() + "\n"
    };
    alerts.lines().map(line).collect()
}

/// An alert on a gateway.
type Firing = (String, String);

fn firing(labels: &BTreeMap<String, String>) -> Firing {
    (labels["alertname"].clone(), labels["instance"].clone())
}

/// All that have fired at any time.
async fn ever_fired(prometheus: &Prometheus) -> BTreeSet<Firing> {
    let fired = prometheus
        .query(r#"last_over_time(ALERTS{alertstate="firing"}[10m])"#)
        .await;
    fired.into_iter().map(|sample| firing(&sample.labels)).collect()
}

/// Runs a step of all gateways at the same time.
async fn all<F: Future<Output = Gateway> + Send + 'static>(steps: impl IntoIterator<Item = F>) -> Vec<Gateway> {
    let mut gateways: Vec<Gateway> = steps.into_iter().collect::<JoinSet<F::Output>>().join_all().await;
    gateways.sort_by_key(Gateway::alert);
    gateways
}

#[tokio::test]
async fn each_alert_fires_on_the_gateway_with_its_cause_and_not_before() {
    let alerts = std::fs::read_to_string(settings::workspace().join("alerts/mooring.yaml")).unwrap();
    let names: BTreeSet<&str> = alerts
        .lines()
        .filter_map(|line| line.strip_prefix("  - alert: "))
        // Those about the controller have no cause in a gateway.
        .filter(|name| !name.starts_with("MooringController"))
        .collect();
    assert_eq!(names, BTreeSet::from(CAUSES), "each alert has a cause here");

    let mut gateways = all(CAUSES.map(|alert| Box::pin(Gateway::start(alert)))).await;
    let targets: Vec<_> = gateways.iter().map(|gateway| gateway.site().admin).collect();
    let prometheus = Prometheus::start(&short_minutes(&alerts), &targets).await;

    // All is well, for longer than the range of most alerts.
    let watch = Stopwatch::start();
    let mut scraped = 0;
    while scraped < CAUSES.len() || watch.elapsed() < Duration::from_secs(6) {
        for gateway in &gateways {
            gateway.send().await;
        }
        assert_eq!(prometheus.alerts().await, [], "an alert without a cause");
        let resumed = prometheus.query("mooring_session_resumed_total > 5").await;
        scraped = resumed.len();
        assert!(watch.elapsed() < Duration::from_secs(60), "scraped: {resumed:?}");
    }

    gateways = all(gateways.into_iter().map(|gateway| Box::pin(gateway.cause()))).await;
    let expected: BTreeSet<Firing> = gateways.iter().flat_map(Gateway::expected).collect();
    let mut times: BTreeMap<Firing, Duration> = BTreeMap::new();
    let watch = Stopwatch::start();
    while times.len() < expected.len() {
        for gateway in &mut gateways {
            gateway.send().await;
            gateway.keep_up().await;
        }
        for alert in prometheus.alerts().await.iter().filter(|alert| alert.state == "firing") {
            let alert = firing(&alert.labels);
            let gateway = gateways.iter().find(|gateway| gateway.expected().contains(&alert));
            let gateway = gateway.unwrap_or_else(|| panic!("{alert:?} fires without a cause"));
            times.entry(alert).or_insert_with(|| gateway.since_cause());
        }
        let missing: Vec<_> = expected.iter().filter(|alert| !times.contains_key(*alert)).collect();
        assert!(
            watch.elapsed() < Duration::from_secs(150),
            "did not fire: {missing:?}; fired: {times:?}"
        );
    }
    for gateway in &gateways {
        for alert in gateway.expected() {
            println!(
                "{:>5.1} s after the cause of {}: {}",
                times[&alert].as_secs_f64(),
                gateway.alert(),
                alert.0
            );
        }
    }
    assert_eq!(ever_fired(&prometheus).await, expected);
}
