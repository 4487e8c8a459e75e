//! The tables of what is valid: for each row a file in `verdicts`, with what an API server says to it and what we say.
//!
//! Here our half is tested; `verdicts/README.md` says how the files are made.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use mooring_generator::{
    diagnostic::{Diagnostic, Report, Severity},
    emit::{istio::IstioVersion, target::Target},
    mesh::Mesh,
    source::Sources,
    validate::validate,
};

/// The expected result of a valid file.
const ACCEPTED: &str = "accepted";

fn verdicts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verdicts")
}

/// The files of `verdicts/FOLDER`, each with its text.
fn files(folder: &str) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for version in fs::read_dir(verdicts().join(folder)).unwrap() {
        for file in fs::read_dir(version.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            files.insert(path, text);
        }
    }
    assert!(files.len() > 10, "{folder} is nearly empty");
    files
}

/// What the first lines of a file say: the verdicts of the API server and of us.
fn verdict_lines(text: &str) -> Option<(&str, &str)> {
    let mut lines = text.lines();
    let api = lines.next()?.strip_prefix("# API server: ")?;
    let ours = lines.next()?.strip_prefix("# Mooring: ")?;
    Some((api, ours))
}

/// The lines that are marked as wrong.
fn marked(text: &str) -> Vec<usize> {
    let lines = text.lines().enumerate();
    let here = lines.filter(|(_, line)| line.ends_with(" # here"));
    here.map(|(position, _)| position.saturating_add(1)).collect()
}

/// The difference between the expected and the actual result for a file.
fn judge(path: &Path, text: &str, expected: &str) -> Option<String> {
    let mut report = Report::default();
    let names = [verdicts().join("shop.yaml"), path.to_owned()];
    let sources = Sources::read(&names, &[], &mut io::empty(), &mut report);
    validate(
        &sources,
        Target::Istio,
        IstioVersion::default(),
        &Mesh::default(),
        &mut report,
    );
    let findings = report.sorted();
    let errors: Vec<&&Diagnostic> = findings
        .iter()
        .filter(|finding| finding.severity() == Severity::Error)
        .collect();
    let as_expected = if expected == ACCEPTED {
        errors.is_empty() && marked(text).is_empty()
    } else {
        let lines = marked(text);
        let fits = |error: &&&Diagnostic| {
            let location = error.location();
            error.message().contains(expected)
                && location.is_some_and(|location| {
                    sources.name(location.file) == path.display().to_string() && lines == [location.line]
                })
        };
        errors.iter().any(fits)
    };
    let said: Vec<String> = errors.iter().map(|error| error.render(&sources)).collect();
    (!as_expected).then(|| {
        format!(
            "{}: expected: {expected}, found:\n{}\n",
            path.display(),
            said.join("\n")
        )
    })
}

/// Judges every file of a folder; `agree` says whether the two verdicts must be the same.
fn judge_all(folder: &str, lines_are_right: impl Fn(&str, &str, &str) -> bool) {
    let mut wrong = Vec::new();
    for (path, text) in files(folder) {
        let Some((api, ours)) = verdict_lines(&text).filter(|(api, ours)| lines_are_right(api, ours, &text)) else {
            wrong.push(format!(
                "{}: its first lines are not those of {folder}\n",
                path.display()
            ));
            continue;
        };
        assert!(!api.is_empty());
        wrong.extend(judge(&path, &text, ours));
    }
    assert!(
        wrong.is_empty(),
        "{} verdicts are wrong:\n{}",
        wrong.len(),
        wrong.concat()
    );
}

#[test]
fn what_an_api_server_accepts_we_accept() {
    judge_all("accept", |api, ours, _| api == ACCEPTED && ours == ACCEPTED);
}

#[test]
fn what_an_api_server_rejects_we_reject() {
    judge_all("reject", |api, ours, _| api != ACCEPTED && ours != ACCEPTED);
}

#[test]
fn where_we_differ_we_say_why() {
    judge_all("differ", |api, ours, text| {
        let why = text.lines().nth(2).and_then(|line| line.strip_prefix("# Why: "));
        (api == ACCEPTED) != (ours == ACCEPTED) && why.is_some_and(|why| why.len() > 20)
    });
}
