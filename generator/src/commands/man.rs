//! `mooring man`: a man page for each command, from the same definitions as `--help`.

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::cli::args::Cli;

/// Writes the pages.
pub fn run(directory: &Path) -> anyhow::Result<ExitCode> {
    let written = fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
    written.with_context(|| format!("cannot write to `{}`", directory.display()))?;
    Ok(ExitCode::SUCCESS)
}
