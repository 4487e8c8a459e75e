//! `mooring diff` and `mooring generate --check`: compare a directory with the objects that would be generated.

use std::{path::Path, process::ExitCode};

use super::{
    exit,
    generation::Generation,
    stdout::{is_broken_pipe, print},
};
use crate::{cli::args::GenerateArgs, directory::Directory, drift};

/// Prints the differences. `command` is the name of the command whose flags these are.
pub fn run(args: &GenerateArgs, command: &str, directory: &Path) -> anyhow::Result<ExitCode> {
    let generation = Generation::read(args, command)?;
    let directory = Directory::read(directory)?;
    let Some(generated) = generation.run(Some(&directory)) else {
        return Ok(ExitCode::from(exit::TROUBLE));
    };
    let diff = drift::diff(&generated.outputs, args.output, &directory, generated.prunes)?;
    generated.print_kept(args, &directory);
    if diff.is_empty() {
        return Ok(generated.exit_code());
    }
    // The exit status reports the difference even if the reader has closed the pipe.
    match print(&diff) {
        Err(error) if !is_broken_pipe(&error) => Err(error),
        _ => Ok(ExitCode::from(exit::DIFFERENT)),
    }
}
