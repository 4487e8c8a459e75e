//! `always` and `never`.

use mooring_tests::{Canary, Source};

use super::{Versions, counted, counts, serve, version_for};
use crate::shop::within_five_sigma;

#[tokio::test]
async fn always_reaches_the_canary_and_never_avoids_it() {
    let versions = Versions::start().await;
    for source in [Source::Header("x-canary"), Source::Cookie("canary")] {
        let line = |value: &str| match source {
            Source::Header(name) => (name, value.to_owned()),
            Source::Cookie(name) => ("cookie", format!("theme=dark; {name}={value}; lang=de")),
        };
        let policy = Canary::on("shop").opt_in("by-choice", "canary", source);
        let envoy = serve(&versions, 50, 50, &policy).await;
        let client = envoy.client();
        let (mut by_weight, mut strangers) = (0, 0);
        for _ in 0..50 {
            for (value, expected) in [("always", "canary"), ("never", "stable")] {
                let (name, value) = line(value);
                assert_eq!(version_for(&client, &[(name, &value)]).await, expected, "{value}");
            }
            for other in ["Always", "NEVER", "yes", ""] {
                let (name, value) = line(other);
                by_weight += u32::from(version_for(&client, &[(name, &value)]).await == "canary");
                strangers += 1;
            }
        }
        assert!(
            within_five_sigma(by_weight, strangers, 0.5),
            "{by_weight} of {strangers}"
        );
        let expected = [
            ("canary", "canary:by-choice", 50),
            ("stable", "canary:by-choice", 50),
            ("canary", "split", u64::from(by_weight)),
            ("stable", "split", u64::from(strangers - by_weight)),
        ];
        assert_eq!(counted(&envoy.stats().await), counts(&expected));
    }
}

#[tokio::test]
async fn always_reaches_a_canary_without_weight_and_never_leaves_one_with_all_of_it() {
    let versions = Versions::start().await;
    let policy = Canary::on("shop").opt_in("by-choice", "canary", Source::Header("x-canary"));
    for (stable, canary, others) in [(100, 0, "stable"), (0, 100, "canary")] {
        let envoy = serve(&versions, stable, canary, &policy).await;
        let client = envoy.client();
        for _ in 0..20 {
            assert_eq!(version_for(&client, &[("x-canary", "always")]).await, "canary");
            assert_eq!(version_for(&client, &[("x-canary", "never")]).await, "stable");
            assert_eq!(version_for(&client, &[]).await, others);
        }
    }
}
