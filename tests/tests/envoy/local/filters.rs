//! Filters, timeouts and retries of an `HTTPRoute`.

use std::time::Duration;

use mooring_tests::{Answer, wait};

use super::{Local, header, sent};

#[tokio::test]
async fn a_redirect_names_the_place_that_its_rule_names() {
    let rules = [
        ("/scheme", "scheme: https, statusCode: 301"),
        ("/host", "hostname: other.example"),
        ("/port", "port: 8443"),
        ("/full", "path: {type: ReplaceFullPath, replaceFullPath: /there}"),
        ("/prefix", "path: {type: ReplacePrefixMatch, replacePrefixMatch: /instead}"),
        ("/status", "statusCode: 308, path: {type: ReplaceFullPath, replaceFullPath: /s}"),
        ("/all", "scheme: https, hostname: other.example, port: 444, path: {type: ReplaceFullPath, replaceFullPath: /x}"),
        ("/default-port", "scheme: https, port: 443, hostname: other.example"),
    ]
    .iter()
    .map(|(path, redirect)| {
        format!("  - {{matches: [{{path: {{value: {path}}}}}], filters: [{{type: RequestRedirect, requestRedirect: {{{redirect}}}}}]}}\n")
    })
    .collect::<Vec<_>>();
    let local = Local::rules(&rules.concat()).await;
    for (path, status, location) in [
        ("/scheme/a?q=1", 301, "https://shop.example.com/scheme/a?q=1"),
        ("/host", 302, "http://other.example/host"),
        ("/port", 302, "http://shop.example.com:8443/port"),
        ("/full/a", 302, "http://shop.example.com/there"),
        ("/prefix/a/b", 302, "http://shop.example.com/instead/a/b"),
        ("/prefix", 302, "http://shop.example.com/instead"),
        ("/status", 308, "http://shop.example.com/s"),
        ("/all/a", 302, "https://other.example:444/x"),
        ("/default-port", 302, "https://other.example/default-port"),
    ] {
        let reply = local.get(path).await;
        assert_eq!(
            (reply.status(), header(&reply, "location").as_deref()),
            (status, Some(location)),
            "{path}"
        );
    }
    assert!(local.a.echoes().is_empty());
}

#[tokio::test]
async fn a_rewrite_changes_what_the_pod_is_asked_for() {
    let rules = [
        ("/host", "hostname: inside.example"),
        ("/full", "path: {type: ReplaceFullPath, replaceFullPath: /there}"),
        ("/prefix", "path: {type: ReplacePrefixMatch, replacePrefixMatch: /instead/}"),
        ("/gone", "path: {type: ReplacePrefixMatch, replacePrefixMatch: /}"),
        ("/dots.+", "path: {type: ReplacePrefixMatch, replacePrefixMatch: /}"),
        ("/both", "hostname: inside.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}"),
    ]
    .iter()
    .map(|(path, rewrite)| {
        format!("  - {{matches: [{{path: {{value: {path}}}}}], filters: [{{type: URLRewrite, urlRewrite: {{{rewrite}}}}}], backendRefs: [{{name: a, port: 80}}]}}\n")
    })
    .collect::<Vec<_>>();
    let local = Local::rules(&rules.concat()).await;
    for (path, host, target) in [
        ("/host/a", "inside.example", "/host/a"),
        ("/full/a?q=1", "shop.example.com", "/there?q=1"),
        ("/prefix/a", "shop.example.com", "/instead/a"),
        ("/prefix", "shop.example.com", "/instead"),
        ("/gone/a", "shop.example.com", "/a"),
        ("/gone", "shop.example.com", "/"),
        ("/gone/", "shop.example.com", "/"),
        ("/dots.+/a", "shop.example.com", "/a"),
        ("/both/a", "inside.example", "/x/a"),
    ] {
        let reply = local.get(path).await.ok();
        let asked = (sent(&reply, "host"), reply.echo().target);
        assert_eq!(asked, (vec![host.to_owned()], target.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn headers_are_set_added_and_removed_on_the_way_there_and_back() {
    let local = Local::rules(
        "  - filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: X-Set, value: new}, {name: x-set, value: ignored}]
        add: [{name: X-Add, value: more}]
        remove: [X-Remove]
    - type: ResponseHeaderModifier
      responseHeaderModifier:
        set: [{name: x-back, value: new}]
        add: [{name: x-more, value: more}]
        remove: [x-secret]
    backendRefs:
    - name: a
      port: 80
      filters:
      - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-backend, value: a}]}}
",
    )
    .await;
    local.a.answer(
        Answer::default()
            .header("x-back", "old")
            .header("x-more", "one")
            .header("x-secret", "s"),
    );
    let request = local
        .request("/")
        .header("x-set", "old")
        .header("x-add", "one")
        .header("x-remove", "gone");
    let reply = request.send().await.ok();
    assert_eq!(sent(&reply, "x-set"), ["new"]);
    assert_eq!(sent(&reply, "x-add").join(","), "one,more");
    assert_eq!(sent(&reply, "x-remove"), [""; 0]);
    assert_eq!(sent(&reply, "x-backend"), ["a"]);
    assert_eq!(header(&reply, "x-back").as_deref(), Some("new"));
    assert_eq!(reply.header_all("x-more"), ["one", "more"]);
    assert_eq!(reply.header("x-secret"), None);
}

#[tokio::test]
async fn each_backend_of_a_split_has_its_own_headers() {
    let backend = |name: &str| {
        format!(
            "    - name: {name}\n      port: 80\n      filters:\n      - {{type: RequestHeaderModifier, requestHeaderModifier: \
             {{set: [{{name: x-backend, value: for-{name}}}]}}}}\n"
        )
    };
    let local = Local::rules(&format!("  - backendRefs:\n{}{}", backend("a"), backend("b"))).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let reply = local.get("/").await.ok();
        assert_eq!(sent(&reply, "x-backend"), [format!("for-{}", reply.pod())]);
        seen.insert(reply.pod());
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn copies_of_requests_go_to_every_mirror() {
    let local = Local::rules(
        "  - filters:
    - {type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}, percent: 100}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}, fraction: {numerator: 0, denominator: 3}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: nowhere, port: 80}}}
    backendRefs: [{name: a, port: 80}]
",
    )
    .await;
    assert_eq!(local.get("/mirrored").await.ok().pod(), "a");
    wait::until("both copies arrive", || async {
        (local.b.echoes().len() == 2).then_some(())
    })
    .await;
    assert!(local.b.echoes().iter().all(|echo| echo.target == "/mirrored"));
}

#[tokio::test]
async fn a_preflight_is_answered_for_the_origins_that_the_rule_names() {
    let local = Local::rules(
        "  - filters:
    - type: CORS
      cors:
        allowOrigins: ['https://one.example', 'https://*.two.example', 'http://*']
        allowMethods: [GET, PUT]
        allowHeaders: [x-a]
        exposeHeaders: [x-b]
        allowCredentials: true
        maxAge: 60
    backendRefs: [{name: a, port: 80}]
  - matches: [{path: {value: /defaults}}]
    filters: [{type: CORS, cors: {allowOrigins: ['*']}}]
    backendRefs: [{name: a, port: 80}]
",
    )
    .await;
    let preflight_of = |path: &str, origin: &str| {
        let request = local.request(path).method("OPTIONS").header("origin", origin);
        request.header("access-control-request-method", "PUT").send()
    };
    let preflight = |origin: &str| preflight_of("/", origin);
    for origin in ["https://one.example", "https://a.two.example", "http://any.example"] {
        let reply = preflight(origin).await.ok();
        assert_eq!(header(&reply, "access-control-allow-origin").as_deref(), Some(origin));
        assert_eq!(
            header(&reply, "access-control-allow-methods").as_deref(),
            Some("GET,PUT")
        );
        assert_eq!(header(&reply, "access-control-max-age").as_deref(), Some("60"));
        assert_eq!(
            header(&reply, "access-control-allow-credentials").as_deref(),
            Some("true")
        );
    }
    let brief = preflight_of("/defaults", "https://one.example").await.ok();
    assert_eq!(header(&brief, "access-control-max-age").as_deref(), Some("5"));
    assert!(local.a.echoes().is_empty());
    let other = preflight("https://three.example").await;
    assert_eq!(other.header("access-control-allow-origin"), None, "{other:?}");
    let reply = local
        .request("/")
        .header("origin", "https://one.example")
        .send()
        .await
        .ok();
    assert_eq!(header(&reply, "access-control-expose-headers").as_deref(), Some("x-b"));
}

#[tokio::test]
async fn a_rule_without_an_answer_in_time_is_answered_with_504() {
    // The pod's port is closed to bytes, not to connections: nothing ever answers.
    let silent = tokio::net::TcpListener::bind((mooring_tests::address::fresh(), 8080))
        .await
        .unwrap();
    let std::net::IpAddr::V4(ip) = silent.local_addr().unwrap().ip() else {
        panic!("an IPv4 address");
    };
    let service = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: silent, namespace: shop}}\nspec: {{ports: [{{name: http, port: 80}}]}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: silent, namespace: shop, labels: \
         {{kubernetes.io/service-name: silent}}}}\naddressType: IPv4\nports: [{{name: http, port: 8080}}]\nendpoints: \
         [{{addresses: [{ip}]}}]\n---\n"
    );
    let rules = "  - matches: [{path: {value: /request}}]
    timeouts: {request: 200ms}
    backendRefs: [{name: silent, port: 80}]
  - matches: [{path: {value: /backend}}]
    timeouts: {request: 10s, backendRequest: 100ms}
    retry: {attempts: 1, codes: [504], backoff: 25ms}
    backendRefs: [{name: silent, port: 80}]
";
    let local = Local::serve(&format!("{service}{}", super::http_route("web", "", rules))).await;
    for path in ["/request", "/backend"] {
        let started = tokio::time::Instant::now();
        let reply = local.get(path).await;
        assert_eq!(reply.status(), 504, "{path}: {reply:?}");
        assert!(
            started.elapsed() < Duration::from_secs(8),
            "{path}: {:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn a_503_is_tried_again_only_where_the_rule_says_so() {
    let local = Local::rules(
        "  - matches: [{path: {value: /told}}]
    retry: {codes: [503], attempts: 3}
    backendRefs: [{name: a, port: 80}]
  - matches: [{path: {value: /never}}]
    retry: {codes: [503], attempts: 0}
    backendRefs: [{name: a, port: 80}]
  - backendRefs: [{name: a, port: 80}]
",
    )
    .await;
    local.a.answer(Answer::status(503));
    for (path, tries) in [("/told", 4), ("/never", 1), ("/default", 1)] {
        local.a.forget();
        assert_eq!(local.get(path).await.status(), 503);
        assert_eq!(local.a.echoes().len(), tries, "{path}");
    }
}
