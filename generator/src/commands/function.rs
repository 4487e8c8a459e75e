//! `mooring fn`: a function of the Kubernetes resource model, from the standard input to the standard output.

use std::{fs, io, path::Path, process::ExitCode};

use anyhow::Context as _;

use super::{
    input::{print_findings, print_omissions},
    stdout::print,
};
use crate::{
    cli::{args::Function, input::Findings},
    diagnostic::{Code, Diagnostic, Report},
    generate,
    krm::{
        config::FunctionConfig,
        resource_list::ResourceList,
        results::{result, results},
    },
    mesh::Mesh,
    source::{Home, Sources},
};

/// Runs the function once.
pub fn run(args: &Function) -> anyhow::Result<ExitCode> {
    let mut input = String::new();
    io::Read::read_to_string(&mut io::stdin().lock(), &mut input).context("cannot read the standard input")?;
    let list = ResourceList::parse(&input, args.config.is_some())?;
    let config = match configuration(&list, args.config.as_deref())? {
        Ok(config) => config,
        Err(error) => return fail(&list, &[result(&error, None)]),
    };
    let mut report = Report::default();
    let sources = sources(&list);
    let mesh = Mesh::from(&config.generate.module.mesh);
    let outputs = generate::generate(&sources, &config.target, &mesh, &mut report);
    if config.generate.fail_on_empty && outputs.is_empty() {
        let message = "nothing is generated, and failOnEmpty is true";
        report.reject(Diagnostic::error(Code::NoEffect, message));
    }
    config.name_fields(&mut report);
    report.allow(&config.generate.input.allow);
    let results = results(&report, &list);
    let failed = report.is_fatal() || (config.strict && !report.is_complete());
    print_report(&mut report, &sources);
    if failed {
        return fail(&list, &results);
    }
    let prunes = report.allows_pruning() && config.generate.prunes();
    print(&list.write(&outputs, prunes, &results)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration in the input, or else in the file. An invalid one is reported.
fn configuration(list: &ResourceList, file: Option<&Path>) -> anyhow::Result<Result<FunctionConfig, Box<Diagnostic>>> {
    let (name, text) = match (&list.config, file) {
        (Some(text), _) => ("functionConfig".to_owned(), text.clone()),
        (None, Some(file)) => {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            (file.display().to_string(), text)
        }
        (None, None) => anyhow::bail!("the input has no functionConfig, and --config names no file"),
    };
    let config = FunctionConfig::parse(&text);
    if let Err(error) = &config {
        let mut sources = Sources::default();
        sources.add(&name, text);
        let mut report = Report::default();
        report.add(error.as_ref().clone());
        print_report(&mut report, &sources);
    }
    Ok(config)
}

/// The objects as sources, in the order of the items. What an earlier run has generated is also the output that this run replaces.
fn sources(list: &ResourceList) -> Sources {
    let mut sources = Sources::default();
    for item in &list.items {
        sources.add(&item.header.to_string(), item.text.clone());
    }
    for item in list.items.iter().filter(|item| item.is_generated) {
        sources.add_earlier(&item.header.to_string(), item.text.clone(), Home::Directory);
    }
    sources
}

/// Prints warnings and errors: orchestrators show what a function prints on its standard error, each time it runs.
fn print_report(report: &mut Report, sources: &Sources) {
    report.forget_notes();
    let mut stderr = io::stderr().lock();
    print_findings(Findings::Text, report, sources, &mut stderr);
    print_omissions(report, &mut stderr);
}

/// Prints the list with the results, which some orchestrators read from a function that fails.
fn fail(list: &ResourceList, results: &[serde_json::Value]) -> anyhow::Result<ExitCode> {
    if !list.has_results() {
        return Ok(ExitCode::FAILURE);
    }
    print(&list.write_unchanged(results)?)?;
    Ok(ExitCode::FAILURE)
}
