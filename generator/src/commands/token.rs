//! `mooring token`: shows what is in a session token, and seals one for tests.

use std::{io, path::Path, process::ExitCode};

use anyhow::Context as _;
use mooring_policy::{
    config::SessionConfig,
    timeouts::Timeouts,
    token::{Binding, NONCE_LENGTH, Token},
};
use serde_json::json;

use super::{
    clock,
    input::{is_stdin, read_text, refuse},
    stdout::print,
    terminal::print_report,
};
use crate::{
    cli::token::{self as args, Inspect, Seal, TokenCommand, TokenFormat},
    token::{self, Bound, Found, Keys},
};

/// Runs a command.
pub fn run(args: &args::Token) -> anyhow::Result<ExitCode> {
    match &args.command {
        TokenCommand::Inspect(args) => inspect(args),
        TokenCommand::Seal(args) => seal(args),
    }
}

fn inspect(args: &Inspect) -> anyhow::Result<ExitCode> {
    let text = args.token.as_deref().filter(|text| *text != "-");
    if text.is_none() && args.keys.as_deref().is_some_and(is_stdin) {
        refuse(
            "token inspect",
            "the token and --keys cannot both come from the standard input",
        );
    }
    let timeouts = timeouts(args);
    let text = match text {
        Some(text) => text.to_owned(),
        None => io::read_to_string(io::stdin()).context("cannot read the standard input")?,
    };
    let found = token::find(&text, args.session.as_deref())?;
    let printed = match &args.keys {
        None => outline(&found, args.output),
        Some(path) => opened(&found, path, args, &timeouts)?,
    };
    match args.output {
        TokenFormat::Text => print_report(&printed)?,
        TokenFormat::Json => print(&printed)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What a token shows without a key.
fn outline(found: &Found, format: TokenFormat) -> String {
    let outline = found.outline;
    let id = format!("{:02x}", outline.key_id);
    match format {
        TokenFormat::Json => {
            let value = json!({
                "version": outline.version,
                "keyId": id,
                "length": outline.length,
                "session": found.name,
            });
            format!("{value:#}\n")
        }
        TokenFormat::Text => {
            let mut rows = vec![(
                "token",
                format!(
                    "format version {}, key {id}, {} characters",
                    outline.version, outline.length
                ),
            )];
            rows.extend(found.name.clone().map(|name| ("session", name)));
            rows.push(("content", "sealed: give --keys and --rule to open it".to_owned()));
            table(&rows)
        }
    }
}

/// What is in a token.
fn opened(found: &Found, path: &Path, args: &Inspect, timeouts: &Timeouts) -> anyhow::Result<String> {
    let session = args.session.as_ref().or(found.name.as_ref());
    let session = session.context(
        "the session name is missing, and a token opens only for its own: give --session, or the token as NAME=VALUE",
    )?;
    if args.rules.is_empty() {
        anyhow::bail!("the rule is missing, and a token opens only for its own: give --rule, which may be repeated");
    }
    let rules = args.rules.iter().map(|rule| Bound {
        rule: rule.clone(),
        session: session.clone(),
    });
    let keys = read_keys(path)?;
    let opened = token::open(&found.value, &keys, &rules.collect::<Vec<_>>())?;
    let now = clock::now()?;
    let now = args.at.map_or(now, |at| at.seconds(now));
    let description = token::describe(&opened, timeouts, now);
    Ok(match args.output {
        TokenFormat::Text => table(&description.rows()),
        TokenFormat::Json => format!("{}\n", serde_json::to_string_pretty(&description)?),
    })
}

/// The timeouts of the flags, checked as those of a policy.
fn timeouts(args: &Inspect) -> Timeouts {
    let config = SessionConfig {
        absolute_timeout: args.absolute_timeout,
        idle_timeout: args.idle_timeout,
        ..SessionConfig::default()
    };
    Timeouts::new(&config).unwrap_or_else(|invalid| refuse("token inspect", invalid))
}

fn seal(args: &Seal) -> anyhow::Result<ExitCode> {
    for (flag, value) in [
        ("--rule", &args.rule),
        ("--session", &args.session),
        ("--backend", &args.backend),
        (
            "--backend-version",
            args.backend_version.as_ref().unwrap_or(&args.backend),
        ),
    ] {
        if value.is_empty() || value.contains(char::is_control) {
            refuse("token seal", format!("{flag} is empty or has control characters"));
        }
    }
    let keys = read_keys(&args.keys)?;
    let now = clock::now()?;
    let issued = args.issued.map_or(now, |time| time.seconds(now));
    let token = Token {
        issued,
        seen: args.last_seen.map_or(issued, |time| time.seconds(now)),
        secure: args.secure,
        backend: args.backend.as_bytes().into(),
        version: args.backend_version.as_deref().unwrap_or_default().as_bytes().into(),
        share: args.backend_share,
        host: args.host.as_deref().unwrap_or_default().as_bytes().into(),
    };
    let mut nonce = [0; NONCE_LENGTH];
    getrandom::fill(&mut nonce).context("the operating system provides no random bytes")?;
    let sealed = token
        .seal(keys.ring(), &Binding::new(&args.rule, &args.session), nonce)
        .context("--backend, --backend-version or --host is too long")?;
    print(&format!("{sealed}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn read_keys(path: &Path) -> anyhow::Result<Keys> {
    let text = read_text(path)?;
    Keys::parse(&text).with_context(|| format!("cannot use {}", path.display()))
}

/// Names and values in two columns.
fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {value}\n");
    rows.iter().map(line).collect()
}
