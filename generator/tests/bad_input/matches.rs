//! Matches of a rule that get in the way of its own sessions.

use snapbox::str;

use crate::common::{Generated, SHOP, generate, refused, shop_with, without_policy};

/// The shop with matches on headers, written in one line each, and a `sessionPersistence` of the rule's own.
fn matching(headers: &[String], persistence: &str) -> String {
    let lines: Vec<String> = headers.iter().map(|header| format!("      - {header}\n")).collect();
    let headers = lines.concat();
    let rule =
        format!("  - matches:\n    - headers:\n{headers}    sessionPersistence: {persistence}\n    backendRefs:");
    without_policy(SHOP).replace("  - backendRefs:", &rule)
}

fn one(header: &str, persistence: &str) -> String {
    matching(&[header.to_owned()], persistence)
}

#[test]
fn on_our_own_header() {
    refused(
        generate(&one("{name: X-Mooring-Backend, value: web}", "{}")),
        str![[r#"
error[Invalid]: a rule with sessions or canaries cannot match on `X-Mooring-Backend`: this header is Mooring's own
  --> <stdin>:22:16
   |
20 |   - matches:
   |     - the rule
21 |     - headers:
22 |       - {name: X-Mooring-Backend, value: web}
   |                ^^^^^^^^^^^^^^^^^
   |
   = help: match on another header


"#]],
    );
}

#[test]
fn on_its_own_session_header() {
    refused(
        generate(&one(
            "{name: X-Session, type: RegularExpression, value: \".+\"}",
            "{sessionName: x-session, type: Header}",
        )),
        str![[r#"
error[Invalid]: this rule cannot match on `X-Session`: the header carries its own session token, which is removed from the request, and another rule would then get the request
  --> <stdin>:22:16
   |
20 |   - matches:
   |     - the rule
21 |     - headers:
22 |       - {name: X-Session, type: RegularExpression, value: ".+"}
   |                ^^^^^^^^^
   |
   = help: match on something else, or leave the token in the request with `mooring.dev/forward-token: "true"`


"#]],
    );
}

#[test]
fn on_its_own_session_cookie() {
    refused(
        generate(&one(
            "{name: Cookie, type: RegularExpression, value: \"(.*; )?shop=.*\"}",
            "{sessionName: shop}",
        )),
        str![[r#"
error[Invalid]: this rule cannot match on `(.*; )?shop=.*` of the header `Cookie`: the header contains its own session cookie `shop`, which is removed from the request, and another rule would then get the request
  --> <stdin>:22:56
   |
20 |   - matches:
   |     - the rule
21 |     - headers:
22 |       - {name: Cookie, type: RegularExpression, value: "(.*; )?shop=.*"}
   |                                                        ^^^^^^^^^^^^^^^^
   |
   = help: match on something else, or leave the token in the request with `mooring.dev/forward-token: "true"`


"#]],
    );
}

#[test]
fn on_any_cookie_or_on_all_of_them() {
    for header in [
        "{name: cookie, value: canary=yes}",
        "{name: cookie, type: RegularExpression, value: \".+\"}",
        "{name: cookie, type: RegularExpression, value: \"mooring-[0-9a-f]+=.*\"}",
        "{name: cookie, type: RegularExpression, value: \"[^;]*; [^;]*\"}",
    ] {
        let run = generate(&one(header, "{}")).code(3);
        let stderr = crate::common::said(&run);
        assert!(
            stderr.contains("of the header `cookie`: the header contains its own session cookie"),
            "{stderr}"
        );
    }
}

#[test]
fn on_other_cookies_and_headers_is_sound() {
    for (header, persistence) in [
        (
            "{name: cookie, type: RegularExpression, value: \"^(.*; ?)?canary=yes(;.*)?$\"}",
            "{}",
        ),
        ("{name: x-other, value: a}", "{sessionName: x-session, type: Header}"),
        ("{name: x-session, value: a}", "{sessionName: x-session}"),
    ] {
        assert_eq!(
            Generated::istio(&one(header, persistence)).findings,
            [""; 0],
            "{header}"
        );
    }
}

#[test]
fn a_token_that_stays_in_the_request_may_be_matched_on() {
    for (header, persistence) in [
        (
            "{name: x-session, type: RegularExpression, value: \".+\"}",
            "{sessionName: x-session, type: Header}",
        ),
        (
            "{name: cookie, type: RegularExpression, value: \".*shop=.*\"}",
            "{sessionName: shop}",
        ),
    ] {
        let input = one(header, persistence).replace(
            "  name: web\nspec:\n  parentRefs",
            "  name: web\n  annotations: {mooring.dev/forward-token: \"true\"}\nspec:\n  parentRefs",
        );
        assert!(input.contains("forward-token"));
        assert_eq!(Generated::istio(&input).findings, [""; 0], "{header}");
    }
}

/// Two backends, and this many headers in the only match.
fn crowded(headers: usize) -> String {
    let headers: Vec<String> = (1..=headers)
        .map(|number| format!("{{name: x-h{number}, value: a}}"))
        .collect();
    let split = "    - {name: beta, port: 80}\n    - name: web\n      port: 80\n";
    let beta = "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: beta\n  labels: {istio.io/persistent-session: mooring}\nspec: \
                {ports: [{port: 80}]}\n";
    matching(&headers, "{}").replacen("    - name: web\n      port: 80\n", split, 1) + beta
}

#[test]
fn without_room_for_the_key() {
    refused(
        generate(&crowded(16)),
        str![[r#"
error[Unsupported]: this match has 16 headers, and in a rule with sessions or canaries over several backends at most 15 are allowed: a match can have 16 (Gateway API), and one is for the key of the session's backend
  --> <stdin>:37:16
   |
20 |   - matches:
   |     - the rule
...
37 |       - {name: x-h16, value: a}
   |                ^^^^^


"#]],
    );
    assert_eq!(Generated::istio(&crowded(15)).findings, [""; 0]);
    // One backend needs no key.
    let one_backend = crowded(16).replacen("    - {name: beta, port: 80}\n", "", 1);
    assert_eq!(Generated::istio(&one_backend).findings, [""; 0]);
}

#[test]
fn rules_without_sessions_may_match_on_what_they_like() {
    let shop = without_policy(&shop_with(
        "  - backendRefs:",
        "  - matches: [{headers: [{name: x-mooring-backend, value: a}]}]\n    backendRefs:",
    ));
    let findings = Generated::istio(&shop).findings;
    assert!(
        findings.iter().all(|finding| !finding.contains("x-mooring")),
        "{findings:#?}"
    );
}
