//! The generated files are current: the output for each example in `examples/generated`, the help of the command in
//! `docs/command-line.md`, the custom resource definitions in `deploy/crds`, and the JSON schema in `deploy/schemas`. `make generated` updates them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use clap::CommandFactory as _;
use mooring_generator::{
    cli::args::Cli,
    commands,
    diagnostic::Report,
    emit::{FailStrategy, envoy, istio},
    generate::{TargetOptions, generate},
    mesh::Mesh,
    output::{self, format::Format},
    source::Sources,
};

/// An example: its directory, files of others that it uses, and the callers whose sidecars keep its sessions.
type Example = (&'static str, &'static [&'static str], Option<&'static str>);

const EXAMPLES: [Example; 16] = [
    ("backend-lb-policy", &[], None),
    ("bookinfo-gateway-api", &[], None),
    ("bookinfo-virtualservice", &[], None),
    ("canary-by-cookie", &[], None),
    (
        "flagger/http-route",
        &[
            "flagger/app.yaml",
            "flagger/written-by-flagger/http-route.yaml",
            "flagger/written-by-flagger/services.yaml",
        ],
        None,
    ),
    (
        "flagger/virtual-service",
        &[
            "flagger/app.yaml",
            "flagger/written-by-flagger/virtual-service.yaml",
            "flagger/written-by-flagger/services.yaml",
        ],
        None,
    ),
    ("grpc-canary", &[], None),
    ("istio-features", &[], None),
    ("locality", &[], None),
    (
        "mesh-bookinfo",
        &[
            "bookinfo-virtualservice/app.yaml",
            "bookinfo-virtualservice/subsets.yaml",
        ],
        Some("bookinfo/app=productpage"),
    ),
    (
        "mesh-bookinfo-gateway-api",
        &["bookinfo-gateway-api/app.yaml"],
        Some("istio-demo/app=productpage"),
    ),
    (
        "mesh-locality",
        &["locality/app.yaml", "locality/failover.yaml", "locality/sessions.yaml"],
        Some("default/app=sleep"),
    ),
    ("mesh-myweb", &[], Some("myweb/app=client")),
    ("quickstart", &[], None),
    ("split", &[], None),
    ("sticky-canary", &[], None),
];

/// Those without endpoints for a local Envoy, or about what only Istio has.
const ONLY_ISTIO: [&str; 7] = [
    "flagger/http-route",
    "flagger/virtual-service",
    "istio-features",
    "locality",
    "mesh-locality",
    "mesh-myweb",
    "quickstart",
];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn targets(of_gateways: bool) -> [(&'static str, TargetOptions); 2] {
    let istio = istio::Options {
        url: "oci://registry.example/mooring:0.1.0".to_owned(),
        sha256: None,
        fail_strategy: FailStrategy::Open,
        version: istio::IstioVersion::default(),
        prunes: false,
        plugin: istio::Plugin::default(),
        metadata: istio::Metadata::default(),
    };
    let envoy = envoy::Options {
        wasm: "target/mooring.wasm".to_owned(),
        fail_strategy: FailStrategy::Reload,
        access_log: false,
        weight_metric: false,
        admin: "127.0.0.1:9901".parse().unwrap(),
        listen: of_gateways
            .then(|| (80, "127.0.0.1:8080".parse().unwrap()))
            .into_iter()
            .collect(),
    };
    [
        ("istio", TargetOptions::Istio(istio)),
        ("envoy", TargetOptions::Envoy(envoy)),
    ]
}

/// Every generated file with its text.
fn generated() -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for (example, more, callers) in EXAMPLES {
        let paths = [example].into_iter().chain(more.iter().copied());
        let paths: Vec<PathBuf> = paths.map(|path| examples().join(path)).collect();
        for (name, target) in targets(callers.is_none()) {
            if name == "envoy" && ONLY_ISTIO.contains(&example) {
                continue;
            }
            let mut report = Report::default();
            let sources = Sources::read(&paths, &[], &mut io::empty(), &mut report);
            let mesh = Mesh {
                callers: callers.iter().map(|pods| pods.parse().unwrap()).collect(),
                ..Mesh::default()
            };
            let outputs = generate(&sources, &target, &mesh, &mut report);
            let findings = report.sorted();
            let findings: Vec<&str> = findings.iter().map(|finding| finding.message()).collect();
            assert!(!report.has_errors(), "{example}: {findings:#?}");
            let text = output::chunks(&outputs, Format::Yaml).unwrap().concat();
            files.insert(examples().join(format!("generated/{example}/{name}.yaml")), text);
        }
    }
    files.insert(examples().join("../docs/command-line.md"), command_line());
    for definition in commands::definitions().unwrap() {
        let path = examples().join(format!("../deploy/crds/{}.yaml", definition.file_stem));
        files.insert(path, output::text(&definition, Format::Yaml).unwrap());
    }
    files.insert(
        examples().join("../deploy/schemas/mooring-test.json"),
        commands::schema().unwrap(),
    );
    files
}

/// The help of every command.
fn command_line() -> String {
    let options = clap_markdown::MarkdownOptions::new()
        .title("Command line".to_owned())
        .show_footer(false)
        .show_table_of_contents(false);
    let text = clap_markdown::help_markdown_custom::<Cli>(&options);
    let text = text.replace(
        "This document contains the help content for the `mooring` command-line program.",
        "The help of every command. This file is generated (`make generated`).",
    );
    // Markdown wants a blank line and four blanks before code.
    let text = text
        .replace("\nExample", "\n\nExample")
        // The usage that a command has of its own begins with the program.
        .replace("`mooring mooring ", "`mooring ");
    let text = text
        .replace("Examples:\n", "Examples:\n\n")
        .replace("Example:\n", "Example:\n\n");
    // A list of exit statuses becomes a list in Markdown.
    let line = |line: &str| match line.strip_prefix("  ").and_then(|rest| rest.split_once("  ")) {
        Some((status, meaning)) if status.len() == 1 && status.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("- `{status}`: {meaning}")
        }
        _ if line.starts_with("Exit status") => format!("{line}\n"),
        // A command, such as that of an example.
        _ if line.starts_with("  ") && line.chars().nth(2).is_some_and(|first| first.is_ascii_lowercase()) => {
            format!("  {line}")
        }
        _ => line.trim_end().to_owned(),
    };
    let lines: Vec<String> = text.lines().map(line).collect();
    let text = lines.join("\n").replace("\n\n\n", "\n\n").replace("\n\n\n", "\n\n");
    let first = text.find("\n## `mooring generate`").unwrap();
    let (before, commands) = text.split_at(first);
    format!("{before}{}{}\n", statuses(), commands.trim_end())
}

/// What the exit statuses of each command mean.
const STATUSES: [(&str, [&str; 4]); 13] = [
    (
        "generate",
        [
            "everything was generated",
            "nothing was written",
            "the flags are invalid",
            "something was left out",
        ],
    ),
    (
        "diff",
        [
            "the directory is current",
            "the directory differs",
            "the comparison failed, or the flags are invalid",
            "the directory is current except for what was left out",
        ],
    ),
    (
        "validate",
        [
            "no errors",
            "an error, or with `--strict` a warning",
            "the flags are invalid",
            "",
        ],
    ),
    (
        "explain",
        [
            "a route takes the request",
            "no route takes it, or something cannot be read",
            "the flags are invalid",
            "",
        ],
    ),
    (
        "test",
        [
            "every case passed",
            "a case failed, or something cannot be read",
            "the flags are invalid",
            "",
        ],
    ),
    (
        "fn",
        [
            "the objects were added",
            "the function failed",
            "the flags are invalid",
            "",
        ],
    ),
    (
        "migrate",
        [
            "everything was translated",
            "nothing was written",
            "the flags are invalid",
            "something was not translated, or not exactly",
        ],
    ),
    (
        "keygen",
        [
            "success",
            "nothing was printed, or `--check` found an invalid key",
            "the flags are invalid",
            "",
        ],
    ),
    (
        "token",
        [
            "the token was shown or sealed",
            "it is not a token, it cannot be opened, or something cannot be read",
            "the flags are invalid",
            "",
        ],
    ),
    (
        "crds",
        [
            "the definition was printed",
            "it could not be written",
            "the flags are invalid",
            "",
        ],
    ),
    (
        "image",
        [
            "the layout was written",
            "nothing was written",
            "the flags are invalid",
            "",
        ],
    ),
    (
        "completions",
        [
            "the script was printed",
            "it could not be written",
            "the flags are invalid",
            "",
        ],
    ),
    (
        "man",
        [
            "the pages were written",
            "they could not be written",
            "the flags are invalid",
            "",
        ],
    ),
];

/// The table of exit statuses, with a row for each command.
fn statuses() -> String {
    let mut text = "\n## Exit statuses\n\n| command | 0 | 1 | 2 | 3 |\n|---|---|---|---|---|\n".to_owned();
    let program = Cli::command();
    for command in program.get_subcommands() {
        let name = command.get_name();
        let row = STATUSES.iter().find(|(of, _)| *of == name);
        let (_, meanings) = row.unwrap_or_else(|| panic!("STATUSES has no row for mooring {name}"));
        let shown = if name == "diff" {
            "`diff`, `generate --check`".to_owned()
        } else {
            format!("`{name}`")
        };
        let _ = writeln!(text, "| {shown} | {} |", meanings.join(" | "));
    }
    text.replace("|  |", "| |")
}

#[test]
fn generated_files_are_current() {
    let update = std::env::var_os("UPDATE_GENERATED").is_some();
    for (path, text) in generated() {
        if update {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let current = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(current, text, "{} is not current; run `make generated`", path.display());
    }
}

#[test]
fn generating_twice_gives_the_same_bytes() {
    assert_eq!(generated(), generated());
}
