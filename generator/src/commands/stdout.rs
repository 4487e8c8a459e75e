//! The standard output.

use std::io::{self, Write as _};

use anyhow::Context as _;

/// Prints a text.
pub fn print(text: &str) -> anyhow::Result<()> {
    print_all(&[text])
}

/// Prints texts, one after the other.
pub fn print_all(chunks: &[impl AsRef<str>]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = chunks
        .iter()
        .try_for_each(|chunk| stdout.write_all(chunk.as_ref().as_bytes()));
    let written = written.and_then(|()| stdout.flush());
    written.context("cannot write to the standard output")
}

/// Whether an error means that the reader of the standard output has closed it.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.downcast_ref::<io::Error>();
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
