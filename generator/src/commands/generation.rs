//! The part that `generate` and `diff` share: read the input, generate, and report.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use super::{
    exit,
    input::{print_findings, print_input_summary, print_omissions, read, refuse},
};
use crate::{
    cli::generate::GenerateArgs,
    diagnostic::{Report, Severity},
    directory::{Directory, Listed},
    emit::Output,
    generate::{self, TargetOptions},
    mesh::Mesh,
    source::{Home, Sources},
};

/// A run that has read its input.
pub struct Generation<'a> {
    args: &'a GenerateArgs,
    target: TargetOptions,
    sources: Sources,
    mesh: Mesh,
    report: Report,
}

/// The result of a run.
pub struct Generated {
    /// The objects.
    pub outputs: Vec<Output>,
    /// Whether stale generated files are removed.
    pub prunes: bool,
    is_complete: bool,
}

impl<'a> Generation<'a> {
    /// Checks the flags of `command` and reads its input.
    pub fn read(args: &'a GenerateArgs, command: &str) -> anyhow::Result<Self> {
        let target = TargetOptions::try_from(args).unwrap_or_else(|invalid| refuse(command, invalid));
        let mut report = Report::default();
        let (sources, mesh) = read(&args.input, &args.module.mesh, &mut report)?;
        Ok(Self {
            args,
            target,
            sources,
            mesh,
            report,
        })
    }

    /// Generates and prints the findings. None: an error forbids any output.
    pub fn run(self, directory: Option<&Directory>) -> Option<Generated> {
        let Self {
            args,
            target,
            mut sources,
            mesh,
            mut report,
        } = self;
        for (path, text) in directory.into_iter().flat_map(Directory::generated) {
            sources.add_earlier(&path.display().to_string(), text.to_owned(), Home::Directory);
        }
        let outputs = generate::generate(&sources, &target, &mesh, &mut report);
        if args.strict {
            report.forbid_skipping(Severity::Warning);
        }
        report.allow(&args.input.allow);
        if args.input.quiet {
            report.forget_notes();
        }
        let mut stderr = io::stderr().lock();
        print_findings(args.input.findings, &report, &sources, &mut stderr);
        let is_complete = report.is_complete();
        let refused = report.is_fatal() || (args.strict && !is_complete);
        if !refused {
            print_omissions(&report, &mut stderr);
        }
        print_input_summary(&args.input, &report, &mut stderr);
        let empty = args.fail_on_empty && outputs.is_empty();
        if empty {
            let _ = writeln!(stderr, "error: nothing is generated, and --fail-on-empty is given");
        }
        let generated = Generated {
            outputs,
            prunes: report.allows_pruning() && args.prunes(),
            is_complete,
        };
        (!refused && !empty).then_some(generated)
    }
}

impl Generated {
    /// Lists the stale files that are kept because something was left out.
    pub fn print_kept(&self, args: &GenerateArgs, directory: &Directory) {
        if self.prunes || !args.prunes() {
            return;
        }
        let stale = directory.stale(&self.outputs, args.output);
        let stale: Vec<&Path> = stale.into_iter().map(|(path, _)| path).collect();
        if !stale.is_empty() {
            let kept = Listed("kept", &stale);
            let why = "files that are no longer generated are kept as long as something is left out or skipped";
            let _ = writeln!(io::stderr(), "{kept}{why}");
        }
    }

    /// The exit status of a run that has written its output.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        if self.is_complete {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(exit::INCOMPLETE)
        }
    }
}
