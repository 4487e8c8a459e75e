//! `mooring test --init`: a first test file from manifests.

use super::*;

fn init(directory: &Path) -> OutputAssert {
    mooring().args(["test", "--init", "."]).current_dir(directory).assert()
}

#[test]
fn a_first_file_covers_everything_and_passes() {
    let path = directory("policy_test_init");
    write(&path, "shop.yaml", canary());
    init(&path)
        .success()
        .stdout_eq("")
        .stderr_eq("created tests/mooring-test.yaml\n");
    let text = fs::read_to_string(path.join("tests/mooring-test.yaml")).unwrap();
    assert!(text.starts_with("# Written by mooring test --init"), "{text}");
    for part in [
        "\nkind: PolicyTest\nmanifests:\n- \"..\"\n",
        "name: \"shop/shop: canary rule by-choice keeps a client away\"\n",
        "session: expired-idle\n",
        "reason: hash\n",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    test(&path, &["--fail-under", "100"]).success();

    // A change of the manifests fails what it changes.
    write(
        &path,
        "shop.yaml",
        canary().replace("idleTimeout: 30m", "idleTimeout: 40m"),
    );
    let out = stdout(&test(&path, &["--fail-only"]).code(1));
    assert!(
        out.contains("\n  - expired-idle\n  + resumed\n") && out.contains(": 1 failed;"),
        "{out}"
    );

    // It is never overwritten.
    let said = stderr(&init(&path).code(1).stdout_eq(""));
    assert_eq!(
        said,
        "error: `tests/mooring-test.yaml` exists, and is not overwritten\n"
    );
    assert_eq!(fs::read_to_string(path.join("tests/mooring-test.yaml")).unwrap(), text);
}

#[test]
fn requests_are_made_of_matches() {
    let path = directory("policy_test_init_matches");
    let matches = "  - matches:
    - {path: {value: '/c.*', type: RegularExpression}}
    - {path: {value: /cart}, method: POST, headers: [{name: X-User, value: \"7\"}], queryParams: [{name: v, value: \"2\"}]}
    backendRefs:
";
    let manifests = SHOP.replace("  - backendRefs:\n", matches);
    let manifests = manifests.replace("  parentRefs:\n", "  hostnames: ['*.example.com']\n  parentRefs:\n");
    write(&path, "shop.yaml", manifests);
    init(&path).success();
    let run = test(&path, &["--fail-under", "100"]).success();
    assert!(
        stdout(&run).contains("POST http://www.example.com/cart?v=2"),
        "{}",
        stdout(&run)
    );

    let expression = SHOP.replace(
        "  - backendRefs:\n",
        "  - matches: [{path: {value: '/c.*', type: RegularExpression}}]\n    backendRefs:\n",
    );
    let path = directory("policy_test_init_expression");
    write(&path, "shop.yaml", expression);
    let said = stderr(&init(&path).code(1).stdout_eq(""));
    assert!(said.contains("no rule for which a request can be written"), "{said}");
    assert!(!path.join("tests").exists());
}

#[test]
fn manifests_with_errors_get_no_file() {
    let path = directory("policy_test_init_errors");
    write(
        &path,
        "shop.yaml",
        SHOP.replace("absoluteTimeout: 1h", "absoluteTimeout: never"),
    );
    let said = stderr(&init(&path).code(1).stdout_eq(""));
    assert!(said.contains("`never` is not a duration"), "{said}");
    assert!(!path.join("tests").exists());
}

#[test]
fn sessions_in_headers_are_expected_there() {
    let path = directory("policy_test_init_header");
    let by_header = SHOP
        .replace("    sessionName: shop\n", "    sessionName: x-shop\n    type: Header\n")
        .replace("    cookieConfig:\n      lifetimeType: Permanent\n", "");
    write(&path, "shop.yaml", by_header);
    init(&path).success();
    let text = fs::read_to_string(path.join("tests/mooring-test.yaml")).unwrap();
    assert!(
        text.contains("sessionHeader: x-shop\n") && !text.contains("setCookie"),
        "{text}"
    );
    test(&path, &["--fail-under", "100"]).success();
}
