//! `CanaryPolicy`: the exact message with its location.

use crate::common::{
    canary::{CANARY, canary_with},
    generate, passed_over, said,
};
use snapbox::{data::Inline, str};

#[track_caller]
fn refused(input: &str, message: Inline) {
    crate::common::refused(generate(input), message);
}

#[test]
fn a_backend_that_the_route_does_not_have() {
    refused(
        &canary_with(
            "{name: reviews-v2, port: 9080}\n  - name: by",
            "{name: reviews-v4, port: 9080}\n  - name: by",
        ),
        str![[r#"
error[BackendNotFound]: the rule HTTPRoute/bookinfo/reviews/everyone has no backend bookinfo/reviews-v4 on port 9080; it has `reviews-v1.bookinfo:9080`, `reviews-v2.bookinfo:9080`, `reviews-v3.bookinfo:9080`
  --> <stdin>:48:24
   |
14 |   - name: everyone
   |     - the rule
...
48 |     backendRef: {name: reviews-v4, port: 9080}
   |                        ^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_port_that_the_backend_does_not_have() {
    refused(
        &canary_with(
            "    backendRef: {name: reviews-v2, port: 9080}",
            "    backendRef: {name: reviews-v2, port: 9081}",
        ),
        str![[r#"
error[BackendNotFound]: the rule HTTPRoute/bookinfo/reviews/everyone has no backend bookinfo/reviews-v2 on port 9081; it has `reviews-v1.bookinfo:9080`, `reviews-v2.bookinfo:9080`, `reviews-v3.bookinfo:9080`
  --> <stdin>:48:24
   |
14 |   - name: everyone
   |     - the rule
...
48 |     backendRef: {name: reviews-v2, port: 9081}
   |                        ^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_rule_that_can_never_match() {
    refused(
        &canary_with(
            "cookie: {name: beta, type: Present}",
            "header: {name: End-User, type: Absent}",
        ),
        str![[r#"
error[Invalid]: canary rule `testers` can never match: header `end-user` cannot be absent and have a value
  --> <stdin>:44:11
   |
44 |   - name: testers
   |           ^^^^^^^


"#]],
    );
}

#[test]
fn two_conditions_that_exclude_each_other() {
    refused(
        &canary_with(
            "cookie: {name: beta, type: Present}",
            "header: {name: end-user, type: Prefix, value: x}",
        ),
        str![[r#"
error[Invalid]: canary rule `testers` can never match: header `end-user` cannot be `vijay` and pass another condition at once
  --> <stdin>:44:11
   |
44 |   - name: testers
   |           ^^^^^^^


"#]],
    );
}

#[test]
fn weights_that_are_all_0() {
    passed_over(
        generate(
            &CANARY
                .replace("weight: 90", "weight: 0")
                .replace("weight: 10", "weight: 0"),
        ),
        str![[r#"
warning[NoEffect]: the weights of all backends of this rule are 0: requests without a live session are answered with 500
  --> <stdin>:14:5
   |
14 |   - name: everyone
   |     ^


"#]],
    );
}

#[test]
fn a_regular_expression_that_does_not_compile() {
    refused(
        &canary_with("value: vijay}", "type: RegularExpression, value: \"v(ijay\"}"),
        str![[r#"
error[Invalid]: canary rule `testers`: `v(ijay` is not a regular expression: found open group without closing ')'
  --> <stdin>:46:64
   |
46 |     - header: {name: end-user, type: RegularExpression, value: "v(ijay"}
   |                                                                ^^^^^^^^


"#]],
    );
}

#[test]
fn a_cookie_name_that_is_no_token() {
    refused(
        &canary_with("cookie: {name: beta,", "cookie: {name: \"be;ta\","),
        str![[r#"
error[Invalid]: `be;ta` is not the name of a cookie: ';' is not allowed; letters, digits and !#$%&'*+-.^_`|~ are
  --> <stdin>:47:22
   |
47 |     - cookie: {name: "be;ta", type: Present}
   |                      ^^^^^^^


"#]],
    );
}

#[test]
fn a_header_name_that_is_no_token() {
    refused(
        &canary_with("header: {name: end-user,", "header: {name: \"end user\","),
        str![[r#"
error[Invalid]: `end user` is not the name of a header: ' ' is not allowed; letters, digits and !#$%&'*+-.^_`|~ are
  --> <stdin>:46:22
   |
46 |     - header: {name: "end user", value: vijay}
   |                      ^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_session_name_that_is_no_token() {
    refused(
        &canary_with("cookie: {name: version,", "cookie: {name: \"ver sion\","),
        str![[r#"
error[Invalid]: `ver sion` is not a session name: ' ' is not allowed; letters, digits and !#$%&'*+-.^_`|~ are
  --> <stdin>:58:20
   |
58 |     cookie: {name: "ver sion", path: /, lifetimeType: Permanent}
   |                    ^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_hash_on_a_name_that_is_no_token() {
    refused(
        &canary_with("hashOn: {header: user}", "hashOn: {cookie: \"u=r\"}"),
        str![[r#"
error[Invalid]: `u=r` is not the name of a cookie: '=' is not allowed; letters, digits and !#$%&'*+-.^_`|~ are
  --> <stdin>:53:22
   |
53 |     hashOn: {cookie: "u=r"}
   |                      ^^^^^


"#]],
    );
}

#[test]
fn a_hash_on_both() {
    refused(
        &canary_with("hashOn: {header: user}", "hashOn: {header: user, cookie: user}"),
        str![[r#"
error[Invalid]: exactly one of header and cookie must be specified
  --> <stdin>:53:13
   |
53 |     hashOn: {header: user, cookie: user}
   |             ^


"#]],
    );
}

#[test]
fn a_seed_without_hash_on() {
    refused(
        &canary_with("    hashOn: {header: user}\n", ""),
        str![[r#"
error[Invalid]: seed has no effect without hashOn, by which clients are told apart
  --> <stdin>:53:11
   |
53 |     seed: 2026-03
   |           ^^^^^^^


"#]],
    );
}

#[test]
fn a_seed_that_is_empty_or_too_long() {
    refused(
        &canary_with("seed: 2026-03", "seed: ''"),
        str![[r#"
error[Invalid]: the seed of a split has 1 to 64 characters, and this one has 0
  --> <stdin>:54:11
   |
54 |     seed: ''
   |           ^^


"#]],
    );
    let long = format!("seed: {}", "x".repeat(65));
    refused(
        &canary_with("seed: 2026-03", &long),
        str![[r#"
error[Invalid]: the seed of a split has 1 to 64 characters, and this one has 65
  --> <stdin>:54:11
   |
54 |     seed: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
   |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_split_without_anything() {
    refused(
        &canary_with("  split:\n    hashOn: {header: user}\n    seed: 2026-03", "  split: {}"),
        str![[r#"
error[Invalid]: the field `hashOn` is missing
  --> <stdin>:52:10
   |
52 |   split: {}
   |          ^


"#]],
    );
}

#[test]
fn a_target_that_is_not_there() {
    refused(
        &canary_with("kind: HTTPRoute, name: reviews,", "kind: HTTPRoute, name: review,"),
        str![[r#"
error[TargetNotFound]: CanaryPolicy bookinfo/canary targets the HTTPRoute bookinfo/review, which is not in the input
  --> <stdin>:42:72
   |
42 |   targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: review, sectionName: everyone}
   |                                                                        ^^^^^^
   |
   = help: did you mean `reviews`?


"#]],
    );
}

#[test]
fn a_section_that_is_not_there() {
    refused(
        &canary_with("sectionName: everyone", "sectionName: everyon"),
        str![[r#"
error[TargetNotFound]: HTTPRoute bookinfo/reviews has no rule with the name `everyon`; its rules are called `everyone`
  --> <stdin>:42:94
   |
42 |   targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews, sectionName: everyon}
   |                                                                                              ^^^^^^^
   |
   = help: did you mean `everyone`?


"#]],
    );
}

#[test]
fn a_target_of_another_kind() {
    refused(
        &canary_with(
            "group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews, s",
            "group: \"\", kind: Service, name: reviews, s",
        ),
        str![[r#"
error[Invalid]: a CanaryPolicy can target HTTPRoute of gateway.networking.k8s.io or GRPCRoute of gateway.networking.k8s.io or VirtualService of networking.istio.io, not a Service of the group core
  --> <stdin>:42:32
   |
42 |   targetRef: {group: "", kind: Service, name: reviews, sectionName: everyone}
   |                                ^^^^^^^


"#]],
    );
}

#[test]
fn a_rule_without_conditions() {
    refused(
        &canary_with("    optIn: {header: x-canary}\n", ""),
        str![[r#"
error[Invalid]: canary rule `by-choice` has neither matches nor optIn, so it would match every request
  --> <stdin>:49:11
   |
49 |   - name: by-choice
   |           ^^^^^^^^^


"#]],
    );
}

#[test]
fn a_rule_with_both_kinds_of_condition() {
    refused(
        &canary_with(
            "    optIn: {header: x-canary}\n",
            "    optIn: {header: x-canary}\n    matches: [{cookie: {name: a, type: Present}}]\n",
        ),
        str![[r#"
error[Invalid]: canary rule `by-choice` has both matches and optIn; it can have one of them
  --> <stdin>:50:12
   |
50 |     optIn: {header: x-canary}
   |            ^


"#]],
    );
}

#[test]
fn a_match_on_nothing() {
    refused(
        &canary_with("- cookie: {name: beta, type: Present}", "- {}"),
        str![[r#"
error[Invalid]: a match needs exactly one of header and cookie
  --> <stdin>:47:7
   |
47 |     - {}
   |       ^


"#]],
    );
}

#[test]
fn a_value_where_there_is_none() {
    refused(
        &canary_with("type: Present}", "type: Present, value: x}"),
        str![[r#"
error[Invalid]: canary rule `testers`: type Present takes no value
  --> <stdin>:47:50
   |
47 |     - cookie: {name: beta, type: Present, value: x}
   |                                                  ^


"#]],
    );
}

#[test]
fn no_value_where_there_must_be_one() {
    refused(
        &canary_with("name: end-user, value: vijay", "name: end-user"),
        str![[r#"
error[Invalid]: canary rule `testers`: type Exact needs a value
  --> <stdin>:46:22
   |
46 |     - header: {name: end-user}
   |                      ^^^^^^^^


"#]],
    );
}

#[test]
fn a_match_type_that_does_not_exist() {
    refused(
        &canary_with("type: Present}", "type: Glob, value: x}"),
        str![[r#"
error[Invalid]: `Glob` is not allowed here; allowed: Absent, Contains, Exact, Prefix, Present, RegularExpression, Suffix
  --> <stdin>:47:34
   |
47 |     - cookie: {name: beta, type: Glob, value: x}
   |                                  ^^^^


"#]],
    );
}

#[test]
fn two_rules_of_one_name() {
    refused(
        &canary_with("- name: by-choice", "- name: testers"),
        str![[r#"
error[Duplicate]: two rules of CanaryPolicy bookinfo/canary have the name `testers`
  --> <stdin>:49:11
   |
44 |   - name: testers
   |           ------- the first one
...
49 |   - name: testers
   |           ^^^^^^^


"#]],
    );
}

#[test]
fn a_rule_name_that_is_none() {
    refused(
        &canary_with("- name: by-choice", "- name: by choice"),
        str![[r#"
error[Invalid]: `by choice` is not a name for a canary rule: it must be unique, of 1 to 63 letters, digits, `-`, `_` and `.`
  --> <stdin>:49:11
   |
49 |   - name: by choice
   |           ^^^^^^^^^


"#]],
    );
}

#[test]
fn a_rule_without_backend() {
    refused(
        &canary_with(
            "    optIn: {header: x-canary}\n    backendRef: {name: reviews-v3, port: 9080}",
            "    optIn: {header: x-canary}",
        ),
        str![[r#"
error[Invalid]: canary rule `by-choice` has no backendRef, so it leads nowhere
  --> <stdin>:49:11
   |
49 |   - name: by-choice
   |           ^^^^^^^^^


"#]],
    );
}

#[test]
fn a_destination_for_an_http_route() {
    refused(
        &canary_with(
            "    backendRef: {name: reviews-v3, port: 9080}",
            "    destination: {host: reviews-v3}",
        ),
        str![[r#"
error[Invalid]: a canary rule names its backend in backendRef where the target is of the kind HTTPRoute
  --> <stdin>:51:18
   |
51 |     destination: {host: reviews-v3}
   |                  ^


"#]],
    );
}

#[test]
fn a_header_for_a_cookie_session() {
    refused(
        &canary_with(
            "    cookie: {name: version, path: /, lifetimeType: Permanent}",
            "    header: {name: version}",
        ),
        str![[r#"
error[Invalid]: header can only be set with type Header
  --> <stdin>:58:13
   |
58 |     header: {name: version}
   |             ^


"#]],
    );
}

#[test]
fn a_permanent_cookie_without_end() {
    refused(
        &canary_with("    absoluteTimeout: 1h\n", ""),
        str![[r#"
error[Invalid]: absoluteTimeout must be specified when cookie lifetimeType is Permanent
  --> <stdin>:57:52
   |
57 |     cookie: {name: version, path: /, lifetimeType: Permanent}
   |                                                    ^^^^^^^^^


"#]],
    );
}

#[test]
fn an_unknown_field() {
    refused(
        &canary_with("  override: Never", "  overide: Never"),
        str![[r#"
error[Invalid]: unknown field `overide`; allowed here: override, rebalance, rules, split, sticky, targetRef, versionLabel, whenWeightZero
  --> <stdin>:59:3
   |
59 |   overide: Never
   |   ^^^^^^^
   |
   = help: did you mean `override`?


"#]],
    );
}

#[test]
fn several_targets() {
    refused(
        &canary_with("  targetRef:", "  targetRefs:"),
        str![[r#"
error[Invalid]: unknown field `targetRefs`; allowed here: override, rebalance, rules, split, sticky, targetRef, versionLabel, whenWeightZero
  --> <stdin>:42:3
   |
42 |   targetRefs: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews, sectionName: everyone}
   |   ^^^^^^^^^^
   |
   = help: did you mean `targetRef`?


"#]],
    );
}

#[test]
fn an_old_api_version() {
    refused(
        &canary_with("mooring.dev/v1alpha1", "mooring.dev/v1"),
        str![[r#"
error[Unsupported]: CanaryPolicy is not supported in `mooring.dev/v1`; its apiVersion must be `mooring.dev/v1alpha1`
  --> <stdin>:35:13
   |
35 | apiVersion: mooring.dev/v1
   |             ^^^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_policy_that_says_nothing() {
    let (rest, _) = CANARY.split_once("  rules:\n  - name: testers").unwrap();
    refused(
        &rest.replace("  annotations: {mooring.dev/cookie-same-site: Strict}\n", ""),
        str![[r#"
error[Invalid]: bookinfo/canary says nothing: it needs at least one of rules, split, sticky, whenWeightZero, rebalance and versionLabel
  --> <stdin>:38:9
   |
38 |   name: canary
   |         ^^^^^^


"#]],
    );
}

/// The policy with a third rule after its two.
fn with_rule(rule: &str) -> String {
    canary_with(
        "  split:\n",
        &format!("  - name: third\n    {rule}\n    backendRef: {{name: reviews-v1, port: 9080}}\n  split:\n"),
    )
}

#[test]
fn a_rule_that_comes_too_late() {
    passed_over(
        generate(&with_rule("optIn: {header: X-Canary}")),
        str![[r#"
warning[NoEffect]: canary rule `third` has no effect: rule `by-choice` comes first and takes every request that this one matches
  --> <stdin>:52:11
   |
49 |   - name: by-choice
   |           --------- this one comes first
...
52 |   - name: third
   |           ^^^^^


"#]],
    );
}

#[test]
fn a_rule_has_an_effect_unless_an_earlier_one_takes_all_that_it_matches() {
    let has_no_effect = |first: &str, second: &str| {
        let input = canary_with(
            "    matches:\n    - header: {name: end-user, value: vijay}\n    - cookie: {name: beta, type: Present}\n",
            &format!("    {first}\n"),
        );
        let third =
            format!("  - name: third\n    {second}\n    backendRef: {{name: reviews-v1, port: 9080}}\n  split:\n");
        let run = generate(&input.replacen("  split:\n", &third, 1)).code(0);
        said(&run).contains("canary rule `third` has no effect: rule `testers` comes first")
    };
    let one = |on: &str| format!("matches: [{on}]");
    let header = |test: &str| format!("{{header: {{name: a, {test}}}}}");
    for (first, second) in [
        ("value: x", "value: x"),
        ("type: Present", "value: x"),
        ("type: Present", "type: RegularExpression, value: x+"),
        ("type: Present", "type: Contains, value: x"),
        ("type: Prefix, value: x", "value: xz"),
        ("type: Prefix, value: x", "type: Prefix, value: xz"),
        ("type: Suffix, value: z", "type: Suffix, value: xz"),
        ("type: Contains, value: z", "type: Prefix, value: xzq"),
        ("type: Absent", "type: Absent"),
    ] {
        assert!(
            has_no_effect(&one(&header(first)), &one(&header(second))),
            "{first} {second}"
        );
    }
    for (first, second) in [
        ("value: x", "type: Present"),
        ("value: x", "value: z"),
        ("type: Prefix, value: xz", "type: Prefix, value: x"),
        ("type: Prefix, value: x", "type: Contains, value: x"),
        ("type: Suffix, value: x", "type: Prefix, value: x"),
        ("type: Absent", "type: Present"),
        ("type: Present", "type: Absent"),
        ("type: RegularExpression, value: x", "value: x"),
    ] {
        assert!(
            !has_no_effect(&one(&header(first)), &one(&header(second))),
            "{first} {second}"
        );
    }
    // More conditions match less; other names are other headers, and names of headers have no case.
    let (a, b) = (header("value: x"), "{header: {name: b, value: x}}");
    assert!(has_no_effect(&one(&a), &one(&format!("{b}, {a}"))));
    assert!(!has_no_effect(&one(&format!("{b}, {a}")), &one(&a)));
    assert!(!has_no_effect(&one(&a), &one(b)));
    assert!(has_no_effect(&one(&a), &one(&a.replace("name: a", "name: A"))));
    let cookie = a.replace("header", "cookie");
    assert!(!has_no_effect(&one(&a), &one(&cookie)));
    assert!(!has_no_effect(
        &one(&cookie),
        &one(&cookie.replace("name: a", "name: A"))
    ));
    assert!(has_no_effect(&one(&header("type: Present")), "optIn: {header: a}"));
    assert!(!has_no_effect(&one(&header("value: always")), "optIn: {header: a}"));
    assert!(!has_no_effect("optIn: {header: a}", &one(&header("value: always"))));
}
