//! Wrong input: the message, its location, and what is written all the same.

use serde_json::{Value, json};
use snapbox::{IntoData as _, assert_data_eq, str};

use super::{Run, all, canary, ingress};

#[test]
fn a_wrong_value_is_shown_with_what_is_allowed() {
    let run = Run::on(&all(&[&ingress(&[]), &canary(&[("canary-weight", "abc")])]));
    assert_eq!(run.code, Some(3));
    assert_data_eq!(
        run.said,
        str![[r#"
error[Invalid]: `nginx.ingress.kubernetes.io/canary-weight` is "abc"; allowed: a whole number from 0 to 100, the total
  --> <stdin>:25:48
   |
25 |     nginx.ingress.kubernetes.io/canary-weight: 'abc'
   |                                                ^^^^^


"#]]
        .raw()
    );
}

#[test]
fn each_wrong_value_names_what_is_allowed() {
    for (name, value, allowed) in [
        ("affinity", "ip", "allowed: \"cookie\""),
        ("affinity-mode", "sticky", "allowed: \"balanced\", \"persistent\""),
        ("session-cookie-name", "a;b", "a cookie name has letters, digits and"),
        ("session-cookie-path", "shop", "it must begin with /"),
        ("session-cookie-domain", "com", "it is a public suffix"),
        (
            "session-cookie-samesite",
            "Maybe",
            "allowed: \"None\", \"Lax\", \"Strict\"",
        ),
        ("session-cookie-secure", "yes", "allowed: \"true\", \"false\""),
        ("session-cookie-expires", "1d", "allowed: a whole number of seconds"),
        ("session-cookie-max-age", "1.5", "allowed: a whole number of seconds"),
        ("session-cookie-change-on-failure", "on", "allowed: \"true\", \"false\""),
        ("canary", "yes", "allowed: \"true\", \"false\""),
        ("use-regex", "yes", "allowed: \"true\", \"false\""),
    ] {
        let usual = [
            ("affinity", "cookie"),
            ("affinity-mode", "persistent"),
            ("session-cookie-samesite", "Lax"),
        ];
        let usual = usual.into_iter().filter(|(other, _)| *other != name);
        let run = Run::on(&ingress(&usual.chain([(name, value)]).collect::<Vec<_>>()));
        assert_eq!(run.code, Some(3), "{name}: {}", run.said);
        let message = format!("error[Invalid]: `nginx.ingress.kubernetes.io/{name}` is \"{value}\"");
        let mut findings = run.findings().into_iter();
        assert!(
            findings.any(|finding| finding.starts_with(&message) && finding.contains(allowed)),
            "{}",
            run.said
        );
        // The Ingress is translated all the same.
        assert_eq!(run.of("HTTPRoute").len(), 1);
    }
    for (name, value, allowed) in [
        (
            "canary-weight",
            "101",
            "allowed: a whole number from 0 to 100, the total",
        ),
        (
            "canary-weight",
            "-1",
            "allowed: a whole number from 0 to 100, the total",
        ),
        (
            "canary-weight-total",
            "a",
            "allowed: a whole number from 100 to 1000000",
        ),
        ("canary-by-header", "a b", "allowed: the name of a request header"),
        ("canary-by-cookie", "a b", "allowed: the name of a cookie"),
        ("affinity-canary-behavior", "old", "allowed: \"sticky\", \"legacy\""),
    ] {
        let run = Run::on(&all(&[&ingress(&[]), &canary(&[(name, value)])]));
        assert!(run.findings()[0].contains(allowed), "{name}: {}", run.said);
    }
}

#[test]
fn an_expression_that_mooring_does_not_have_is_refused() {
    for pattern in ["[][**da?$&*", "(?!beta).*", "(a)\\1"] {
        let run = Run::on(&all(&[
            &ingress(&[]),
            &canary(&[("canary-by-header", "x-canary"), ("canary-by-header-pattern", pattern)]),
        ]));
        assert_eq!(run.code, Some(3), "{}", run.said);
        assert!(
            run.said
                .contains("`nginx.ingress.kubernetes.io/canary-by-header-pattern` cannot be translated"),
            "{}",
            run.said
        );
        assert!(run.of("CanaryPolicy").is_empty());
    }
}

#[test]
fn a_value_without_quotes_and_an_old_version_have_their_lines() {
    let unquoted = ingress(&[("canary-weight", "x")]).replace("'x'", "10");
    let run = Run::on(&unquoted);
    assert!(
        run.said
            .contains("expected a string, but `10` without quotes is not one"),
        "{}",
        run.said
    );
    assert!(run.said.contains("<stdin>:8:"), "{}", run.said);
    let old = ingress(&[]).replace("networking.k8s.io/v1\n", "networking.k8s.io/v1beta1\n");
    let run = Run::on(&old);
    assert!(
        run.said.contains("its apiVersion must be `networking.k8s.io/v1`"),
        "{}",
        run.said
    );
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {ports: [{name: http, port: 8080}]}\n";

#[test]
fn backends_are_looked_up_in_the_services_of_the_input() {
    let by_name = ingress(&[]).replace("number: 80", "name: http");
    let run = Run::on(&all(&[&by_name, SERVICE]));
    assert_eq!((run.code, run.said.as_str()), (Some(0), ""));
    assert_eq!(run.rule()["backendRefs"][0]["port"], 8080);
    let by_wrong_name = by_name.replace("name: http", "name: htp");
    let other = SERVICE.replace("name: web,", "name: wbe,");
    let resource = ingress(&[]).replace(
        "service: {name: web, port: {number: 80}}",
        "resource: {kind: Bucket, name: a}",
    );
    for (documents, expected) in [
        (
            all(&[&ingress(&[]), SERVICE]),
            "the Service shop/web has no port `80`; it has: 8080 (http)",
        ),
        (all(&[&by_wrong_name, SERVICE]), "did you mean `http`?"),
        (
            by_name.clone(),
            "the Service shop/web is not in the input, and the port of the backend is only named",
        ),
        (all(&[&by_name, &other]), "did you mean `wbe`?"),
        (resource, "the backend is a resource and not a Service"),
    ] {
        let run = Run::on(&documents);
        assert_eq!(run.code, Some(3), "{}", run.said);
        assert!(run.said.contains(expected), "{expected}: {}", run.said);
        assert!(run.said.contains("left out because of errors: 1 rule"), "{}", run.said);
        assert!(run.objects.is_empty());
    }
    // The number of a port suffices.
    assert_eq!(Run::on(&ingress(&[])).code, Some(0));
    let run = Run::on(&all(&[&ingress(&[]), &other]));
    assert!(
        run.said
            .contains("warning[BackendNotFound]: the Service shop/web does not exist in the input"),
        "{}",
        run.said
    );
    assert_eq!(run.of("HTTPRoute").len(), 1);
}

#[test]
fn the_older_of_two_ingresses_with_one_path_counts() {
    let old = ingress(&[]).replace(
        "  annotations:",
        "  creationTimestamp: \"2024-01-01T00:00:00Z\"\n  annotations:",
    );
    let young = super::named("another", "other", &[]).replace(
        "  annotations:",
        "  creationTimestamp: \"2025-01-01T00:00:00Z\"\n  annotations:",
    );
    let run = Run::on(&all(&[&young, &old]));
    assert_eq!(run.code, Some(3));
    assert!(
        run.said
            .contains("error[Duplicate]: the path `shop.example.com/` of the Ingress shop/another"),
        "{}",
        run.said
    );
    assert_eq!(run.rule()["backendRefs"][0]["name"], "web");
}

#[test]
fn a_gateway_is_needed_for_new_routes() {
    let run = Run::with(&[], &ingress(&[]));
    assert_eq!(run.code, Some(1));
    assert!(run.objects.is_empty());
    assert!(run.said.contains("give --gateway NAMESPACE/NAME"), "{}", run.said);
}

#[test]
fn input_without_anything_to_translate_is_reported() {
    let run = Run::on(SERVICE);
    assert_eq!(run.code, Some(3));
    assert!(
        run.said
            .contains("the input has neither an Ingress nor a DestinationRule"),
        "{}",
        run.said
    );
}

#[test]
fn classes_tell_which_ingresses_belong_to_ingress_nginx() {
    let of = |class: &str| ingress(&[]).replace("spec:\n", &format!("spec:\n  ingressClassName: {class}\n"));
    let class = |controller: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: web}}\nspec: {{controller: {controller}}}\n"
        )
    };
    for (input, flags, code, routes) in [
        (of("nginx"), &["--gateway", "a/b"][..], 0, 1),
        (of("web"), &["--gateway", "a/b"], 3, 0),
        (of("web"), &["--gateway", "a/b", "--ingress-class", "web"], 0, 1),
        (
            all(&[&of("web"), &class("k8s.io/ingress-nginx")]),
            &["--gateway", "a/b"],
            0,
            1,
        ),
        (
            all(&[&of("web"), &class("ingress.k8s.aws/alb")]),
            &["--gateway", "a/b"],
            0,
            0,
        ),
    ] {
        let run = Run::with(flags, &input);
        assert_eq!(
            (run.code, run.of("HTTPRoute").len()),
            (Some(code), routes),
            "{input}: {}",
            run.said
        );
    }
}

/// What is written is valid: a name that Kubernetes refuses is an error with its place, and what has it is left out.
#[test]
fn a_reference_that_is_no_name_is_left_out() {
    let with = |from: &str, to: &str| ingress(&[("affinity", "cookie")]).replacen(from, to, 1);
    let rule = |host: &str, cookie: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web, namespace: shop}}\nspec:\n  \
             host: {host}\n  trafficPolicy: {{loadBalancer: {{consistentHash: {{httpCookie: {{{cookie}}}}}}}}}\n"
        )
    };
    let long = "a".repeat(64);
    for (input, message, line) in [
        (
            with("{name: web,", "{name: None,"),
            "`None` is not the name of a Service",
            16,
        ),
        (
            with("{name: web,", "{name: a.b,"),
            "`a.b` is not the name of a Service",
            16,
        ),
        (
            with("{name: web,", &format!("{{name: {long},")),
            "is not the name of a Service",
            16,
        ),
        (
            with("host: shop.example.com", "host: 10.0.0.1"),
            "`10.0.0.1` is not a host name",
            11,
        ),
        (
            with("host: shop.example.com", "host: a_b.example.com"),
            "`a_b.example.com` is not a host name",
            11,
        ),
        (
            with("path: /", "path: /a//b"),
            "the path of `shop.example.com/a//b` cannot be",
            14,
        ),
        (
            with("namespace: shop", "namespace: a.b"),
            "`a.b` is not the name of a namespace",
            5,
        ),
        (with("  name: web", "  name: Web"), "`Web` is not a name", 4),
        (rule("None", "name: user"), "`None` is not the name of a Service", 5),
        (
            rule("web.Shop.svc.cluster.local", "name: user"),
            "`Shop` is not the name of a namespace",
            5,
        ),
        (
            rule("web.a.b.svc.cluster.local", "name: user"),
            "`a.b` is not the name of a namespace",
            5,
        ),
        (rule("web", "name: 'a b'"), "a session name", 6),
        (rule("web", &format!("name: {long}{long}")), "128 characters at most", 6),
        (rule("web", "name: user, path: shop"), "`shop` is not a cookie Path", 6),
    ] {
        let run = Run::on(&input);
        assert_eq!(run.code, Some(3), "{input}{}", run.said);
        assert!(run.said.contains(message), "{input}{}", run.said);
        assert!(
            run.said.contains(&format!("--> <stdin>:{line}:")),
            "{input}{}",
            run.said
        );
        assert!(run.objects.is_empty(), "{:?}", run.objects);
    }
}

#[test]
fn an_annotation_that_is_no_host_is_left_out() {
    let run = Run::on(&ingress(&[(
        "server-alias",
        "WWW.example.com,a_b.example.com,10.0.0.1",
    )]));
    assert_eq!(run.findings().len(), 2, "{}", run.said);
    assert!(
        run.said.contains("server-alias`: `a_b.example.com` is not a host name"),
        "{}",
        run.said
    );
    let hosts = &run.one("HTTPRoute")["spec"]["hostnames"];
    assert_eq!(*hosts, json!(["shop.example.com", "www.example.com"]));
    for vhost in ["backend:80", "*.example.com", "a_b"] {
        let run = Run::on(&ingress(&[("upstream-vhost", vhost)]));
        assert!(
            run.said.contains("allowed: a host name without a wildcard and a port"),
            "{}",
            run.said
        );
        assert_eq!(run.rule()["filters"], Value::Null);
    }
}

#[test]
fn a_session_lasts_no_longer_than_a_timeout_can_say() {
    let run = Run::on(&ingress(&[
        ("affinity", "cookie"),
        ("session-cookie-max-age", "9000000000"),
    ]));
    assert_eq!(run.rule()["sessionPersistence"]["absoluteTimeout"], "99999h59m59s");
    assert!(run.said.contains("the session lasts 99999h59m59s"), "{}", run.said);
}
