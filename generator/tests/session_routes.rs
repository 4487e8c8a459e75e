//! Session routes: what is copied from the user's rule, how the objects are named and split, and what is inserted into the
//! routes of a `VirtualService`.

use std::collections::BTreeSet;

use crate::common::{
    Generated, WASM, annotations, directory, generate,
    istio_api::{ISTIO_API, istio_api_with},
    mooring, texts,
};
use serde_json::{Value, json};
use snapbox::cmd::OutputAssert;

const BASE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec:
  gatewayClassName: istio
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
  - {name: other, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
";

fn service(namespace: &str, name: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}, labels: \
         {{istio.io/persistent-session: a}}}}\nspec: {{ports: [{{name: http2, port: 80}}]}}\n"
    )
}

/// The gateway, two Services, and these documents.
fn input(documents: &[&str]) -> String {
    let mut input = format!("{BASE}{}{}", service("default", "web"), service("default", "beta"));
    for document in documents {
        input += "---\n";
        input += document;
    }
    input
}

const BACKENDS: &str = "backendRefs: [{name: web, port: 80}, {name: beta, port: 80}]";

/// A route with these rules.
fn route(name: &str, rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{{name: \
         front}}]\n  hostnames: [{name}.example]\n  rules:\n{rules}"
    )
}

/// A rule with sessions and two backends.
fn rule(fields: &str) -> String {
    format!("  - {{{fields}, sessionPersistence: {{}}, {BACKENDS}}}\n")
}

fn key(rule: &str, backend: &str) -> Value {
    json!({ "name": "x-mooring-backend", "value": format!("{rule}/{backend}.default:80") })
}

/// The names of the generated routes, and the rules that their annotations name.
fn names(run: &Generated) -> Vec<(&str, &str)> {
    let routes = run.objects("HTTPRoute");
    let names = texts(&routes, "/metadata/name").into_iter();
    names
        .zip(texts(&routes, "/metadata/annotations/mooring.dev~1rule"))
        .collect()
}

/// The matches of all rules of generated routes.
fn matches(run: &Generated) -> Vec<&Value> {
    let routes = run.objects("HTTPRoute").into_iter();
    let rules = routes.flat_map(|route| route["spec"]["rules"].as_array().unwrap());
    rules.flat_map(|rule| rule["matches"].as_array().unwrap()).collect()
}

fn stdout(run: &OutputAssert) -> String {
    String::from_utf8(run.get_output().stdout.clone()).unwrap()
}

fn stderr(run: &OutputAssert) -> String {
    crate::common::said(run)
}

/// A route with everything that a rule can have.
const FULL: &str = "\
apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata:
  name: web
  labels: {team: shop}
  annotations: {mooring.dev/strict: \"true\", other: x}
spec:
  parentRefs:
  - {name: front, sectionName: http}
  - {group: gateway.networking.k8s.io, kind: Gateway, name: front, namespace: default, port: 8080}
  - {group: '', kind: Service, name: web}
  hostnames: [a.example, '*.b.example']
  rules:
  - name: first
    matches: [{path: {value: /first}}]
    backendRefs: [{name: web, port: 80}]
  - name: main
    sessionPersistence: {sessionName: main}
    matches:
    - path: {type: Exact, value: /a}
      method: GET
    - headers: [{name: x-a, value: b}, {name: x-c, type: RegularExpression, value: 'd+'}]
      queryParams: [{name: q, value: '1'}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: a, value: b}], remove: [c]}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {add: [{name: d, value: e}]}
    - type: URLRewrite
      urlRewrite: {hostname: new.example}
    timeouts: {request: 5s, backendRequest: 2s}
    retry: {attempts: 2, codes: [503], backoff: 100ms}
    backendRefs:
    - name: web
      port: 80
      weight: 9
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: to, value: web}]}}]
    - {group: '', kind: Service, name: beta, namespace: default, port: 80, weight: 1}
";

#[test]
fn everything_of_a_rule_comes_along() {
    let run = Generated::istio(&input(&[FULL]));
    let id = "HTTPRoute/default/web/main";
    let expected = |backend: &str, reference: Value| {
        let key = key(id, backend);
        json!({
            "matches": [
                { "path": { "type": "Exact", "value": "/a" }, "method": "GET", "headers": [key] },
                {
                    "headers": [
                        { "name": "x-a", "value": "b" },
                        { "name": "x-c", "type": "RegularExpression", "value": "d+" },
                        key,
                    ],
                    "queryParams": [{ "name": "q", "value": "1" }],
                },
            ],
            "filters": [
                {
                    "type": "RequestHeaderModifier",
                    "requestHeaderModifier": { "set": [{ "name": "a", "value": "b" }], "remove": ["c"] },
                },
                {
                    "type": "ResponseHeaderModifier",
                    "responseHeaderModifier": { "add": [{ "name": "d", "value": "e" }] },
                },
                { "type": "URLRewrite", "urlRewrite": { "hostname": "new.example" } },
            ],
            "timeouts": { "request": "5s", "backendRequest": "2s" },
            "retry": { "attempts": 2, "codes": [503], "backoff": "100ms" },
            "backendRefs": [reference],
        })
    };
    let to_web = json!([{ "type": "RequestHeaderModifier", "requestHeaderModifier": { "set": [{ "name": "to", "value": "web" }] } }]);
    assert_eq!(
        run.objects("HTTPRoute"),
        [&json!({
            "apiVersion": "gateway.networking.k8s.io/v1beta1",
            "kind": "HTTPRoute",
            "metadata": {
                "annotations": annotations(&[("mooring.dev/rule", id)]),
                "labels": { "app.kubernetes.io/managed-by": "mooring" },
                "name": names(&run)[0].0,
                "namespace": "default",
            },
            "spec": {
                // No Service: nothing there could set the header.
                "parentRefs": [
                    { "name": "front", "sectionName": "http" },
                    {
                        "group": "gateway.networking.k8s.io",
                        "kind": "Gateway",
                        "name": "front",
                        "namespace": "default",
                        "port": 8080,
                    },
                ],
                "hostnames": ["a.example", "*.b.example"],
                "rules": [
                    expected("web", json!({ "name": "web", "port": 80, "filters": to_web })),
                    expected(
                        "beta",
                        json!({ "group": "", "kind": "Service", "name": "beta", "namespace": "default", "port": 80 }),
                    ),
                ],
            },
        })]
    );
    assert!(names(&run)[0].0.starts_with("mooring-web-"));
}

#[test]
fn a_rule_without_matches_is_matched_by_the_key() {
    let expected = [
        json!({ "headers": [key("HTTPRoute/default/web/main", "web")] }),
        json!({ "headers": [key("HTTPRoute/default/web/main", "beta")] }),
    ];
    for fields in ["name: main", "name: main, matches: []", "name: main, matches: [{}]"] {
        let run = Generated::istio(&input(&[&route("web", &rule(fields))]));
        assert_eq!(matches(&run), [&expected[0], &expected[1]], "{fields}");
    }
}

/// A rule with so many backends and matches.
fn large(backends: usize, matches: usize) -> String {
    let references: Vec<String> = (0..backends)
        .map(|number| format!("{{name: s{number}, port: 80}}"))
        .collect();
    let matches: Vec<String> = (0..matches)
        .map(|number| format!("{{path: {{value: /{number}}}}}"))
        .collect();
    let rules = format!(
        "  - {{name: main, sessionPersistence: {{}}, matches: [{}], backendRefs: [{}]}}\n",
        matches.join(", "),
        references.join(", ")
    );
    let services: String = (0..backends)
        .map(|number| service("default", &format!("s{number}")))
        .collect();
    format!("{}{services}", input(&[&route("web", &rules)]))
}

#[test]
fn no_object_is_larger_than_the_api_takes() {
    // With so many backends and matches, so many rules are in each object.
    for (backends, matches, rules) in [
        (2, 64, vec![2]),
        (3, 64, vec![2, 1]),
        (16, 8, vec![16]),
        (16, 9, vec![14, 2]),
        (16, 16, vec![8, 8]),
        (16, 64, vec![2; 8]),
    ] {
        let run = Generated::istio(&large(backends, matches));
        let routes = run.objects("HTTPRoute");
        let sizes: Vec<usize> = routes
            .iter()
            .map(|route| route["spec"]["rules"].as_array().unwrap().len())
            .collect();
        assert_eq!(sizes, rules, "{backends} backends, {matches} matches");
        for route in &routes {
            let rules = route["spec"]["rules"].as_array().unwrap();
            let matches = rules.iter().map(|rule| rule["matches"].as_array().unwrap().len());
            assert!(rules.len() <= 16 && matches.sum::<usize>() <= 128);
        }
        let first = names(&run)[0].0;
        let numbered = (2..=routes.len()).map(|number| format!("{first}-{number}"));
        let expected: Vec<String> = std::iter::once(first.to_owned()).chain(numbered).collect();
        assert_eq!(
            names(&run).into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
            expected
        );
        // Each backend has all its matches, once.
        let of_backends: Vec<&Value> = routes
            .iter()
            .flat_map(|route| route["spec"]["rules"].as_array().unwrap())
            .map(|rule| &rule["backendRefs"][0]["name"])
            .collect();
        let expected: Vec<String> = (0..backends).map(|number| format!("s{number}")).collect();
        let expected: Vec<Value> = expected.into_iter().map(Value::from).collect();
        assert_eq!(of_backends, expected.iter().collect::<Vec<_>>());
    }
}

#[test]
fn two_references_to_one_service_are_one_session_route() {
    let rules = "  - name: main\n    sessionPersistence: {}\n    backendRefs:\n    - {name: web, port: 80, weight: 1, filters: \
                 [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: first}]}}]}\n    - {name: web, \
                 port: 80, weight: 2}\n    - {name: beta, port: 80}\n";
    let run = Generated::istio(&input(&[&route("web", rules)]));
    let rules = &run.first("HTTPRoute")["spec"]["rules"];
    assert_eq!(rules.as_array().unwrap().len(), 2);
    assert_eq!(rules[0]["backendRefs"][0]["name"], "web");
    assert_eq!(
        rules[0]["backendRefs"][0]["filters"][0]["requestHeaderModifier"]["set"][0]["value"],
        "first"
    );
    assert_eq!(rules[1]["backendRefs"], json!([{ "name": "beta", "port": 80 }]));
}

#[test]
fn a_route_of_the_user_is_not_replaced() {
    let rules = format!(
        "{}{}",
        rule("name: main, matches: [{path: {value: /main}}]"),
        rule("name: more, matches: [{path: {value: /more}}]")
    );
    let shop = input(&[&route("web", &rules)]);
    let run = Generated::istio(&shop);
    let [
        (main, "HTTPRoute/default/web/main"),
        (more, "HTTPRoute/default/web/more"),
    ] = names(&run)[..]
    else {
        panic!("{:?}", names(&run))
    };
    for taken in [main.to_owned(), format!("{main}-2")] {
        let other = route(&taken, "  - {backendRefs: [{name: web, port: 80}]}\n");
        let run = generate(&format!("{shop}---\n{other}")).code(3);
        let said = stderr(&run);
        let message = format!(
            "error[Duplicate]: the HTTPRoute default/{taken} has the name of the session routes of the rule \
             HTTPRoute/default/web/main, which would replace it"
        );
        assert!(said.starts_with(&message), "{said}");
        let line = |text: &str| {
            let input = format!("{shop}---\n{other}");
            input.lines().position(|line| line.contains(text)).unwrap() + 1
        };
        assert!(
            said.contains(&format!("--> <stdin>:{}:", line("{name: main,"))),
            "{said}"
        );
        assert!(
            said.contains(&format!(
                "{} | metadata: {{name: {taken}}}",
                line(&format!("name: {taken}}}"))
            )),
            "{said}"
        );
        assert!(
            said.contains("left out because of errors: 1 rule (HTTPRoute/default/web/main)"),
            "{said}"
        );
        let out = stdout(&run);
        assert!(!out.contains(main), "{out}");
        assert!(out.contains(&format!("name: {more}\n")), "{out}");
    }
    // In another namespace, or of another kind, it is another object.
    let elsewhere = route(main, "  - {backendRefs: [{name: web, port: 80}]}\n").replace("HTTPRoute", "GRPCRoute");
    generate(&format!("{shop}---\n{elsewhere}")).code(0);
}

#[test]
fn what_an_earlier_run_has_generated_is_no_input() {
    let grpc = route("grpc", &rule("name: main")).replace("HTTPRoute", "GRPCRoute");
    let rules = format!(
        "{}{}",
        rule("name: main, matches: [{path: {value: /main}}]"),
        rule("name: more")
    );
    let web = input(&[&route("web", &rules), &grpc]);
    for shop in [&web, ISTIO_API] {
        let first = generate(shop).code(0);
        let out = stdout(&first);
        let second = generate(&format!("{shop}---\n{out}")).code(0);
        assert_eq!(stdout(&second), out);
        assert_eq!(stderr(&second), stderr(&first));
        // From then on it is the third.
        let third = generate(&format!("{out}---\n{shop}")).code(0);
        assert_eq!(stdout(&third), out);
    }
    assert_eq!(names(&Generated::istio(&web)).len(), 2);
    // Ours is what has both, the label and the name.
    let mine = "labels: {app.kubernetes.io/managed-by: mooring}";
    let other = route("other", &rule("name: main")).replace("{name: other}", &format!("{{name: other, {mine}}}"));
    assert_eq!(names(&Generated::istio(&input(&[&other]))).len(), 1);
    let other = route("mooring-other", &rule("name: main"));
    assert_eq!(names(&Generated::istio(&input(&[&other]))).len(), 1);
}

#[test]
fn routes_of_one_name_have_keys_of_their_own() {
    let of = |kind: &str, namespace: &str, host: &str| {
        let route = route("web", &rule("name: main"));
        route
            .replace("HTTPRoute", kind)
            .replace(
                "{name: web}\nspec",
                &format!("{{name: web, namespace: {namespace}}}\nspec"),
            )
            .replace("[{name: front}]", "[{name: front, namespace: default}]")
            .replace("web.example", host)
    };
    let input = [
        input(&[
            &of("HTTPRoute", "default", "a.example"),
            &of("HTTPRoute", "other", "b.example"),
            &of("GRPCRoute", "default", "c.example"),
        ]),
        service("other", "web"),
        service("other", "beta"),
    ];
    let run = Generated::istio(&input.concat());
    let objects: Vec<&Value> = run
        .objects("HTTPRoute")
        .into_iter()
        .chain(run.objects("GRPCRoute"))
        .collect();
    let name = |route: &Value| route["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(
        objects.iter().map(|route| name(route)).collect::<BTreeSet<_>>().len(),
        3
    );
    let keys: Vec<&str> = objects
        .iter()
        .flat_map(|route| route["spec"]["rules"].as_array().unwrap())
        .map(|rule| rule["matches"][0]["headers"][0]["value"].as_str().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "HTTPRoute/default/web/main/web.default:80",
            "HTTPRoute/default/web/main/beta.default:80",
            "HTTPRoute/other/web/main/web.other:80",
            "HTTPRoute/other/web/main/beta.other:80",
            "GRPCRoute/default/web/main/web.default:80",
            "GRPCRoute/default/web/main/beta.default:80",
        ]
    );
    assert_eq!(texts(&objects, "/metadata/namespace"), ["default", "other", "default"]);
}

#[test]
fn other_rules_do_not_rename_the_objects_of_a_named_rule() {
    let main = rule("name: main, matches: [{path: {value: /main}}]");
    let of_main = |rules: &str| {
        let run = Generated::istio(&input(&[&route("web", rules)]));
        let mut objects = run.objects("HTTPRoute").into_iter();
        objects
            .find(|route| route["metadata"]["annotations"]["mooring.dev/rule"] == "HTTPRoute/default/web/main")
            .cloned()
            .unwrap()
    };
    let alone = of_main(&main);
    for rules in [
        format!("{}{main}", rule("name: more")),
        format!("{}{main}", rule("name: renamed")),
        format!("{}{main}", rule("matches: [{path: {value: /unnamed}}]")),
        format!("{main}{}", rule("name: more")),
    ] {
        assert_eq!(of_main(&rules), alone);
    }
    // Without names, rules are told apart by their positions.
    let run = Generated::istio(&input(&[&route("web", &rule("matches: [{path: {value: /main}}]"))]));
    assert_eq!(names(&run)[0].1, "HTTPRoute/default/web#0");
    assert_ne!(names(&run)[0].0, alone["metadata"]["name"]);
}

#[test]
fn other_weights_are_no_other_output() {
    let weighed = |one: u8, other: u8| {
        let rules = format!(
            "  - {{name: main, sessionPersistence: {{}}, backendRefs: [{{name: web, port: 80, weight: {one}}}, {{name: beta, \
             port: 80, weight: {other}}}]}}\n"
        );
        stdout(&generate(&input(&[&route("web", &rules)])).code(0))
    };
    let first = weighed(90, 10);
    assert!(!first.contains("weight"), "{first}");
    for (one, other) in [(10, 90), (0, 100), (100, 0), (1, 1)] {
        assert_eq!(weighed(one, other), first);
    }
}

#[test]
fn a_session_route_belongs_to_the_revision_of_its_route() {
    let labelled = route("web", &rule("name: main")).replace(
        "{name: web}\nspec",
        "{name: web, labels: {istio.io/rev: canary, team: shop}}\nspec",
    );
    let run = Generated::istio(&input(&[&labelled]));
    assert_eq!(
        run.first("HTTPRoute")["metadata"]["labels"],
        json!({ "app.kubernetes.io/managed-by": "mooring", "istio.io/rev": "canary" })
    );
}

/// The session routes of a rule with one match, one header and one timeout.
fn expected() -> Value {
    let rule = |name: &str| {
        json!({
            "matches": [{
                "path": { "type": "PathPrefix", "value": "/a" },
                "headers": [{ "name": "x", "value": "y" }, key("HTTPRoute/default/web/main", name)],
            }],
            "timeouts": { "request": "5s" },
            "backendRefs": [{ "name": name, "port": 80 }],
        })
    };
    json!([rule("web"), rule("beta")])
}

#[test]
fn anchors_and_aliases_are_followed() {
    let rules = "  - &main\n    name: main\n    sessionPersistence: {}\n    matches: &matches\n    - path: {type: PathPrefix, \
                 value: &path /a}\n      headers: [{name: x, value: \"y\"}]\n    timeouts: &timeouts {request: 5s}\n    \
                 backendRefs: &backends [{name: web, port: &port 80}, {name: beta, port: *port}]\n  - name: main2\n    \
                 sessionPersistence: {}\n    matches: *matches\n    timeouts: *timeouts\n    backendRefs: *backends\n";
    let run = Generated::istio(&input(&[&route("web", rules)]));
    assert_eq!(run.first("HTTPRoute")["spec"]["rules"], expected());
    let second = run.objects("HTTPRoute")[1]["spec"]["rules"].to_string();
    let second: Value = serde_json::from_str(&second.replace("web/main2/", "web/main/")).unwrap();
    assert_eq!(second, expected());
}

fn plain() -> String {
    route(
        "web",
        "  - name: main\n    sessionPersistence: {}\n    matches: [{path: {type: PathPrefix, value: /a}, headers: [{name: x, \
         value: \"y\"}]}]\n    timeouts: {request: 5s}\n    backendRefs: [{name: web, port: 80}, {name: beta, port: 80}]\n",
    )
}

#[test]
fn json_and_lists_are_copied_like_yaml() {
    let from_yaml = Generated::istio(&input(&[&plain()]));
    assert_eq!(from_yaml.first("HTTPRoute")["spec"]["rules"], expected());
    let as_json: Value = serde_saphyr::from_str(&plain()).unwrap();
    assert_eq!(
        Generated::istio(&input(&[&format!("{as_json:#}\n")])).value,
        from_yaml.value
    );
    let all: Vec<Value> = serde_saphyr::from_multiple(&input(&[&plain()])).unwrap();
    // Another route comes first, and one of the same name in another namespace.
    let mut elsewhere = as_json.clone();
    elsewhere["metadata"]["namespace"] = "elsewhere".into();
    elsewhere["spec"]["rules"] = json!([]);
    let mut items = vec![elsewhere];
    items.extend(all);
    let list = json!({ "items": items, "kind": "List", "apiVersion": "v1" });
    for text in [format!("{list}\n"), serde_saphyr::to_string(&list).unwrap()] {
        assert_eq!(Generated::istio(&text).value, from_yaml.value);
    }
}

#[test]
fn a_second_file_is_copied_from_too() {
    let directory = directory("session_routes");
    let (one, other) = (directory.join("one.yaml"), directory.join("other.yaml"));
    std::fs::write(&one, input(&[])).unwrap();
    std::fs::write(&other, format!("# a comment\n---\n{}", plain())).unwrap();
    let run = mooring()
        .args(["generate", "-o", "json", "--wasm", WASM, "-f"])
        .arg(&one)
        .arg("-f")
        .arg(&other)
        .assert()
        .code(0);
    let value: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!(value, Generated::istio(&input(&[&plain()])).value);
}

/// Go's YAML takes these for something else where they have no quotes.
#[test]
fn texts_that_look_like_something_else_stay_texts() {
    let quoted = [
        "on",
        "off",
        "yes",
        "n",
        "y",
        "true",
        "null",
        "~",
        "1.10",
        "0x1F",
        "017",
        "1e3",
        "2026-01-01",
        "12:30:45",
    ];
    let others = [
        "", "0o17", "1_000", ".5", "+1", "-0", "NaN", ".inf", "<<", "=", "a: b", "# a", "[a]", "*a", "&a", "!a", "%a",
        "@a", "`a`", "'a'", "\"a\"", " a ", "ä☃", "a\\b",
    ];
    let headers: Vec<Value> = quoted
        .iter()
        .chain(&others)
        .enumerate()
        .map(|(number, value)| json!({ "name": format!("x-{number}"), "value": value }))
        .collect();
    let filter = json!({ "type": "RequestHeaderModifier", "requestHeaderModifier": { "set": headers } });
    let rule = json!({
        "name": "main",
        "sessionPersistence": {},
        "matches": [{ "headers": [{ "name": "version", "value": "1.10" }, { "name": "flag", "value": "on" }] }],
        "filters": [filter],
        "backendRefs": [{ "name": "web", "port": 80 }, { "name": "beta", "port": 80 }],
    });
    let shop = input(&[&route("web", &format!("  - {rule}\n"))]);
    let copied = |route: &Value| {
        for rule in route["spec"]["rules"].as_array().unwrap() {
            assert_eq!(rule["filters"], json!([filter]));
            assert_eq!(rule["matches"][0]["headers"][0]["value"], "1.10");
            assert_eq!(rule["matches"][0]["headers"][1]["value"], "on");
        }
    };
    copied(Generated::istio(&shop).first("HTTPRoute"));
    // What is written as YAML says the same when it is read again, and has quotes where YAML 1.1 needs them.
    let out = stdout(&generate(&shop).code(0));
    let text = out.split("---\n").nth(1).unwrap();
    copied(&serde_saphyr::from_str(text).unwrap());
    for value in quoted {
        let quoted = [format!("value: \"{value}\"\n"), format!("value: '{value}'\n")];
        assert!(
            quoted.iter().any(|quoted| text.contains(quoted.as_str())),
            "{value}: {text}"
        );
    }
}

const EVERYONE: &str = "  - name: everyone\n";

/// The values of the patches that insert the routes of the Istio API objects, with these fields in the user's route.
fn inserted(fields: &str) -> Vec<Value> {
    values(&istio_api_with(EVERYONE, &format!("{EVERYONE}{fields}")))
}

fn values(input: &str) -> Vec<Value> {
    let run = Generated::istio(input);
    let patches = run.patches("HTTP_ROUTE");
    for patch in &patches {
        assert_eq!(patch["patch"]["operation"], "INSERT_BEFORE");
        assert_eq!(
            patch["match"]["routeConfiguration"],
            json!({ "vhost": { "name": "reviews.example.com:80", "route": { "name": "everyone" } } })
        );
    }
    patches.iter().map(|patch| patch["patch"]["value"].clone()).collect()
}

fn istio_api_key(subset: &str) -> String {
    format!("VirtualService/bookinfo/reviews/everyone/reviews.bookinfo:9080/{subset}")
}

/// What istiod makes of a route where nothing is said (istiod: `retry.DefaultPolicy`, `setTimeout`).
fn default_retries() -> Value {
    json!({
        "num_retries": 2,
        "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
        "host_selection_retry_max_attempts": 5,
        "retry_host_predicate": [previous_hosts()],
    })
}

fn previous_hosts() -> Value {
    json!({
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
        },
    })
}

#[test]
fn a_plain_route_of_a_virtual_service_has_what_istiod_writes() {
    let values = inserted("");
    assert_eq!(values.len(), 3);
    for (value, subset) in values.iter().zip(["v1", "v2", "v3"]) {
        let key = istio_api_key(subset);
        assert_eq!(
            value,
            &json!({
                "name": key,
                "match": {
                    "prefix": "/",
                    "headers": [{ "name": "x-mooring-backend", "string_match": { "exact": key } }],
                },
                "route": {
                    "cluster": format!("outbound|9080|{subset}|reviews.bookinfo.svc.cluster.local"),
                    "timeout": "0s",
                    "max_grpc_timeout": "0s",
                    "retry_policy": default_retries(),
                },
                "decorator": { "operation": "reviews.bookinfo.svc.cluster.local:9080/*" },
                "metadata": { "filter_metadata": { "istio": {
                    "config": "/apis/networking.istio.io/v1/namespaces/bookinfo/virtual-service/reviews",
                } } },
            })
        );
    }
}

/// istiod: `retry.ConvertPolicy`, `setTimeout`.
#[test]
fn timeout_and_retries_are_those_of_the_route() {
    let route = |fields: &str| inserted(fields)[1]["route"].clone();
    let timed = route("    timeout: 3s\n");
    assert_eq!(
        (&timed["timeout"], &timed["max_grpc_timeout"]),
        (&json!("3s"), &json!("3s"))
    );
    let retries = |fields: &str| route(&format!("    retries: {fields}\n")).get("retry_policy").cloned();
    let with = |fields: Value| {
        let mut policy = default_retries();
        policy
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        Some(policy)
    };
    assert_eq!(retries("{attempts: 3}"), with(json!({ "num_retries": 3 })));
    assert_eq!(
        retries("{attempts: 3, perTryTimeout: 500ms, backoff: 20ms}"),
        with(json!({ "num_retries": 3, "per_try_timeout": "0.5s", "retry_back_off": { "base_interval": "0.02s" } }))
    );
    assert_eq!(
        retries("{attempts: 1, retryOn: '5xx, 503,reset,429'}"),
        with(json!({
            "num_retries": 1,
            "retry_on": "5xx,reset,retriable-status-codes",
            "retriable_status_codes": [503, 429],
        }))
    );
    assert_eq!(
        retries("{attempts: 1, retryOn: 'retriable-status-codes,503'}"),
        with(json!({ "num_retries": 1, "retry_on": "retriable-status-codes", "retriable_status_codes": [503] }))
    );
    assert_eq!(
        retries("{attempts: 1, retryRemoteLocalities: true}"),
        with(json!({
            "num_retries": 1,
            "retry_priority": {
                "name": "envoy.retry_priorities.previous_priorities",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.\
                              PreviousPrioritiesConfig",
                    "update_frequency": 2,
                },
            },
        }))
    );
    let ignoring = retries("{attempts: 1, retryIgnorePreviousHosts: false}").unwrap();
    assert_eq!(ignoring.get("retry_host_predicate"), None);
    // Both say that nothing is tried again.
    for none in ["{attempts: 0}", "{}"] {
        assert_eq!(retries(none), None, "{none}");
    }
}

/// istiod: `MirrorPercent`, `TranslateRequestMirrorPolicy`, `GetDestinationCluster`.
#[test]
fn requests_of_sessions_are_mirrored_too() {
    let services = |ports: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: sniffer, namespace: bookinfo}}\nspec: {{ports: [{ports}]}}\n"
        )
    };
    let mirrors = |fields: &str, ports: &str| {
        let input = istio_api_with(EVERYONE, &format!("{EVERYONE}{fields}"));
        let values = values(&format!("{input}{}", services(ports)));
        values[0]["route"].get("request_mirror_policies").cloned()
    };
    let share = |cluster: &str, share: Value| {
        json!({
            "cluster": cluster,
            "disable_shadow_host_suffix_append": true,
            "runtime_fraction": { "default_value": share },
            "trace_sampled": false,
        })
    };
    let policy =
        |cluster: &str, millionths: u32| share(cluster, json!({ "numerator": millionths, "denominator": "MILLION" }));
    let whole = |cluster: &str, percent: u32| share(cluster, json!({ "numerator": percent }));
    let (one, two) = (
        "{name: http, port: 8000}",
        "{name: http, port: 8000}, {name: more, port: 8001}",
    );
    let cluster = |port: u16, subset: &str| format!("outbound|{port}|{subset}|sniffer.bookinfo.svc.cluster.local");
    let mirror = "    mirror: {host: sniffer}\n";
    assert_eq!(mirrors(mirror, one), Some(json!([whole(&cluster(8000, ""), 100)])));
    // The port of the listener, as nothing says which.
    assert_eq!(mirrors(mirror, two), Some(json!([whole(&cluster(80, ""), 100)])));
    assert_eq!(
        mirrors("    mirror: {host: sniffer, subset: x, port: {number: 8001}}\n", two),
        Some(json!([whole(&cluster(8001, "x"), 100)]))
    );
    let percentage = format!("{mirror}    mirrorPercentage: {{value: 12.5}}\n");
    assert_eq!(
        mirrors(&percentage, one),
        Some(json!([policy(&cluster(8000, ""), 125_000)]))
    );
    let percent = format!("{mirror}    mirrorPercent: 50\n");
    assert_eq!(mirrors(&percent, one), Some(json!([whole(&cluster(8000, ""), 50)])));
    assert_eq!(
        mirrors(&format!("{mirror}    mirrorPercentage: {{value: 0}}\n"), one),
        None
    );
    let several = "    mirrors:\n    - {destination: {host: sniffer}, percentage: {value: 0.1}}\n    - {destination: {host: \
                   sniffer.bookinfo.svc.cluster.local}}\n    - {destination: {host: sniffer}, percentage: {value: 0}}\n";
    assert_eq!(
        mirrors(several, one),
        Some(json!([
            policy(&cluster(8000, ""), 1_000),
            whole(&cluster(8000, ""), 100)
        ]))
    );
}

/// istiod: `DISABLE_SHADOW_HOST_SUFFIX`.
#[test]
fn mirrored_requests_keep_their_host() {
    let input = istio_api_with(EVERYONE, &format!("{EVERYONE}    mirror: {{host: reviews}}\n"));
    for version in ["1.28", "1.31"] {
        let run = Generated::istio_with(&["--istio-version", version], &input);
        let mirror = &run.patches("HTTP_ROUTE")[0]["patch"]["value"]["route"]["request_mirror_policies"][0];
        assert_eq!(mirror["cluster"], "outbound|9080||reviews.bookinfo.svc.cluster.local");
        assert_eq!(mirror["disable_shadow_host_suffix_append"], true, "{version}");
    }
}

/// istiod: `TranslateHeadersOperations`, `processDestination`.
#[test]
fn headers_of_the_route_are_applied_after_those_of_the_destination() {
    let headers = "    headers:\n      request: {set: {a: b, 'Host': route.example}, add: {c: '1'}, remove: [d, ':path']}\n      \
                   response: {set: {e: f}, add: {g: h}, remove: [i]}\n";
    let input = istio_api_with(EVERYONE, &format!("{EVERYONE}{headers}")).replace(
        "subset: v3}, weight: 10}",
        "subset: v3}, weight: 10, headers: {request: {set: {j: k, ':authority': v3.example}, remove: [l]}, response: {remove: \
         [m]}}}",
    );
    let values = values(&input);
    let option = |name: &str, value: &str, action: Option<&str>| {
        let mut option = json!({ "header": { "key": name, "value": value } });
        let fields = option.as_object_mut().unwrap();
        fields.extend(action.map(|action| ("append_action".to_owned(), action.into())));
        option
    };
    let (set, add) = (Some("OVERWRITE_IF_EXISTS_OR_ADD"), None);
    let first = &values[0];
    assert_eq!(
        first["request_headers_to_add"],
        json!([option("a", "b", set), option("c", "1", add)])
    );
    assert_eq!(first["request_headers_to_remove"], json!(["d"]));
    assert_eq!(
        first["response_headers_to_add"],
        json!([option("e", "f", set), option("g", "h", add)])
    );
    assert_eq!(first["response_headers_to_remove"], json!(["i"]));
    let third = &values[2];
    assert_eq!(
        third["request_headers_to_add"],
        json!([option("j", "k", set), option("a", "b", set), option("c", "1", add)])
    );
    assert_eq!(third["request_headers_to_remove"], json!(["d", "l"]));
    assert_eq!(third["response_headers_to_remove"], json!(["i", "m"]));
    for value in &values {
        assert_eq!(value["route"]["host_rewrite_literal"], "route.example");
    }
    let rewritten = input.replace(
        EVERYONE,
        &format!("{EVERYONE}    rewrite: {{authority: rewrite.example}}\n"),
    );
    assert_eq!(
        self::values(&rewritten)[2]["route"]["host_rewrite_literal"],
        "rewrite.example"
    );
    let of_destination = input.replace(", 'Host': route.example", "");
    let of = |value: &Value| value["route"].get("host_rewrite_literal").cloned();
    let values = self::values(&of_destination);
    assert_eq!((of(&values[0]), of(&values[2])), (None, Some(json!("v3.example"))));
}

/// Session routes would lack what a newer Istio has.
#[test]
fn a_field_that_istiod_would_translate_is_named_if_it_is_unknown() {
    for (fields, unknown) in [
        ("retries: {attempts: 2, newer: 1}", "newer"),
        ("fault: {abort: {httpStatus: 500, newer: 1}}", "newer"),
        ("headers: {request: {replace: {a: b}}}", "replace"),
        ("mirrors: [{destination: {host: web}, newer: 1}]", "newer"),
        ("rewrite: {newer: 1}", "newer"),
        ("corsPolicy: {newer: 1}", "newer"),
    ] {
        let run = generate(&istio_api_with(EVERYONE, &format!("{EVERYONE}    {fields}\n"))).code(3);
        let said = stderr(&run);
        assert!(
            said.contains(&format!("error[Invalid]: unknown field `{unknown}`; allowed here: ")),
            "{said}"
        );
    }
}

/// A session is bound to a backend, and one route to it can have the headers of one destination only.
#[test]
fn destinations_of_one_backend_have_no_headers_of_their_own() {
    let twice = |headers: &str| {
        let other = format!(
            "subset: v3}}, weight: 10{headers}}}\n    - {{destination: {{host: reviews, subset: v3}}, weight: 5}}"
        );
        istio_api_with("subset: v3}, weight: 10}", &other)
    };
    assert_eq!(values(&twice("")).len(), 3);
    let run = generate(&twice(", headers: {request: {set: {a: b}}}")).code(3);
    let said = stderr(&run);
    let message =
        "error[Unsupported]: these `headers` are of one of several destinations with the same host, subset and port";
    assert!(said.contains(message), "{said}");
}

/// Envoy applies the headers of a weighted destination first. What the route then sets or removes has no other value in the end.
#[test]
fn headers_of_the_destination_that_the_route_replaces_are_left_out() {
    let headers = "    headers: {request: {set: {X-Set: r}, add: {x-add: r}, remove: [x-Removed]}}\n";
    let input = istio_api_with(EVERYONE, &format!("{EVERYONE}{headers}")).replace(
        "subset: v3}, weight: 10}",
        "subset: v3}, weight: 10, headers: {request: {set: {x-set: d, x-removed: d, x-other: d}, add: {x-add: d, x-SET: d}}}}",
    );
    let third = &values(&input)[2];
    let names = third["request_headers_to_add"].as_array().unwrap().iter();
    let names: Vec<String> = names
        .map(|option| format!("{}={}", option["header"]["key"], option["header"]["value"]).replace('"', ""))
        .collect();
    assert_eq!(names, ["x-other=d", "x-add=d", "X-Set=r", "x-add=r"]);
    assert_eq!(third["request_headers_to_remove"], json!(["x-Removed"]));
}

/// istiod: `applyHTTPRouteDestination`, `TranslateRouteMatch`. What replaces a prefix must know the prefix.
#[test]
fn a_rewrite_finds_what_it_replaces() {
    let values = inserted("    rewrite: {uri: /new}\n");
    let of: Vec<(&Value, &Value, &Value)> = values
        .iter()
        .map(|value| {
            (
                &value["name"],
                &value["match"]["prefix"],
                &value["route"]["prefix_rewrite"],
            )
        })
        .collect();
    let new = json!("/new");
    let (reviews, everything) = (json!("/reviews"), json!("/"));
    let names = ["v1", "v2", "v3"].map(|subset| json!(istio_api_key(subset)));
    let [one, two, three] = &names;
    assert_eq!(
        of,
        [
            (one, &reviews, &new),
            (one, &everything, &new),
            (two, &reviews, &new),
            (two, &everything, &new),
            (three, &reviews, &new),
            (three, &everything, &new),
        ]
    );
    // Each match is told from the others, as in the user's route.
    let exact = |name: &str, value: &Value| json!({ "name": name, "string_match": { "exact": value } });
    for pair in values.chunks(2) {
        let key = exact("x-mooring-backend", &pair[0]["name"]);
        assert_eq!(
            pair[0]["match"],
            json!({ "prefix": "/reviews", "headers": [exact(":method", &json!("GET")), key] })
        );
        assert_eq!(
            pair[1]["match"],
            json!({
                "prefix": "/",
                "headers": [
                    exact("end-user", &json!("bee")),
                    { "name": "x-any", "present_match": true },
                    key,
                ],
                "query_parameters": [{ "name": "q", "string_match": { "safe_regex": { "regex": "a+" } } }],
            })
        );
    }
    let without = ISTIO_API
        .replace(EVERYONE, &format!("{EVERYONE}    rewrite: {{uri: /new}}\n"))
        .replace(
            "method: {exact: GET}",
            "authority: {prefix: a}\n      withoutHeaders: {x-b: {regex: c+}, x-d: {}, '@request.auth.claims.e': {exact: f}}",
        );
    let headers = &self::values(&without)[0]["match"]["headers"];
    assert_eq!(
        headers.as_array().unwrap()[..3],
        [
            json!({
                "name": "x-b",
                "string_match": { "safe_regex": { "regex": "c+" } },
                "invert_match": true,
                "treat_missing_header_as_empty": true,
            }),
            json!({ "name": "x-d", "present_match": true, "invert_match": true }),
            json!({ "name": ":authority", "string_match": { "prefix": "a" } }),
        ]
    );
    assert_eq!(headers.as_array().unwrap().len(), 4);
    let values = inserted("    rewrite: {uriRegexRewrite: {match: '^/(.*)$', rewrite: '/\\1'}}\n");
    assert_eq!(values.len(), 3);
    assert_eq!(
        values[0]["route"]["regex_rewrite"],
        json!({ "pattern": { "regex": "^/(.*)$" }, "substitution": "/\\1" })
    );
    let insensitive = ISTIO_API
        .replace(EVERYONE, &format!("{EVERYONE}    rewrite: {{uri: /new}}\n"))
        .replace(
            "uri: {prefix: /reviews}",
            "ignoreUriCase: true\n      uri: {exact: /reviews}",
        );
    let matched = &self::values(&insensitive)[0]["match"];
    assert_eq!(
        (&matched["path"], &matched["case_sensitive"]),
        (&json!("/reviews"), &json!(false))
    );
}

/// istiod: `TranslateFault`.
#[test]
fn faults_are_injected_into_sessions_too() {
    let fault = |fields: &str| {
        let values = inserted(&format!("    fault: {fields}\n"));
        values[0]["typed_per_filter_config"]["envoy.filters.http.fault"].clone()
    };
    let of = |fields: Value| {
        let mut fault = json!({ "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault" });
        fault
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        fault
    };
    let percent = |millionths: u32| json!({ "numerator": millionths, "denominator": "MILLION" });
    assert_eq!(
        fault("{abort: {httpStatus: 503, percentage: {value: 1}}, delay: {fixedDelay: 5s, percent: 10}}"),
        of(json!({
            "abort": { "http_status": 503, "percentage": percent(10_000) },
            "delay": { "fixed_delay": "5s", "percentage": { "numerator": 10 } },
        }))
    );
    assert_eq!(
        fault("{abort: {grpcStatus: UNAVAILABLE, percentage: {value: 0.01}}, delay: {exponentialDelay: 1s}}"),
        of(json!({ "abort": { "grpc_status": 14, "percentage": percent(100) } }))
    );
    // Without a percentage an abort has none, and a delay has a whole one of zero. `percent` is a field of delays.
    assert_eq!(
        fault("{abort: {httpStatus: 500, percent: 100}, delay: {fixedDelay: 1s}}"),
        of(json!({ "abort": { "http_status": 500 }, "delay": { "fixed_delay": "1s", "percentage": {} } }))
    );
}

/// istiod: `TranslateCORSPolicy`.
#[test]
fn cors_holds_for_sessions_too() {
    let cors = |fields: &str| {
        let values = inserted(&format!("    corsPolicy: {fields}\n"));
        values[2]["typed_per_filter_config"]["envoy.filters.http.cors"].clone()
    };
    assert_eq!(
        cors(
            "{allowOrigins: [{exact: 'https://a.example'}, {prefix: 'https://b'}, {regex: '.*'}], allowMethods: [GET, POST], \
             allowHeaders: [x-a, x-b], exposeHeaders: [x-c], maxAge: 24h, allowCredentials: true, unmatchedPreflights: IGNORE}"
        ),
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
            "allow_origin_string_match": [
                { "exact": "https://a.example" },
                { "prefix": "https://b" },
                { "safe_regex": { "regex": ".*" } },
            ],
            "allow_methods": "GET,POST",
            "allow_headers": "x-a,x-b",
            "expose_headers": "x-c",
            "max_age": "86400",
            "allow_credentials": true,
            "filter_enabled": { "default_value": { "numerator": 100 } },
            "forward_not_matching_preflights": false,
        })
    );
    let old = cors("{allowOrigin: [a.example], maxAge: 90s}");
    assert_eq!(old["allow_origin_string_match"], json!([{ "exact": "a.example" }]));
    assert_eq!(old["max_age"], "90");
}

/// istiod: `HashForHTTPDestination`, `ConsistentHashToHashPolicy`.
#[test]
fn sessions_are_hashed_as_their_destination_rule_says() {
    let general = "  trafficPolicy: {loadBalancer: {simple: RANDOM}}\n";
    let hashes = |policy: &str, subset: &str| {
        let input = istio_api_with(general, &format!("  trafficPolicy: {policy}\n")).replace(
            "{name: v2, labels: {version: v2}}",
            &format!("{{name: v2, labels: {{version: v2}}{subset}}}"),
        );
        values(&input)
            .iter()
            .map(|value| value["route"].get("hash_policy").cloned())
            .collect::<Vec<_>>()
    };
    let header = |name: &str| Some(json!([{ "header": { "header_name": name } }]));
    let by = |name: &str| format!("{{loadBalancer: {{consistentHash: {{httpHeaderName: {name}}}}}}}");
    assert_eq!(hashes(&by("x-a"), ""), [header("x-a"), header("x-a"), header("x-a")]);
    // The subset's own beats that of the host.
    let subset = format!(", trafficPolicy: {}", by("x-b"));
    assert_eq!(
        hashes(&by("x-a"), &subset),
        [header("x-a"), header("x-b"), header("x-a")]
    );
    // That of a port holds where the destination names the port: here the one to v2.
    let port = "{loadBalancer: {consistentHash: {httpHeaderName: x-a}}, portLevelSettings: [{port: {number: 9080}, loadBalancer: \
                {consistentHash: {httpHeaderName: x-c}}}]}";
    assert_eq!(hashes(port, ""), [header("x-a"), header("x-c"), header("x-a")]);
    assert_eq!(hashes(port, &subset), [header("x-a"), header("x-b"), header("x-a")]);
    let kinds = [
        (
            "httpCookie: {name: user, path: /p, ttl: 0s, attributes: [{name: SameSite, value: Lax}]}",
            json!({ "cookie": {
                "name": "user", "path": "/p", "ttl": "0s", "attributes": [{ "name": "SameSite", "value": "Lax" }],
            } }),
        ),
        (
            "useSourceIp: true",
            json!({ "connection_properties": { "source_ip": true } }),
        ),
        (
            "httpQueryParameterName: q",
            json!({ "query_parameter": { "name": "q" } }),
        ),
    ];
    for (fields, expected) in kinds {
        let policy = format!("{{loadBalancer: {{consistentHash: {{{fields}}}}}}}");
        assert_eq!(hashes(&policy, "")[0], Some(json!([expected])), "{fields}");
    }
    // With a hash, a retry does not avoid the host that it names (istiod: `retry.DefaultConsistentHashPolicy`).
    let input = istio_api_with(general, &format!("  trafficPolicy: {}\n", by("x-a")));
    let policy = &values(&input)[0]["route"]["retry_policy"];
    assert_eq!(policy.get("retry_host_predicate"), None);
    assert_eq!(policy["num_retries"], 2);
}

#[test]
fn a_service_that_stands_for_another_host_is_known_by_that_host() {
    let alias = |name: &str, host: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: ExternalName, externalName: {host}, ports: \
             [{{name: http, port: 80}}]}}\n"
        )
    };
    let backends = "backendRefs: [{name: web, port: 80}, {name: inside, port: 80}, {name: outside, port: 80}]";
    let rule = format!("  - {{sessionPersistence: {{}}, {backends}}}\n");
    let run = Generated::istio(&input(&[
        &alias("inside", "beta.other.svc.cluster.local"),
        &alias("outside", "api.example.com"),
        &route("shop", &rule),
    ]));
    let rule = &run.first("WasmPlugin")["spec"]["pluginConfig"]["rules"][0];
    let backends: Vec<&Value> = rule["backends"].as_array().unwrap().iter().collect();
    let keys = texts(&backends, "/key");
    assert_eq!(keys, ["web.default:80", "beta.other:80", "api.example.com:80"]);
    // The session route names the user's Service, which istiod resolves.
    let route = run.first("HTTPRoute");
    assert_eq!(
        route["spec"]["rules"][1]["backendRefs"],
        json!([{ "name": "inside", "port": 80 }])
    );
    assert_eq!(
        route["spec"]["rules"][1]["matches"][0]["headers"][0]["value"],
        "HTTPRoute/default/shop#0/beta.other:80"
    );
}
