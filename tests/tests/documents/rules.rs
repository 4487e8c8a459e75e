//! Rules that SECURITY.md and CONTRIBUTING.md state about the sources, and the shape of the changelog.

use std::collections::{BTreeMap, BTreeSet};

use crate::{assert_none, markdown::Document, repository};

/// The lines of Rust without their comments, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()));
    lines.filter(|(_, line)| !line.trim().is_empty())
}

/// Whether a line of code has an unsafe block, function, implementation, block of foreign functions or attribute.
fn is_unsafe(line: &str) -> bool {
    [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "unsafe extern",
        "unsafe trait",
        "#[unsafe(",
    ]
    .iter()
    .any(|word| line.contains(word))
}

#[test]
fn unsafe_code_is_in_the_files_that_security_names_and_nowhere_else() {
    let document = repository::read("SECURITY.md");
    let start = document
        .find("- **Unsafe code**")
        .unwrap_or_else(|| panic!("SECURITY.md has no item **Unsafe code**"));
    let item = document[start + 1..].split("\n- ").next().unwrap_or_default();
    let named: BTreeSet<&str> = item.split('`').filter(|name| name.ends_with(".rs")).collect();
    let this = "tests/tests/documents/rules.rs";
    let sources = repository::sources(&["policy", "filter", "generator", "tests", "bench", "fuzz"], ".rs");
    let found: BTreeSet<&str> = (sources.iter())
        .filter(|(path, text)| path != this && code(text).any(|(_, line)| is_unsafe(line)))
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(
        named, found,
        "files that SECURITY.md names under **Unsafe code**, and files with unsafe code"
    );
    let manifest = repository::read("Cargo.toml");
    assert!(
        manifest.lines().any(|line| line == "unsafe_code = \"deny\""),
        "Cargo.toml does not deny unsafe_code, as SECURITY.md states"
    );
    for library in ["policy/src/lib.rs", "generator/src/lib.rs"] {
        let text = repository::read(library);
        assert!(
            text.contains("#![forbid(unsafe_code)]"),
            "{library} does not forbid unsafe code, as SECURITY.md states"
        );
    }
}

#[test]
fn exceptions_from_lints_are_expected_with_a_reason_in_the_product() {
    let mut wrong = Vec::new();
    for (path, text) in repository::sources(&["policy/src", "filter/src", "generator/src"], ".rs") {
        for (number, line) in code(&text) {
            if line.contains("[allow(") {
                wrong.push(format!(
                    "{path}:{number}: CONTRIBUTING.md asks for #[expect(…, reason = \"…\")]"
                ));
            }
        }
        let without = text.match_indices("[expect(").filter(|(at, _)| {
            let attribute = text[*at..].split(")]").next().unwrap_or_default();
            !attribute.contains("reason = ")
        });
        wrong.extend(without.map(|(at, _)| format!("{path}:{}: no reason", text[..at].lines().count())));
    }
    assert_none(&wrong);
}

#[test]
fn the_changelog_has_dates_and_links() {
    let text = repository::read("CHANGELOG.md");
    let mut wrong = Vec::new();
    for line in Document::read("CHANGELOG.md").prose() {
        let Some(title) = line.text.strip_prefix("## ") else {
            continue;
        };
        let version = title
            .strip_prefix('[')
            .and_then(|title| title.split(']').next())
            .unwrap_or_default();
        let date = title.strip_prefix(&format!("[{version}] - ")).unwrap_or_default();
        let dated = date.len() == 10 && date.split('-').all(|part| part.parse::<u16>().is_ok());
        if title != "[Unreleased]" && !dated {
            wrong.push(format!(
                "{}: a release is written `## [1.2.3] - 2026-01-31`: {title}",
                line.location
            ));
        }
        if !text
            .lines()
            .any(|line| line.starts_with(&format!("[{version}]: https://")))
        {
            wrong.push(format!(
                "{}: no link for [{version}] at the end of the file",
                line.location
            ));
        }
    }
    assert!(
        text.contains("\n## [Unreleased]\n"),
        "CHANGELOG.md has no section [Unreleased]"
    );
    assert_none(&wrong);
}

#[test]
fn the_architecture_has_a_row_for_every_directory() {
    let rows = Document::read("docs/architecture.md").rows();
    let cells: Vec<&str> = rows.iter().map(|row| row.cells[0].as_str()).collect();
    let files = repository::files();
    let roots: BTreeSet<&str> = files
        .iter()
        .filter_map(|path| path.split_once('/'))
        .map(|(root, _)| root)
        .collect();
    let missing: Vec<_> = (roots.iter())
        .filter(|root| !cells.iter().any(|cell| cell.contains(&format!("`{root}/`"))))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/architecture.md has a table with a row for each directory, but none for {missing:?}"
    );
}

#[test]
fn the_architecture_names_modules_that_exist() {
    let crates = BTreeMap::from([("step", "generator"), ("task", "controller")]);
    let mut wrong = Vec::new();
    let mut checked = BTreeMap::<&str, u32>::new();
    for row in Document::read("docs/architecture.md").rows() {
        let Some(name_of_crate) = crates.get(row.header.as_str()) else {
            continue;
        };
        for name in row.cells[1].split('`').skip(1).step_by(2) {
            *checked.entry(name_of_crate).or_default() += 1;
            let paths = [
                format!("{name_of_crate}/src/{name}.rs"),
                format!("{name_of_crate}/src/{name}/mod.rs"),
            ];
            if !paths.iter().any(|path| repository::exists(path)) {
                wrong.push(format!(
                    "{}: the crate {name_of_crate} has no module {name}",
                    row.location
                ));
            }
        }
    }
    assert!(
        checked.len() == 2 && checked.values().all(|count| *count > 5),
        "{checked:?}"
    );
    assert_none(&wrong);
}

/// A number up to ten in words.
fn in_words(number: &str) -> &'static str {
    let words = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    ];
    number
        .parse::<usize>()
        .ok()
        .and_then(|number| words.get(number).copied())
        .unwrap_or_else(|| panic!("{number}: correct this test"))
}

#[test]
fn the_numbers_of_the_mesh_tests_are_those_of_their_code() {
    let digits = |text: &str, before: &str| -> Option<String> {
        let (_, rest) = text.split_once(before)?;
        Some(rest.chars().take_while(char::is_ascii_digit).collect())
    };
    let parallel = digits(&repository::read("tests/mesh/run"), "-test.parallel=").unwrap_or_default();
    let phrase = format!("{} at most", in_words(&parallel));
    assert!(
        repository::read("tests/mesh/README.md").contains(&phrase),
        "tests/mesh/README.md: scenarios run at the same time, \"{phrase}\""
    );
    let sources = repository::sources(&["tests/mesh"], ".go");
    let deviations = sources
        .iter()
        .find_map(|(_, text)| digits(text, "math.Abs(off) > "))
        .unwrap_or_default();
    let phrase = format!("{} standard deviations", in_words(&deviations));
    for path in ["tests/mesh/README.md", "docs/conformance.md"] {
        let text = repository::read(path).replace('\n', " ");
        assert!(text.contains(&phrase), "{path}: expectShares allows {phrase}");
    }
}

#[test]
fn the_readme_of_the_fuzz_targets_lists_each_of_them() {
    let rows = Document::read("fuzz/README.md")
        .rows()
        .into_iter()
        .filter(|row| row.header == "target");
    let mut listed: Vec<String> = (rows.flat_map(|row| {
        let names: Vec<String> = row.cells[0]
            .split('`')
            .skip(1)
            .step_by(2)
            .map(ToOwned::to_owned)
            .collect();
        names
    }))
    .collect();
    let manifest = repository::read("fuzz/Cargo.toml");
    let paths = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"targets/")?.strip_suffix(".rs\""));
    let mut targets: Vec<&str> = paths.collect();
    listed.sort();
    targets.sort_unstable();
    assert_eq!(listed, targets, "fuzz/README.md, targets, against fuzz/Cargo.toml");
}

#[test]
fn the_index_of_the_documentation_has_every_page() {
    let index = Document::read("docs/README.md");
    let linked: Vec<String> = index.links().into_iter().map(|link| link.text).collect();
    let pages = repository::files()
        .into_iter()
        .filter_map(|path| path.strip_prefix("docs/").map(ToOwned::to_owned));
    let pages = pages.filter(|page| page.ends_with(".md") && page != "README.md");
    // Decisions have an index of their own.
    let pages = pages.filter(|page| !page.starts_with("decisions/") || page == "decisions/README.md");
    let missing: Vec<String> = pages
        .filter(|page| !linked.iter().any(|link| link.starts_with(page.as_str())))
        .collect();
    assert!(missing.is_empty(), "docs/README.md has no link to {missing:?}");
    let decisions = Document::read("docs/decisions/README.md").links();
    let files = repository::files()
        .into_iter()
        .filter_map(|path| path.strip_prefix("docs/decisions/").map(ToOwned::to_owned));
    let missing: Vec<String> = files
        .filter(|page| page != "README.md" && !decisions.iter().any(|link| link.text == *page))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/decisions/README.md has no link to {missing:?}"
    );
}

#[test]
fn every_go_test_that_a_document_names_exists() {
    let sources = repository::sources(&["tests"], "_test.go");
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in Document::all() {
        // A declaration is an example of a test.
        for line in document.lines().filter(|line| !line.text.starts_with("func ")) {
            let words = line.text.split(|letter: char| !letter.is_ascii_alphanumeric());
            let is_test = |word: &&str| {
                word.strip_prefix("Test")
                    .is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_uppercase()))
            };
            for name in words.filter(is_test) {
                checked += 1;
                // An argument of `-run` may be the beginning of a name.
                let declared = format!("func {name}");
                if !sources.iter().any(|(_, text)| text.contains(&declared)) {
                    wrong.push(format!("{}: no Go test is called {name}", line.location));
                }
            }
        }
    }
    assert!(checked > 5, "{checked} names");
    assert_none(&wrong);
}
