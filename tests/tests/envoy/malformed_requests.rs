//! Bytes that no browser sends. Envoy runs fail-closed here: after one trap of the module every request would be a 503.

mod corpus;
mod inputs;
mod sdk;

use mooring_tests::{Bootstrap, Envoy, Manifests, Persistence, Pod, Reply, raw};

use crate::shop::{COOKIE, cart, persistence};

/// All bytes that HTTP/1.1 allows in a header value: no controls but the tab (RFC 9110, section 5.5).
pub fn every_byte() -> Vec<u8> {
    (0..=u8::MAX)
        .filter(|byte| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f))
        .collect()
}

/// An Envoy in which no trap stays unseen.
pub async fn fail_closed(manifests: &Manifests) -> Envoy {
    fail_closed_with(|_| {}, manifests).await
}

/// The same, with another change to what was generated.
async fn fail_closed_with(edit: fn(&mut Bootstrap), manifests: &Manifests) -> Envoy {
    let closed = |bootstrap: &mut Bootstrap| {
        bootstrap.module().failure_policy("FAIL_CLOSED");
    };
    Envoy::builder().edit(closed).edit(edit).start(manifests).await
}

/// Header lines.
pub type Lines<'a> = &'a [&'a [u8]];

/// Sends header lines as they are.
pub async fn send(envoy: &Envoy, lines: &[&[u8]]) -> Reply {
    let mut request = b"GET / HTTP/1.1\r\nConnection: close\r\n".to_vec();
    if !lines.iter().any(|line| line.to_ascii_lowercase().starts_with(b"host:")) {
        request.extend_from_slice(b"Host: shop.example.com\r\n");
    }
    for line in lines {
        request.extend_from_slice(line);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    raw(envoy.address(), &request).await
}

#[tokio::test]
async fn bytes_that_are_no_text_do_no_harm_in_any_header_that_is_read() {
    let pods = Pod::start_several("cart", 2).await;
    let every = every_byte();
    let with = |name: &str, value: &[u8]| [name.as_bytes(), b": ", value].concat();
    for (kind, header) in [
        (persistence(), "Cookie"),
        (Persistence::header("x-cart-session"), "x-cart-session"),
    ] {
        let envoy = fail_closed(&cart(&pods, kind)).await;
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for value in [b"\xff\xfe".as_slice(), b"\xc3\x28", b"\x80", b"\xed\xa0\x80", &every] {
            for name in [
                header,
                "x-mooring-host",
                "x-mooring-backend",
                "Cache-Control",
                "x-forwarded-proto",
            ] {
                lines.push(with(name, value));
            }
            lines.push(with(header, &[b"a=", value].concat()));
            lines.push(with(header, &[COOKIE.as_bytes(), b"=", value].concat()));
            lines.push(with(header, &[value, b"=", value].concat()));
        }
        for line in &lines {
            let reply = send(&envoy, &[line]).await;
            assert_eq!(reply.status(), 200, "{:?}: {reply:?}", String::from_utf8_lossy(line));
        }
        // The module lives: it still starts sessions.
        let reply = envoy.client().get("/").await.ok();
        assert!(
            reply.set_cookie(COOKIE).is_some() || reply.header("x-cart-session").is_some(),
            "{reply:?}"
        );
        assert_eq!(envoy.stats().await.mooring("mooring_error_total"), 0);
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_do_no_harm_in_a_response() {
    let pods = Pod::start_several("cart", 1).await;
    let envoy = fail_closed(&cart(&pods, persistence())).await;
    for name in ["cache-control", "x-mooring-host", "set-cookie"] {
        pods[0].answer(mooring_tests::Answer::default().bytes(name, b"\xff\xfe\x80"));
        let reply = envoy.client().get("/").await.ok();
        let set = reply.header_all("set-cookie");
        assert!(set.iter().any(|value| value.starts_with(COOKIE)), "{name}: {reply:?}");
    }
}

#[tokio::test]
async fn a_host_name_of_odd_bytes_does_no_harm() {
    let pods = Pod::start_several("cart", 1).await;
    let envoy = fail_closed(&cart(&pods, persistence())).await;
    for host in [b"Host: \xff\xfe".as_slice(), b"Host: a\x80b"] {
        let reply = send(&envoy, &[host]).await;
        assert!(reply.status() == 200 || reply.status() == 400, "{reply:?}");
    }
    assert!(envoy.client().get("/").await.ok().set_cookie(COOKIE).is_some());
}

#[tokio::test]
async fn a_session_in_the_second_cookie_line_is_found() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = fail_closed(&cart(&pods, persistence())).await;
    let first = envoy.client().get("/").await.ok();
    let ours = [
        b"Cookie: ".as_slice(),
        first.set_cookie(COOKIE).unwrap().stripped().to_string().as_bytes(),
    ]
    .concat();
    let cases: [(Lines<'_>, Lines<'_>); 5] = [
        (&[b"Cookie: a=1", &ours], &[b"a=1"]),
        (&[&ours, b"Cookie: a=1"], &[b"a=1"]),
        (&[b"Cookie: a=1", &ours, b"Cookie: b=\xff"], &[b"a=1", b"b=\xff"]),
        (&[&ours, &ours], &[]),
        (
            &[
                &[&ours, b"; a=1".as_slice()].concat(),
                &[&ours, b"; b=2".as_slice()].concat(),
            ],
            &[b"a=1", b"b=2"],
        ),
    ];
    for (sent, left) in cases {
        let reply = send(&envoy, sent).await.ok();
        assert_eq!(reply.pod(), first.pod(), "{reply:?}");
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
        // Two lines or one: HTTP/1.1 and Envoy may join them, so only what is in them counts.
        let got = reply.echo().header("cookie").join(b"; ".as_slice());
        assert_eq!(got, left.join(b"; ".as_slice()), "{:?}", String::from_utf8_lossy(&got));
    }
}

#[tokio::test]
async fn thousands_of_cookies_do_no_harm() {
    let pods = Pod::start_several("cart", 2).await;
    let envoy = fail_closed(&cart(&pods, persistence())).await;
    let many: Vec<String> = (0..3_000).map(|number| format!("c{number}=1")).collect();
    let ours: Vec<String> = (0..1_000).map(|_| format!("{COOKIE}=x")).collect();
    for cookies in [many, ours] {
        let line = format!("Cookie: {}", cookies.join("; "));
        let reply = send(&envoy, &[line.as_bytes()]).await.ok();
        assert!(reply.set_cookie(COOKIE).is_some(), "{reply:?}");
    }
}
