//! `CanaryPolicy`: what it becomes in the plugin configuration and in Envoy, and which of several holds.

use crate::common::{
    Generated,
    canary::{CANARY, canary_with},
    mooring,
};
use serde_json::{Value, json};

#[test]
fn everything_that_a_policy_can_say_reaches_the_filter() {
    let run = Generated::istio(CANARY);
    assert_eq!(
        run.rule(0),
        &json!({
            "route": "everyone",
            "virtualHosts": ["*:80"],
            "id": "HTTPRoute/bookinfo/reviews/everyone",
            "backends": [
                { "key": "reviews-v1.bookinfo:9080", "weight": 90 },
                { "key": "reviews-v2.bookinfo:9080", "weight": 0 },
                { "key": "reviews-v3.bookinfo:9080", "weight": 10 },
            ],
            "canary": { "position": 0, "backends": [1, 2] },
            "session": {
                "name": "version",
                "type": "Cookie",
                "boundTo": "Backend",
                "absoluteTimeout": "1h",
                "idleTimeout": "10m",
                "cookie": {
                    "httpOnly": true,
                    "lifetimeType": "Permanent",
                    "partitioned": false,
                    "path": "/",
                    "privateCache": true,
                    "sameSite": "Strict",
                    "secure": "Auto",
                },
            },
        })
    );
    assert_eq!(
        run.canaries(),
        &json!([{
            "name": "bookinfo/canary",
            "rules": [
                {
                    "name": "testers",
                    "matches": [
                        { "on": { "header": "end-user" }, "type": "Exact", "value": "vijay" },
                        { "on": { "cookie": "beta" }, "type": "Present" },
                    ],
                },
                { "name": "by-choice", "optIn": { "header": "x-canary" } },
            ],
            "override": "Never",
            "hashOn": { "header": "user" },
            "seed": "2026-03",
        }])
    );
    assert_eq!(run.findings, [""; 0]);
}

#[test]
fn an_expression_comes_with_its_size() {
    let input = canary_with("value: vijay", "type: RegularExpression, value: 'v[a-z]{4}'");
    let run = Generated::istio(&input);
    let one = run.canaries().pointer("/0/rules/0/matches/0").unwrap();
    let size = mooring_policy::canary::expression_size("v[a-z]{4}").unwrap();
    assert_eq!(one["compiledSize"], json!(size));
}

/// The filters of ours that a virtual host turns on.
fn filters(host: &Value) -> Vec<&String> {
    let filters = host["typed_per_filter_config"].as_object().unwrap();
    filters.keys().filter(|name| name.starts_with("mooring.")).collect()
}

/// Whether each backend of the rule has a session route, on Istio and on a local Envoy, and none of them the stateful session filter.
#[track_caller]
fn leads_to_backends_without_pins(input: &str) {
    let keys = ["reviews-v1", "reviews-v2", "reviews-v3"]
        .map(|name| format!("HTTPRoute/bookinfo/reviews/everyone/{name}.bookinfo:9080"));
    let run = Generated::istio(input);
    let [route] = run.objects("HTTPRoute")[..] else {
        panic!("{:#}", run.value)
    };
    assert_eq!(route["metadata"]["name"], "mooring-reviews-c1f755ed");
    assert_eq!(route["metadata"]["namespace"], "bookinfo");
    let rules = route["spec"]["rules"].as_array().unwrap();
    let of: Vec<(&Value, &Value)> = rules
        .iter()
        .map(|rule| {
            (
                &rule["matches"][0]["headers"][0]["value"],
                &rule["backendRefs"][0]["name"],
            )
        })
        .collect();
    let [one, two, three] = &keys;
    assert_eq!(
        of,
        [
            (&json!(one), &json!("reviews-v1")),
            (&json!(two), &json!("reviews-v2")),
            (&json!(three), &json!("reviews-v3")),
        ]
    );
    assert_eq!(filters(run.virtual_host("*:80")), ["mooring.header_sanitizer"]);

    let run = Generated::envoy(input);
    let host =
        run.at("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0");
    assert_eq!(filters(host), ["mooring.header_sanitizer"]);
    let routes = host["routes"].as_array().unwrap().iter();
    let names: Vec<&Value> = routes.map(|route| &route["name"]).collect();
    assert_eq!(names, [one, two, three, "everyone"]);
}

#[test]
fn a_session_on_a_backend_has_a_route_and_no_pin() {
    leads_to_backends_without_pins(CANARY);
}

#[test]
fn match_rules_and_splits_need_no_session() {
    let without = canary_with("  sticky:\n", "  gone:\n");
    let (start, rest) = without.split_once("  gone:").unwrap();
    let (_, end) = rest.split_once("  override").unwrap();
    let stateless = format!("{start}  override{end}");
    let stateless = stateless.replace("  annotations: {mooring.dev/cookie-same-site: Strict}\n", "");
    let run = Generated::istio(&stateless);
    assert_eq!(run.rule(0).get("session"), None);
    assert_eq!(run.canaries().pointer("/0/hashOn"), Some(&json!({ "header": "user" })));
    leads_to_backends_without_pins(&stateless);
}

#[test]
fn weights_reach_the_filter_where_it_places_clients_only() {
    let split = "  split:\n    hashOn: {header: user}\n    seed: 2026-03\n";
    let opt_in = "  - name: by-choice\n    optIn: {header: x-canary}\n    backendRef: {name: reviews-v3, port: 9080}\n";
    let weights = |input: &str| {
        let run = Generated::istio(input);
        let backends = run.rule(0)["backends"].as_array().unwrap().clone();
        backends
            .iter()
            .map(|backend| backend.get("weight").cloned())
            .collect::<Vec<_>>()
    };
    let all = [Some(json!(90)), Some(json!(0)), Some(json!(10))];
    assert_eq!(weights(CANARY), all);
    assert_eq!(weights(&canary_with(split, "")), all);
    assert_eq!(weights(&canary_with(opt_in, "")), all);
    let neither = canary_with(split, "").replace(opt_in, "");
    assert_eq!(weights(&neither), [None, None, None]);
    let changed = neither
        .replace("weight: 90", "weight: 50")
        .replace("weight: 0", "weight: 40");
    assert_eq!(Generated::istio(&changed).value, Generated::istio(&neither).value);
}

#[test]
fn with_the_metric_every_weight_reaches_the_filter_and_decides_nothing_else() {
    let generate = |input: &str, flags: &[&str]| {
        let run = mooring().args(["generate", "-f", "-", "-o", "json", "--wasm", "https://x"]);
        let run = run.args(flags).stdin(input).assert().success();
        let list: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
        let items = list["items"].as_array().unwrap().clone();
        let is_plugin = |item: &Value| item["kind"] == "WasmPlugin";
        let (plugins, others): (Vec<Value>, Vec<Value>) = items.into_iter().partition(is_plugin);
        (plugins[0]["spec"]["pluginConfig"].clone(), others)
    };
    let split = "  split:\n    hashOn: {header: user}\n    seed: 2026-03\n";
    let opt_in = "  - name: by-choice\n    optIn: {header: x-canary}\n    backendRef: {name: reviews-v3, port: 9080}\n";
    let input = canary_with(split, "").replace(opt_in, "");
    let (without, objects) = generate(&input, &[]);
    let (mut with, same) = generate(&input, &["--weight-metric"]);
    assert_eq!(without.get("weightMetric"), None);
    assert_eq!(with["weightMetric"], true);
    let backends = with["rules"][0]["backends"].as_array().unwrap();
    let weights: Vec<&Value> = backends.iter().map(|backend| &backend["weight"]).collect();
    assert_eq!(weights, [90, 0, 10]);
    // Nothing else differs.
    for backend in with["rules"][0]["backends"].as_array_mut().unwrap() {
        backend.as_object_mut().unwrap().remove("weight");
    }
    with.as_object_mut().unwrap().remove("weightMetric");
    assert_eq!(with, without);
    assert_eq!(same, objects);
}

#[test]
fn a_header_session_can_be_sticky_too() {
    let run = Generated::istio(
        &canary_with(
            "    cookie: {name: version, path: /, lifetimeType: Permanent}\n",
            "    type: Header\n    header: {name: x-version}\n",
        )
        .replace("  annotations: {mooring.dev/cookie-same-site: Strict}\n", ""),
    );
    assert_eq!(run.session(0).get("name"), Some(&json!("x-version")));
    assert_eq!(run.session(0).get("type"), Some(&json!("Header")));
}

#[test]
fn a_backend_is_found_without_its_port_and_without_its_namespace() {
    let short = canary_with("{name: reviews-v2, port: 9080}", "{name: reviews-v2}");
    let long = canary_with(
        "{name: reviews-v2, port: 9080}",
        "{name: reviews-v2, namespace: bookinfo, port: 9080}",
    );
    let run = Generated::istio(CANARY);
    assert_eq!(Generated::istio(&short).value, run.value);
    assert_eq!(Generated::istio(&long).value, run.value);
}

#[test]
fn a_policy_without_section_name_holds_for_the_whole_route() {
    let whole = canary_with(", sectionName: everyone}", "}");
    assert_eq!(Generated::istio(&whole).value, Generated::istio(CANARY).value);
}

fn second(name: &str, section: &str, created: Option<&str>, backend: &str) -> String {
    let created = created.map_or(String::new(), |created| format!(", creationTimestamp: {created}"));
    format!(
        "---\napiVersion: mooring.dev/v1alpha1\nkind: CanaryPolicy\nmetadata: {{name: {name}, namespace: bookinfo{created}}}\n\
         spec:\n  targetRef: {{group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews{section}}}\n  rules:\n  - name: \
         all\n    matches: [{{header: {{name: x, type: Absent}}}}]\n    backendRef: {{name: {backend}}}\n"
    )
}

fn match_rules(run: &Generated) -> Vec<&Value> {
    let rules = run.canaries().pointer("/0/rules").and_then(Value::as_array).unwrap();
    rules.iter().map(|rule| &rule["name"]).collect()
}

#[test]
fn of_two_policies_for_one_rule_the_older_holds() {
    let section = ", sectionName: everyone";
    let dated = canary_with(
        "  name: canary\n",
        "  name: canary\n  creationTimestamp: \"2026-02-01T00:00:00Z\"\n",
    );
    for (created, expected) in [
        ("\"2026-01-01T00:00:00Z\"", vec!["all"]),
        ("\"2026-03-01T00:00:00Z\"", vec!["testers", "by-choice"]),
    ] {
        let run = Generated::istio(&format!("{dated}{}", second("a", section, Some(created), "reviews-v1")));
        assert_eq!(match_rules(&run), expected);
        let [finding] = run.findings.as_slice() else {
            panic!("{:?}", run.findings)
        };
        assert!(
            finding.contains("warning[Conflicted]: CanaryPolicy bookinfo/"),
            "{finding}"
        );
        assert!(finding.contains("is not accepted"), "{finding}");
    }
}

#[test]
fn policies_of_unknown_age_are_ordered_by_name() {
    let run = Generated::istio(&format!(
        "{CANARY}{}",
        second("a", ", sectionName: everyone", None, "reviews-v1")
    ));
    assert_eq!(match_rules(&run), ["all"]);
    let run = Generated::istio(&format!(
        "{CANARY}{}",
        second("z", ", sectionName: everyone", None, "reviews-v1")
    ));
    assert_eq!(match_rules(&run), ["testers", "by-choice"]);
}

#[test]
fn a_policy_for_one_rule_beats_one_for_the_route_and_says_so() {
    let run = Generated::istio(&format!("{CANARY}{}", second("a", "", None, "reviews-v1")));
    assert_eq!(match_rules(&run), ["testers", "by-choice"]);
    let [finding] = run.findings.as_slice() else {
        panic!("{:?}", run.findings)
    };
    let expected = "note[Accepted]: CanaryPolicy bookinfo/canary applies to the rule HTTPRoute/bookinfo/reviews/everyone \
                    instead of CanaryPolicy bookinfo/a: a policy with a sectionName is more specific than one for the whole route";
    assert!(finding.starts_with(expected), "{finding}");
}

#[test]
fn beside_a_session_policy_sticky_adds_nothing() {
    let run = Generated::istio(&canary_with(
        "  - name: everyone\n",
        "  - name: everyone\n    sessionPersistence: {sessionName: pods}\n",
    ));
    assert_eq!(run.session(0).get("name"), Some(&json!("pods")));
    assert_eq!(run.session(0).get("boundTo"), None);
    assert!(run.rule(0).get("canary").is_some());
    let warning = run
        .findings
        .iter()
        .find(|finding| finding.contains("has no effect on"))
        .unwrap();
    assert!(
        warning.starts_with("warning[NoEffect]: sticky of CanaryPolicy bookinfo/canary has no effect on"),
        "{warning}"
    );
}

#[test]
fn strict_is_for_hosts() {
    let run = Generated::istio(&canary_with(
        "mooring.dev/cookie-same-site: Strict",
        "mooring.dev/strict: \"true\"",
    ));
    let [finding] = run.findings.as_slice() else {
        panic!("{:?}", run.findings)
    };
    assert!(
        finding.starts_with("warning[NoEffect]: strict has no effect here"),
        "{finding}"
    );
}
