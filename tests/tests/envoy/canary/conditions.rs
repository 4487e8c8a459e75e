//! Each kind of condition, on headers and on cookies, and on bytes that no browser sends.

use mooring_tests::{Canary, Match, Source};

use super::{Versions, counted, counts, serve, version, version_for};
use crate::malformed_requests;

/// A condition, what meets it and what does not. None: nothing is sent.
struct Case {
    rule: &'static str,
    matches: fn(Source<'_>) -> Match,
    hold: &'static [&'static str],
    fail: &'static [&'static str],
}

/// `Absent` has a test of its own: in a rule by itself it would hold for nearly everybody.
const CASES: [Case; 6] = [
    Case {
        rule: "exact",
        matches: |source| source.is("vijay"),
        hold: &["vijay"],
        fail: &["vija", "vijay1", "VIJAY"],
    },
    Case {
        rule: "prefix",
        matches: |source| source.matches("Prefix", "eu-"),
        hold: &["eu-", "eu-west"],
        fail: &["eu", "us-eu-", "EU-west"],
    },
    Case {
        rule: "suffix",
        matches: |source| source.matches("Suffix", "@example.com"),
        hold: &["@example.com", "anna@example.com"],
        fail: &["example.com", "anna@example.com.org"],
    },
    Case {
        rule: "contains",
        matches: |source| source.matches("Contains", "beta"),
        hold: &["beta", "a-beta-b", "bbeta"],
        fail: &["bet", "be-ta"],
    },
    Case {
        rule: "regex",
        matches: |source| source.matches("RegularExpression", "v[0-9]+|latest"),
        hold: &["v2", "v10", "latest"],
        fail: &["v", "v2x", "xv2", "latest1", "1latest"],
    },
    Case {
        rule: "present",
        matches: |source| source.present(),
        hold: &["", "0", "anything"],
        fail: &[],
    },
];

#[tokio::test]
async fn each_kind_of_condition_holds_for_a_header_as_it_says() {
    let versions = Versions::start().await;
    // Each rule has a header of its own, so that none hides another.
    let policy = CASES.iter().fold(Canary::on("shop"), |policy, case| {
        policy.force(case.rule, "canary", &[(case.matches)(Source::Header(&header_of(case)))])
    });
    let envoy = serve(&versions, 100, 0, &policy).await;
    let client = envoy.client();
    let mut expected = vec![("stable", "split".to_owned(), 0)];
    for case in &CASES {
        for value in case.hold {
            let found = version_for(&client, &[(&header_of(case), value)]).await;
            assert_eq!(found, "canary", "{}: {value}", case.rule);
        }
        for value in case.fail {
            let found = version_for(&client, &[(&header_of(case), value)]).await;
            assert_eq!(found, "stable", "{}: {value}", case.rule);
            expected[0].2 += 1;
        }
        let held = u64::try_from(case.hold.len()).unwrap();
        expected.push(("canary", format!("canary:{}", case.rule), held));
    }
    let expected: Vec<(&str, &str, u64)> = expected.iter().map(|(a, b, c)| (*a, b.as_str(), *c)).collect();
    assert_eq!(counted(&envoy.stats().await), counts(&expected));
}

#[tokio::test]
async fn each_kind_of_condition_holds_for_a_cookie_as_it_says() {
    let versions = Versions::start().await;
    let policy = CASES.iter().fold(Canary::on("shop"), |policy, case| {
        policy.force(case.rule, "canary", &[(case.matches)(Source::Cookie(case.rule))])
    });
    let envoy = serve(&versions, 100, 0, &policy).await;
    let client = envoy.client();
    for case in &CASES {
        for (values, expected) in [(case.hold, "canary"), (case.fail, "stable")] {
            for value in values {
                let line = format!("theme=dark; {}={value}; lang=de", case.rule);
                let found = version_for(&client, &[("cookie", &line)]).await;
                assert_eq!(found, expected, "{line}");
            }
        }
    }
}

#[tokio::test]
async fn absent_holds_where_nothing_is_sent() {
    let versions = Versions::start().await;
    let policy = Canary::on("shop")
        .force(
            "no-header",
            "canary",
            &[Source::Header("x-old").absent(), Source::Header("a").present()],
        )
        .force(
            "no-cookie",
            "canary",
            &[Source::Cookie("old").absent(), Source::Header("b").present()],
        );
    let envoy = serve(&versions, 100, 0, &policy).await;
    let client = envoy.client();
    for (lines, expected) in [
        (&[("a", "1")][..], "canary"),
        (&[("a", "1"), ("x-old", "")], "stable"),
        (&[("a", "1"), ("x-old", "1")], "stable"),
        (&[("b", "1")], "canary"),
        (&[("b", "1"), ("cookie", "older=1")], "canary"),
        (&[("b", "1"), ("cookie", "theme=dark; old=1")], "stable"),
        (&[("b", "1"), ("cookie", "old=")], "stable"),
        (&[], "stable"),
    ] {
        assert_eq!(version_for(&client, lines).await, expected, "{lines:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_do_no_harm_in_what_a_canary_looks_at() {
    let versions = Versions::start().await;
    let policy = CASES.iter().fold(Canary::on("shop"), |policy, case| {
        let (header, cookie) = (format!("h-{}", case.rule), format!("c-{}", case.rule));
        policy
            .force(&header, "canary", &[(case.matches)(Source::Header(&header_of(case)))])
            .force(&cookie, "canary", &[(case.matches)(Source::Cookie(case.rule))])
    });
    let policy = policy
        .opt_in("opt-in", "canary", Source::Header("x-canary"))
        .hash_on(Source::Cookie("user"));
    let envoy = malformed_requests::fail_closed(&versions.split(50, 50).canary(&policy)).await;
    let every = malformed_requests::every_byte();
    let values = [
        b"\xff\xfe".as_slice(),
        b"\xc3\x28",
        b"\x80",
        b"\xed\xa0\x80",
        b"",
        &every,
    ];
    let mut names: Vec<String> = CASES.iter().map(header_of).collect();
    names.extend(["x-canary", "cookie"].map(str::to_owned));
    let cookies = CASES.iter().map(|case| case.rule).chain(["user"]);
    for value in values {
        let mut lines: Vec<Vec<u8>> = names
            .iter()
            .map(|name| [name.as_bytes(), b": ", value].concat())
            .collect();
        lines.extend(
            cookies
                .clone()
                .map(|name| [b"Cookie: ", name.as_bytes(), b"=", value].concat()),
        );
        for line in &lines {
            let reply = malformed_requests::send(&envoy, &[line]).await;
            assert_eq!(reply.status(), 200, "{:?}: {reply:?}", String::from_utf8_lossy(line));
        }
        let all: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        assert_eq!(malformed_requests::send(&envoy, &all).await.status(), 200);
    }
    // Bytes that are no text can be compared as well.
    let reply = malformed_requests::send(&envoy, &[b"x-prefix: eu-\xff\xfe"]).await.ok();
    assert_eq!(version(&reply), "canary");
    // The module lives.
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_error_total"), 0);
    assert!(!counted(&stats).is_empty());
}

#[tokio::test]
async fn thousands_of_cookies_and_a_hostile_value_for_an_expression_do_no_harm() {
    let versions = Versions::start().await;
    let policy = Canary::on("shop").force(
        "slow",
        "canary",
        // Exponential in an engine that backtracks.
        &[Source::Cookie("q").matches("RegularExpression", "(a|a|aa)*(a|aa)*b")],
    );
    let envoy = malformed_requests::fail_closed(&versions.split(100, 0).canary(&policy)).await;
    let many: Vec<String> = (0..3_000).map(|number| format!("c{number}=1")).collect();
    let same: Vec<String> = (0..1_000)
        .map(|_| "q=aaaaaaaaaaaaaaaaaaaaaaaaaaaac".to_owned())
        .collect();
    let long = vec![format!("q={}", "a".repeat(20_000))];
    // Of a thousand cookies of one name, the first few are looked at.
    for (cookies, last) in [(many, "canary"), (same, "stable"), (long, "canary")] {
        let line = format!("Cookie: {}", cookies.join("; "));
        let reply = malformed_requests::send(&envoy, &[line.as_bytes()]).await.ok();
        assert_eq!(version(&reply), "stable");
        let with_match = format!("{line}; q=aaab");
        let reply = malformed_requests::send(&envoy, &[with_match.as_bytes()]).await.ok();
        assert_eq!(version(&reply), last);
    }
}

fn header_of(case: &Case) -> String {
    format!("x-{}", case.rule)
}
