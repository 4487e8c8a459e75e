//! The results as a report in the format of `JUnit`, which CI systems show.

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::{FileResult, RequestResult, run::CaseResult};

/// Renders the results: one suite for each file, and one test case for each request.
pub fn junit(files: &[FileResult]) -> Result<String, SerializeError> {
    let mut report = Report::new("mooring test");
    report.add_test_suites(files.iter().map(suite));
    report.to_string()
}

fn suite(file: &FileResult) -> TestSuite {
    let mut suite = TestSuite::new(&file.name);
    suite.add_test_cases(file.requests().map(|(case, request)| test_case(file, case, request)));
    suite
}

fn test_case(file: &FileResult, case: &CaseResult, request: &RequestResult) -> TestCase {
    // The cross product of a case is several test cases, whose names must differ.
    let name = match case.requests.len() {
        1 => case.name.clone(),
        _ => format!("{} ({})", case.name, request.request.title()),
    };
    let mut test_case = TestCase::new(name, status(file, request));
    test_case.set_classname(&file.name);
    test_case.extra.insert("file".into(), (&file.name).into());
    test_case
        .extra
        .insert("line".into(), case.location.line.to_string().into());
    test_case
}

fn status(file: &FileResult, request: &RequestResult) -> TestCaseStatus {
    if request.passed() {
        return TestCaseStatus::success();
    }
    let (kind, mut lines) = match &request.observed {
        Ok(_) => (NonSuccessKind::Failure, Vec::new()),
        Err(reason) => (NonSuccessKind::Error, vec![reason.clone()]),
    };
    lines.extend(request.mismatches.iter().map(|mismatch| {
        let help = mismatch
            .help
            .as_ref()
            .map_or_else(String::new, |help| format!(" ({help})"));
        format!(
            "{}: expected {}, found {}{help}",
            mismatch.field, mismatch.expected, mismatch.found
        )
    }));
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(lines.first().cloned().unwrap_or_default());
    let places = request.mismatches.iter().map(|mismatch| mismatch.location.line);
    let place = places
        .min()
        .map_or_else(String::new, |line| format!("{}:{line}\n", file.name));
    status.set_description(format!("{}\n{place}{}", request.request.title(), lines.join("\n")));
    status
}
