//! `mooring generate`: writes the objects of a target to the standard output or into a directory.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use super::{diff, generation::Generation, input::refuse, stdout::print_all};
use crate::{cli::args::Generate, directory::Directory, output};

const NAME: &str = "generate";

/// Generates, or compares where `--check` names a directory.
pub fn run(command: &Generate) -> anyhow::Result<ExitCode> {
    let args = &command.generate;
    if let Some(directory) = &command.check {
        return diff::run(args, NAME, directory);
    }
    if args.no_prune && command.output_dir.is_none() {
        refuse(NAME, "--no-prune can only be used with --output-dir or --check");
    }
    let generation = Generation::read(args, NAME)?;
    let directory = command
        .output_dir
        .as_deref()
        .map(Directory::read_if_there)
        .transpose()?;
    let Some(generated) = generation.run(directory.as_ref()) else {
        return Ok(ExitCode::FAILURE);
    };
    match &directory {
        Some(directory) => {
            let written = output::write(&generated.outputs, args.output, directory, generated.prunes)?;
            if !args.input.quiet {
                // The files are written even if stderr is closed.
                let _ = write!(io::stderr(), "{written}");
            }
            generated.print_kept(args, directory);
        }
        None => print_all(&output::chunks(&generated.outputs, args.output)?)?,
    }
    Ok(generated.exit_code())
}
