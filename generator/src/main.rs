//! The `mooring` command: what is done with errors, and nothing else. Exit status 0: done; 1: the input is wrong or
//! something cannot be read or written; 2: the flags are wrong. A closed pipe is no error.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use mooring_generator::{
    cli::{Cli, Command, Format, Generate, Keygen},
    crds,
    diagnostic::Report,
    generate::{self, Target},
    keygen, output,
    source::Sources,
};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Generate(flags) => generate(&flags),
        Command::Keygen(flags) => keygen(&flags),
        Command::Crds => crds(),
    };
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn generate(flags: &Generate) -> anyhow::Result<ExitCode> {
    let target = match Target::try_from(flags) {
        Ok(target) => target,
        Err(invalid) => {
            let mut command = Cli::command();
            command.build();
            let generate = command.find_subcommand("generate").cloned();
            generate
                .unwrap_or(command)
                .error(ErrorKind::ArgumentConflict, invalid)
                .exit()
        }
    };
    let mut report = Report::default();
    let sources = Sources::read(&flags.files, &mut io::stdin().lock(), &mut report);
    let outputs = generate::generate(&sources, &target, &mut report);
    let mut stderr = io::stderr().lock();
    for diagnostic in report.sorted() {
        writeln!(stderr, "{}\n", diagnostic.render(&sources))?;
    }
    if report.has_errors() {
        return Ok(ExitCode::FAILURE);
    }
    match &flags.output_dir {
        Some(directory) => output::write(&outputs, flags.output, directory)?,
        None => print(&output::text(&outputs, flags.output)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn keygen(flags: &Keygen) -> anyhow::Result<ExitCode> {
    let entry = keygen::entry(flags.id).context("the operating system gives no random bytes")?;
    match &flags.secret {
        None => print(&format!("{}\n", entry.reveal().as_str()))?,
        Some((namespace, name)) => {
            let secret = keygen::secret(namespace, name, &entry);
            print(&output::text(&[secret], Format::Yaml)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn crds() -> anyhow::Result<ExitCode> {
    print(&output::text(&crds::all()?, Format::Yaml)?)?;
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.context("cannot write to the standard output")
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.downcast_ref::<io::Error>();
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
