//! The `mooring` command: what is done with errors, and nothing else. Exit status 0: done; 1: nothing is done, since something
//! cannot be read or written, or since `--strict` minds an error; 2: the flags are wrong; 3: done, and what is wrong in the input
//! is left out. Where two things are compared, 1 says that they differ and 2 that nothing can be compared, as `diff` has it.
//! A closed pipe is no error.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use mooring_generator::{
    cli::{
        Cli, Command, Diff, Format, Generate, GenerateArgs, Input, Keygen, MeshArgs, ReportFormat, TargetName, Validate,
    },
    cluster::Cluster,
    crds,
    diagnostic::{Report, Severity},
    directory::{Directory, Listed},
    drift,
    emit::Output,
    generate::{self, Target},
    keygen,
    mesh::Mesh,
    output,
    source::{Home, Sources},
    validate,
};
use mooring_policy::keys;

/// The input becomes a great many small values: with this, ten thousand routes take an eighth less time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Two things differ.
const DIFFERENT: u8 = 1;

/// Two things cannot be compared, because something is wrong.
const TROUBLE: u8 = 2;

/// Everything is done but for what is wrong in the input.
const LEFT_OUT: u8 = 3;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let (result, failure) = match &command {
        Command::Generate(flags) => match &flags.check {
            Some(directory) => (check(&flags.args, "generate", directory), TROUBLE),
            None => (generate(flags), 1),
        },
        Command::Diff(Diff { directory, args }) => (check(args, "diff", directory), TROUBLE),
        Command::Validate(flags) => (validate(flags), 1),
        Command::Keygen(flags) => (keygen(flags), 1),
        Command::Crds => (crds(), 1),
    };
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(failure)
        }
    }
}

fn generate(flags: &Generate) -> anyhow::Result<ExitCode> {
    let args = &flags.args;
    if args.no_prune && flags.output_dir.is_none() {
        refuse("generate", "--no-prune can only be used with --output-dir or --check");
    }
    let run = Run::read(args, "generate")?;
    let directory = flags.output_dir.as_deref().map(Directory::read_if_there).transpose()?;
    let Some(made) = run.make(directory.as_ref()) else {
        return Ok(ExitCode::FAILURE);
    };
    match &directory {
        Some(directory) => {
            let written = output::write(&made.outputs, args.output, directory, made.prunes)?;
            if !args.input.quiet {
                // The files are written even if stderr is closed.
                let _ = write!(io::stderr(), "{written}");
            }
            made.tell_of_kept(args, directory);
        }
        None => print_all(&output::chunks(&made.outputs, args.output)?)?,
    }
    Ok(made.status())
}

fn check(args: &GenerateArgs, command: &str, directory: &Path) -> anyhow::Result<ExitCode> {
    let run = Run::read(args, command)?;
    let directory = Directory::read(directory)?;
    let Some(made) = run.make(Some(&directory)) else {
        return Ok(ExitCode::from(TROUBLE));
    };
    let diff = drift::diff(&made.outputs, args.output, &directory, made.prunes)?;
    made.tell_of_kept(args, &directory);
    if diff.is_empty() {
        return Ok(made.status());
    }
    // A reader that stops early still learns that there are differences.
    match print(&diff) {
        Err(error) if !is_broken_pipe(&error) => Err(error),
        _ => Ok(ExitCode::from(DIFFERENT)),
    }
}

/// What is generated.
struct Made {
    outputs: Vec<Output>,
    complete: bool,
    /// Whether generated files that are stale are removed.
    prunes: bool,
}

impl Made {
    /// Says which files would be removed if nothing were left out.
    fn tell_of_kept(&self, args: &GenerateArgs, directory: &Directory) {
        if self.prunes || !args.prunes() {
            return;
        }
        let stale = directory.stale(&self.outputs, args.output);
        let stale: Vec<&Path> = stale.into_iter().map(|(path, _)| path).collect();
        if !stale.is_empty() {
            let kept = Listed("kept", &stale);
            let why = "files that are no longer generated are kept as long as something is left out or skipped";
            let _ = writeln!(io::stderr(), "{kept}{why}");
        }
    }

    fn status(&self) -> ExitCode {
        if self.complete {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(LEFT_OUT)
        }
    }
}

/// A run of `generate` or `diff` that has read its input.
struct Run<'a> {
    args: &'a GenerateArgs,
    target: Target,
    sources: Sources,
    mesh: Mesh,
    report: Report,
}

impl<'a> Run<'a> {
    fn read(args: &'a GenerateArgs, command: &str) -> anyhow::Result<Self> {
        let target = Target::try_from(args).unwrap_or_else(|invalid| refuse(command, invalid));
        let mut report = Report::default();
        let (sources, mesh) = read(&args.input, &args.mesh_args, &mut report)?;
        Ok(Self {
            args,
            target,
            sources,
            mesh,
            report,
        })
    }

    /// What is generated. None: nothing can be, and the user has been told.
    fn make(self, directory: Option<&Directory>) -> Option<Made> {
        let Self {
            args,
            target,
            mut sources,
            mesh,
            mut report,
        } = self;
        for (path, text) in directory.into_iter().flat_map(Directory::generated) {
            sources.add_earlier(&path.display().to_string(), text.to_owned(), Home::Directory);
        }
        let outputs = generate::generate(&sources, &target, &mesh, &mut report);
        if args.strict {
            report.forbid_skipping(Severity::Warning);
        }
        if args.input.quiet {
            report.forget_notes();
        }
        let mut stderr = io::stderr().lock();
        for diagnostic in report.sorted() {
            // The exit status tells it even if stderr is closed.
            let _ = writeln!(stderr, "{}\n", diagnostic.render(&sources));
        }
        let complete = report.is_complete();
        let refused = report.is_fatal() || (args.strict && !complete);
        if !refused && !report.omissions().is_empty() {
            let _ = writeln!(stderr, "left out because of errors: {}", report.omissions());
        }
        print_input_summary(&args.input, &report, &mut stderr);
        let empty = args.fail_on_empty && outputs.is_empty();
        if empty {
            let _ = writeln!(stderr, "error: nothing is generated, and --fail-on-empty is given");
        }
        let made = Made {
            outputs,
            complete,
            prunes: report.allows_pruning() && args.prunes(),
        };
        (!refused && !empty).then_some(made)
    }
}

/// Says what was read and what was skipped, so that input which is missing is noticed.
fn print_input_summary(input: &Input, report: &Report, stderr: &mut impl io::Write) {
    let nothing = report.input_summary().is_empty() && report.has_errors();
    if !input.quiet && !nothing {
        let _ = writeln!(stderr, "{}", report.input_summary());
    }
}

fn validate(flags: &Validate) -> anyhow::Result<ExitCode> {
    if flags.target == TargetName::Envoy {
        generate::check_local(&flags.mesh_args).unwrap_or_else(|invalid| refuse("validate", invalid));
    }
    let mut report = Report::default();
    let (sources, mesh) = read(&flags.input, &flags.mesh_args, &mut report)?;
    let validation = validate::validate(&sources, flags.target, &mesh, &mut report);
    if flags.input.quiet {
        report.forget_notes();
    }
    print(&match flags.output {
        ReportFormat::Text => validate::text(&validation, &report, &sources),
        ReportFormat::Json => validate::json(&validation, &report, &sources),
    })?;
    print_input_summary(&flags.input, &report, &mut io::stderr().lock());
    let failed = report.has_errors() || (flags.strict && report.count(Severity::Warning) > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn read(input: &Input, mesh_args: &MeshArgs, report: &mut Report) -> anyhow::Result<(Sources, Mesh)> {
    let mut mesh = Mesh::from(mesh_args);
    if !input.from_cluster {
        let sources = Sources::read(&input.files, &input.ignore, &mut io::stdin().lock(), report);
        return Ok((sources, mesh));
    }
    let mut sources = Sources::default();
    mesh.dns_domain = Some(Cluster::from(input).read(&mut sources)?);
    Ok((sources, mesh))
}

fn keygen(flags: &Keygen) -> anyhow::Result<ExitCode> {
    if keygen::output_is_lost() {
        anyhow::bail!("the standard output is closed, so the key would be lost");
    }
    let mut ring = match &flags.ring {
        None => Vec::new(),
        Some(path) => {
            keygen::read(&read_ring(path)?).with_context(|| format!("cannot append to {}", path.display()))?
        }
    };
    ring.push(keygen::entry(flags.id, &ring)?);
    let text = keys::reveal(&ring);
    match &flags.secret {
        None => print(&format!("{}\n", text.as_str()))?,
        Some((namespace, name)) => {
            let secret = keygen::secret(namespace, name, &text);
            print(&output::text(&secret, Format::Yaml)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read_ring(path: &Path) -> anyhow::Result<String> {
    let text = match path.to_str() {
        Some("-") => io::read_to_string(io::stdin()),
        _ => fs::read_to_string(path),
    };
    text.with_context(|| format!("cannot read {}", path.display()))
}

fn crds() -> anyhow::Result<ExitCode> {
    print_all(&output::chunks(&crds::all()?, Format::Yaml)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Ends with what is wrong with the flags, as clap says it of those that it checks itself.
fn refuse(command: &str, invalid: impl std::fmt::Display) -> ! {
    let mut cli = Cli::command();
    cli.build();
    let command = cli.find_subcommand(command).cloned();
    command
        .unwrap_or(cli)
        .error(ErrorKind::ArgumentConflict, invalid)
        .exit()
}

fn print(text: &str) -> anyhow::Result<()> {
    print_all(&[text])
}

fn print_all(chunks: &[impl AsRef<str>]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = chunks
        .iter()
        .try_for_each(|chunk| stdout.write_all(chunk.as_ref().as_bytes()));
    let written = written.and_then(|()| stdout.flush());
    written.context("cannot write to the standard output")
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.downcast_ref::<io::Error>();
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
