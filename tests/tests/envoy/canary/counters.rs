//! Requests by backend and reason, from which the share of a canary is plotted.

use mooring_tests::{Envoy, Manifests, NAMESPACE, Pod, Policy, Rule, Service, Source};

use super::{Versions, canary_for_vijay, counted, counts, send, version};
use crate::{
    local::virtual_service,
    shop::{COOKIE, persistence},
};

#[tokio::test]
async fn requests_are_counted_by_backend_and_reason_as_they_were_sent() {
    let versions = Versions::start().await;
    let rule = Rule::split(&[("stable", 60), ("canary", 40)]).persistence(persistence());
    let policy = canary_for_vijay()
        .force("testers", "canary", &[Source::Cookie("usertype").is("tester")])
        .opt_in("by-choice", "canary", Source::Header("x-canary"))
        .hash_on(Source::Header("x-user"));
    let envoy = Envoy::serve(&versions.rule(rule).canary(&policy)).await;
    let client = envoy.client();
    let mut expected = std::collections::BTreeMap::new();
    for number in 0..40 {
        let user = format!("user-{number}");
        let sent = [
            (("end-user", "vijay"), "canary:vijay"),
            (("cookie", "usertype=tester"), "canary:testers"),
            (("x-canary", "always"), "canary:by-choice"),
            (("x-canary", "never"), "canary:by-choice"),
            (("x-user", user.as_str()), "hash"),
            (("x-nothing", "1"), "split"),
        ];
        for (line, reason) in sent {
            let reply = send(&client, &[line]).await;
            *expected.entry((version(&reply), reason.to_owned())).or_default() += 1;
            if reason == "split" || reason == "hash" {
                let cookie = reply.set_cookie(COOKIE).unwrap().stripped().to_string();
                let again = send(&client, &[("cookie", &cookie), line]).await;
                *expected.entry((version(&again), "session".to_owned())).or_default() += 1;
            }
        }
    }
    let forced = counts(&[
        ("canary", "canary:vijay", 40),
        ("canary", "canary:testers", 40),
        ("canary", "canary:by-choice", 40),
        ("stable", "canary:by-choice", 40),
    ]);
    for (key, count) in forced {
        assert_eq!(expected.get(&key), Some(&count), "{key:?}");
    }
    println!("{expected:?}");
    assert_eq!(counted(&envoy.stats().await), expected);
    // As Prometheus reads it.
    let prometheus = envoy.ask("/stats/prometheus").await;
    for ((backend, reason), count) in &expected {
        let labels = format!(
            r#"mooring_route="HTTPRoute/shop/shop#0",mooring_backend="{backend}.shop:80",mooring_reason="{reason}""#
        );
        let line = format!("mooring_backend_requests_total{{{labels}}} {count}\n");
        assert!(prometheus.contains(&line), "no {line} in {prometheus}");
    }
}

#[tokio::test]
async fn what_is_counted_goes_on_when_the_weights_change() {
    let versions = Versions::start().await;
    let shop = |stable, canary| versions.split(stable, canary).canary(&canary_for_vijay());
    let mut envoy = Envoy::builder().dynamic().start(&shop(100, 0)).await;
    let client = envoy.client();
    for (stable, canary) in [(100, 0), (0, 100)] {
        envoy.apply(&shop(stable, canary)).await;
        for _ in 0..10 {
            send(&client, &[("end-user", "vijay")]).await;
            send(&client, &[]).await;
        }
    }
    let expected = [
        ("canary", "canary:vijay", 20),
        ("stable", "split", 10),
        ("canary", "split", 10),
    ];
    assert_eq!(counted(&envoy.stats().await), counts(&expected));
}

#[tokio::test]
async fn the_name_of_a_rule_makes_no_label_of_a_counter() {
    let pods = Pod::start_several("cart", 1).await;
    let forged = "a;.;mooring_reason=.=forged;.;b";
    let route = virtual_service(
        "web",
        "",
        &format!("  - {{name: '{forged}', route: [{{destination: {{host: cart}}}}]}}\n"),
    );
    let manifests = Manifests::istio()
        .yaml(&route)
        .service(&Service::new("cart", &pods))
        .policy(&Policy::on("cart", persistence()));
    let envoy = Envoy::serve(&manifests).await;
    assert!(envoy.client().get("/").await.ok().set_cookie(COOKIE).is_some());
    let prometheus = envoy.ask("/stats/prometheus").await;
    let counted = |line: &&str| line.starts_with("mooring_backend_requests_total{");
    let lines: Vec<&str> = prometheus.lines().filter(counted).collect();
    let rule = format!("VirtualService/{NAMESPACE}/web/a%3B.%3Bmooring_reason%3D.%3Dforged%3B.%3Bb");
    let labels = format!(r#"{{mooring_route="{rule}",mooring_backend="cart.shop:80",mooring_reason="single"}}"#);
    assert_eq!(lines, [format!("mooring_backend_requests_total{labels} 1")]);
}
