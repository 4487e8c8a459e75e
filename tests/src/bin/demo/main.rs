//! The demonstration: a session, end to end, through a stock Envoy.
//!
//! `mooring-demo` tells the story and ends by itself: exit code 0 when everything was as told, 1 when not.
//! `mooring-demo --serve` leaves a gateway running for a browser.

#![expect(
    clippy::expect_used,
    reason = "the demonstration stands on the test harness, which panics when something is missing"
)]

mod page;
mod serve;
mod show;
mod story;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: mooring-demo [--serve]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    match arguments.as_slice() {
        [] => runtime.block_on(until_stopped(story::tell())),
        ["--serve"] => runtime.block_on(until_stopped(serve::serve())),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
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
