//! `mooring validate`: what is said about each policy, to people and to programs, and with which exit status.

use crate::common::{
    SHOP, SHOP_IS_READ,
    canary::{CANARY, canary_with},
    mooring, said, shop_with,
    validation::validate,
    without_policy,
};
use serde_json::{Value, json};
use snapbox::{IntoData as _, str};

fn validated(input: &str) -> Value {
    let run = validate(&["-o", "json"], input);
    serde_json::from_slice(&run.get_output().stdout).unwrap()
}

/// A policy for one Service of the shop.
fn policy(name: &str, service: &str, created: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1alpha2\nkind: BackendLBPolicy\nmetadata: {{name: {name}, \
         creationTimestamp: {created}}}\nspec:\n  targetRefs: [{{group: \"\", kind: Service, name: {service}}}]\n  \
         sessionPersistence: {{}}\n"
    )
}

/// The shop with a rule of its own, one that leads to two Services, and a policy for each way to fail.
fn crowded() -> String {
    let shop = shop_with(
        "  - backendRefs:",
        "  - matches: [{path: {value: /api}}]\n    sessionPersistence: {type: Header, sessionName: x-api}\n    backendRefs: \
         [{name: web, port: 80}]\n  - backendRefs:\n    - {name: api, port: 80}",
    );
    let shop = shop.replace(
        "  name: sticky\n",
        "  name: sticky\n  creationTimestamp: 2026-01-01T00:00:00Z\n",
    );
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: api, labels: {istio.io/persistent-session: \
                   mooring}}\nspec: {ports: [{port: 80}]}\n";
    let later = policy("later", "web", "2026-01-02T00:00:00Z");
    let other = policy("other", "api", "2026-01-02T00:00:00Z");
    let lost = policy("lost", "wbe", "2026-01-02T00:00:00Z");
    let wrong = policy("wrong", "web", "2026-01-02T00:00:00Z").replace("{}", "{sesionName: shop}");
    [shop.as_str(), service, &later, &other, &lost, &wrong].concat()
}

#[test]
fn a_sound_shop() {
    validate(&["--strict"], SHOP).code(0).stderr_eq(SHOP_IS_READ).stdout_eq(
        str![[r#"
POLICY                          TARGET               CONDITION  RULES
BackendLBPolicy default/sticky  Service default/web  Accepted   HTTPRoute/default/web#0

RULE                     GATEWAY        SESSION      LASTS  IDLE  BOUND TO
HTTPRoute/default/web#0  default/front  cookie shop  1h     10m   pod

RULE                     BACKEND         WEIGHT
HTTPRoute/default/web#0  web.default:80  100%

1 rule keeps sessions; 0 errors, 0 warnings, 0 notes

"#]]
        .raw(),
    );
}

#[test]
fn every_way_to_fail() {
    let read =
        "read 9 objects (4 BackendLBPolicies, 1 Gateway, 1 HTTPRoute, 2 Services, 1 EndpointSlice), could not read 1\n";
    validate(&[], &crowded()).code(1).stderr_eq(read).stdout_eq(
        str![[r#"
POLICY                          TARGET                 CONDITION       RULES
BackendLBPolicy default/later   Service default/web    Conflicted      (BackendLBPolicy default/sticky applies)
BackendLBPolicy default/lost    Service default/wbe    TargetNotFound  -
BackendLBPolicy default/other   Service default/api    Conflicted      HTTPRoute/default/web#1 (BackendLBPolicy default/sticky applies)
BackendLBPolicy default/sticky  Service default/web    Overridden      HTTPRoute/default/web#0 (the rule's own sessionPersistence applies)
                                                       Accepted        HTTPRoute/default/web#1
BackendLBPolicy default/wrong   -                      Invalid         -
sessionPersistence              HTTPRoute default/web  Accepted        HTTPRoute/default/web#0

RULE                     GATEWAY        SESSION       LASTS      IDLE       BOUND TO
HTTPRoute/default/web#0  default/front  header x-api  unlimited  unlimited  pod
HTTPRoute/default/web#1  default/front  cookie shop   1h         10m        pod

RULE                     BACKEND         WEIGHT
HTTPRoute/default/web#0  web.default:80  100%
HTTPRoute/default/web#1  api.default:80  50%
                         web.default:80  50%

LEFT OUT                                                                    ERROR
policy BackendLBPolicy/default/wrong                                        Invalid at <stdin>:100:24
attachment of a policy BackendLBPolicy/default/lost on Service/default/wbe  TargetNotFound at <stdin>:92:49

note[Unnamed]: 2 rules (this and 1 more) have no name and are identified by their positions: their sessions end when a rule is inserted before them
  --> <stdin>:20:5
   |
20 |   - matches: [{path: {value: /api}}]
   |     ^
   |
   = help: give the rule a `name`; this ends its current sessions once

warning[Conflicted]: BackendLBPolicy default/later is not accepted: BackendLBPolicy default/sticky targets the Service default/web too and is older
  --> <stdin>:76:18
   |
55 |   name: sticky
   |         ------ this policy applies
...
76 | metadata: {name: later, creationTimestamp: 2026-01-02T00:00:00Z}
   |                  ^^^^^

warning[Conflicted]: BackendLBPolicy default/other is not accepted: BackendLBPolicy default/sticky applies to another backend of this rule of HTTPRoute default/web and is older
  --> <stdin>:83:18
   |
55 |   name: sticky
   |         ------ this policy applies
...
83 | metadata: {name: other, creationTimestamp: 2026-01-02T00:00:00Z}
   |                  ^^^^^

error[TargetNotFound]: BackendLBPolicy default/lost targets the Service default/wbe, which is not in the input
  --> <stdin>:92:49
   |
92 |   targetRefs: [{group: "", kind: Service, name: wbe}]
   |                                                 ^^^
   |
   = help: did you mean `web`?

error[Invalid]: unknown field `sesionName`; allowed here: absoluteTimeout, cookie, cookieConfig, header, idleTimeout, sessionName, type
   --> <stdin>:100:24
    |
100 |   sessionPersistence: {sesionName: shop}
    |                        ^^^^^^^^^^
    |
    = help: did you mean `sessionName`?

2 rules keep sessions; 2 errors, 2 warnings, 1 note; invalid parts would be left out

"#]]
        .raw(),
    );
}

#[test]
fn no_policy_at_all() {
    // Nothing to generate is a warning.
    let input = without_policy(SHOP);
    validate(&["--strict"], &input).code(1);
    validate(&["--strict", "--allow", "NoEffect"], &input).code(0);
    validate(&[], &input).code(0).stdout_eq(
        str![[r#"
warning[NoEffect]: nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries

0 rules keep sessions; 0 errors, 1 warning, 0 notes

"#]]
        .raw(),
    );
}

#[test]
fn a_text_that_is_no_yaml() {
    let run = validated("]");
    assert_eq!(run["valid"], false);
    assert_eq!(run["findings"][0]["code"], "Syntax");
    validate(&[], "]").code(1);
}

#[test]
fn warnings_count_where_one_is_strict() {
    let warned = shop_with("  - group: \"\"\n    kind", "  - kind");
    validate(&[], &warned).code(0);
    validate(&["--strict"], &warned).code(1);
    // A note is no warning.
    let noted = shop_with("  labels:\n    istio.io/persistent-session: mooring\n", "");
    validate(&["--strict"], &noted).code(0);
}

#[test]
fn the_json_of_a_sound_shop() {
    assert_eq!(
        validated(SHOP),
        json!({
            "version": 1,
            "valid": true,
            "forTargets": ["istio"],
            "findings": [],
            "leftOut": [],
            "policies": [{
                "forTargets": ["istio"],
                "kind": "BackendLBPolicy",
                "namespace": "default",
                "name": "sticky",
                "condition": "Accepted",
                "location": { "file": "<stdin>", "line": 51, "column": 9 },
                "targets": [{
                    "kind": "Service",
                    "namespace": "default",
                    "name": "web",
                    "condition": "Accepted",
                    "rules": [{ "id": "HTTPRoute/default/web#0", "condition": "Accepted" }],
                }],
            }],
            "rules": [{
                "id": "HTTPRoute/default/web#0",
                "route": { "kind": "HTTPRoute", "namespace": "default", "name": "web" },
                "location": { "file": "<stdin>", "line": 20, "column": 5 },
                "gateways": [{ "namespace": "default", "name": "front" }],
                "callers": [],
                "waypoints": [],
                "policy": { "kind": "BackendLBPolicy", "namespace": "default", "name": "sticky" },
                "canaryPolicy": null,
                "canary": null,
                "backends": [{ "key": "web.default:80", "weight": 1, "percent": 100.0, "released": false, "version": null }],
                "condition": "Accepted",
                "forTargets": ["istio"],
                "session": {
                    "name": "shop",
                    "type": "Cookie",
                    "absoluteTimeout": "1h",
                    "idleTimeout": "10m",
                    "cookie": validated(SHOP)["rules"][0]["session"]["cookie"],
                },
                "rebalance": false,
                "sessionRoutes": 0,
                "strict": false,
            }],
        })
    );
}

#[test]
fn the_json_of_every_way_to_fail() {
    let run = validated(&crowded());
    assert_eq!(run["valid"], false);
    let conditions: Vec<(&str, &str)> = run["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|policy| (policy["name"].as_str().unwrap(), policy["condition"].as_str().unwrap()))
        .collect();
    assert_eq!(
        conditions,
        [
            ("later", "Conflicted"),
            ("lost", "TargetNotFound"),
            ("other", "Conflicted"),
            ("sticky", "Accepted"),
            ("wrong", "Invalid"),
        ]
    );
    assert_eq!(
        run["policies"][0]["targets"][0]["conflictsWith"],
        "BackendLBPolicy default/sticky"
    );
    assert_eq!(
        run["policies"][3]["targets"][0]["rules"],
        json!([
            { "id": "HTTPRoute/default/web#0", "condition": "Overridden" },
            { "id": "HTTPRoute/default/web#1", "condition": "Accepted" },
        ])
    );
    assert_eq!(run["rules"][0]["policy"], Value::Null);
    let typo = run["findings"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (
            &typo["severity"],
            &typo["code"],
            &typo["help"],
            &typo["location"]["line"]
        ),
        (
            &json!("error"),
            &json!("Invalid"),
            &json!("did you mean `sessionName`?"),
            &json!(100)
        )
    );
}

#[test]
fn a_rule_of_its_own_that_is_wrong() {
    let input = without_policy(SHOP).replace(
        "  - backendRefs:",
        "  - sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}\n    backendRefs:",
    );
    let run = validated(&input);
    assert_eq!(run["rules"][0]["condition"], "Invalid");
    assert_eq!(run["rules"][0]["session"], json!(null));
    assert_eq!(run["policies"], json!([]));
}

/// A policy for the reviews: more fields of its `targetRef`, its `creationTimestamp`, and its backend.
fn canary(name: &str, target: &str, created: &str, backend: &str) -> String {
    format!(
        "---\napiVersion: mooring.dev/v1alpha1\nkind: CanaryPolicy\nmetadata: {{name: {name}, namespace: bookinfo, \
         creationTimestamp: {created}}}\nspec:\n  targetRef: {{group: gateway.networking.k8s.io, {target}}}\n  rules:\n  - \
         {{name: all, matches: [{{header: {{name: x, value: beta}}}}], backendRef: {{name: {backend}, port: 9080}}}}\n"
    )
}

/// The reviews with a second rule, and a canary policy for each way to fail.
fn canaries() -> String {
    let input = canary_with(
        "  - name: everyone\n",
        "  - name: guests\n    matches: [{path: {value: /guests}}]\n    backendRefs: [{name: reviews-v1, port: 9080}]\n  - \
         name: everyone\n",
    );
    let input = input.replace(
        "  name: canary\n",
        "  name: canary\n  creationTimestamp: 2026-01-02T00:00:00Z\n",
    );
    let whole = "kind: HTTPRoute, name: reviews";
    let section = "kind: HTTPRoute, name: reviews, sectionName: everyone";
    [
        input,
        canary("general", whole, "2026-01-02T00:00:00Z", "reviews-v1"),
        canary("later", section, "2026-01-03T00:00:00Z", "reviews-v1"),
        canary(
            "lost",
            "kind: HTTPRoute, name: review",
            "2026-01-01T00:00:00Z",
            "reviews-v1",
        ),
        canary(
            "nameless",
            "kind: HTTPRoute, name: reviews, sectionName: some",
            "2026-01-01T00:00:00Z",
            "reviews-v1",
        ),
        canary(
            "service",
            "kind: Service, name: reviews-v1",
            "2026-01-01T00:00:00Z",
            "reviews-v1",
        ),
        canary("wrong", section, "2026-01-04T00:00:00Z", "reviews-v1")
            .replace("value: beta", "type: Regex, value: beta"),
    ]
    .concat()
}

/// The lines of the first table.
fn policies(input: &str) -> Vec<String> {
    let run = validate(&[], input);
    let stdout = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let lines = stdout.lines().take_while(|line| !line.is_empty());
    lines
        .map(|line| line.split_whitespace().collect::<Vec<&str>>().join(" "))
        .collect()
}

#[test]
fn a_canary_policy_that_holds() {
    assert_eq!(said(&validate(&["--strict"], CANARY).code(0)), "");
    assert_eq!(
        policies(CANARY),
        [
            "POLICY TARGET CONDITION RULES",
            "CanaryPolicy bookinfo/canary HTTPRoute bookinfo/reviews/everyone Accepted HTTPRoute/bookinfo/reviews/everyone",
        ]
    );
    let run = validated(CANARY);
    assert_eq!(run["rules"][0]["policy"]["kind"], "CanaryPolicy");
    assert_eq!(
        run["rules"][0]["canaryPolicy"],
        json!({ "namespace": "bookinfo", "name": "canary" })
    );
}

#[test]
fn every_way_for_a_canary_policy_to_fail() {
    validate(&[], &canaries()).code(1);
    assert_eq!(
        policies(&canaries()),
        [
            "POLICY TARGET CONDITION RULES",
            "CanaryPolicy bookinfo/canary HTTPRoute bookinfo/reviews/everyone Accepted HTTPRoute/bookinfo/reviews/everyone",
            "CanaryPolicy bookinfo/general HTTPRoute bookinfo/reviews Accepted HTTPRoute/bookinfo/reviews/guests",
            "Overridden HTTPRoute/bookinfo/reviews/everyone (CanaryPolicy bookinfo/canary is for this rule alone)",
            "CanaryPolicy bookinfo/later HTTPRoute bookinfo/reviews/everyone Conflicted HTTPRoute/bookinfo/reviews/everyone \
             (CanaryPolicy bookinfo/canary applies)",
            "CanaryPolicy bookinfo/lost HTTPRoute bookinfo/review TargetNotFound -",
            "CanaryPolicy bookinfo/nameless HTTPRoute bookinfo/reviews/some TargetNotFound -",
            "CanaryPolicy bookinfo/service - Invalid -",
            "CanaryPolicy bookinfo/wrong - Invalid -",
        ]
    );
    let run = validated(&canaries());
    let general = &run["policies"][1];
    assert_eq!(general["condition"], "Accepted");
    assert_eq!(
        general["targets"][0]["rules"][1],
        json!({
            "id": "HTTPRoute/bookinfo/reviews/everyone",
            "condition": "Overridden",
            "overriddenBy": "CanaryPolicy bookinfo/canary",
        })
    );
    assert_eq!(run["policies"][2]["targets"][0]["sectionName"], "everyone");
    assert_eq!(
        run["policies"][2]["targets"][0]["conflictsWith"],
        "CanaryPolicy bookinfo/canary"
    );
}

#[test]
fn a_canary_policy_with_a_backend_that_one_rule_does_not_have() {
    let whole = CANARY.replace(", sectionName: everyone", "");
    let input = whole.replace(
        "  - name: everyone\n",
        "  - name: guests\n    matches: [{path: {value: /guests}}]\n    backendRefs: [{name: reviews-v1, port: 9080}]\n  - \
         name: everyone\n",
    );
    let conditions = |input: &str| {
        let run = validated(input);
        let rules = run["policies"][0]["targets"][0]["rules"].as_array().unwrap().iter();
        let conditions = rules.map(|rule| {
            let id = rule["id"].as_str().unwrap().rsplit('/').next().unwrap();
            format!("{id} {}", rule["condition"].as_str().unwrap())
        });
        conditions.collect::<Vec<String>>()
    };
    // Its sessions are those of both rules, its canary only that of one.
    assert_eq!(conditions(&input), ["guests Accepted", "everyone Accepted"]);
    // Without sessions and a split, nothing of it is left for the other one.
    let (rest, _) = input.split_once("  split:").unwrap();
    assert_eq!(conditions(rest), ["everyone Accepted"]);
    let nowhere = input.replace("backendRef: {name: reviews-v2", "backendRef: {name: reviews-v9");
    assert_ne!(nowhere, input);
    assert_eq!(conditions(&nowhere), ["guests Invalid", "everyone Invalid"]);
}

#[test]
fn a_rule_that_is_left_out_on_a_gateway_keeps_no_sessions_there() {
    let named = |route: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {route}}}\nspec:\n  parentRefs: \
             [{{name: front}}]\n  rules:\n  - name: all\n    sessionPersistence: {{}}\n    backendRefs: [{{name: web, port: \
             80}}]\n"
        )
    };
    let validation = validated(&[without_policy(SHOP), named("a"), named("b")].concat());
    let gateways: Vec<(&str, usize)> = validation["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| (rule["id"].as_str().unwrap(), rule["gateways"].as_array().unwrap().len()))
        .collect();
    assert_eq!(
        gateways,
        [("HTTPRoute/default/a/all", 1), ("HTTPRoute/default/b/all", 0)]
    );
}

/// What a run of `generate --target envoy` says, as `validate` says it.
fn generated_findings(input: &str) -> Vec<String> {
    let run = mooring()
        .args(["generate", "-f", "-", "--target", "envoy", "--wasm", "mooring.wasm"])
        .stdin(input)
        .assert();
    let stderr = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    let kinds = ["error[", "warning[", "note["];
    let first_lines = stderr
        .lines()
        .filter(|line| kinds.iter().any(|kind| line.starts_with(kind)));
    first_lines.map(str::to_owned).collect()
}

#[test]
fn with_a_target_it_says_what_generate_says() {
    let filter = "  - filters: [{type: ExtensionRef, extensionRef: {group: a, kind: B, name: c}}]\n    timeouts: {request: 1s}\n    backendRefs:";
    let inputs = [
        SHOP.to_owned(),
        shop_with("  - backendRefs:", filter),
        without_policy(&shop_with("  - backendRefs:", filter)),
        shop_with("protocol: HTTP", "protocol: HTTPS"),
        shop_with("addressType: IPv4", "addressType: FQDN"),
        shop_with("- addresses: [127.0.9.1]\n", "[]\n"),
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {}\n".to_owned(),
    ];
    for input in inputs {
        let run = validate(&["--target", "envoy", "-o", "json"], &input);
        let validation: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
        let text = |finding: &Value, field: &str| finding.get(field).and_then(Value::as_str).unwrap().to_owned();
        let findings = validation.get("findings").and_then(Value::as_array).unwrap().iter();
        let findings: Vec<String> = findings
            .map(|one| {
                format!(
                    "{}[{}]: {}",
                    text(one, "severity"),
                    text(one, "code"),
                    text(one, "message")
                )
            })
            .collect();
        let generated = generated_findings(&input);
        assert_eq!(findings, generated);
        run.code(i32::from(generated.iter().any(|line| line.starts_with("error"))));
    }
    // Istio serves the filter.
    validate(&["--strict"], &shop_with("  - backendRefs:", filter)).code(0);
}

#[test]
fn a_flag_about_pods_of_gateways_is_not_for_a_local_envoy() {
    let run = validate(&["--target", "envoy", "--gateway-class", "istio"], SHOP).code(2);
    let stderr = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    assert!(
        stderr.contains("--gateway-class can only be used with --target istio"),
        "{stderr}"
    );
}

#[test]
fn a_policy_without_a_session_has_no_effect() {
    let (before, _) = SHOP.split_once("  sessionPersistence:").unwrap();
    let run = validate(&[], before).code(0);
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    let row = "BackendLBPolicy default/sticky  Service default/web  NoEffect   (it has no sessionPersistence)\n";
    assert!(text.contains(row), "{text}");
    assert!(!text.contains("SESSION"), "{text}");
}

#[test]
fn a_session_with_which_something_is_wrong_is_not_listed() {
    let own = "  - sessionPersistence: {sessionName: a, absoluteTimeout: 1x}\n    backendRefs:";
    let run = validate(&[], &without_policy(&shop_with("  - backendRefs:", own))).code(1);
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(
        text.contains("sessionPersistence  HTTPRoute default/web  Invalid"),
        "{text}"
    );
    assert!(
        !text.contains("SESSION") && text.contains("0 rules keep sessions"),
        "{text}"
    );
}
