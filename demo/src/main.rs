//! The demonstration: a session, end to end, through a stock Envoy.
//!
//! `mooring-demo` prints the story and exits: with 0 if everything was as expected, else with 1.
//! `mooring-demo --serve` leaves a gateway running for a browser.

#![expect(
    clippy::expect_used,
    reason = "the demo uses the test harness, which panics when something is missing"
)]

mod page;
mod serve;
mod show;
mod story;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// A session, end to end, through a stock Envoy
#[derive(Debug, Parser)]
#[command(name = "mooring-demo")]
struct Options {
    /// Leave a gateway running for a browser
    #[arg(long)]
    serve: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    if options.serve {
        runtime.block_on(until_stopped(serve::serve()))
    } else {
        runtime.block_on(until_stopped(story::tell()))
    }
}

/// Runs to the end, or to Ctrl-C or SIGTERM, and leaves nothing running either way.
async fn until_stopped(run: impl Future<Output = ExitCode>) -> ExitCode {
    let mut interrupt = signal(SignalKind::interrupt()).expect("a signal handler");
    let mut terminate = signal(SignalKind::terminate()).expect("a signal handler");
    tokio::select! {
        code = run => code,
        _ = interrupt.recv() => stopped(),
        _ = terminate.recv() => stopped(),
    }
}

fn stopped() -> ExitCode {
    println!("\nStopped.");
    // As a shell has it for a program that ended on SIGINT.
    ExitCode::from(130)
}
