//! The commands, one file each. They read the input, call the library and write to the standard output and standard error.

use std::process::ExitCode;

use crate::cli::args::Command;

pub mod clock;
mod completions;
mod crds;
mod diff;
pub mod exit;
mod explain;
mod function;
mod generate;
mod generation;
mod image;
mod input;
mod keygen;
mod man;
mod migrate;
mod progress_line;
pub mod stdout;
pub mod terminal;
mod test;
mod token;
mod validate;

pub use crds::definitions;
pub use test::schema;

/// Runs a command and returns its exit status. An error ends it with [`failure_status`].
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Generate(args) => generate::run(args),
        Command::Diff(args) => diff::run(&args.generate, "diff", &args.directory),
        Command::Validate(args) => validate::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Test(args) => test::run(args),
        Command::Fn(args) => function::run(args),
        Command::Migrate(args) => migrate::run(args),
        Command::Keygen(args) => keygen::run(args),
        Command::Token(args) => token::run(args),
        Command::Crds => crds::run(),
        Command::Image(args) => image::run(args),
        Command::Completions { shell } => completions::run(*shell),
        Command::Man { output_dir } => man::run(output_dir),
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
