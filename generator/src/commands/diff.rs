//! `mooring diff` and `mooring generate --check`: compare a directory with the objects that would be generated.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use super::{
    exit,
    generation::Generation,
    stdout::{is_broken_pipe, print},
};
use crate::{
    cli::{generate::GenerateArgs, input::Findings},
    diagnostic::{Severity, workflow_command::WorkflowCommand},
    directory::Directory,
    drift::{self, Difference},
};

/// Prints the differences. `command` is the name of the command whose flags these are.
pub fn run(args: &GenerateArgs, command: &str, directory: &Path) -> anyhow::Result<ExitCode> {
    let generation = Generation::read(args, command)?;
    let directory = Directory::read(directory)?;
    let Some(generated) = generation.run(Some(&directory)) else {
        return Ok(ExitCode::from(exit::TROUBLE));
    };
    let differences = drift::diff(&generated.outputs, args.output, &directory, generated.prunes)?;
    generated.print_kept(args, &directory);
    if differences.is_empty() {
        return Ok(generated.exit_code());
    }
    if args.input.findings == Findings::Github {
        annotate(&differences);
    }
    let diff: String = differences.iter().map(ToString::to_string).collect();
    // The exit status reports the difference even if the reader has closed the pipe.
    match print(&diff) {
        Err(error) if !is_broken_pipe(&error) => Err(error),
        _ => Ok(ExitCode::from(exit::DIFFERENT)),
    }
}

/// Prints a workflow command for each file that differs.
fn annotate(differences: &[Difference]) {
    let mut stderr = io::stderr().lock();
    for difference in differences {
        let command = WorkflowCommand {
            severity: Severity::Error,
            file: Some(&difference.path.display().to_string()),
            position: Some((difference.first_line(), 1, 1)),
            title: "Outdated",
            message: &format!(
                "{}\nhelp: run mooring generate --output-dir again",
                difference.summary()
            ),
        };
        // The exit status is right even if stderr is closed.
        let _ = writeln!(stderr, "{command}");
    }
}
