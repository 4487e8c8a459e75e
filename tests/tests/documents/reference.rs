//! Names and limits in the reference documents are those of the code.

use std::collections::BTreeSet;

use crate::{
    assert_none,
    markdown::{Document, Row},
    repository,
};

const PRODUCT: [&str; 4] = ["policy/src", "filter/src", "generator/src", "controller/src"];

/// The words of a text that begin with this, as long as they consist of letters, digits and these characters.
fn words<'a>(text: &'a str, start: &'a str, others: &'a str) -> impl Iterator<Item = &'a str> {
    let in_word = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || others.contains(letter);
    text.match_indices(start).filter_map(move |(at, _)| {
        let before = text[..at].chars().next_back();
        let rest = &text[at..];
        let end = rest[start.len()..]
            .find(|letter| !in_word(letter))
            .map_or(rest.len(), |end| start.len() + end);
        (!before.is_some_and(|letter| in_word(letter) || "./-_".contains(letter))).then_some(&rest[..end])
    })
}

/// The metrics with labels. Each has a section of its own.
const LABELLED: [&str; 3] = [
    "mooring_backend_requests_total",
    "mooring_rule_events_total",
    "mooring_backend_weight",
];

/// The names of all metrics, and those of labels.
fn metrics() -> (BTreeSet<String>, BTreeSet<String>) {
    let mut metrics = BTreeSet::new();
    let filter = repository::read("filter/src/metrics.rs");
    for line in filter
        .lines()
        .filter(|line| line.contains("Counter = ") || line.contains("Gauge = "))
    {
        metrics.extend(
            line.split('"')
                .nth(1)
                .filter(|name| name.starts_with("mooring_"))
                .map(ToOwned::to_owned),
        );
    }
    metrics.extend(metrics_of_the_controller());
    let policy = repository::read("policy/src/metric.rs");
    for labelled in LABELLED {
        assert!(
            policy.contains(labelled),
            "policy/src/metric.rs has no {labelled}: correct this test"
        );
        metrics.insert(labelled.to_owned());
    }
    let labels = words(&policy, "mooring_", "_")
        .filter(|name| !metrics.contains(*name) && !name.starts_with("mooring_generator"));
    let labels = labels.map(ToOwned::to_owned).collect();
    (metrics, labels)
}

/// The controller has one constant for each, `const NAME: &str = "mooring_controller_…";`.
fn metrics_of_the_controller() -> BTreeSet<String> {
    let source = repository::read("controller/src/metrics.rs");
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let constants = source.lines().filter(|line| line.starts_with("const "));
    let values = constants.filter_map(|line| line.split_once(": &str = \"")?.1.strip_suffix("\";"));
    let metrics: BTreeSet<String> = values.map(ToOwned::to_owned).collect();
    let named = source.matches("\"mooring_controller_").count();
    assert!(
        metrics.len() > 10
            && metrics.iter().all(|name| name.starts_with("mooring_controller_"))
            && named == metrics.len(),
        "controller/src/metrics.rs names metrics {named} times, and has the constants {metrics:?}"
    );
    metrics
}

/// The code spans in the first cells of tables with one of these headers.
fn first_cells(document: &Document, headers: &[&str]) -> Vec<(String, String)> {
    let rows = document
        .rows()
        .into_iter()
        .filter(|row| headers.contains(&row.header.as_str()));
    rows.map(|row| (row.cells[0].trim_matches('`').to_owned(), row.location))
        .collect()
}

#[test]
fn the_page_of_metrics_has_every_metric_once_and_no_other() {
    let (metrics, _) = metrics();
    let document = Document::read("docs/metrics.md");
    let documented = first_cells(&document, &["counter", "gauge", "metric"]);
    let mut wrong: Vec<String> = (documented.iter())
        .filter(|(name, _)| !metrics.contains(name))
        .map(|(name, location)| {
            format!("{location}: neither filter/src/metrics.rs nor controller/src/metrics.rs has {name}")
        })
        .collect();
    let section = |name: &str| LABELLED.contains(&name) && document.spans().iter().any(|span| span.text == name);
    for name in metrics.iter().filter(|name| !section(name)) {
        let rows = documented.iter().filter(|(documented, _)| documented == name).count();
        if rows != 1 {
            wrong.push(format!("docs/metrics.md: {rows} rows for {name}, expected one"));
        }
    }
    assert!(metrics.len() > 15, "{metrics:?}");
    assert_none(&wrong);
}

#[test]
fn every_metric_and_label_that_a_document_names_exists() {
    let (metrics, labels) = metrics();
    let mut wrong = Vec::new();
    for document in Document::all() {
        for span in document.spans() {
            // A name that ends here with `_` or goes on with `…` stands for several.
            for name in words(&span.text, "mooring_", "_").filter(|name| !name.ends_with('_')) {
                // Series of Prometheus, and the crates.
                let known = metrics.contains(name)
                    || labels.contains(name)
                    || ["mooring_policy", "mooring_filter"].contains(&name);
                let whole = !span.text.contains(&format!("{name}*")) && !span.text.contains(&format!("{name}…"));
                if !known && whole && !document.path.starts_with("tests/") {
                    wrong.push(format!("{}: no such metric or label: {name}", span.location));
                }
            }
        }
    }
    assert_none(&wrong);
}

/// The names of the variants of an enum, as rustfmt writes it.
fn variants(path: &str, name: &str) -> Vec<String> {
    let text = repository::read(path);
    let (_, body) = (text.split_once(&format!("enum {name} {{")))
        .or_else(|| text.split_once(&format!("enum {name}<'a> {{")))
        .unwrap_or_else(|| panic!("{path} has no enum {name}: correct this test"));
    let body = body.split("\n}").next().unwrap_or_default();
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let variants = lines.filter(|line| line.starts_with(|letter: char| letter.is_ascii_uppercase()));
    let names = variants.filter_map(|line| line.split(|letter: char| !letter.is_alphanumeric()).next());
    names.map(ToOwned::to_owned).collect()
}

#[test]
fn the_page_of_validation_has_every_code_and_condition_once_and_no_other() {
    let document = Document::read("docs/validation.md");
    for (header, path, name) in [
        ("code", "generator/src/diagnostic/code.rs", "Code"),
        ("condition", "generator/src/validate/status.rs", "Condition"),
    ] {
        let mut documented: Vec<String> = first_cells(&document, &[header])
            .into_iter()
            .map(|(cell, _)| cell)
            .collect();
        let mut expected = variants(path, name);
        documented.sort();
        expected.sort();
        assert_eq!(
            documented, expected,
            "docs/validation.md, table of each {header}, against `{name}` in {path}"
        );
    }
}

const ANNOTATIONS: &str = "generator/src/session/annotations.rs";

#[test]
fn the_page_of_configuration_has_every_annotation_of_policies_once_and_no_other() {
    let source = repository::read(ANNOTATIONS);
    let names = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("name: \"")?.strip_suffix("\","));
    let mut expected: Vec<String> = names.map(|name| format!("mooring.dev/{name}")).collect();
    expected.sort();
    assert!(!expected.is_empty(), "{ANNOTATIONS} has no names: correct this test");
    let documented = first_cells(&Document::read("docs/configuration.md"), &["annotation"]);
    let mut documented: Vec<String> = documented.into_iter().map(|(name, _)| name).collect();
    documented.sort();
    assert_eq!(
        documented, expected,
        "docs/configuration.md, annotations, against {ANNOTATIONS}"
    );
}

#[test]
fn every_annotation_and_internal_header_that_a_document_names_exists() {
    let sources = repository::sources(&PRODUCT, ".rs");
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in Document::all() {
        for span in document.spans() {
            let annotations =
                words(&span.text, "mooring.dev/", "-/").filter(|name| !name.starts_with("mooring.dev/v1"));
            let headers = words(&span.text, "x-mooring-", "-").filter(|name| !name.ends_with('-'));
            for name in annotations
                .chain(headers)
                .filter(|name| !name.starts_with("mooring.dev/tests"))
            {
                checked += 1;
                let written = |(path, text): &(String, String)| {
                    // The annotations of policies are written there without their prefix.
                    let bare = name.strip_prefix("mooring.dev/").filter(|_| path == ANNOTATIONS);
                    text.contains(&format!("\"{}\"", bare.unwrap_or(name)))
                };
                if !sources.iter().any(written) {
                    wrong.push(format!("{}: no source of the product has {name}", span.location));
                }
            }
        }
    }
    println!("{checked} names");
    assert!(checked > 30, "{checked} names");
    assert_none(&wrong);
}

/// A limit as a person writes it: `1,024 bytes`, `64 KiB`, `1 MiB`, `1,000,000`.
fn written(value: u64, unit: &str) -> String {
    match unit {
        "KiB" => format!("{} KiB", value >> 10),
        "MiB" => format!("{} MiB", value >> 20),
        _ => {
            let digits = value.to_string();
            let mut text = String::new();
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index).is_multiple_of(3) {
                    text.push(',');
                }
                text.push(digit);
            }
            if unit.is_empty() {
                text
            } else {
                format!("{text} {unit}")
            }
        }
    }
}

/// What the second cell says, without a link around it.
fn plain(row: &Row) -> String {
    let cell = row.cells.get(1).map_or("", String::as_str);
    cell.trim_start_matches('[')
        .split(']')
        .next()
        .unwrap_or_default()
        .trim_start_matches("the first ")
        .to_owned()
}

#[test]
fn the_limits_of_canaries_are_those_of_the_code() {
    let limits = [
        ("rules of a policy", "policy/src", "MAX_RULES", ""),
        ("matches of a rule", "policy/src", "MAX_MATCHES", ""),
        (
            "a value, or the text of a regular expression",
            "policy/src",
            "MAX_VALUE_LENGTH",
            "bytes",
        ),
        ("a compiled regular expression", "policy/src", "MAX_SIZE", "KiB"),
        (
            "memory for all regular expressions of a policy",
            "policy/src",
            "MAX_MEMORY",
            "MiB",
        ),
        (
            "memory for all regular expressions of a gateway",
            "policy/src",
            "MAX_MEMORY_OF_GATEWAY",
            "MiB",
        ),
        (
            "plugin configuration of a route with its policies",
            "generator/src",
            "OF_ROUTE",
            "KiB",
        ),
        (
            "values of one header or cookie per request",
            "policy/src",
            "MAX_VALUES",
            "",
        ),
        (
            "a value that a regular expression is tried on",
            "policy/src",
            "MAX_INPUT",
            "bytes",
        ),
        ("steps of a request for all conditions", "policy/src", "MAX_STEPS", ""),
        ("steps of a request for `hashOn`", "policy/src", "MAX_HASH_STEPS", ""),
    ];
    let rows: Vec<Row> = Document::read("docs/canary-routing.md")
        .rows()
        .into_iter()
        .filter(|row| row.cells.len() == 2)
        .collect();
    let mut wrong = Vec::new();
    for (label, directory, name, unit) in limits {
        let expected = written(repository::constant(directory, name), unit);
        match rows.iter().find(|row| row.cells[0] == label) {
            None => wrong.push(format!(
                "docs/canary-routing.md: no row \"{label}\" for {name} ({expected})"
            )),
            Some(row) if plain(row) != expected => {
                wrong.push(format!(
                    "{}: {label}: {}, but {name} is {expected}",
                    row.location, row.cells[1]
                ));
            }
            Some(_) => {}
        }
    }
    assert_none(&wrong);
}

/// Limits in prose: the phrase, with the value of a constant for `{}`, is in the document.
#[test]
fn the_limits_in_prose_are_those_of_the_code() {
    let phrases = [
        (
            "docs/canary-routing.md",
            "conditions on headers and cookies, at most {};",
            "policy/src",
            "MAX_MATCHES",
            "",
        ),
        (
            "docs/canary-routing.md",
            "to a backend, at most {} |",
            "policy/src",
            "MAX_RULES",
            "",
        ),
        (
            "docs/operations.md",
            "virtual hosts with more than {} routes",
            "generator/src",
            "LARGE_VIRTUAL_HOST",
            "",
        ),
        (
            "docs/generating.md",
            "A route may use {} of a gateway's plugin configuration",
            "generator/src",
            "OF_ROUTE",
            "KiB",
        ),
    ];
    let mut wrong = Vec::new();
    for (path, phrase, directory, name, unit) in phrases {
        let expected = phrase.replace("{}", &written(repository::constant(directory, name), unit));
        let text = repository::read(path).replace('\n', " ").to_lowercase();
        if !text.contains(&expected.to_lowercase()) {
            wrong.push(format!(
                "{path}: \"{expected}\" is not there; the figure is {name} below {directory}"
            ));
        }
    }
    assert_none(&wrong);
}
