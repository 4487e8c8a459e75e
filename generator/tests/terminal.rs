//! Manners on a terminal, by a pseudo-terminal (`script` of util-linux): colour, the progress of a slow cluster, and short and long help.

use std::{fmt::Write as _, path::Path, process};

use clap::CommandFactory as _;
use mooring_generator::cli::args::Cli;
use snapbox::cmd::cargo_bin;

use crate::{
    common::{SHOP, directory, shop_with, write},
    from_cluster::slow_server,
};

/// What a command prints on a terminal, with its standard output or standard error elsewhere if `arguments` says so, and its exit status.
fn on_terminal(arguments: &str, environment: &[(&str, &str)], directory: &Path) -> (String, i32) {
    let program = cargo_bin("mooring");
    let command = format!("{} {arguments}", program.display());
    let mut script = process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    for name in [
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "CI",
        "KUBECONFIG",
        "KUBERNETES_SERVICE_HOST",
    ] {
        script.env_remove(name);
    }
    script.env("TERM", "xterm").envs(environment.iter().copied());
    let output = script
        .current_dir(directory)
        .stdin(process::Stdio::null())
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

/// The same without a terminal.
fn on_pipe(arguments: &[&str], environment: &[(&str, &str)], directory: &Path) -> String {
    let mut command = process::Command::new(cargo_bin("mooring"));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    let output = command
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(directory)
        .output()
        .unwrap();
    [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .concat()
}

#[test]
fn findings_and_reports_have_colour_on_a_terminal_only() {
    let directory = directory("terminal/colour");
    write(
        &directory,
        "shop.yaml",
        shop_with(
            "name: web
  sessionPersistence",
            "name: wbe
  sessionPersistence",
        ),
    );
    for (arguments, environment, colour) in [
        ("validate -f shop.yaml", &[][..], true),
        ("generate -f shop.yaml --wasm https://x >/dev/null", &[], true),
        ("generate -f nowhere.yaml --wasm https://x", &[], true),
        ("validate -f shop.yaml", &[("NO_COLOR", "1")], false),
        ("validate -f shop.yaml", &[("TERM", "dumb")], false),
        ("validate -f shop.yaml --color never", &[], false),
        ("--color always validate -f shop.yaml", &[("NO_COLOR", "1")], true),
        ("validate -f shop.yaml -o json 2>/dev/null", &[], false),
    ] {
        let (printed, _) = on_terminal(arguments, environment, &directory);
        assert!(!printed.is_empty());
        assert_eq!(
            printed.contains("\u{1b}["),
            colour,
            "{arguments} {environment:?}: {printed:?}"
        );
    }
    let usual = ["validate", "-f", "shop.yaml"];
    for (more, environment, colour) in [
        (&[][..], &[][..], false),
        (&["--color", "always"], &[], true),
        (&[], &[("CLICOLOR_FORCE", "1")], true),
        (&["--color", "never"], &[("CLICOLOR_FORCE", "1")], false),
    ] {
        let printed = on_pipe(&[&usual[..], more].concat(), environment, &directory);
        assert_eq!(
            printed.contains("\u{1b}["),
            colour,
            "{more:?} {environment:?}: {printed:?}"
        );
    }
    // Colours add nothing else.
    let colored = on_pipe(&["validate", "-f", "shop.yaml", "--color", "always"], &[], &directory);
    assert_eq!(
        anstream::adapter::strip_str(&colored).to_string(),
        on_pipe(&usual, &[], &directory)
    );
}

#[test]
fn a_slow_cluster_has_a_line_that_disappears() {
    let (server, directory) = (slow_server("slow"), directory("terminal/progress"));
    let arguments = format!("validate --from-cluster --kubeconfig {}", server.display());
    let (printed, code) = on_terminal(&arguments, &[], &directory);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("\r\u{1b}[Kreading the cluster: "), "{printed:?}");
    assert!(printed.contains(" objects"), "{printed:?}");
    let last = printed.rfind("reading the cluster").unwrap();
    let after = printed.get(last..).unwrap();
    assert!(after.contains("\r\u{1b}[K"), "the line stays: {printed:?}");
    for silent in ["--quiet", "2>/dev/null"] {
        let (printed, _) = on_terminal(&format!("{arguments} {silent}"), &[], &directory);
        assert!(!printed.contains("reading the cluster"), "{silent}: {printed:?}");
    }
}

#[test]
fn a_quick_command_shows_no_progress() {
    let directory = directory("terminal/quick");
    write(&directory, "shop.yaml", SHOP);
    let (printed, code) = on_terminal("validate -f shop.yaml", &[], &directory);
    assert_eq!(code, 0);
    assert!(!printed.contains("reading the cluster"), "{printed:?}");
}

/// The names of all commands, each with those above it.
fn commands(command: &clap::Command, above: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![above.to_vec()];
    for below in command.get_subcommands() {
        all.extend(commands(below, &[above, &[below.get_name().to_owned()]].concat()));
    }
    all
}

#[test]
fn short_help_is_shorter_than_long_help() {
    let directory = directory("terminal/help");
    let mut wrong = String::new();
    for command in commands(&Cli::command(), &[]) {
        let help = |flag: &'static str| {
            let arguments: Vec<&str> = command.iter().map(String::as_str).chain([flag]).collect();
            on_pipe(&arguments, &[], &directory)
        };
        let (short, long) = (help("-h"), help("--help"));
        if short.len() >= long.len() || !short.contains("see more with '--help'") || !short.contains("Usage: ") {
            let _ = writeln!(wrong, "{command:?}: {} and {} characters", short.len(), long.len());
        }
        assert!(!short.contains("Exit status"), "{short}");
    }
    assert!(wrong.is_empty(), "{wrong}");
    // The second sentence of a flag is in the long help only.
    let help = |flag| on_pipe(&["generate", flag], &[], &directory);
    assert!(!help("-h").contains("In directories") && help("--help").contains("In directories"));
}
