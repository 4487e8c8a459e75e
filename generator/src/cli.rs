//! The command line.
//!
//! [`args`] holds the arguments as clap parses them, or the module with the name of the command, [`values`] the parsers of single
//! values, and [`checks`] what the flags of a command mean together.

use std::path::Path;

use clap::{Command, CommandFactory as _};

pub mod args;
pub mod checks;
pub mod explain;
pub mod generate;
pub mod input;
pub mod module;
pub mod plugin;
pub mod test;
pub mod token;
pub mod validate;
pub mod values;

/// The name under which kubectl finds the command as a plugin.
const PLUGIN: &str = "kubectl-mooring";

/// The command line. As a plugin, its usage lines show how kubectl runs it.
#[must_use]
pub fn command(program: &Path) -> Command {
    let command = with_short_help(args::Cli::command());
    if program.file_stem().is_none_or(|name| name != PLUGIN) {
        return command;
    }
    let usage = "kubectl mooring diff <DIR> --wasm <URL|PATH> <--file <FILE|DIR|->...|--from-cluster> [OPTIONS]";
    command
        .bin_name("kubectl mooring")
        .mut_subcommand("diff", |diff| diff.override_usage(usage))
}

/// The command with the first sentence of each argument as its help by `-h`, and all sentences by `--help`.
fn with_short_help(command: Command) -> Command {
    let command = command.mut_args(|argument| {
        let Some(help) = argument.get_help().map(ToString::to_string) else {
            return argument;
        };
        match help.split_once(". ") {
            Some((first, _)) if argument.get_long_help().is_none() => {
                let first = first.to_owned();
                argument.help(first).long_help(help)
            }
            _ => argument,
        }
    });
    command.mut_subcommands(with_short_help)
}

/// The command line for the program that runs.
#[must_use]
pub fn of_this_program() -> Command {
    command(Path::new(&std::env::args_os().next().unwrap_or_default()))
}
