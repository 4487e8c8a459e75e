//! `mooring generate`: writes the objects of a target to the standard output or into a directory.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use super::{
    diff,
    generation::{Generated, Generation},
    input::{cluster, refuse},
    stdout::print_all,
};
use crate::{
    cli::generate::Generate,
    cluster::deletion_list,
    directory::Directory,
    output::{self, OutputError},
};

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
    if let Some(file) = &command.stale {
        write_stale(command, &generated, file)?;
    }
    if command.accept_omissions {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(generated.exit_code())
}

/// Writes the list of objects to delete. What is left out may have objects that are in use, so nothing is deleted then.
fn write_stale(command: &Generate, generated: &Generated, file: &Path) -> anyhow::Result<()> {
    let earlier = if generated.prunes {
        cluster(&command.generate.input).generated()?
    } else {
        Vec::new()
    };
    fs::write(file, deletion_list(&earlier, &generated.outputs)).map_err(|cause| OutputError::File {
        path: file.to_owned(),
        cause,
    })?;
    Ok(())
}
