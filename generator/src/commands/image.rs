//! `mooring image`: writes the module, the command or the controller as an OCI image layout, and prints the digest.

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context as _;

use super::stdout::print;
use crate::{
    cli::args::Image,
    image::{Contents, ContentsError, Layout},
};

/// Writes the layout. Nothing but the digest goes to the standard output.
pub fn run(args: &Image) -> anyhow::Result<ExitCode> {
    let layout = if let Some(path) = &args.wasm {
        Layout::of_module(&read(path, Contents::module)?)?
    } else {
        let commands = args.command.iter().map(|path| read(path, Contents::command));
        let controllers = args.controller.iter().map(|path| read(path, Contents::controller));
        Layout::of_program(commands.chain(controllers).collect::<anyhow::Result<_>>()?)?
    };
    layout.write(&args.output_dir)?;
    print(&format!("{}\n", layout.digest()))?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path, contents: fn(Vec<u8>) -> Result<Contents, ContentsError>) -> anyhow::Result<Contents> {
    let bytes = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    contents(bytes).with_context(|| format!("cannot make an image of `{}`", path.display()))
}
