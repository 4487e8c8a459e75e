//! `mooring validate -o sarif`: the findings for code scanning.

use crate::common::{SHOP, directory, mooring, shop_with, without_policy, write};
use serde_json::{Value, json};

/// The log of a run in a directory.
fn log(directory: &std::path::Path, arguments: &[&str]) -> Value {
    let run = mooring().current_dir(directory).args(["validate", "-o", "sarif"]);
    let run = run.args(arguments).assert();
    serde_json::from_slice(&run.get_output().stdout).unwrap()
}

fn results(log: &Value) -> &[Value] {
    log["runs"][0]["results"].as_array().unwrap()
}

#[test]
fn a_finding_is_a_result_with_its_place() {
    let directory = directory("sarif/place");
    let shop = shop_with("    - name: web\n      port: 80", "    - name: web\n      port: 81");
    write(&directory, "a,b/shop.yaml", shop);
    let log = log(&directory, &["-f", "./a,b"]);
    assert_eq!(log["version"], "2.1.0");
    let driver = &log["runs"][0]["tool"]["driver"];
    let [result] = results(&log) else { panic!("{log:#}") };
    assert_eq!(
        driver.pointer(&format!("/rules/{}/id", result["ruleIndex"])).unwrap(),
        "BackendNotFound"
    );
    let fingerprint = result["partialFingerprints"]["mooringFinding/v1"].as_str().unwrap();
    assert!(fingerprint.len() == 18 && fingerprint.ends_with(":1"), "{fingerprint}");
    let location = |line: u32, start: u32, end: u32| {
        json!({
            "artifactLocation": { "uri": "a%2Cb/shop.yaml" },
            "region": { "startLine": line, "startColumn": start, "endColumn": end },
        })
    };
    assert_eq!(
        result,
        &json!({
            "ruleId": "BackendNotFound",
            "ruleIndex": result["ruleIndex"],
            "level": "error",
            "message": { "text": "the Service default/web has no port 81; it has 80." },
            "locations": [{ "physicalLocation": location(22, 13, 15) }],
            "relatedLocations": [{ "physicalLocation": location(27, 9, 12), "id": 1, "message": { "text": "the Service." } }],
            "partialFingerprints": result["partialFingerprints"],
        })
    );
}

#[test]
fn a_fingerprint_outlives_lines_that_move() {
    let directory = directory("sarif/fingerprint");
    let wrong = "---\n".to_owned() + &shop_with("idleTimeout: 10m", "idleTimeout: 1x");
    let fingerprints = |text: &str| {
        write(&directory, "shop.yaml", text);
        let log = log(&directory, &["-f", "shop.yaml"]);
        let results = results(&log).iter();
        let pairs = results.map(|result| {
            let line = result["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64();
            (result["partialFingerprints"].to_string(), line.unwrap())
        });
        pairs.collect::<Vec<(String, u64)>>()
    };
    let (before, after) = (fingerprints(&wrong), fingerprints(&format!("# A comment.\n\n{wrong}")));
    assert!(!before.is_empty());
    assert_eq!(
        before.iter().map(|(print, line)| (print, line + 2)).collect::<Vec<_>>(),
        after.iter().map(|(print, line)| (print, *line)).collect::<Vec<_>>()
    );
    // Another value is another finding, and equal findings of a file differ by their number.
    let other = fingerprints(&wrong.replace("1x", "1y"));
    assert_ne!(before[0].0, other[0].0);
    let twice = "apiVersion: v1\nkind: Servce\nmetadata: {name: a}\n---\n".repeat(2);
    let twice = fingerprints(&twice);
    assert!(twice.len() > 1 && twice[0].0 != twice[1].0, "{twice:?}");
}

#[test]
fn a_finding_about_the_whole_input_is_a_notification() {
    let directory = directory("sarif/whole");
    write(&directory, "shop.yaml", without_policy(SHOP));
    let log = log(&directory, &["-f", "shop.yaml"]);
    assert_eq!(results(&log).len(), 0);
    let notifications = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"];
    assert_eq!(notifications[0]["associatedRule"]["id"], "NoEffect");
    assert_eq!(notifications[0]["level"], "warning");
}

#[test]
fn each_code_is_a_rule_with_help() {
    let directory = directory("sarif/rules");
    write(&directory, "shop.yaml", SHOP);
    let log = log(&directory, &["-f", "shop.yaml"]);
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 18);
    for rule in rules {
        for field in ["shortDescription", "fullDescription", "help"] {
            assert!(rule[field]["text"].as_str().unwrap().ends_with('.'), "{rule:#}");
        }
        assert!(
            rule["helpUri"]
                .as_str()
                .unwrap()
                .ends_with("/docs/validation.md#findings")
        );
    }
}

#[test]
fn hidden_findings_are_not_in_the_log() {
    let directory = directory("sarif/allow");
    let draining = shop_with("  labels:\n    istio.io/persistent-session: mooring\n", "");
    write(&directory, "shop.yaml", draining);
    let count = |flags: &[&str]| results(&log(&directory, &[&["-f", "shop.yaml"], flags].concat())).len();
    assert_eq!(
        [count(&[]), count(&["--allow", "Draining"]), count(&["--quiet"])],
        [1, 0, 0]
    );
}

#[test]
fn a_failed_run_prints_nothing() {
    let run = mooring().args([
        "validate",
        "-o",
        "sarif",
        "--target",
        "envoy",
        "--istio-version",
        "1.30",
        "-f",
        "x",
    ]);
    run.assert().code(2).stdout_eq("");
}
