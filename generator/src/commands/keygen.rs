//! `mooring keygen`: prints a new key, alone or appended to a ring, as text or in a Kubernetes Secret.

use std::{fs, io, path::Path, process::ExitCode};

use anyhow::Context as _;
use mooring_policy::keys;

use super::stdout::print;
use crate::{
    cli::args::Keygen,
    key_ring,
    output::{self, format::Format},
};

/// Makes a key and prints it.
pub fn run(args: &Keygen) -> anyhow::Result<ExitCode> {
    if key_ring::output_is_lost() {
        anyhow::bail!("the standard output is closed, so the key would be lost");
    }
    let mut ring = match &args.ring {
        None => Vec::new(),
        Some(path) => key_ring::parse(&read(path)?).with_context(|| format!("cannot append to {}", path.display()))?,
    };
    ring.push(key_ring::new_entry(args.id, &ring)?);
    let text = keys::reveal(&ring);
    match &args.secret {
        None => print(&format!("{}\n", text.as_str()))?,
        Some((namespace, name)) => {
            let secret = key_ring::secret(namespace, name, &text);
            print(&output::text(&secret, Format::Yaml)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<String> {
    let text = match path.to_str() {
        Some("-") => io::read_to_string(io::stdin()),
        _ => fs::read_to_string(path),
    };
    text.with_context(|| format!("cannot read {}", path.display()))
}
