//! Each row of the tables in `docs/threat-model.md` and `tests/README.md` names a test, and each of these tests exists.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "everything here is a test, and that is how a test fails"
)]

use std::{collections::BTreeSet, fs};

use mooring_tests::settings::workspace;

/// A row of a table about threats: what is tried, and the tests, `file: name`.
struct Row {
    attempt: String,
    tests: Vec<(String, String)>,
}

fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut in_table = false;
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        match cells.as_slice() {
            ["who", "what they try", "what stops it", "test"] => in_table = true,
            [_, attempt, _, tests] if in_table && !attempt.starts_with("---") => {
                let named = tests.split('`').filter_map(|name| name.split_once(": "));
                rows.push(Row {
                    attempt: (*attempt).to_owned(),
                    tests: named.map(|(file, name)| (file.to_owned(), name.to_owned())).collect(),
                });
            }
            [_, _, _, _] => {}
            _ => in_table = false,
        }
    }
    rows
}

/// Whether a file has a test of this name that runs without being asked for.
fn has_test(file: &str, name: &str) -> bool {
    let text = fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared = lines.iter().position(|line| {
        let function = line.strip_prefix("async ").unwrap_or(line);
        let function = function.strip_prefix("fn ").or_else(|| function.strip_prefix("func "));
        function.is_some_and(|rest| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')))
    });
    let Some(at) = declared else {
        return false;
    };
    if file.ends_with("_test.go") {
        return name.starts_with("Test");
    }
    let above = lines.get(..at).unwrap_or_default().iter().rev();
    let attributes: Vec<&&str> = above.take_while(|line| line.starts_with("#[")).collect();
    // Inside `proptest!` the attribute is the same.
    attributes.iter().any(|line| line.contains("test")) && !attributes.iter().any(|line| line.contains("ignore"))
}

#[test]
fn every_row_of_the_threat_model_names_tests_that_exist() {
    let text = fs::read_to_string(workspace().join("docs/threat-model.md")).unwrap();
    let rows = rows(&text);
    assert!(rows.len() >= 25, "{} rows", rows.len());
    let mut tests = BTreeSet::new();
    for row in &rows {
        assert!(!row.tests.is_empty(), "no test: {}", row.attempt);
        for (file, name) in &row.tests {
            assert!(has_test(file, name), "{}: {file} has no test {name}", row.attempt);
            tests.insert((file, name));
        }
    }
    println!("{} threats, {} tests", rows.len(), tests.len());
}

#[test]
fn every_behaviour_in_the_index_names_tests_that_exist() {
    let text = fs::read_to_string(workspace().join("tests/README.md")).unwrap();
    let (mut named, mut files) = (0, 0);
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        // The table of the mesh has no column for the suite, and its files are in one directory.
        let (tests, directory) = match cells.as_slice() {
            [_, _, tests] => (tests, ""),
            [_, tests] => (tests, "tests/mesh/scenarios/"),
            _ => continue,
        };
        for test in tests.split('`').skip(1).step_by(2) {
            if let Some((file, name)) = test.split_once(": ") {
                let file = format!("{directory}{file}");
                assert!(has_test(&file, name), "{}: {file} has no test {name}", cells[0]);
                named += 1;
            } else if test.ends_with("_test.go") {
                let file = workspace().join(directory).join(test);
                assert!(file.is_file(), "{}: no {}", cells[0], file.display());
                files += 1;
            }
        }
    }
    assert!(named >= 60 && files >= 20, "{named} tests and {files} files");
}

#[test]
fn a_test_that_is_gone_ignored_or_none_is_noticed() {
    let this = "tests/tests/threat_model.rs";
    assert!(has_test(this, "a_test_that_is_gone_ignored_or_none_is_noticed"));
    assert!(!has_test(this, "a_test_that_is_gone"));
    assert!(!has_test(this, "rows"));
    assert!(!has_test(
        "tests/tests/envoy/soak.rs",
        "clients_of_all_kinds_are_served_for_minutes_while_the_configuration_changes"
    ));
    let table = "| who | what they try | what stops it | test |\n|---|---|---|---|\n| a | b | c | nothing |\n";
    assert!(rows(table).iter().all(|row| row.tests.is_empty()));
}
