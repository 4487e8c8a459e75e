//! `mooring test`: runs the cases of test files, or writes a first one.

use std::{
    fs,
    io::{self, Write as _},
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;

use super::{
    stdout::print,
    terminal::{self, print_report},
};
use crate::{
    cli::test::{Test, TestFormat},
    diagnostic::{Code, Diagnostic, Report, Severity},
    policy_test::{Coverage, FILE_NAME, FileResult, Suite, format, json, junit, run, scaffold, text},
    source::{Sources, walk::Entries},
};

/// Runs the tests, and prints their results.
pub fn run(args: &Test) -> anyhow::Result<ExitCode> {
    if args.schema {
        print(&schema()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(directory) = &args.init {
        return init(directory);
    }
    let Some(suites) = read(&discover(&args.paths)?)? else {
        return Ok(ExitCode::FAILURE);
    };
    let mut coverage = Coverage::default();
    let mut results = Vec::new();
    let mut complete = true;
    for (directory, suite) in &suites {
        let result = run_suite(directory, suite, &mut coverage);
        complete &= result.is_some();
        results.extend(result);
    }
    if !complete {
        return Ok(ExitCode::FAILURE);
    }
    report(args, &results, &coverage)
}

/// The JSON schema of test files, as a text.
pub fn schema() -> anyhow::Result<String> {
    let schema = serde_json::to_string_pretty(&format::schema()).context("cannot write the schema")?;
    Ok(format!("{schema}\n"))
}

/// The test files that the arguments name, and those below directories that they name.
fn discover(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            let below = Entries::below(path, &[]);
            let below = below.with_context(|| format!("cannot read the directory `{}`", path.display()))?;
            let named = below
                .files
                .iter()
                .filter(|file| file.file_name() == Some(FILE_NAME.as_ref()));
            files.extend(named.map(|file| clean(file)));
            if files.len() == before {
                anyhow::bail!(
                    "there is no {FILE_NAME} in or below `{}`; `mooring test --init DIR` writes a first one",
                    path.display()
                );
            }
        } else {
            files.push(path.clone());
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    Ok(files)
}

/// The path without `.`, unless it is nothing else, and without `..` after a directory that is no link.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        let in_directory = matches!(cleaned.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if in_directory && !cleaned.is_symlink() => {
                cleaned.pop();
            }
            part => cleaned.push(part),
        }
    }
    if cleaned.as_os_str().is_empty() {
        cleaned.push(Component::CurDir);
    }
    cleaned
}

/// The suites of these files, each with its directory. None: one is invalid, which is printed.
fn read(files: &[PathBuf]) -> anyhow::Result<Option<Vec<(PathBuf, Suite)>>> {
    let mut suites = Vec::new();
    let mut valid = true;
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let mut report = Report::default();
        match Suite::parse(&file.display().to_string(), &text, &mut report) {
            Ok(suite) => suites.push((file.parent().map(clean).unwrap_or_default(), suite)),
            Err(sources) => {
                print_errors(&report, &sources);
                valid = false;
            }
        }
    }
    Ok(valid.then_some(suites))
}

/// Runs a suite on its manifests. None: they have an error, which is printed.
fn run_suite(directory: &Path, suite: &Suite, coverage: &mut Coverage) -> Option<FileResult> {
    let (mut manifests, mut report) = (Report::default(), Report::default());
    let mut paths = Vec::new();
    for path in &suite.test.manifests {
        let full = clean(&directory.join(&path.value));
        if !full.exists() {
            let message = format!(
                "there is no `{}`: the paths of manifests are relative to this file",
                full.display()
            );
            report.add(Diagnostic::error(Code::Unreadable, message).at(path.location));
        }
        paths.push(full);
    }
    if paths.is_empty() {
        paths.push(directory.to_owned());
    }
    let result = report.result().ok().and_then(|()| {
        let sources = Sources::read(&paths, &[], &mut io::empty(), &mut manifests);
        let result = run::run(suite, &sources, coverage, &mut manifests, &mut report);
        print_errors(&manifests, &sources);
        result
    });
    print_errors(&report, &suite.sources);
    result.filter(|_| !manifests.has_errors() && !report.has_errors())
}

fn print_errors(report: &Report, sources: &Sources) {
    let errors = report.sorted().into_iter();
    for error in errors.filter(|found| found.severity() == Severity::Error) {
        // The exit status is right even if stderr is closed.
        let text = if terminal::stderr_has_color() {
            error.render_in_color(sources)
        } else {
            error.render(sources)
        };
        let _ = writeln!(io::stderr(), "{text}\n");
    }
}

/// Prints the results in the chosen format, and returns the exit status.
fn report(args: &Test, results: &[FileResult], coverage: &Coverage) -> anyhow::Result<ExitCode> {
    let mut requests = results.iter().flat_map(FileResult::requests);
    let passed = requests.all(|(_, request)| request.passed());
    let output = match args.output {
        TestFormat::Text => text::text(results, coverage, args.fail_only),
        TestFormat::Json => json::json(results, coverage),
        TestFormat::Junit => junit::junit(results).context("cannot write the report")?,
    };
    if args.output == TestFormat::Text {
        print_report(&output)?;
    } else {
        print(&output)?;
    }
    let mut stderr = io::stderr().lock();
    if args.output != TestFormat::Text && !passed {
        let _ = write!(stderr, "{}", text::text(results, coverage, true));
    }
    let below = args.fail_under.filter(|least| coverage.percent() < *least);
    if let Some(least) = below {
        let percent = coverage.percent();
        let _ = writeln!(
            stderr,
            "error: {percent} % are covered, which is less than --fail-under {least}"
        );
    }
    Ok(if passed && below.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The directory of the test file that `--init` writes, below that of the manifests: `kubectl apply -f DIR` does not
/// read it.
const TESTS: &str = "tests";

/// Writes a first test file for a directory of manifests.
fn init(directory: &Path) -> anyhow::Result<ExitCode> {
    let tests = clean(&directory.join(TESTS));
    let path = tests.join(FILE_NAME);
    if path.symlink_metadata().is_ok() {
        anyhow::bail!("`{}` exists, and is not overwritten", path.display());
    }
    let mut report = Report::default();
    let sources = Sources::read(&[clean(directory)], &[], &mut io::empty(), &mut report);
    let text = scaffold::scaffold(&["..".to_owned()], &sources, &mut report);
    print_errors(&report, &sources);
    let Some(text) = text.filter(|_| !report.has_errors()) else {
        return Ok(ExitCode::FAILURE);
    };
    let cannot_write = || format!("cannot write `{}`", path.display());
    fs::create_dir_all(&tests).with_context(cannot_write)?;
    // Another process may have written the file since.
    let mut file = fs::File::create_new(&path).with_context(cannot_write)?;
    file.write_all(text.as_bytes()).with_context(cannot_write)?;
    let _ = writeln!(io::stderr(), "created {}", path.display());
    Ok(ExitCode::SUCCESS)
}
