//! The `mooring` command: reports errors and sets the exit status. `commands` has the work.

use std::process::ExitCode;

use clap::Parser as _;
use mooring_generator::{
    cli::args::Cli,
    commands::{self, stdout::is_broken_pipe},
};

/// The input becomes very many small values: with this allocator, ten thousand routes take an eighth less time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    match commands::run(&command) {
        Ok(code) => code,
        // The reader has what it wants.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(commands::failure_status(&command))
        }
    }
}
