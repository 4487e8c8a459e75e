//! Mixed clients for minutes, while the module gets another configuration every ten seconds: `make soak MINUTES=10`.

use std::time::Duration;

use mooring_tests::{Behavior, Clients, Envoy, Pod, Tally, Traffic, Update, wait::Stopwatch};

use crate::shop::{COOKIE, persistence, split_with};

const EVERY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `make soak`"]
async fn clients_of_all_kinds_are_served_for_minutes_while_the_configuration_changes() {
    let minutes: u64 = std::env::var("MINUTES").map_or(10, |minutes| minutes.parse().unwrap());
    let stable = Pod::start_several("stable", 4).await;
    let canary = Pod::start_several("canary", 2).await;
    // Every reload moves the weights and the timeouts, so that none is the same as the one before.
    let shop = |step: u64| {
        let weight = u32::try_from(step % 50).unwrap() + 10;
        let kept = persistence()
            .idle("30s")
            .absolute(if step.is_multiple_of(2) { "4h" } else { "5h" })
            .annotation("refresh-interval", "5s");
        split_with((&stable, 100 - weight), (&canary, weight), kept)
    };
    let mut envoy = Envoy::builder().concurrency(2).dynamic().start(&shop(0)).await;
    let clients = |count, milliseconds, behavior| Clients {
        count,
        pace: Duration::from_millis(milliseconds),
        behavior,
    };
    let kinds = [
        ("live", clients(40, 150, Behavior::Keeps)),
        ("idle", clients(20, 20_000, Behavior::Keeps)),
        ("new", clients(10, 250, Behavior::Forgets)),
        ("tampered", clients(10, 250, Behavior::Tampers)),
    ];
    let watch = Stopwatch::start();
    let gateway = [envoy.address()];
    let mut all = Vec::new();
    for (name, clients) in kinds {
        all.push((name, Traffic::start(&gateway, clients, COOKIE).await));
    }
    let (mut reloads, mut first, mut step) = (0, 0, 0);
    while watch.elapsed() < Duration::from_secs(60 * minutes) {
        step += 1;
        watch.reaches(EVERY * step).await;
        assert_eq!(envoy.apply(&shop(step.into())).await, Update::Taken);
        reloads += 1;
        for pod in stable.iter().chain(&canary) {
            pod.forget();
        }
        if first == 0 && watch.elapsed() >= Duration::from_secs(60) {
            first = envoy.resident();
        }
        if step.is_multiple_of(6) {
            println!("minute {}: {} MiB", step / 6, envoy.resident() >> 20);
        }
    }
    let last = envoy.resident();
    let mut sum = Tally::default();
    for (name, traffic) in all {
        let tally = traffic.stop().await;
        println!("{name}: {tally:?}");
        sum = sum + tally;
    }
    let stats = envoy.stats().await;
    println!("{sum:?}; {reloads} reloads in {:?}", watch.elapsed());
    println!(
        "memory after the first minute {first} bytes, at the end {last}; {:?}",
        stats.of_mooring()
    );
    sum.unharmed(1);
    assert_eq!(stats.mooring("mooring_error_total"), 0);
    assert_eq!(stats.mooring("mooring_session_expired_idle_total"), 0);
    assert!(first > 0 && last * 10 <= first * 11, "{first} bytes became {last}");
}
