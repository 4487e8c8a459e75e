//! Rules without a name are known by their position in the route: a note says so, once, where rules come and go.

use crate::common::{
    Generated, SHOP, generate, generate_envoy, istio_api::ISTIO_API, mooring, passed_over, said, shop_with,
    without_policy,
};
use snapbox::str;

/// The shop with another rule before its own.
fn two_rules(first: &str, second: &str) -> String {
    let rules = format!(
        "  - {first}matches: [{{path: {{value: /a}}}}]\n    backendRefs: [{{name: web, port: 80}}]\n  - {second}backendRefs:"
    );
    shop_with("  - backendRefs:", &rules)
}

fn notes(findings: &[String]) -> Vec<&str> {
    let found = findings.iter().map(String::as_str);
    found.filter(|finding| finding.starts_with("note[Unnamed]: ")).collect()
}

#[test]
fn one_note_counts_them() {
    // Two rules with one cookie name would be told too.
    let input = two_rules("", "").replace("    sessionName: shop\n", "");
    passed_over(
        generate(&input),
        str![[r#"
note[Unnamed]: 2 rules (this and 1 more) have no name and are identified by their positions: their sessions end when a rule is inserted before them
  --> <stdin>:20:5
   |
20 |   - matches: [{path: {value: /a}}]
   |     ^
   |
   = help: give the rule a `name`; this ends its current sessions once


"#]],
    );
    assert!(said(&generate_envoy(&input).code(0)).contains("note[Unnamed]: 2 rules (this and 1 more) "));
    let validate = mooring().args(["validate", "-f", "-"]).stdin(input).assert().code(0);
    let text = String::from_utf8(validate.get_output().stdout.clone()).unwrap();
    assert_eq!(text.matches("note[Unnamed]").count(), 1, "{text}");
}

#[test]
fn a_rule_is_named_if_it_is_the_only_one() {
    let run = Generated::istio(&two_rules("name: a\n    ", ""));
    assert_eq!(
        notes(&run.findings),
        [
            "note[Unnamed]: the rule HTTPRoute/default/web#1 has no name and is identified by its position: its \
             sessions end when a rule is inserted before it"
        ]
    );
}

#[test]
fn there_is_nothing_to_name() {
    for input in [
        SHOP.to_owned(),
        two_rules("name: a\n    ", "name: b\n    "),
        // Rules without sessions.
        without_policy(&two_rules("", "")),
        // The rules of a VirtualService cannot do without.
        ISTIO_API.to_owned(),
    ] {
        assert_eq!(notes(&Generated::istio(&input).findings), [""; 0], "{input}");
    }
    // Nor is a rule that keeps sessions unnamed because another one is.
    let input = two_rules("", "name: b\n    ").replacen("{name: web, port: 80}", "{name: api, port: 80}", 1)
        + "---\napiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec: {ports: [{port: 80}]}\n";
    assert_eq!(notes(&Generated::istio(&input).findings), [""; 0]);
}

#[test]
fn a_rule_on_two_gateways_is_counted_once() {
    let (gateway, _) = SHOP.split_once("---\n").unwrap();
    let input = two_rules("name: a\n    ", "").replace("  - name: front\n", "  - name: front\n  - name: back\n");
    let input = format!("{input}---\n{}", gateway.replace("front", "back"));
    let run = Generated::istio(&input);
    assert_eq!(run.objects("WasmPlugin").len(), 2);
    let notes = notes(&run.findings);
    assert!(
        notes.len() == 1 && notes[0].contains("the rule HTTPRoute/default/web#1 "),
        "{notes:?}"
    );
}
