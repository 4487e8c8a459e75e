//! The `mooring` command: reports errors and sets the exit status. `commands` has the work.

use std::process::ExitCode;

use clap::FromArgMatches as _;
use mooring_generator::{
    cli::{self, args::Cli},
    commands::{
        self,
        stdout::is_broken_pipe,
        terminal::{print_error, set_color},
    },
};

/// The input becomes very many small values: with this allocator, ten thousand routes take an eighth less time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = match Cli::from_arg_matches(&cli::of_this_program().get_matches()) {
        Ok(cli) => {
            set_color(cli.color);
            cli.command
        }
        Err(error) => error.exit(),
    };
    match commands::run(&command) {
        Ok(code) => code,
        // The reader has what it wants.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format!("{error:#}"));
            ExitCode::from(commands::failure_status(&command))
        }
    }
}
