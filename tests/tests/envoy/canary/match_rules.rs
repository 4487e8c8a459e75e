//! Users who are sent to the canary whatever the weights are.

use mooring_tests::{Canary, Envoy, Manifests, Pod, Route, Rule, Service, Source};

use super::{Versions, canary_for_vijay, send, serve, version, version_for, vijay};
use crate::{malformed_requests, shop::within_five_sigma};

#[tokio::test]
async fn a_header_forces_the_canary_and_everyone_else_goes_by_weight() {
    let versions = Versions::start().await;
    let envoy = serve(&versions, 80, 20, &canary_for_vijay()).await;
    let client = envoy.client();
    let mut by_weight = 0;
    for _ in 0..250 {
        assert_eq!(version_for(&client, &[("end-user", "vijay")]).await, "canary");
        for others in [&[][..], &[("end-user", "tom")], &[("end-user", ""), ("user", "vijay")]] {
            by_weight += u32::from(version_for(&client, others).await == "canary");
        }
    }
    println!("by weight 20 of 100: {by_weight} of 750 to the canary");
    assert!(within_five_sigma(by_weight, 750, 0.2), "{by_weight} of 750 for a fifth");
}

#[tokio::test]
async fn a_backend_without_weight_is_reached_by_force_alone() {
    let versions = Versions::start().await;
    let envoy = serve(&versions, 100, 0, &canary_for_vijay()).await;
    let client = envoy.client();
    for _ in 0..50 {
        assert_eq!(version_for(&client, &[("end-user", "vijay")]).await, "canary");
        assert_eq!(version_for(&client, &[]).await, "stable");
    }
    // The other way round: all the weight is on the canary.
    let back = Canary::on("shop").force("back", "stable", &[vijay()]);
    let envoy = serve(&versions, 0, 100, &back).await;
    let client = envoy.client();
    for _ in 0..50 {
        assert_eq!(version_for(&client, &[("end-user", "vijay")]).await, "stable");
        assert_eq!(version_for(&client, &[]).await, "canary");
    }
}

#[tokio::test]
async fn a_cookie_among_thirty_others_forces_the_canary_and_the_pod_gets_every_byte() {
    let versions = Versions::start().await;
    let testers = Canary::on("shop").force("testers", "canary", &[Source::Cookie("usertype").is("tester")]);
    let envoy = serve(&versions, 100, 0, &testers).await;
    let client = envoy.client();
    let others = |from: u32, to: u32| -> Vec<Vec<u8>> {
        (from..to)
            .map(|number| [format!("c{number}=").as_bytes(), b"\"a b\",{\xe4\xff}=="].concat())
            .collect()
    };
    for (usertype, expected) in [
        ("usertype=tester", "canary"),
        ("usertype=other", "stable"),
        ("Usertype=tester", "stable"),
        ("xusertype=tester", "stable"),
        ("usertype=tester2", "stable"),
    ] {
        let cookies = [others(0, 15), vec![usertype.into()], others(15, 30)].concat();
        let line = cookies.join(b"; ".as_slice());
        for _ in 0..10 {
            let reply = client.request("/").cookie(&line).send().await.ok();
            assert_eq!(version(&reply), expected, "{usertype}");
            assert_eq!(reply.echo().cookie().as_deref(), Some(line.as_slice()));
            assert!(reply.set_cookies().is_empty(), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn a_cookie_in_the_second_of_two_lines_forces_the_canary() {
    let versions = Versions::start().await;
    let testers = Canary::on("shop").force("testers", "canary", &[Source::Cookie("usertype").is("tester")]);
    let envoy = serve(&versions, 100, 0, &testers).await;
    let lines: [&[u8]; 2] = [b"Cookie: a=1; b=\xff", b"Cookie: c=3; usertype=tester; d=4"];
    let reply = malformed_requests::send(&envoy, &lines).await.ok();
    assert_eq!(version(&reply), "canary");
    // Two lines or one: HTTP/1.1 and Envoy may join them, so only what is in them counts.
    let got = reply.echo().header("cookie").join(b"; ".as_slice());
    assert_eq!(got, b"a=1; b=\xff; c=3; usertype=tester; d=4");

    let reply = malformed_requests::send(&envoy, &lines[..1]).await.ok();
    assert_eq!(version(&reply), "stable");
    // HTTP/2 clients may send each cookie by itself.
    let client = envoy.client_http2();
    let reply = client
        .request("/")
        .cookie("a=1")
        .cookie("usertype=tester")
        .cookie("b=2");
    let reply = reply.send().await.ok();
    assert_eq!(version(&reply), "canary");
    assert_eq!(
        reply.echo().cookie().as_deref(),
        Some(b"a=1; usertype=tester; b=2".as_slice())
    );
}

#[tokio::test]
async fn header_names_count_in_any_case_and_values_as_they_are() {
    let versions = Versions::start().await;
    let policy = Canary::on("shop").force("vijay", "canary", &[Source::Header("End-User").is("vijay")]);
    let envoy = serve(&versions, 100, 0, &policy).await;
    for (line, expected) in [
        ("end-user: vijay", "canary"),
        ("End-User: vijay", "canary"),
        ("END-USER:vijay", "canary"),
        ("eNd-UsEr:   vijay  ", "canary"),
        ("end-user: Vijay", "stable"),
        ("end-user: vijay2", "stable"),
        ("end_user: vijay", "stable"),
    ] {
        let reply = malformed_requests::send(&envoy, &[line.as_bytes()]).await.ok();
        assert_eq!(version(&reply), expected, "{line}");
    }
}

#[tokio::test]
async fn one_of_several_values_is_enough() {
    let versions = Versions::start().await;
    let envoy = serve(&versions, 100, 0, &canary_for_vijay()).await;
    let client = envoy.client();
    let both = [("end-user", "tom"), ("end-user", "vijay")];
    assert_eq!(version_for(&client, &both).await, "canary");
    let pairs = [("end-user", "tom"), ("end-user", "anna")];
    assert_eq!(version_for(&client, &pairs).await, "stable");
}

#[tokio::test]
async fn the_first_rule_that_matches_wins() {
    let services = ["v1", "v2", "v3"];
    let mut pods = Vec::new();
    for service in services {
        pods.push(Pod::start(&format!("{service}-1")).await);
    }
    let reviews = services
        .iter()
        .zip(&pods)
        .fold(Manifests::new(), |all, (name, pod)| {
            all.service(&Service::new(name, [pod]))
        })
        .route(&Route::new("shop").rule(Rule::split(&[("v1", 1), ("v2", 0), ("v3", 0)])));
    let (a, b) = (Source::Header("a").present(), Source::Header("b").present());
    for (first, second, both) in [("v2", "v3", "v2"), ("v3", "v2", "v3")] {
        let policy = Canary::on("shop")
            .force("first", first, std::slice::from_ref(&a))
            .force("second", second, std::slice::from_ref(&b))
            .force("never-reached", "v1", &[a.clone(), b.clone()]);
        let envoy = Envoy::serve(&reviews.clone().canary(&policy)).await;
        let client = envoy.client();
        assert_eq!(version_for(&client, &[("a", "1")]).await, first);
        assert_eq!(version_for(&client, &[("b", "1")]).await, second);
        assert_eq!(version_for(&client, &[("b", "1"), ("a", "1")]).await, both);
        assert_eq!(version_for(&client, &[]).await, "v1");
    }
}

#[tokio::test]
async fn all_matches_of_a_rule_must_hold() {
    let versions = Versions::start().await;
    let policy = Canary::on("shop").force(
        "both",
        "canary",
        &[
            vijay(),
            Source::Cookie("usertype").is("tester"),
            Source::Header("x-bot").absent(),
        ],
    );
    let envoy = serve(&versions, 100, 0, &policy).await;
    let client = envoy.client();
    let (user, cookie, bot) = (("end-user", "vijay"), ("cookie", "usertype=tester"), ("x-bot", "1"));
    assert_eq!(version_for(&client, &[user, cookie]).await, "canary");
    for some in [&[user][..], &[cookie], &[user, cookie, bot], &[bot], &[]] {
        assert_eq!(version_for(&client, some).await, "stable", "{some:?}");
    }
}

#[tokio::test]
async fn metadata_of_a_grpc_call_forces_the_canary() {
    let versions = Versions::start().await;
    let envoy = serve(&versions, 100, 0, &canary_for_vijay()).await;
    let client = envoy.client_http2();
    for (user, expected) in [("vijay", "canary"), ("tom", "stable")] {
        for _ in 0..10 {
            let call = client
                .request("/shop.v1.Cart/Get")
                .method("POST")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("trace-bin", "AAECAw")
                .header("end-user", user);
            let reply = call.send().await.ok();
            assert_eq!(version(&reply), expected);
            let echo = reply.echo();
            assert_eq!(
                (echo.method.as_str(), echo.target.as_str()),
                ("POST", "/shop.v1.Cart/Get")
            );
            assert_eq!(echo.header("trace-bin"), [b"AAECAw"]);
        }
    }
}

#[tokio::test]
async fn a_client_cannot_name_a_backend_by_itself() {
    let versions = Versions::start().await;
    let envoy = serve(&versions, 100, 0, &canary_for_vijay()).await;
    let client = envoy.client();
    let reply = send(&client, &[("x-mooring-backend", "canary.shop:80")]).await;
    assert_eq!(version(&reply), "stable");
    let reply = send(
        &client,
        &[("x-mooring-backend", "stable.shop:80"), ("end-user", "vijay")],
    )
    .await;
    assert_eq!(version(&reply), "canary");
    assert!(reply.echo().header("x-mooring-backend").is_empty(), "{reply:?}");
}
