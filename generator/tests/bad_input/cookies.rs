//! Session cookies that browsers replace, or send for some requests only.

use snapbox::str;

use crate::common::{generate, generate_envoy, passed_over, shop_with};

/// The shop with a cookie path and a match.
fn with_path(path: &str, matches: &str) -> String {
    shop_with("  - backendRefs:", &format!("  - matches: {matches}\n    backendRefs:")).replace(
        "  name: sticky\n",
        &format!("  name: sticky\n  annotations: {{mooring.dev/cookie-path: {path}}}\n"),
    )
}

#[test]
fn a_path_that_not_all_requests_of_the_rule_are_below() {
    let input = with_path("/app", "[{path: {value: /app}}, {path: {value: /favicon.ico}}]");
    for run in [generate(&input), generate_envoy(&input)] {
        passed_over(
            run,
            str![[r#"
warning[Accepted]: the rule HTTPRoute/default/web#0 takes requests that are not below the Path `/app` of its session cookie: browsers send them without the cookie, so no session can be kept for them
  --> <stdin>:53:42
   |
20 |   - matches: [{path: {value: /app}}, {path: {value: /favicon.ico}}]
   |                                      - these requests
...
53 |   annotations: {mooring.dev/cookie-path: /app}
   |                                          ^^^^
   |
   = help: set the Path to one that all matches of the rule are below, such as /


"#]],
        );
    }
    for (path, matches, warned) in [
        ("/app", "[]", true),
        ("/app", "[{path: {value: /}}]", true),
        ("/app", "[{headers: [{name: a, value: b}]}]", true),
        ("/app/", "[{path: {value: /app}}]", true),
        ("/app", "[{path: {type: Exact, value: /apple}}]", true),
        ("/app", "[{path: {value: /app/cart}}]", false),
        ("/app", "[{path: {type: RegularExpression, value: '/app/.*'}}]", false),
        ("/", "[]", false),
    ] {
        let stderr = crate::common::said(&generate(&with_path(path, matches)).code(0));
        assert_eq!(
            stderr.contains("are not below the Path"),
            warned,
            "{path} {matches}: {stderr}"
        );
    }
}

#[test]
fn one_name_for_one_domain_on_two_hosts() {
    let second = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: more}\nspec:\n  \
                  parentRefs: [{name: front}]\n  hostnames: [b.example.com]\n  rules:\n  - backendRefs: [{name: web, port: 80}]\n";
    let hosts = shop_with(
        "  name: web\nspec:\n",
        "  name: web\nspec:\n  hostnames: [a.example.com]\n",
    );
    let with = |domain: &str| {
        let annotation = format!("  name: sticky\n  annotations: {{mooring.dev/cookie-domain: {domain}}}\n");
        format!("{}{second}", hosts.replace("  name: sticky\n", &annotation))
    };
    passed_over(
        generate(&with(".Example.com")),
        str![[r#"
warning[Conflicted]: the rules HTTPRoute/default/more#0 and HTTPRoute/default/web#0 have the session name `shop` for the cookie Domain `example.com`: they do not share sessions, and each replaces the other's cookie
  --> <stdin>:21:5
   |
21 |   - backendRefs:
   |     ^
...
73 |   - backendRefs: [{name: web, port: 80}]
   |     - the other rule
   |
   = help: give them different session names, or none: each rule then gets its own default name


"#]],
    );
    // Each host has a cookie of its own without a domain.
    passed_over(generate(&format!("{hosts}{second}")), str![""]);
}
