//! The demonstration: a session, end to end, through a stock Envoy.
//!
//! `mooring-demo` prints the story and exits: with 0 if everything was as expected, else with 1.
//! `mooring-demo --serve` serves a page on which a person tries it out.

#![expect(
    clippy::expect_used,
    reason = "the demo uses the test harness, which panics when something is missing"
)]

mod serve;
mod show;
mod story;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use self::serve::Timeouts;

/// A session, end to end, through a stock Envoy
#[derive(Debug, Parser)]
#[command(name = "mooring-demo")]
struct Options {
    /// Serve a page to try it out in a browser, until Ctrl-C
    #[arg(long)]
    serve: bool,

    /// The port of the page on 127.0.0.1; 0 is any free one
    #[arg(long, default_value_t = 8080, requires = "serve")]
    port: u16,

    /// The idle timeout of the page's sessions
    #[arg(long, default_value_t = 20, requires = "serve", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..=3600))]
    idle: u64,

    /// The absolute timeout of the page's sessions
    #[arg(long, default_value_t = 120, requires = "serve", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..=86400))]
    absolute: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // `mooring generate` blocks one thread while the others serve.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    if options.serve {
        runtime.block_on(until_stopped(serve::serve(
            options.port,
            Timeouts {
                idle: options.idle,
                absolute: options.absolute,
            },
        )))
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
