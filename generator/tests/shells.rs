//! `mooring completions` in real shells, and `mooring man`.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{self, Stdio},
};

use crate::common::{directory, mooring};

/// The script for a shell, as a file.
fn script(directory: &Path, shell: &str) -> String {
    let run = mooring().args(["completions", shell]).assert().success().stderr_eq("");
    let path = directory.join(shell);
    fs::write(&path, &run.get_output().stdout).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What a program prints for this input.
fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = process::Command::new(program);
    command.args(arguments).env("TERM", "dumb");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

/// Whether a program is installed. If it is not, the test says that it checks less.
fn installed(program: &str) -> bool {
    let found = process::Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("{program} is not installed: not checked");
    }
    found
}

#[test]
fn bash_completes_commands_and_flags() {
    let script = script(&directory("completions-bash"), "bash");
    // An interactive bash reads the tabs, and a function shows the words that they became.
    let typed = format!(
        "source '{script}'\nmooring() {{ echo \"typed: $*\"; }}\nmooring gen\t\nmooring generate --fail-on\t\nmooring completions z\t\n"
    );
    let printed = run("bash", &["--norc", "--noprofile", "-i"], &typed);
    let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with("typed: ")).collect();
    let expected = [
        "typed: generate",
        "typed: generate --fail-on-empty",
        "typed: completions zsh",
    ];
    assert_eq!(lines, expected, "{printed}");
}

#[test]
fn fish_and_zsh_read_their_scripts() {
    let directory = directory("completions-others");
    let (fish, zsh) = (script(&directory, "fish"), script(&directory, "zsh"));
    assert!(fs::read_to_string(&zsh).unwrap().starts_with("#compdef mooring\n"));
    if installed("fish") {
        let printed = run(
            "fish",
            &["-c", &format!("source '{fish}'; complete -C 'mooring gen'")],
            "",
        );
        assert!(printed.starts_with("generate\t"), "{printed}");
    }
    if installed("zsh") {
        let checked = process::Command::new("zsh").args(["-n", &zsh]).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// The pages of a command and of the commands below it, as its help lists them.
fn pages_of(command: &[&str]) -> Vec<String> {
    let help = mooring().args(command).arg("--help").assert().success();
    let help = String::from_utf8(help.get_output().stdout.clone()).unwrap();
    let mut pages = vec![format!("{}.1", [&["mooring"], command].concat().join("-"))];
    let Some(listed) = help.split("Commands:\n").nth(1) else {
        return pages;
    };
    // Lines of a long description are indented further.
    let names = listed.split("\n\n").next().unwrap().lines();
    let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    for name in names.filter(|name| !name.is_empty() && *name != "help") {
        pages.extend(pages_of(&[command, &[name]].concat()));
    }
    pages
}

#[test]
fn every_command_has_a_man_page() {
    let directory = directory("man").join("man1");
    let run = mooring().arg("man").arg("--output-dir").arg(&directory);
    run.assert().success().stdout_eq("").stderr_eq("");
    let mut expected = pages_of(&[]);
    assert!(expected.contains(&"mooring-generate.1".to_owned()), "{expected:?}");
    assert!(expected.contains(&"mooring-token-inspect.1".to_owned()), "{expected:?}");
    expected.sort();
    let entries = fs::read_dir(&directory).unwrap();
    let mut pages: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    assert_eq!(pages, expected);

    let has = ["groff", "mandoc"].map(installed);
    for page in pages.iter().map(|page| directory.join(page)) {
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{}", page.display());
        if has[0] {
            let mut groff = process::Command::new("groff");
            let output = groff.args(["-man", "-ww", "-z", "-Tutf8"]).arg(&page).output().unwrap();
            let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && warnings.is_empty(), "{warnings}");
        }
        if has[1] {
            let output = process::Command::new("mandoc")
                .args(["-Tlint", "-Werror"])
                .arg(&page)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn man_pages_need_a_directory_that_can_be_written() {
    let directory = directory("man-unwritable");
    fs::write(directory.join("file"), "").unwrap();
    let run = mooring().current_dir(&directory).args(["man", "--output-dir", "file"]);
    run.assert().code(1).stdout_eq("").stderr_eq(snapbox::str![[r#"
error: cannot write to `file`: File exists (os error 17)

"#]]);
}
