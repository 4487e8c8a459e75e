//! `mooring test`: unit tests for policies, their results, and what is wrong with a test file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use snapbox::cmd::OutputAssert;

use super::common::{SHOP, directory, mooring, write};

mod bad_input;
mod cases;
mod init;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

/// The beginning of a test file for the shop.
const HEAD: &str = "apiVersion: mooring.dev/v1alpha1\nkind: PolicyTest\nmanifests: [shop.yaml]\ncases:\n";

/// A directory with manifests, and a test file with these cases. In a literal that continues its first line, the indentation of
/// that line is lost.
fn shop(name: &str, manifests: &str, cases: &str) -> PathBuf {
    let indent = if cases.starts_with('-') { "  " } else { "" };
    let path = directory(&format!("policy_test_{name}"));
    write(&path, "shop.yaml", manifests);
    write(&path, "mooring-test.yaml", format!("{HEAD}{indent}{cases}"));
    path
}

fn test(directory: &Path, flags: &[&str]) -> OutputAssert {
    mooring()
        .arg("test")
        .args(flags)
        .arg(".")
        .current_dir(directory)
        .assert()
}

fn stdout(run: &OutputAssert) -> String {
    String::from_utf8(run.get_output().stdout.clone()).unwrap()
}

fn stderr(run: &OutputAssert) -> String {
    String::from_utf8(run.get_output().stderr.clone()).unwrap()
}

/// The sticky canary of the examples, as one text.
fn canary() -> String {
    let read = |name: &str| fs::read_to_string(format!("{EXAMPLES}/sticky-canary/{name}")).unwrap();
    format!("{}---\n{}", read("app.yaml"), read("canary.yaml"))
}

#[test]
fn the_examples_pass_and_cover_their_rules() {
    let run = mooring()
        .args(["test", EXAMPLES, "--fail-under", "100"])
        .assert()
        .success();
    let out = stdout(&run);
    assert!(
        out.contains("all passed; 100 % of rules and canary branches covered"),
        "{out}"
    );
}

#[test]
fn a_failure_is_a_difference_with_the_lines_of_the_case_and_the_field() {
    let cases = "\
  - name: v2
    request: {path: /}
    draw: 0
    expect:
      backend: shop-v2
      session: new
      setCookie: {path: /cart, maxAge: 1h}
";
    let path = shop("difference", &canary(), cases);
    let run = test(&path, &["--fail-only"]).code(1);
    let expected = "\
mooring-test.yaml
CASE  REQUEST                  RULE                         BACKEND             REASON  SESSION  RESULT
v2    GET http://example.com/  HTTPRoute/default/shop/shop  shop-v1.default:80  split   new      FAILED

FAILED mooring-test.yaml:5: v2
  GET http://example.com/
  backend (mooring-test.yaml:9)
  - shop-v2
  + shop-v1.default:80
  setCookie.path (mooring-test.yaml:11)
  - /cart
  + /
  setCookie.maxAge (mooring-test.yaml:11)
  - 3600
  + absent

not covered:
  HTTPRoute/default/shop/shop: canary rule by-choice selects its backend (shop.yaml:75)
  HTTPRoute/default/shop/shop: canary rule by-choice keeps a client away (never) (shop.yaml:75)
  HTTPRoute/default/shop/shop: hashOn selects the backend (shop.yaml:75)

1 case with 1 request: 1 failed; 40 % of rules and canary branches covered (2 of 5)
";
    assert_eq!(stdout(&run), expected);
}

#[test]
fn the_coverage_can_be_too_low() {
    let cases = "  - name: v1\n    request: {path: /}\n    draw: 0\n    expect: {backend: shop-v1}\n";
    let path = shop("coverage", &canary(), cases);
    test(&path, &["--fail-under", "40"]).success().stderr_eq("");
    let run = test(&path, &["--fail-under", "41"]).code(1);
    assert_eq!(
        stderr(&run),
        "error: 40 % are covered, which is less than --fail-under 41\n"
    );
    assert!(stdout(&run).contains("all passed"));
    test(&path, &["--fail-under", "101"]).code(2).stdout_eq("");
}

#[test]
fn a_junit_report_has_a_test_case_for_each_request() {
    let cases = "\
  - name: <v1>
    request: {path: [/a, /b]}
    draw: 0
    expect: {backend: shop-v1}
  - name: v2
    request: {path: /}
    draw: 0
    expect: {backend: shop-v2}
";
    let path = shop("junit", &canary(), cases);
    let run = test(&path, &["-o", "junit"]).code(1);
    let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="mooring test" tests="3" skipped="0" failures="1" errors="0">
    <testsuite name="mooring-test.yaml" tests="3" skipped="0" errors="0" failures="1">
        <testcase name="&lt;v1&gt; (GET http://example.com/a)" classname="mooring-test.yaml" file="mooring-test.yaml" line="5"/>
        <testcase name="&lt;v1&gt; (GET http://example.com/b)" classname="mooring-test.yaml" file="mooring-test.yaml" line="5"/>
        <testcase name="v2" classname="mooring-test.yaml" file="mooring-test.yaml" line="9">
            <failure message="backend: expected shop-v2, found shop-v1.default:80">GET http://example.com/
mooring-test.yaml:12
backend: expected shop-v2, found shop-v1.default:80</failure>
        </testcase>
    </testsuite>
</testsuites>
"#;
    assert_eq!(stdout(&run), expected);
    assert!(
        stderr(&run).contains("FAILED mooring-test.yaml:9: v2\n"),
        "{}",
        stderr(&run)
    );
}

#[test]
fn json_has_what_was_found_without_the_token() {
    let cases = "  - name: new\n    request: {path: /a}\n    draw: 99\n    expect: {backend: shop-v1}\n";
    let path = shop("json", &canary(), cases);
    let run = test(&path, &["-o", "json"]).code(1);
    let value: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    let request = &value["files"][0]["cases"][0]["requests"][0];
    assert_eq!(request["request"]["path"], "/a");
    assert_eq!(request["found"]["backend"], "shop-v2.default:80");
    assert_eq!(request["found"]["host"], "127.0.5.3:8080");
    assert_eq!(
        request["found"]["setCookie"],
        "shop-version=…; HttpOnly; SameSite=Lax; Path=/"
    );
    assert_eq!(
        request["differences"][0],
        serde_json::json!({
            "field": "backend", "line": 8, "column": 23, "expected": "shop-v1", "found": "shop-v2.default:80", "help": null,
        })
    );
    assert_eq!((&value["requests"], &value["failed"]), (&1.into(), &1.into()));
    assert_eq!(value["coverage"]["percent"], 40);
}

#[test]
fn test_files_are_found_below_directories() {
    let cases = "  - name: one\n    request: {path: /}\n    expect: {backend: web}\n";
    let path = directory("policy_test_discovery");
    write(&path, "manifests/shop.yaml", SHOP);
    let text = format!("{HEAD}{cases}");
    let of = |manifests: &str| text.replace("shop.yaml", manifests);
    write(&path, "a/mooring-test.yaml", of("../manifests"));
    write(&path, "b/c/mooring-test.yaml", of("../../manifests/shop.yaml"));
    write(&path, ".git/mooring-test.yaml", "junk: {");
    write(&path, "b/other.yaml", "junk: {");
    let run = test(&path, &[]).success();
    let out = stdout(&run);
    assert!(
        out.starts_with("a/mooring-test.yaml\n") && out.contains("\nb/c/mooring-test.yaml\n"),
        "{out}"
    );
    assert!(out.contains("2 cases with 2 requests: all passed; 100 %"), "{out}");
    // A file may have any name if it is named, and is read once.
    write(&path, "d.yaml", of("manifests"));
    let run = mooring()
        .args(["test", "d.yaml", "a", "a/mooring-test.yaml"])
        .current_dir(&path)
        .assert();
    assert!(stdout(&run.success()).contains("2 cases with 2 requests"));

    let run = mooring().args(["test", "manifests"]).current_dir(&path).assert();
    let run = run.code(1).stdout_eq("");
    assert_eq!(
        stderr(&run),
        "error: there is no mooring-test.yaml in or below `manifests`; `mooring test --init DIR` writes a first one\n"
    );
}
