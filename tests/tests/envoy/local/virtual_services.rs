//! Http routes of a `VirtualService`.

use std::time::Duration;

use mooring_tests::{Answer, Manifests, wait};

use super::{Local, header, sent, virtual_service};

async fn serve(http: &str) -> Local {
    Local::on(Manifests::istio(), &virtual_service("web", "", http)).await
}

const TO_A: &str = "route: [{destination: {host: a}}]";

#[tokio::test]
async fn redirects_and_answers_of_envoys_own() {
    let local = serve(
        "  - {match: [{uri: {prefix: /r}}], redirect: {uri: /there, authority: other.example, redirectCode: 302}}
  - {match: [{uri: {prefix: /port}}], redirect: {port: 8443, scheme: https}}
  - {match: [{uri: {prefix: /d}}], directResponse: {status: 418, body: {string: short and stout}}, headers: {response: {set: {x-kind: pot}}}}
  - {match: [{uri: {prefix: /b}}], directResponse: {status: 200, body: {bytes: aGVsbG8=}}}
",
    )
    .await;
    let reply = local.get("/r/a").await;
    assert_eq!(
        (reply.status(), header(&reply, "location").as_deref()),
        (302, Some("http://other.example/there"))
    );
    let reply = local.get("/port").await;
    assert_eq!(
        header(&reply, "location").as_deref(),
        Some("https://shop.example.com:8443/port")
    );
    let reply = local.get("/d").await;
    assert_eq!((reply.status(), reply.body()), (418, b"short and stout".as_slice()));
    assert_eq!(header(&reply, "x-kind").as_deref(), Some("pot"));
    assert_eq!(local.get("/b").await.ok().body(), b"hello");
    assert_eq!(local.get("/other").await.status(), 404);
}

#[tokio::test]
async fn rewrites_of_uri_authority_and_by_regular_expression() {
    let local = serve(&format!(
        "  - {{match: [{{uri: {{prefix: /old}}}}], rewrite: {{uri: /new, authority: inside.example}}, {TO_A}}}
  - {{match: [{{uri: {{prefix: /id}}}}], rewrite: {{uriRegexRewrite: {{match: '^/id/([0-9]+)/(.*)$', rewrite: '/\\2/\\1'}}}}, {TO_A}}}
"
    ))
    .await;
    let reply = local.get("/old/x").await.ok();
    assert_eq!(
        (sent(&reply, "host"), reply.echo().target),
        (vec!["inside.example".to_owned()], "/new/x".to_owned())
    );
    assert_eq!(local.get("/id/17/cart").await.ok().echo().target, "/cart/17");
}

#[tokio::test]
async fn headers_of_route_and_destination() {
    let local = serve(
        "  - headers: {request: {set: {x-route: r}, remove: [x-gone]}, response: {add: {x-back: r}}}
    route: [{destination: {host: a}, headers: {request: {add: {x-destination: d}, set: {host: inside.example}}, response: {remove: [x-secret]}}}]
",
    )
    .await;
    local.a.answer(Answer::default().header("x-secret", "s"));
    let reply = local.request("/").header("x-gone", "1").send().await.ok();
    assert_eq!(
        (sent(&reply, "x-route"), sent(&reply, "x-destination")),
        (vec!["r".to_owned()], vec!["d".to_owned()])
    );
    assert_eq!(
        (sent(&reply, "x-gone").len(), sent(&reply, "host")),
        (0, vec!["inside.example".to_owned()])
    );
    assert_eq!(
        (header(&reply, "x-back").as_deref(), reply.header("x-secret")),
        (Some("r"), None)
    );
}

#[tokio::test]
async fn every_condition_of_a_match_counts() {
    let conditions = [
        ("scheme", "scheme: {exact: https}"),
        ("authority", "authority: {prefix: admin.}"),
        ("case", "uri: {prefix: /CASE}, ignoreUriCase: true"),
        ("exact", "uri: {exact: /exact}"),
        ("regex", "uri: {regex: '/[0-9]+'}"),
        ("method", "method: {regex: 'P.*'}"),
        ("header", "headers: {x-a: {prefix: v}, x-b: {}}"),
        (
            "without",
            "headers: {x-c: {exact: '1'}}, withoutHeaders: {x-d: {exact: '1'}}",
        ),
        ("query", "queryParams: {q: {regex: 'a+'}}"),
        ("port", "uri: {prefix: /port}, port: 81"),
        (
            "claims",
            "headers: {'@request.auth.claims.group': {exact: a}}, uri: {prefix: /claims}",
        ),
        (
            "labels",
            "uri: {prefix: /labels}, sourceLabels: {istio: ingressgateway}",
        ),
        ("foreign", "uri: {prefix: /labels}, sourceLabels: {app: other}"),
    ];
    let routes = conditions
        .iter()
        .map(|(name, condition)| {
            format!("  - {{match: [{{{condition}}}], route: [{{destination: {{host: a}}, headers: {{response: {{set: {{x-match: {name}}}}}}}}}]}}\n")
        })
        .collect::<Vec<_>>();
    let local = serve(&routes.concat()).await;
    let ask = |path: &'static str| local.request(path);
    for (request, expected) in [
        (ask("/").host("admin.example"), Some("authority")),
        (ask("/case/a"), Some("case")),
        (ask("/exact"), Some("exact")),
        (ask("/exact/a"), None),
        (ask("/17"), Some("regex")),
        (ask("/17a"), None),
        (ask("/").method("PUT"), Some("method")),
        (ask("/").header("x-a", "value").header("x-b", "any"), Some("header")),
        (ask("/").header("x-a", "value"), None),
        (ask("/").header("x-c", "1"), Some("without")),
        (ask("/").header("x-c", "1").header("x-d", "1"), None),
        (ask("/?q=aa"), Some("query")),
        (ask("/?q=ab"), None),
        (ask("/port"), None),
        (ask("/claims"), None),
        (ask("/labels"), Some("labels")),
        (ask("/"), None),
    ] {
        let reply = request.send().await;
        assert_eq!(header(&reply, "x-match").as_deref(), expected, "{reply:?}");
    }
}

#[tokio::test]
async fn faults_delay_and_abort() {
    let local = serve(&format!(
        "  - {{match: [{{uri: {{prefix: /abort}}}}], fault: {{abort: {{httpStatus: 418, percentage: {{value: 100}}}}}}, {TO_A}}}
  - {{match: [{{uri: {{prefix: /never}}}}], fault: {{abort: {{httpStatus: 418, percentage: {{value: 0}}}}}}, {TO_A}}}
  - {{match: [{{uri: {{prefix: /delay}}}}], fault: {{delay: {{fixedDelay: 300ms, percentage: {{value: 100}}}}}}, {TO_A}}}
"
    ))
    .await;
    assert_eq!(local.get("/abort").await.status(), 418);
    assert_eq!(local.get("/never").await.status(), 200);
    let started = tokio::time::Instant::now();
    assert_eq!(local.get("/delay").await.status(), 200);
    // Envoy counts from the time at which its event loop last woke, so a delay can be some milliseconds short.
    assert!(
        started.elapsed() >= Duration::from_millis(250),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn mirrors_cors_and_retries() {
    let local = serve(
        "  - match: [{uri: {prefix: /mirror}}]
    route: [{destination: {host: a}}]
    mirror: {host: b}
    mirrorPercentage: {value: 100}
    mirrors: [{destination: {host: b.shop.svc.cluster.local, port: {number: 80}}}, {destination: {host: b}, percentage: {value: 0}}]
  - match: [{uri: {prefix: /cors}}]
    route: [{destination: {host: a}}]
    corsPolicy: {allowOrigins: [{regex: 'https://.*[.]example'}], allowMethods: [GET], maxAge: 2m}
  - match: [{uri: {prefix: /retry}}]
    route: [{destination: {host: a}}]
    retries: {attempts: 1, retryOn: '503', perTryTimeout: 1.5s, backoff: 25ms}
",
    )
    .await;
    assert_eq!(local.get("/mirror").await.ok().pod(), "a");
    wait::until("both copies arrive", || async {
        (local.b.echoes().len() == 2).then_some(())
    })
    .await;
    let preflight = local
        .request("/cors")
        .method("OPTIONS")
        .header("origin", "https://one.example");
    let reply = preflight
        .header("access-control-request-method", "GET")
        .send()
        .await
        .ok();
    assert_eq!(header(&reply, "access-control-max-age").as_deref(), Some("120"));
    local.a.forget();
    local.a.answer(Answer::status(503));
    assert_eq!(local.get("/retry").await.status(), 503);
    assert_eq!(local.a.echoes().len(), 2);
}

#[tokio::test]
async fn a_catch_all_of_the_older_virtual_service_comes_last() {
    let older = virtual_service(
        "aaa",
        ", creationTimestamp: '2024-01-01T00:00:00Z'",
        "  - {name: mine, match: [{uri: {prefix: /both}}], route: [{destination: {host: a}}]}
  - {name: all, route: [{destination: {host: a}}]}
  - {name: after, match: [{uri: {prefix: /after}}], route: [{destination: {host: b}}]}
",
    );
    let newer = virtual_service(
        "bbb",
        ", creationTimestamp: '2024-02-01T00:00:00Z'",
        "  - {name: theirs, match: [{uri: {prefix: /both}}], route: [{destination: {host: b}}]}
  - {name: special, match: [{uri: {prefix: /special}}], route: [{destination: {host: b}}]}
",
    );
    let local = Local::on(Manifests::istio(), &format!("{older}---\n{newer}")).await;
    for (path, pod) in [("/special", "b"), ("/both", "a"), ("/after", "a"), ("/", "a")] {
        assert_eq!(local.get(path).await.ok().pod(), pod, "{path}");
    }
}
