//! Test files with errors: one message with its place, exit status 1, and nothing on the standard output.

use super::*;

/// The message for a test file with these cases.
#[track_caller]
fn refused(name: &str, cases: &str) -> String {
    let path = shop(&format!("bad_{name}"), SHOP, cases);
    stderr(&test(&path, &[]).code(1).stdout_eq(""))
}

/// Asserts that a case with these lines has an error with this first line, at this line and column of the file.
#[track_caller]
fn case(name: &str, lines: &str, place: &str, message: &str) {
    let said = refused(name, &format!("  - name: one\n    request: {{path: /}}\n{lines}"));
    assert!(said.contains(&format!("]: {message}\n")), "{said}");
    assert!(said.contains(&format!("--> mooring-test.yaml:{place}\n")), "{said}");
    assert_eq!(said.matches("error[").count(), 1, "{said}");
}

#[test]
fn a_misspelt_field_is_shown_with_what_is_allowed() {
    let cases = "  - name: one\n    request: {path: /}\n    expect:\n      backnd: web\n";
    let expected = "\
error[Invalid]: unknown field `backnd`; allowed here: backend, host, reason, rule, session, sessionHeader, setCookie, status
 --> mooring-test.yaml:8:7
  |
8 |       backnd: web
  |       ^^^^^^
  |
  = help: did you mean `backend`?

";
    assert_eq!(refused("misspelt", cases), expected);
}

#[test]
fn values_are_checked_at_their_place() {
    case(
        "draw",
        "    draw: 100\n",
        "7:11",
        "`100` is not a draw: a whole number from 0 to 99",
    );
    case(
        "versions",
        "    versions: {web: not a label}\n",
        "7:21",
        "`not a label` is not a version: it must be the value of a label",
    );
    case(
        "reason",
        "    expect: {reason: canary}\n",
        "7:22",
        "`canary` is not a reason; allowed: none, session, single, split, hash, failover, canary:NAME",
    );
    case(
        "session_outcome",
        "    expect: {session: renewed}\n",
        "7:23",
        "`renewed` is not allowed here; allowed: backend-removed, backend-unreachable, expired-absolute, expired-idle, followed, new, \
         none, rebalanced, rejected, rejected-foreign, rejected-future, rejected-malformed, rejected-tampered, rejected-unknown-key, \
         rejected-version, released, resumed, version-removed",
    );
    case(
        "cookie",
        "    expect: {setCookie: gone}\n",
        "7:25",
        "`gone` is not allowed here; allowed: absent, present, or attributes of the cookie",
    );
    case(
        "attribute",
        "    expect: {setCookie: {pth: /}}\n",
        "7:26",
        "unknown field `pth`; allowed here: domain, httpOnly, maxAge, name, partitioned, path, sameSite, secure",
    );
    case(
        "max_age",
        "    expect: {setCookie: {maxAge: long}}\n",
        "7:34",
        "`long` is not a Max-Age: write seconds, a duration such as 12h, or `absent`",
    );
    case(
        "time",
        "    at: yesterday\n",
        "7:9",
        "`yesterday` is not a time from 1970 on as RFC 3339 writes it, such as 2026-03-01T08:30:00Z",
    );
    case(
        "both",
        "    after: 1m\n    at: 2026-01-01T00:00:00Z\n",
        "8:9",
        "a case has `after` or `at`, not both",
    );
    case(
        "self",
        "    session: one\n",
        "7:14",
        "a case cannot have its own session",
    );
    case(
        "unknown_case",
        "    session: two\n",
        "7:14",
        "no earlier case has the name `two`",
    );
    case(
        "weight",
        "    weights: {web: 1000001}\n",
        "7:20",
        "expected a weight: a whole number from 0 to 1000000",
    );
    case(
        "unknown_backend",
        "    weights: {wbe: 1}\n",
        "7:15",
        "no rule of the manifests has a backend `wbe`",
    );
    case(
        "unknown_down",
        "    down: [web, other]\n",
        "7:17",
        "no rule of the manifests has a backend `other`",
    );
}

#[test]
fn requests_are_checked_at_their_place() {
    let request = |name: &str, field: &str, column: usize, message: &str| {
        let said = refused(name, &format!("  - name: one\n    request: {{{field}}}\n"));
        assert!(said.contains(&format!("]: {message}\n")), "{said}");
        assert!(said.contains(&format!("--> mooring-test.yaml:6:{column}\n")), "{said}");
    };
    request("path", "path: cart", 21, "`cart` is not a path, which begins with /");
    request("host", "host: a/b", 21, "`a/b` is not a host");
    request("method", "method: [GET, 'A B']", 23, "`A B` is not a method");
    request(
        "host_header",
        "headers: {Host: a}",
        25,
        "write the host as `host` of the request",
    );
    request(
        "header_name",
        "headers: {'a b': c}",
        25,
        "`a b` is not the name of a header",
    );
    request(
        "cookie_value",
        "cookies: {a: 'b;c'}",
        25,
        "the value of a cookie has no `;` and no control characters",
    );
}

#[test]
fn cases_fit_together() {
    let one = "  - name: one\n    request: {path: [/a, /b]}\n";
    let said = refused("twice", &format!("{one}{one}"));
    assert!(
        said.contains("error[Duplicate]: two cases have the name `one`") && said.contains("--> mooring-test.yaml:7:11"),
        "{said}"
    );
    let said = refused(
        "many",
        &format!("{one}  - name: two\n    request: {{}}\n    session: one\n"),
    );
    let expected = "the case `one` has 2 requests of different clients; `session` needs a case with one request";
    assert!(
        said.contains(expected) && said.contains("--> mooring-test.yaml:9:14"),
        "{said}"
    );
    let said = refused("none", "  []\n");
    assert!(
        said.contains("`cases` is empty: a test file has at least one case"),
        "{said}"
    );
    let said = refused("no_request", "  - name: one\n");
    assert!(said.contains("the field `request` is missing"), "{said}");
}

#[test]
fn a_file_says_what_it_is() {
    let path = directory("policy_test_kinds");
    let said = |text: &str| {
        write(&path, "mooring-test.yaml", text);
        stderr(&test(&path, &[]).code(1).stdout_eq(""))
    };
    let version = said("apiVersion: mooring.dev/v1\nkind: PolicyTest\ncases: []\n");
    let expected = "the apiVersion of a PolicyTest is `mooring.dev/v1alpha1`, not `mooring.dev/v1`";
    assert!(
        version.contains(expected) && version.contains("--> mooring-test.yaml:1:13"),
        "{version}"
    );
    let kind = said("apiVersion: mooring.dev/v1alpha1\nkind: Policytest\n");
    assert!(
        kind.contains("expected `PolicyTest` of `mooring.dev/v1alpha1`") && kind.contains("yaml:2:7"),
        "{kind}"
    );
    let empty = said("cases: []\n");
    assert!(
        empty.contains("is not a test file: write `apiVersion: mooring.dev/v1alpha1` and `kind: PolicyTest`"),
        "{empty}"
    );
    assert!(said("").starts_with("error["), "{}", said(""));
    assert!(said("- a\n").starts_with("error["), "{}", said("- a\n"));
    assert!(said("a: {\n").starts_with("error["), "{}", said("a: {\n"));
}

#[test]
fn manifests_with_errors_and_missing_files_are_told() {
    let path = directory("policy_test_manifests");
    write(
        &path,
        "mooring-test.yaml",
        format!("{HEAD}  - name: a\n    request: {{}}\n"),
    );
    let said = stderr(&test(&path, &[]).code(1).stdout_eq(""));
    let expected = "there is no `shop.yaml`: the paths of manifests are relative to this file";
    assert!(
        said.contains(expected) && said.contains("--> mooring-test.yaml:3:13"),
        "{said}"
    );
    write(
        &path,
        "shop.yaml",
        SHOP.replace("absoluteTimeout: 1h", "absoluteTimeout: never"),
    );
    let said = stderr(&test(&path, &[]).code(1).stdout_eq(""));
    assert!(
        said.contains("`never` is not a duration") && said.contains("--> shop.yaml:"),
        "{said}"
    );
    let run = mooring().args(["test", "nosuch.yaml"]).current_dir(&path).assert();
    let said = stderr(&run.code(1).stdout_eq(""));
    assert!(said.starts_with("error: cannot read `nosuch.yaml`: "), "{said}");
}
