//! Links and file names lead somewhere.

use crate::{assert_none, markdown::Document, repository};

/// Directories at the root that are built or installed, so that what is below them may not exist yet.
const BUILT: [&str; 6] = [
    "target/",
    ".tools/",
    "fuzz/target/",
    "fuzz/artifacts/",
    "tests/mesh/.cache/",
    "gitops/",
];

/// Resolves a relative path against the directory of a document; `None` outside of the repository.
fn resolve(document: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}

#[test]
fn every_relative_link_and_its_anchor_exist() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in Document::all() {
        for link in document.links() {
            checked += 1;
            let (target, anchor) = link
                .text
                .split_once('#')
                .map_or((&*link.text, None), |(path, anchor)| (path, Some(anchor)));
            let path = if target.is_empty() {
                Some(document.path.clone())
            } else {
                resolve(&document.path, target)
            };
            let Some(path) = path.filter(|path| repository::exists(path)) else {
                wrong.push(format!("{}: the link leads to no file: {}", link.location, link.text));
                continue;
            };
            let Some(anchor) = anchor else { continue };
            if !Document::read(&path).anchors().iter().any(|known| known == anchor) {
                wrong.push(format!("{}: {path} has no heading #{anchor}", link.location));
            }
        }
    }
    println!("{checked} links");
    assert!(checked > 100, "{checked} links");
    assert_none(&wrong);
}

/// Whether a code span is the path of a file or directory of this repository.
fn is_path(text: &str, roots: &[String]) -> bool {
    let plain = text
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter));
    let in_root = text.split_once('/').is_some_and(|(root, rest)| {
        // In upper case: a part to be filled in.
        roots.iter().any(|known| known == root)
            && !rest
                .split('/')
                .any(|part| part.len() > 2 && part.to_uppercase() == part)
    });
    let named = [".rs", ".go", ".md", ".toml", ".yml"]
        .iter()
        .any(|extension| text.ends_with(extension))
        && text.len() > 4;
    plain && (in_root || named)
}

#[test]
fn every_file_that_a_document_names_exists() {
    let files = repository::files();
    let roots: Vec<String> = files
        .iter()
        .filter_map(|path| path.split_once('/'))
        .map(|(root, _)| root.to_owned())
        .collect();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in Document::all()
        .into_iter()
        .filter(|document| document.path != "docs/command-line.md")
    {
        for span in document.spans() {
            let name = span.text.split([':', ' ']).next().unwrap_or_default();
            if !is_path(name, &roots) || BUILT.iter().any(|built| name.starts_with(built)) {
                continue;
            }
            checked += 1;
            let below = format!("/{}", name.trim_start_matches("./").trim_end_matches('/'));
            let somewhere = files
                .iter()
                .any(|path| format!("/{path}").ends_with(&below) || format!("/{path}").contains(&format!("{below}/")));
            if !somewhere {
                wrong.push(format!("{}: no such file in the repository: {name}", span.location));
            }
        }
    }
    println!("{checked} file names");
    assert!(checked > 50, "{checked} file names");
    assert_none(&wrong);
}

#[test]
fn every_test_that_a_document_names_with_its_file_exists() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in Document::all() {
        for span in document.spans() {
            let Some((path, name)) = span.text.split_once(": ") else {
                continue;
            };
            let is_name = name
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            if !is_name
                || ![".rs", ".go"].iter().any(|extension| path.ends_with(extension))
                || !repository::exists(path)
            {
                continue;
            }
            checked += 1;
            let text = repository::read(path);
            if !["fn ", "func "]
                .iter()
                .any(|keyword| text.contains(&format!("{keyword}{name}(")))
            {
                wrong.push(format!("{}: {path} has no test {name}", span.location));
            }
        }
    }
    println!("{checked} tests");
    assert!(checked > 50, "{checked} tests");
    assert_none(&wrong);
}
