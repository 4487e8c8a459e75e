//! The arguments of `mooring test`.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks would stay visible"
)]

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `mooring test`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
A test file is an object of the kind PolicyTest of mooring.dev/v1alpha1. It names manifests and has cases: a request, what differs from \
the manifests (weights, backends that are down), when it is sent and in which session, and what is expected: rule, backend, reason, \
session, cookie. The decisions are those of the module, and no Envoy is needed. docs/testing-policies.md describes the format, and \
--schema prints its JSON schema.

Exit status:
  0  all cases passed
  1  a case failed, the coverage is below --fail-under, or something cannot be read (then nothing is written to the standard output)
  2  the flags are invalid

Examples:
  mooring test
  mooring test policies/ --fail-under 80
  mooring test policies/shop/mooring-test.yaml -o junit > report.xml
  mooring test --init policies/shop")]
pub struct Test {
    /// Test files, and directories in which the files called mooring-test.yaml are found, recursively, except below directories whose
    /// name begins with a dot
    #[arg(value_name = "FILE|DIR", default_value = ".")]
    pub paths: Vec<PathBuf>,

    /// Output format. With json and junit, failures are also printed to the standard error
    #[arg(short, long, value_enum, default_value_t = TestFormat::Text)]
    pub output: TestFormat,

    /// List only the cases that failed
    #[arg(long)]
    pub fail_only: bool,

    /// Fail if less than this percentage of the rules, and of the branches of their canaries, is covered
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub fail_under: Option<u8>,

    /// Instead of testing, write a first file DIR/tests/mooring-test.yaml for the manifests in DIR: a case for each rule and for each
    /// branch of its canary, which expects what happens today. An existing file is not overwritten
    #[arg(long, value_name = "DIR", conflicts_with_all = ["paths", "output", "fail_only", "fail_under", "schema"])]
    pub init: Option<PathBuf>,

    /// Instead of testing, print the JSON schema of test files
    #[arg(long, conflicts_with_all = ["paths", "output", "fail_only", "fail_under"])]
    pub schema: bool,
}

/// The format of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TestFormat {
    /// A table, differences and a summary, for people
    Text,
    /// One JSON object, for programs
    Json,
    /// A JUnit report, for CI systems
    Junit,
}
