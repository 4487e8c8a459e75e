//! The commands in the READMEs of `examples/`, section "On this machine", run by a shell in a separate network namespace, and compared with
//! what the README shows. `tests/mesh/internal/readme` does the same with the commands for Istio.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        process::CommandExt as _,
    },
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use mooring_tests::{settings, wait::Stopwatch};
use tempfile::TempDir;

use crate::shop::within_five_sigma;

/// How long a command may take, and how long one that prints something else than shown is run again: its Envoy may still start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command of a README, and what it prints there.
#[derive(Default)]
struct Shown {
    command: String,
    output: Vec<String>,
}

/// The commands in the console blocks of one section.
fn commands(readme: &str) -> Vec<Shown> {
    let (_, section) = readme.split_once("\n## On this machine\n").unwrap();
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```console\n").skip(1);
    let mut found: Vec<Shown> = Vec::new();
    for line in blocks
        .filter_map(|block| block.split("```").next())
        .flat_map(str::lines)
    {
        if let Some(command) = line.strip_prefix("$ ") {
            let command = command.to_owned();
            found.push(Shown {
                command,
                ..Shown::default()
            });
        } else if let Some(more) = line.strip_prefix("> ") {
            let last = found.last_mut().unwrap();
            last.command = format!("{}\n{more}", last.command);
        } else {
            found.last_mut().unwrap().output.push(line.to_owned());
        }
    }
    assert!(!found.is_empty(), "no command");
    found
}

/// The lines of `uniq -c` as counts.
fn counts(lines: &[String]) -> Option<BTreeMap<&str, u32>> {
    let mut counts = BTreeMap::new();
    for line in lines {
        let (count, text) = line.strip_prefix(' ')?.trim_start().split_once(' ')?;
        counts.insert(text, count.parse().ok()?);
    }
    (!counts.is_empty()).then_some(counts)
}

/// Whether a text is as shown, where "…" stands for any text.
fn matches(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| printed.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.is_empty()
}

impl Shown {
    /// Counts are shares of random routing, and may be off by five standard deviations.
    fn agrees(&self, printed: &[String]) -> bool {
        let Some(shown) = counts(&self.output) else {
            return self.output.is_empty() || matches(&self.output.join("\n"), &printed.join("\n"));
        };
        let Some(mut printed) = counts(printed) else {
            return false;
        };
        let total: u32 = shown.values().sum();
        if printed.values().sum::<u32>() != total {
            return false;
        }
        for (text, count) in shown {
            let same: Vec<&str> = printed.keys().copied().filter(|name| matches(text, name)).collect();
            let reached = same.iter().filter_map(|name| printed.remove(name)).sum();
            if !within_five_sigma(reached, total, f64::from(count) / f64::from(total)) {
                return false;
            }
        }
        printed.is_empty()
    }
}

/// A shell at the top of something like the repository. What it has started ends with it.
struct Shell {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    root: TempDir,
}

impl Shell {
    fn start(readme: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        link(&settings::workspace().join("examples"), &root.path().join("examples"));
        link(&settings::mooring(), &root.path().join("target/release/mooring"));
        link(&settings::wasm(), &root.path().join("target/mooring.wasm"));
        let program = readme.split_whitespace().find(|word| word.starts_with(".tools/"));
        envoy(&root.path().join(program.unwrap()));
        let mut command = Command::new("unshare");
        command.args(["--net", "--map-root-user", "sh", "-c"]);
        let mut child = command
            .arg("ip link set lo up && exec bash -o pipefail -s 2>log")
            .current_dir(root.path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take().unwrap();
        Self {
            child,
            input,
            lines,
            root,
        }
    }

    /// The lines that a command prints, if it succeeds.
    fn run(&mut self, command: &str) -> Option<Vec<String>> {
        const DONE: &str = "\u{1e}exit ";
        writeln!(self.input, "{command}\nprintf '\\036exit %s\\n' $?").unwrap();
        let mut printed = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("{command}\nis not done after {PATIENCE:?}: {printed:#?}"));
            let (before, code) = line
                .split_once(DONE)
                .map_or((line.as_str(), None), |(before, code)| (before, Some(code)));
            if !before.is_empty() || code.is_none() {
                printed.push(before.trim_end_matches('\r').to_owned());
            }
            if let Some(code) = code {
                return (code == "0").then_some(printed);
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

fn link(to: &Path, at: &Path) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    symlink(to, at).unwrap();
}

/// Envoy, or what the tests use for it.
fn envoy(at: &Path) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    let command = settings::envoy_command();
    let arguments: Vec<&str> = command.get_args().filter_map(|argument| argument.to_str()).collect();
    let program = command.get_program().to_str().unwrap();
    let script = format!(
        "#!/bin/sh\nexec '{program}' {} --use-dynamic-base-id --log-level error \"$@\"\n",
        arguments.join(" ")
    );
    fs::write(at, script).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs the commands of an example's README.
fn run(example: &str) {
    let path = format!("examples/{example}/README.md");
    let readme = fs::read_to_string(settings::workspace().join(&path)).unwrap();
    let mut shell = Shell::start(&readme);
    for shown in commands(&readme) {
        let waited = Stopwatch::start();
        loop {
            let printed = shell.run(&shown.command);
            if let Some(printed) = printed.as_ref().filter(|printed| shown.agrees(printed)) {
                println!("$ {}\n{}", shown.command, printed.join("\n"));
                break;
            }
            if waited.elapsed() > PATIENCE {
                let log = fs::read_to_string(shell.root.path().join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(10).collect();
                panic!(
                    "{path}\n$ {}\nprinted {printed:#?}\nlast lines of the log first: {last:#?}",
                    shown.command
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn the_commands_of_backend_lb_policy() {
    run("backend-lb-policy");
}

#[test]
fn the_commands_of_bookinfo_gateway_api() {
    run("bookinfo-gateway-api");
}

#[test]
fn the_commands_of_bookinfo_virtualservice() {
    run("bookinfo-virtualservice");
}

#[test]
fn the_commands_of_canary_by_cookie() {
    run("canary-by-cookie");
}

#[test]
fn the_commands_of_mesh_bookinfo() {
    run("mesh-bookinfo");
}

#[test]
fn the_commands_of_mesh_bookinfo_gateway_api() {
    run("mesh-bookinfo-gateway-api");
}

#[test]
fn the_commands_of_sticky_canary() {
    run("sticky-canary");
}

#[test]
fn a_readme_is_compared_with_what_its_commands_print() {
    let [shown] =
        &commands("x\n## On this machine\n```console\n$ a \\\n>   b\n     90 v1\n     10 v2\n```\n## On Istio\n")[..]
    else {
        panic!("one command");
    };
    assert_eq!(shown.command, "a \\\n  b");
    let printed = |text: &str| text.lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    assert!(shown.agrees(&printed("     95 v1\n      5 v2")));
    assert!(shown.agrees(&printed("    100 v1")));
    assert!(!shown.agrees(&printed("     70 v1\n     30 v2")));
    assert!(!shown.agrees(&printed("     90 v1\n     10 v3")));
    assert!(!shown.agrees(&printed("     90 v1")));
    assert!(matches("a…c\n…\nd", "abc\nx\ny\nd"));
    assert!(!matches("a…c", "abb"));
}
