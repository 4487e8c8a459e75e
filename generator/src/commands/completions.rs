//! `mooring completions`: the script that completes commands and flags in a shell.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::aot;

use super::stdout::print;
use crate::cli::args::{Cli, Shell};

/// Prints the script.
pub fn run(shell: Shell) -> anyhow::Result<ExitCode> {
    let shell = match shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
    };
    let mut script = Vec::new();
    aot::generate(shell, &mut Cli::command(), "mooring", &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}
