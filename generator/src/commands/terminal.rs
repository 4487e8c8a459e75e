//! The terminal: whether there is colour, and the colours of findings and reports.
//!
//! `--color` decides, then the environment as other commands read it: `NO_COLOR` and `TERM=dumb` mean none, `CLICOLOR_FORCE` means
//! always, and otherwise a terminal has colour and a file or pipe has none.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice, stream::RawStream};

use super::stdout::print;
use crate::{cli::args::Color, terminal_report};

/// Sets what `--color` says, for the whole program.
pub fn set_color(color: Color) {
    let choice = match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// Whether the standard error has colour.
#[must_use]
pub fn stderr_has_color() -> bool {
    has_color(&io::stderr())
}

fn has_color(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// Prints a report for people, in colour if the standard output has it.
pub fn print_report(text: &str) -> anyhow::Result<()> {
    if has_color(&io::stdout()) {
        return print(&terminal_report::colored(text));
    }
    print(text)
}

/// Prints the message of an error that ends the command.
pub fn print_error(message: &str) {
    let text = format!("error: {message}\n");
    let text = if stderr_has_color() {
        terminal_report::colored(&text)
    } else {
        text
    };
    // The exit status is right even if stderr is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}
