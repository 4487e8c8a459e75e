//! From hosts and paths to routes and rules.

use serde_json::{Value, json};

use super::{Run, ingress};

/// An Ingress with this `spec` in YAML flow style.
fn with_spec(annotations: &[(&str, &str)], spec: &str) -> String {
    let ingress = ingress(annotations);
    let (head, _) = ingress.split_once("spec:\n").unwrap();
    format!("{head}spec: {spec}\n")
}

fn path(path: &str, kind: &str, service: &str) -> String {
    format!("{{path: {path}, pathType: {kind}, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}")
}

fn rule(host: &str, paths: &[String]) -> String {
    format!("{{host: {host}, http: {{paths: [{}]}}}}", paths.join(", "))
}

fn names(run: &Run) -> Vec<String> {
    let routes = run.of("HTTPRoute").into_iter();
    routes
        .map(|route| route["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn hosts_with_the_same_paths_share_a_route() {
    let same = [path("/", "Prefix", "web")];
    let other = [path("/", "Prefix", "api")];
    let rules = [
        rule("a.example.com", &same),
        rule("b.example.com", &other),
        rule("c.example.com", &same),
    ];
    let run = Run::on(&with_spec(&[], &format!("{{rules: [{}]}}", rules.join(", "))));
    assert_eq!(names(&run), ["web-a-example-com", "web-b-example-com"]);
    assert_eq!(
        run.of("HTTPRoute")[0]["spec"]["hostnames"],
        json!(["a.example.com", "c.example.com"])
    );
}

#[test]
fn paths_with_one_backend_are_one_rule() {
    let paths = [
        path("/a", "Prefix", "web"),
        path("/b", "Exact", "web"),
        path("/c", "Prefix", "api"),
    ];
    let run = Run::on(&with_spec(
        &[],
        &format!("{{rules: [{}]}}", rule("a.example.com", &paths)),
    ));
    let rules = run.one("HTTPRoute")["spec"]["rules"].as_array().unwrap();
    let values: Vec<Vec<&str>> = rules
        .iter()
        .map(|rule| rule["matches"].as_array().unwrap())
        .map(|matches| {
            matches
                .iter()
                .map(|one| one["path"]["value"].as_str().unwrap())
                .collect()
        })
        .collect();
    assert_eq!(values, [vec!["/a", "/b"], vec!["/c"]]);
}

#[test]
fn more_rules_than_a_route_may_have_make_several_routes() {
    let paths: Vec<String> = (0..40)
        .map(|number| path(&format!("/p{number}"), "Prefix", &format!("web-{number}")))
        .collect();
    let run = Run::on(&with_spec(
        &[],
        &format!("{{rules: [{}]}}", rule("a.example.com", &paths)),
    ));
    assert_eq!(names(&run), ["web", "web-2", "web-3"]);
    let counts: Vec<usize> = run
        .of("HTTPRoute")
        .iter()
        .map(|route| route["spec"]["rules"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [16, 16, 8]);
    let paths: Vec<String> = (0..70)
        .map(|number| path(&format!("/p{number}"), "Prefix", "web"))
        .collect();
    let run = Run::on(&with_spec(
        &[],
        &format!("{{rules: [{}]}}", rule("a.example.com", &paths)),
    ));
    let rules = run.one("HTTPRoute")["spec"]["rules"].as_array().unwrap();
    let counts: Vec<usize> = rules
        .iter()
        .map(|rule| rule["matches"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [64, 6]);
}

#[test]
fn a_default_backend_is_the_root_of_each_host() {
    let default = "defaultBackend: {service: {name: all, port: {number: 80}}}";
    let run = Run::on(&with_spec(&[], &format!("{{{default}}}")));
    assert_eq!(run.one("HTTPRoute")["spec"]["hostnames"], Value::Null);
    assert_eq!(run.rule()["backendRefs"][0]["name"], "all");
    let rules = [
        rule("a.example.com", &[path("/api", "Prefix", "api")]),
        rule("b.example.com", &[path("/", "Prefix", "web")]),
    ];
    let run = Run::on(&with_spec(
        &[],
        &format!("{{{default}, rules: [{}]}}", rules.join(", ")),
    ));
    let backends: Vec<Vec<&str>> = run
        .of("HTTPRoute")
        .iter()
        .map(|route| route["spec"]["rules"].as_array().unwrap())
        .map(|rules| {
            rules
                .iter()
                .map(|rule| rule["backendRefs"][0]["name"].as_str().unwrap())
                .collect()
        })
        .collect();
    assert_eq!(backends, [vec!["api", "all"], vec!["web"]]);
}

#[test]
fn differences_of_paths_and_hosts_are_noted() {
    for (host, one, annotations, expected) in [
        (
            "\"*.example.com\"",
            path("/", "Prefix", "web"),
            &[][..],
            "in an Ingress it matches one label",
        ),
        (
            "a.com",
            path("/api", "ImplementationSpecific", "web"),
            &[],
            "compares a path of the type ImplementationSpecific",
        ),
        (
            "a.com",
            path("/api", "Prefix", "web"),
            &[("use-regex", "true")],
            "another path of the host is a regular expression",
        ),
    ] {
        let run = Run::on(&with_spec(annotations, &format!("{{rules: [{}]}}", rule(host, &[one]))));
        assert_eq!(run.code, Some(0), "{}", run.said);
        assert!(run.said.contains(expected), "{}", run.said);
    }
}

#[test]
fn expressions_of_paths_are_checked() {
    let one = path("'/(?<=a)b'", "ImplementationSpecific", "web");
    let run = Run::on(&with_spec(
        &[("use-regex", "true")],
        &format!("{{rules: [{}]}}", rule("a.com", &[one])),
    ));
    assert_eq!(run.code, Some(3));
    assert!(
        run.said.contains("the path of `a.com/(?<=a)b` cannot be translated"),
        "{}",
        run.said
    );
    assert!(run.objects.is_empty());
}

#[test]
fn rewrites_with_groups_are_not_translated() {
    let one = path("'/(.*)/x'", "ImplementationSpecific", "web");
    let run = Run::on(&with_spec(
        &[("rewrite-target", "/$1")],
        &format!("{{rules: [{}]}}", rule("a.com", &[one])),
    ));
    assert_eq!(run.code, Some(3));
    assert!(
        run.said.contains("the groups of `rewrite-target` are not translated"),
        "{}",
        run.said
    );
    assert_eq!(run.rule()["filters"], Value::Null);
}

#[test]
fn tls_belongs_to_the_listener() {
    let rules = rule("a.com", &[path("/", "Prefix", "web")]);
    let spec = format!("{{tls: [{{hosts: [a.com], secretName: a-tls}}], rules: [{rules}]}}");
    let run = Run::on(&with_spec(&[], &spec));
    assert_eq!(run.code, Some(3));
    assert!(
        run.said.contains(
            "a listener of the Gateway needs the Secret `a-tls` for `a.com`, and requests over HTTP are not redirected"
        ),
        "{}",
        run.said
    );
    let run = Run::on(&with_spec(&[("ssl-redirect", "false")], &spec));
    assert!(!run.said.contains("not redirected"), "{}", run.said);
}

#[test]
fn cookies_of_two_services_with_one_path_get_names_that_differ() {
    let paths = [path("/", "Prefix", "web"), path("/api", "Prefix", "api")];
    let spec = format!("{{rules: [{}]}}", rule("a.example.com", &paths));
    let names = |annotations: &[(&str, &str)]| {
        let run = Run::on(&with_spec(annotations, &spec));
        let routes = run.of("HTTPRoute").into_iter();
        let rules = routes.flat_map(|route| route["spec"]["rules"].as_array().unwrap().clone());
        let names = rules.map(|rule| rule["sessionPersistence"]["sessionName"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let common = [
        ("affinity", "cookie"),
        ("session-cookie-path", "/"),
        ("session-cookie-name", "route"),
    ];
    assert_eq!(names(&common), ["route-web", "route-api"]);
    assert_eq!(names(&[("affinity", "cookie")]), ["INGRESSCOOKIE", "INGRESSCOOKIE"]);
}

#[test]
fn a_domain_that_a_host_cannot_set_is_left_out() {
    let run = Run::on(&ingress(&[
        ("affinity", "cookie"),
        ("session-cookie-domain", "foo.bar"),
    ]));
    assert_eq!(run.code, Some(3));
    assert!(
        run.said
            .contains("the host `shop.example.com` cannot set a cookie for `foo.bar`: browsers refuse it"),
        "{}",
        run.said
    );
    assert_eq!(run.one("HTTPRoute")["metadata"]["annotations"], Value::Null);
}
