//! `mooring validate`: the backends, canaries and sessions of each rule, what is left out, and several targets.

use crate::common::{SHOP, canary::canary_with, mooring, shop_with, validation::validate, without_policy};
use serde_json::{Value, json};
use snapbox::{IntoData as _, str};

fn text(flags: &[&str], input: &str) -> String {
    String::from_utf8(validate(flags, input).get_output().stdout.clone()).unwrap()
}

fn validated(flags: &[&str], input: &str) -> Value {
    let run = validate(&[&["-o", "json"], flags].concat(), input);
    serde_json::from_slice(&run.get_output().stdout).unwrap()
}

/// A Service with an endpoint.
fn service(name: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, labels: {{istio.io/persistent-session: mooring}}}}\nspec: \
         {{ports: [{{name: http, port: 80}}]}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: \
         {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nports: [{{name: http, port: 8080}}]\nendpoints: \
         [{{addresses: [127.0.9.2]}}]\n"
    )
}

/// The shop with three rules: one that keeps sessions, one with a canary and sessions, one with a canary only.
fn three_rules() -> String {
    let rules = "  - name: cart\n    matches: [{path: {value: /cart}}]\n    backendRefs: [{name: web, port: 80, weight: 90}, {name: api, \
                 port: 80, weight: 10}]\n  - name: search\n    matches: [{path: {value: /search}}]\n    backendRefs: [{name: web, \
                 port: 80, weight: 2}, {name: api, port: 80, weight: 1}, {name: old, port: 80, weight: 0}]\n  - name: login\n    \
                 sessionPersistence: {sessionName: login, absoluteTimeout: 8h}\n    backendRefs:";
    let shop = without_policy(&shop_with("  - backendRefs:", rules));
    let policies = "\
---
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: cart}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: web, sectionName: cart}
  rules:
  - name: testers
    matches: [{header: {name: x-user, type: RegularExpression, value: \"7|8\"}}, {cookie: {name: beta, type: Present}}]
    backendRef: {name: api}
  - {name: by-choice, optIn: {cookie: canary}, backendRef: {name: api}}
  split: {hashOn: {header: x-user}, seed: r7}
  sticky: {cookie: {name: version}, idleTimeout: 30m}
---
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: search}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: web, sectionName: search}
  override: Never
  rules:
  - {name: bots, matches: [{header: {name: user-agent, type: Contains, value: bot}}], backendRef: {name: api}}
";
    [&shop, &service("api"), &service("old"), policies].concat()
}

#[test]
fn each_rule_has_its_backends_sessions_and_canary_rules() {
    validate(&["--strict"], &three_rules()).code(0).stdout_eq(str![[r#"
POLICY                       TARGET                        CONDITION  RULES
CanaryPolicy default/cart    HTTPRoute default/web/cart    Accepted   HTTPRoute/default/web/cart
CanaryPolicy default/search  HTTPRoute default/web/search  Accepted   HTTPRoute/default/web/search
sessionPersistence           HTTPRoute default/web         Accepted   HTTPRoute/default/web/login

RULE                          GATEWAY        SESSION         LASTS      IDLE       BOUND TO
HTTPRoute/default/web/cart    default/front  cookie version  unlimited  30m        backend
HTTPRoute/default/web/search  default/front  -               -          -          -
HTTPRoute/default/web/login   default/front  cookie login    8h         unlimited  pod

RULE                          BACKEND         WEIGHT
HTTPRoute/default/web/cart    web.default:80  90%
                              api.default:80  10%
HTTPRoute/default/web/search  web.default:80  66.7%
                              api.default:80  33.3%
                              old.default:80  0%
HTTPRoute/default/web/login   web.default:80  100%

RULE                          CANARY RULE  REQUESTS                                             BACKEND
HTTPRoute/default/web/cart    testers      header x-user matches `7|8` and cookie beta          api.default:80
                              by-choice    cookie canary says always                            api.default:80
                              hashOn       new sessions with header x-user                      by its hash and the weights, seed r7
HTTPRoute/default/web/search  bots         header user-agent contains `bot`, without a session  api.default:80

2 rules keep sessions, 1 has a canary only; 0 errors, 0 warnings, 0 notes

"#]].raw());
}

#[test]
fn json_has_the_same() {
    let run = validated(&[], &three_rules());
    let rules = run["rules"].as_array().unwrap();
    let [cart, search, login] = rules.as_slice() else {
        panic!("{rules:#?}")
    };
    assert_eq!(
        search["backends"],
        json!([
            { "key": "web.default:80", "weight": 2, "percent": 66.7, "released": false, "version": null },
            { "key": "api.default:80", "weight": 1, "percent": 33.3, "released": false, "version": null },
            { "key": "old.default:80", "weight": 0, "percent": 0.0, "released": false, "version": null },
        ])
    );
    assert_eq!(
        (&search["session"], &search["condition"], &search["canary"]["override"]),
        (&Value::Null, &json!("Accepted"), &json!("Never"))
    );
    assert_eq!(
        cart["canary"],
        json!({
            "rules": [
                {
                    "name": "testers",
                    "matches": [
                        { "on": { "header": "x-user" }, "type": "RegularExpression", "value": "7|8", "compiledSize":
                          cart["canary"]["rules"][0]["matches"][0]["compiledSize"] },
                        { "on": { "cookie": "beta" }, "type": "Present" },
                    ],
                    "optIn": null,
                    "backend": "api.default:80",
                },
                { "name": "by-choice", "matches": [], "optIn": { "cookie": "canary" }, "backend": "api.default:80" },
            ],
            "override": "Always",
            "hashOn": { "header": "x-user" },
            "seed": "r7",
        })
    );
    assert_eq!(
        (&login["canary"], &login["session"]["name"]),
        (&Value::Null, &json!("login"))
    );
}

#[test]
fn a_backend_whose_sessions_are_released_says_so() {
    let input = three_rules()
        .replace("weight: 90}", "weight: 0}")
        .replace("seed: r7}\n", "seed: r7}\n  whenWeightZero: Release\n");
    let text = text(&[], &input);
    assert!(text.contains("web.default:80  0% (sessions are released)\n"), "{text}");
}

#[test]
fn what_is_left_out_names_its_error() {
    let input = three_rules()
        .replace("8h", "8x")
        .replace("type: Contains", "type: Regex");
    let run = validate(&[], &input).code(1);
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    let table: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("LEFT OUT"))
        .take(3)
        .collect();
    assert_eq!(
        table,
        [
            "LEFT OUT                            ERROR",
            "rule HTTPRoute/default/web/login    Invalid at <stdin>:27:63",
            "policy CanaryPolicy/default/search  Invalid at <stdin>:100:62",
        ]
    );
    // Nothing else of it is listed as if it were there.
    assert!(!text.contains("cookie login"), "{text}");
    let run = validated(&[], &input);
    assert_eq!(
        run["leftOut"][0],
        json!({
            "type": "rule",
            "name": "HTTPRoute/default/web/login",
            "code": "Invalid",
            "location": { "file": "<stdin>", "line": 27, "column": 63 },
        })
    );
}

#[test]
fn a_policy_of_a_rule_that_is_left_out_is_not_accepted() {
    let missing = SHOP.replace(
        "      port: 80\n---\napiVersion: v1",
        "      port: 81\n---\napiVersion: v1",
    );
    assert_ne!(missing, SHOP);
    let run = validated(&[], &missing);
    assert_eq!(run["policies"][0]["condition"], "Invalid");
    assert_eq!(run["leftOut"][0]["name"], "HTTPRoute/default/web#0");
    let canary = canary_with("{name: reviews-v1, port: 9080", "{name: reviews-v1, port: 9081");
    assert_eq!(validated(&[], &canary)["policies"][0]["condition"], "Invalid");
}

#[test]
fn a_policy_with_which_nothing_happens_has_no_effect() {
    // No caller is named for the mesh.
    let mesh = SHOP.replace(
        "  - name: front\n  rules:",
        "  - {group: \"\", kind: Service, name: web}\n  rules:",
    );
    assert_ne!(mesh, SHOP);
    let conditions = |flags: &[&str]| {
        let run = validated(flags, &mesh);
        (
            run["policies"][0]["condition"].clone(),
            run["rules"][0]["condition"].clone(),
        )
    };
    assert_eq!(conditions(&[]), (json!("NoEffect"), json!("NoEffect")));
    assert_eq!(
        conditions(&["--callers", "default"]),
        (json!("Accepted"), json!("Accepted"))
    );
    let text = text(&[], &mesh);
    assert!(
        text.contains("NoEffect   HTTPRoute/default/web#0 (no proxy serves the rule)"),
        "{text}"
    );
    assert!(text.contains("0 rules keep sessions"), "{text}");
    // No route leads to the Service.
    let unused = validated(
        &[],
        &shop_with("  - backendRefs:\n    - name: web\n      port: 80\n", "  - {}\n"),
    );
    assert_eq!(unused["policies"][0]["condition"], "NoEffect");
    // The rule's own session.
    let own = shop_with("  - backendRefs:", "  - sessionPersistence: {}\n    backendRefs:");
    assert_eq!(validated(&[], &own)["policies"][0]["condition"], "Overridden");
}

#[test]
fn a_policy_for_the_whole_route_holds_where_it_can() {
    let redirect = "  - name: old\n    matches: [{path: {value: /old}}]\n    filters: [{type: RequestRedirect, requestRedirect: \
                    {statusCode: 301}}]\n  - name: everyone\n";
    let input = canary_with("  - name: everyone\n", redirect).replace(", sectionName: everyone", "");
    let run = validate(&["-o", "json", "--strict"], &input).code(0);
    let run: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!(run["policies"][0]["condition"], "Accepted");
    assert_eq!(run["rules"].as_array().map(Vec::len), Some(1));
    let note = &run["findings"][0];
    assert_eq!((&note["severity"], &note["code"]), (&json!("note"), &json!("NoEffect")));
    assert!(note["help"].as_str().unwrap().contains("sectionName"), "{note:#}");
}

#[test]
fn findings_of_one_of_two_targets_say_so() {
    // A local Envoy does not serve TLS that it passes through.
    let input = SHOP.replace(
        "    protocol: HTTP\n",
        "    protocol: HTTP\n  - {name: same, port: 10080, protocol: HTTP}\n",
    );
    let run = validated(&["--target", "all"], &input);
    assert_eq!(
        (&run["valid"], &run["forTargets"]),
        (&json!(false), &json!(["istio", "envoy"]))
    );
    let findings = run["findings"].as_array().unwrap();
    let envoy: Vec<&Value> = findings
        .iter()
        .filter(|finding| finding["forTargets"] == json!(["envoy"]))
        .collect();
    assert_eq!(envoy.len(), 1, "{findings:#?}");
    assert_eq!(envoy[0]["code"], "Unsupported");
    // The rule has the same status for both.
    assert_eq!(run["rules"][0]["forTargets"], json!(["istio", "envoy"]));
    assert_eq!(run["rules"].as_array().map(Vec::len), Some(1));
    let text = text(&["--target", "all"], &input);
    assert_eq!(text.matches("= note: only with --target envoy").count(), 1, "{text}");
    assert_eq!(text.matches("POLICY").count(), 1, "{text}");
    validate(&["--target", "istio"], &input).code(0);
    validate(&["--target", "envoy"], &input).code(1);
}

#[test]
fn tables_that_differ_are_printed_for_each_target() {
    // Another controller has the Gateway; a local Envoy plays every Gateway.
    let input = SHOP.replace("gatewayClassName: istio", "gatewayClassName: nginx");
    let input = format!(
        "{input}---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: nginx}}\nspec: \
         {{controllerName: example.com/nginx}}\n"
    );
    let text = text(&["--target", "all"], &input);
    let (istio, envoy) = text.split_once("Target envoy:\n").unwrap();
    assert!(
        istio.starts_with("Target istio:\n") && istio.contains("NoEffect"),
        "{text}"
    );
    assert!(envoy.contains("Accepted   HTTPRoute/default/web#0\n"), "{text}");
    assert!(
        text.contains("\nistio: 0 rules keep sessions; envoy: 1 rule keeps sessions; 0 errors"),
        "{text}"
    );
    let run = validated(&["--target", "all"], &input);
    let rules = run["rules"].as_array().unwrap();
    let targets: Vec<(&Value, &Value)> = rules
        .iter()
        .map(|rule| (&rule["forTargets"], &rule["condition"]))
        .collect();
    assert_eq!(
        targets,
        [
            (&json!(["istio"]), &json!("NoEffect")),
            (&json!(["envoy"]), &json!("Accepted"))
        ]
    );
}

#[test]
fn the_version_of_istio_is_validated_too() {
    let untested = |flags: &[&str]| {
        let run = validated(flags, SHOP);
        let findings = run["findings"].as_array().unwrap();
        findings.iter().filter(|finding| finding["code"] == "Untested").count()
    };
    assert_eq!(untested(&[]), 0);
    assert_eq!(untested(&["--istio-version", "1.40"]), 1);
    assert_eq!(untested(&["--istio-version", "1.40", "--target", "all"]), 1);
    let run = validate(&["--istio-version", "1.31", "--target", "envoy"], SHOP).code(2);
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(
        stderr.contains("--istio-version can only be used with --target istio"),
        "{stderr}"
    );
}

#[test]
fn an_allowed_code_is_neither_printed_nor_counted() {
    let draining = shop_with("  labels:\n    istio.io/persistent-session: mooring\n", "");
    let input = format!("{draining}---\n{{}}\n");
    for command in [
        &["validate", "--strict"][..],
        &["generate", "--wasm", "https://x/y.wasm"],
    ] {
        let printed = |flags: &[&str]| {
            let run = mooring()
                .args(command)
                .args(["-f", "-"])
                .args(flags)
                .stdin(&*input)
                .assert();
            let output = run.get_output();
            String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap()
        };
        assert!(printed(&[]).contains("note[Draining]"), "{command:?}");
        assert!(!printed(&["--allow", "Draining"]).contains("[Draining]"), "{command:?}");
    }
    validate(&["--strict"], &without_policy(SHOP)).code(1);
    validate(&["--strict", "--allow", "NoEffect"], &without_policy(SHOP)).code(0);
    // Errors stay.
    let wrong = shop_with("idleTimeout: 10m", "idleTimeout: 1x");
    let run = validate(&["--allow", "Invalid"], &wrong).code(1);
    assert!(String::from_utf8_lossy(&run.get_output().stdout).contains("error[Invalid]"));
    let run = validate(&["--allow", "draining"], SHOP).code(2);
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(stderr.contains("the codes are Unreadable, Syntax,"), "{stderr}");
}

#[test]
fn many_services_are_one_note() {
    let shop = shop_with("  labels:\n    istio.io/persistent-session: mooring\n", "");
    let mut references = vec!["  - backendRefs:\n".to_owned()];
    let mut services = String::new();
    for number in 0..40 {
        references.push(format!("    - {{name: s{number}, port: 80}}\n"));
        services.push_str(&service(&format!("s{number}")).replace("istio.io/persistent-session: mooring", "a: b"));
    }
    let input = format!("{}{services}", shop.replace("  - backendRefs:\n", &references.concat()));
    let run = validated(&[], &input);
    let findings = run["findings"].as_array().unwrap();
    let draining: Vec<&Value> = findings
        .iter()
        .filter(|finding| finding["code"] == "Draining")
        .collect();
    let [note] = draining.as_slice() else {
        panic!("{findings:#?}")
    };
    assert!(
        note["message"]
            .as_str()
            .unwrap()
            .ends_with("(this and 40 more Services)"),
        "{note:#}"
    );
    assert_eq!(note["related"].as_array().map(Vec::len), Some(4));
}
