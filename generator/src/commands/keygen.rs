//! `mooring keygen`: makes keys, and changes and checks key rings, as text or in a Kubernetes Secret.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use mooring_policy::keys::{self, InvalidKeys};

use super::{input::read_text, stdout::print};
use crate::{
    cli::args::Keygen,
    key_ring::{self, Existing, Step},
    output::{self, format::Format},
};

/// Prints a new or changed ring, or what a ring has.
pub fn run(args: &Keygen) -> anyhow::Result<ExitCode> {
    if key_ring::output_is_lost() {
        anyhow::bail!("the standard output is closed, so the key would be lost");
    }
    let text = args.ring.as_deref().map(read_text).transpose()?;
    let cannot_use = || {
        format!(
            "cannot use {}",
            args.ring.as_deref().unwrap_or(Path::new("the ring")).display()
        )
    };
    let existing = text
        .as_deref()
        .and_then(Existing::parse)
        .transpose()
        .with_context(cannot_use)?;
    let old = existing.as_ref().map(Existing::ring).or(text.as_deref());
    if args.check {
        return check(old.unwrap_or_default()).with_context(cannot_use);
    }
    let mut ring = old
        .map(key_ring::parse)
        .transpose()
        .with_context(cannot_use)?
        .unwrap_or_default();
    let unchanged = step(args).map(|step| step.apply(&mut ring)).transpose()?.flatten();
    if let Some(unchanged) = unchanged {
        // The exit status is right even if stderr is closed.
        let _ = writeln!(io::stderr(), "unchanged: {unchanged}");
    }
    let text = keys::reveal(&ring);
    let printed = match (&args.secret, existing) {
        (Some((namespace, name)), _) => output::text(&key_ring::secret(namespace, name, &text), Format::Yaml)?,
        (None, Some(existing)) => existing.with_ring(&text),
        (None, None) => format!("{}\n", text.as_str()),
    };
    print(&printed)?;
    Ok(ExitCode::SUCCESS)
}

/// The change of the ring. None for a copy.
fn step(args: &Keygen) -> Option<Step> {
    match (args.promote, args.remove) {
        (Some(id), _) => Some(Step::Promote(id)),
        (None, Some(id)) => Some(Step::Remove(id)),
        (None, None) => (!args.copy).then_some(Step::Append(args.id)),
    }
}

/// Prints the keys of a ring. An invalid key is exit status 1.
fn check(ring: &str) -> anyhow::Result<ExitCode> {
    let (text, has_invalid) = key_ring::describe(ring);
    if text.is_empty() {
        return Err(InvalidKeys::Empty.into());
    }
    print(&text)?;
    Ok(if has_invalid {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
