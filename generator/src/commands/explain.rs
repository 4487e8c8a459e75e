//! `mooring explain`: which route takes a request, what the module decides about it, and why.

use std::{io, path::Path, process::ExitCode};

use anyhow::Context as _;

use super::{
    clock,
    input::{print_findings, print_input_summary, read_applied, read_text, refuse},
    stdout::print,
    terminal::print_report,
};
use crate::{
    cli::{
        checks,
        explain::{Explain, ExplanationFormat},
    },
    diagnostic::Report,
    document::{self, Applied, ENVOY_FILTER, RawObjects, WASM_PLUGIN},
    explain::{self, Explainer, Input, Unexplained},
    key_ring::Existing,
    resources::Resources,
    simulate::Request,
    token::Keys,
    translate,
};

/// Explains a request.
pub fn run(args: &Explain) -> anyhow::Result<ExitCode> {
    // As callers, the pods of --as-sidecar have the same routes.
    if args.mesh.as_sidecar.is_none() {
        checks::check_callers(&args.mesh).unwrap_or_else(|invalid| refuse("explain", invalid));
    }
    let request = request(args);
    let keys = args.keys.as_deref().map(read_keys).transpose()?;
    let clock = clock::now()?;
    let now = args.at.map_or(clock, |at| at.seconds(clock));
    let mut report = Report::default();
    let (sources, mesh) = read_applied(&args.input, &args.mesh, &mut report)?;
    let resources = Resources::new(document::read(&sources, &mut report), &sources, mesh);
    let ir = translate::translate(&resources, &mut report);
    let raw = RawObjects::new(&sources);
    // What is wrong with routes and policies is for `mooring validate` to say, unless it leaves something out.
    report.keep_errors();
    let applied = Applied::read(&sources);
    let summary = report.input_summary_mut();
    summary.unskip(WASM_PLUGIN, applied.plugins.len());
    summary.unskip(ENVOY_FILTER, applied.filters.len());
    let mut stderr = io::stderr().lock();
    print_findings(args.input.findings, &report, &sources, &mut stderr);
    print_input_summary(&args.input, &report, &mut stderr);
    drop(stderr);
    if report.is_fatal() {
        return Ok(ExitCode::FAILURE);
    }
    let input = Input {
        sources: &sources,
        resources: &resources,
        ir: &ir,
        raw: &raw,
    };
    let explained = Explainer::new(input, applied, args.config, keys.as_deref())
        .and_then(|mut explainer| explainer.explain(&request, now));
    let explanation = explained.map_err(|reason: Unexplained| anyhow::anyhow!("{reason}"))?;
    match args.output {
        ExplanationFormat::Text => print_report(&explain::text(&explanation)),
        ExplanationFormat::Json => print(&explanation.json()),
    }?;
    Ok(if explanation.is_routed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The request. A wrong URL is a usage error.
fn request(args: &Explain) -> Request {
    let mut request = Request::new(&args.method, &args.url).unwrap_or_else(|invalid| refuse("explain", invalid));
    request.listener_port = args.port;
    let headers = args.headers.iter();
    let request = headers.fold(request, |request, (name, value)| request.with_header(name, value));
    if args.cookies.is_empty() {
        return request;
    }
    request.with_header("cookie", &args.cookies.join("; "))
}

/// The key ring in a file: the ring alone, or its Secret.
fn read_keys(path: &Path) -> anyhow::Result<String> {
    let text = read_text(path)?;
    // As in a gateway, valid keys count beside invalid ones.
    Keys::parse(&text).with_context(|| format!("cannot use {}", path.display()))?;
    let existing = Existing::parse(&text).transpose()?;
    let ring = existing.as_ref().map_or(text.as_str(), Existing::ring);
    Ok(ring.to_owned())
}
