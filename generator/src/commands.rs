//! The commands, one file each. They read the input, call the library and write to the standard output and standard error.

use std::process::ExitCode;

use crate::cli::args::Command;

mod crds;
mod diff;
pub mod exit;
mod generate;
mod generation;
mod input;
mod keygen;
pub mod stdout;
mod validate;

pub use crds::definitions;

/// Runs a command and returns its exit status. An error ends it with [`failure_status`].
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Generate(args) => generate::run(args),
        Command::Diff(args) => diff::run(&args.generate, "diff", &args.directory),
        Command::Validate(args) => validate::run(args),
        Command::Keygen(args) => keygen::run(args),
        Command::Crds => crds::run(),
    }
}

/// The exit status of a command that fails.
#[must_use]
pub fn failure_status(command: &Command) -> u8 {
    match command {
        Command::Generate(args) if args.check.is_some() => exit::TROUBLE,
        Command::Diff(_) => exit::TROUBLE,
        _ => exit::FAILURE,
    }
}
