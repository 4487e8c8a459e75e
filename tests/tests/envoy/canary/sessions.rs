//! Match rules together with sessions that are bound to a pod.

use mooring_tests::{Browser, Canary, Client, Envoy, Manifests, Reply, Rule, Source};

use super::{Versions, canary_for_vijay, counted, counts, version};
use crate::{
    malformed_requests::{self, Lines},
    shop::{COOKIE, persistence},
};

/// Both versions with these weights, sessions over both, and a policy.
fn shop(versions: &Versions, stable: u32, canary: u32, policy: &Canary) -> Manifests {
    let rule = Rule::split(&[("stable", stable), ("canary", canary)]).persistence(persistence());
    versions.rule(rule).canary(policy)
}

/// A new client with a session: its first answer, and the cookie to send back.
async fn begin(client: &Client) -> (Reply, String) {
    let first = client.get("/").await.ok();
    let cookie = first.set_cookie(COOKIE).unwrap().stripped().to_string();
    (first, cookie)
}

/// A request of this client.
async fn visit(client: &Client, cookie: &str, lines: &[(&str, &str)]) -> Reply {
    let request = client.request("/").cookie(format!("a=1; {cookie}; b=2"));
    let request = lines
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value));
    let reply = request.send().await.ok();
    assert_eq!(
        reply.echo().cookie().as_deref(),
        Some(b"a=1; b=2".as_slice()),
        "{reply:?}"
    );
    reply
}

const VIJAY: (&str, &str) = ("end-user", "vijay");

#[tokio::test]
async fn force_beats_a_live_session_which_goes_on_at_its_pod_afterwards() {
    let versions = Versions::start().await;
    let envoy = Envoy::serve(&shop(&versions, 100, 0, &canary_for_vijay())).await;
    let client = envoy.client();
    for _ in 0..5 {
        let (first, cookie) = begin(&client).await;
        assert_eq!(version(&first), "stable");
        for _ in 0..5 {
            let forced = visit(&client, &cookie, &[VIJAY]).await;
            assert_eq!(version(&forced), "canary");
            assert!(
                forced.set_cookies().is_empty(),
                "the session stays as it is: {forced:?}"
            );
            assert_eq!(forced.header("x-mooring-host"), None, "{forced:?}");
            let back = visit(&client, &cookie, &[]).await;
            assert_eq!(back.pod(), first.pod());
            assert!(back.set_cookies().is_empty(), "{back:?}");
        }
    }
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_moved_total"), 0);
    let expected = [
        ("canary", "canary:vijay", 25),
        ("stable", "session", 25),
        ("stable", "split", 5),
    ];
    assert_eq!(counted(&stats), counts(&expected));
}

#[tokio::test]
async fn with_override_never_a_live_session_beats_force() {
    let versions = Versions::start().await;
    let envoy = Envoy::serve(&shop(&versions, 100, 0, &canary_for_vijay().sessions_first())).await;
    let client = envoy.client();
    let (first, cookie) = begin(&client).await;
    assert_eq!(version(&first), "stable");
    for _ in 0..20 {
        let reply = visit(&client, &cookie, &[VIJAY]).await;
        assert_eq!(reply.pod(), first.pod());
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
    // Who has no session yet is forced all the same.
    let forced = client.request("/").header(VIJAY.0, VIJAY.1).send().await.ok();
    assert_eq!(version(&forced), "canary");
    let expected = [
        ("canary", "canary:vijay", 1),
        ("stable", "session", 20),
        ("stable", "split", 1),
    ];
    assert_eq!(counted(&envoy.stats().await), counts(&expected));
}

#[tokio::test]
async fn a_forced_client_without_a_session_is_pinned_to_one_pod_of_the_canary() {
    let versions = Versions::start().await;
    let envoy = Envoy::serve(&shop(&versions, 100, 0, &canary_for_vijay())).await;
    let client = envoy.client();
    for _ in 0..5 {
        let first = client.request("/").header(VIJAY.0, VIJAY.1).send().await.ok();
        assert_eq!(version(&first), "canary");
        let cookie = first.set_cookie(COOKIE).unwrap().stripped().to_string();
        // The session holds with the header and without it.
        for lines in [&[VIJAY][..], &[]] {
            for _ in 0..10 {
                let reply = visit(&client, &cookie, lines).await;
                assert_eq!(reply.pod(), first.pod());
                assert!(reply.set_cookies().is_empty(), "{reply:?}");
            }
        }
    }
}

#[tokio::test]
async fn never_diverts_a_session_on_the_canary_and_gives_it_back() {
    let versions = Versions::start().await;
    let policy = Canary::on("shop").opt_in("by-choice", "canary", Source::Header("x-canary"));
    let envoy = Envoy::serve(&shop(&versions, 0, 100, &policy)).await;
    let client = envoy.client();
    let (first, cookie) = begin(&client).await;
    assert_eq!(version(&first), "canary");
    for _ in 0..10 {
        let away = visit(&client, &cookie, &[("x-canary", "never")]).await;
        assert_eq!(version(&away), "stable");
        assert!(away.set_cookies().is_empty(), "{away:?}");
        for lines in [&[][..], &[("x-canary", "always")]] {
            let back = visit(&client, &cookie, lines).await;
            assert_eq!(back.pod(), first.pod());
            assert!(back.set_cookies().is_empty(), "{back:?}");
        }
    }
}

#[tokio::test]
async fn a_session_that_expired_while_its_user_was_diverted_is_no_session() {
    let versions = Versions::start().await;
    let rule = Rule::split(&[("stable", 100), ("canary", 0)]).persistence(persistence().absolute("2s"));
    let envoy = Envoy::serve(&versions.rule(rule).canary(&canary_for_vijay())).await;
    let client = envoy.client();
    let watch = mooring_tests::wait::Stopwatch::start();
    let (_, cookie) = begin(&client).await;
    assert!(visit(&client, &cookie, &[VIJAY]).await.set_cookies().is_empty());
    watch.reaches(std::time::Duration::from_millis(3_100)).await;
    // Its next request begins another one, where it is now.
    let forced = visit(&client, &cookie, &[VIJAY]).await;
    assert_eq!(version(&forced), "canary");
    let next = forced.set_cookie(COOKIE).unwrap().stripped().to_string();
    assert_eq!(visit(&client, &next, &[]).await.pod(), forced.pod());
}

#[tokio::test]
async fn an_idle_session_is_kept_alive_by_forced_requests() {
    let versions = Versions::start().await;
    let rule = Rule::split(&[("stable", 100), ("canary", 0)])
        .persistence(persistence().idle("3s").annotation("refresh-interval", "1s"));
    let envoy = Envoy::serve(&versions.rule(rule).canary(&canary_for_vijay())).await;
    let client = envoy.client();
    let watch = mooring_tests::wait::Stopwatch::start();
    let (first, mut cookie) = begin(&client).await;
    for tick in 1..=5_u64 {
        watch.reaches(std::time::Duration::from_millis(tick * 1_200)).await;
        let forced = visit(&client, &cookie, &[VIJAY]).await;
        assert_eq!(version(&forced), "canary");
        if let Some(renewed) = forced.set_cookie(COOKIE) {
            cookie = renewed.stripped().to_string();
        }
    }
    let back = visit(&client, &cookie, &[]).await;
    assert_eq!(
        back.pod(),
        first.pod(),
        "the session outlived its idle timeout by requests"
    );
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_new_total"), 1);
    assert!(stats.mooring("mooring_session_refreshed_total") >= 2);
}

#[tokio::test]
async fn the_session_and_the_canary_may_be_in_different_cookie_lines() {
    let versions = Versions::start().await;
    let testers = Canary::on("shop").force("testers", "canary", &[Source::Cookie("usertype").is("tester")]);
    let envoy = malformed_requests::fail_closed(&shop(&versions, 100, 0, &testers)).await;
    let client = envoy.client();
    let (first, cookie) = begin(&client).await;
    let ours = format!("Cookie: {cookie}");
    let both = format!("Cookie: {cookie}; usertype=tester");
    let cases: [(Lines<'_>, &str, &[u8]); 4] = [
        (
            &[ours.as_bytes(), b"Cookie: usertype=tester"],
            "canary",
            b"usertype=tester",
        ),
        (
            &[b"Cookie: a=\xff; usertype=tester", ours.as_bytes()],
            "canary",
            b"a=\xff; usertype=tester",
        ),
        (&[b"Cookie: a=1", both.as_bytes()], "canary", b"a=1; usertype=tester"),
        (&[b"Cookie: usertype=none", ours.as_bytes()], "stable", b"usertype=none"),
    ];
    for (lines, expected, left) in cases {
        let reply = malformed_requests::send(&envoy, lines).await.ok();
        assert_eq!(version(&reply), expected);
        assert!(expected == "canary" || reply.pod() == first.pod(), "{reply:?}");
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
        assert_eq!(reply.echo().header("cookie").join(b"; ".as_slice()), left);
    }
}

#[tokio::test]
async fn a_browser_that_becomes_a_tester_and_stops_being_one_comes_back_to_its_pod() {
    let versions = Versions::start().await;
    let testers = Canary::on("shop").force("testers", "canary", &[Source::Cookie("usertype").is("tester")]);
    let envoy = Envoy::serve(&shop(&versions, 100, 0, &testers)).await;
    let mut browser: Browser = envoy.browser();
    let first = browser.get("/").await.ok();
    for (usertype, expected) in [("tester", "canary"), ("customer", "stable"), ("tester", "canary")] {
        browser = browser.with("usertype", usertype);
        for _ in 0..10 {
            let reply = browser.get("/").await.ok();
            assert_eq!(version(&reply), expected, "{usertype}");
            assert!(expected == "canary" || reply.pod() == first.pod(), "{reply:?}");
            assert!(reply.set_cookies().is_empty(), "{reply:?}");
        }
    }
}
