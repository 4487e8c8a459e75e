//! Whatever is generated with exit status 0, Envoy takes.

use mooring_tests::{Envoy, Manifests, NAMESPACE, Pod, Service};

use super::http_route;

async fn starts(documents: &str) {
    let pod = Pod::start("a").await;
    let manifests = Manifests::new().service(&Service::new("a", [&pod])).yaml(documents);
    drop(Envoy::serve(&manifests).await);
}

#[tokio::test]
async fn a_regular_expression_of_more_than_100_instructions() {
    let pod = Pod::start("a").await;
    let rules = "  - {matches: [{path: {type: RegularExpression, value: '/blog/[a-z0-9-]{1,64}'}}], backendRefs: [{name: a, port: 80}]}\n";
    let manifests = Manifests::new()
        .service(&Service::new("a", [&pod]))
        .yaml(&http_route("web", "", rules));
    let envoy = Envoy::serve(&manifests).await;
    assert_eq!(envoy.client().get("/blog/a-1").await.ok().pod(), "a");
    assert_eq!(envoy.client().get("/blog/A").await.status(), 404);
}

/// Values that Envoy refuses, each in a rule beside one that is right. They are reported, and cost their own rule.
#[tokio::test]
async fn values_that_envoy_refuses_are_not_in_it() {
    let filters = [
        "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: '%NOPE%'}]}}",
        "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: \"a\\nb\"}]}}",
        "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: ':path', value: /b}, {name: host, value: c}], remove: [':method', host]}}",
        "{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: '/\\1'}}}",
        "{type: RequestRedirect, requestRedirect: {statusCode: 418}}",
        "{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}, percent: 400}}",
        "{type: CORS, cors: {allowOrigins: ['https://*[.example.com', '*', ''], maxAge: 0}}",
    ];
    let rules: Vec<String> = filters
        .iter()
        .enumerate()
        .map(|(number, filter)| format!("  - {{matches: [{{path: {{value: /f{number}}}}}], filters: [{filter}], backendRefs: [{{name: a, port: 80}}]}}\n"))
        .collect();
    let matches: Vec<String> = ["a**", "(?=a)", "a{1001}", "(a{100}){100}", "[[:nope:]]", "\\u0041", "*", "(?<n>a)", "\\p{Greek}"]
        .iter()
        .map(|regex| format!("  - {{matches: [{{path: {{type: RegularExpression, value: '{regex}'}}}}, {{headers: [{{name: x, type: RegularExpression, value: '{regex}'}}]}}], backendRefs: [{{name: a, port: 80}}]}}\n"))
        .collect();
    starts(&http_route(
        "web",
        "",
        &format!("{}{}", rules.concat(), matches.concat()),
    ))
    .await;
}

#[tokio::test]
async fn so_it_is_with_virtual_services() {
    let http = [
        "redirect: {redirectCode: 418}",
        "directResponse: {status: 99}",
        "directResponse: {status: 200, body: {bytes: '!'}}",
        "route: [{destination: {host: a}}], timeout: never",
        "route: [{destination: {host: a}}], timeout: 1h30m",
        "route: [{destination: {host: a}}], retries: {attempts: 2, backoff: 0s}",
        "route: [{destination: {host: a}}], retries: {attempts: -1, retryOn: '5xx,gibberish'}",
        "route: [{destination: {host: a}}], fault: {abort: {httpStatus: 10}}",
        "route: [{destination: {host: a}}], fault: {abort: {grpcStatus: NOPE}}",
        "route: [{destination: {host: a}}], fault: {abort: {httpStatus: 500, grpcStatus: OK}}",
        "route: [{destination: {host: a}}], fault: {delay: {fixedDelay: 0s}}",
        "route: [{destination: {host: a}}], fault: {}",
        "route: [{destination: {host: a}}], corsPolicy: {allowOrigins: [{}]}",
        "route: [{destination: {host: a}}], corsPolicy: {allowOrigins: [{prefix: ''}]}",
        "route: [{destination: {host: a}}], rewrite: {uri: /x, uriRegexRewrite: {match: '(a', rewrite: b}}",
        "route: [{destination: {host: a}}], rewrite: {uri: /x, uriRegexRewrite: {match: 'a', rewrite: '\\1'}}",
        "route: [{destination: {host: a}}], rewrite: {uri: /x, uriRegexRewrite: {match: '(a)', rewrite: '\\1'}}",
        "route: [{destination: {host: a}, weight: 4000000000}, {destination: {host: b}, weight: 4000000000}]",
        "route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: 0}]",
        "route: [{destination: {host: a}}], headers: {request: {set: {'': x}}}",
        "route: [{destination: {host: a}}], mirror: {host: a}, mirrorPercentage: {value: 200}",
        "route: [{destination: {host: a}}], match: [{uri: {exact: /a, prefix: /b}}, {headers: {x: {prefix: ''}}}, {queryParams: {'': {exact: a}}}, {uri: {prefix: ''}}]",
        "name: nothing",
    ];
    let http: Vec<String> = http.iter().map(|one| format!("  - {{{one}}}\n")).collect();
    let objects = format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: classic, namespace: {NAMESPACE}}}\nspec:\n  selector: {{istio: \
         gateway}}\n  servers: [{{port: {{number: 18080, name: http, protocol: HTTP}}, hosts: ['*']}}]\n---\n\
         apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web, namespace: {NAMESPACE}}}\nspec:\n  hosts: ['*']\n  \
         gateways: [classic]\n  http:\n"
    );
    // Each by itself, since nothing comes after a route that takes everything.
    let pod = Pod::start("a").await;
    for one in http {
        let service = Service::new("a", [&pod]);
        let manifests = Manifests::of(&format!("{objects}{one}"))
            .ports(&[18080])
            .service(&service);
        drop(Envoy::serve(&manifests).await);
    }
}
