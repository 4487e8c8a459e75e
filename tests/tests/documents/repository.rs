//! The files of the repository.

use std::{fs, process::Command};

use mooring_tests::settings::workspace;

/// The text of a file, by its path from the root.
pub fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether a path from the root is a file or directory.
pub fn exists(path: &str) -> bool {
    workspace().join(path).exists()
}

/// The files that are committed or could be: everything but what `.gitignore` excludes.
pub fn files() -> Vec<String> {
    let output = Command::new("git")
        .current_dir(workspace())
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).unwrap();
    listed
        .lines()
        .filter(|path| exists(path))
        .map(ToOwned::to_owned)
        .collect()
}

/// Those with this extension below one of these directories, with their text.
pub fn sources(directories: &[&str], extension: &str) -> Vec<(String, String)> {
    let wanted = |path: &str| {
        path.ends_with(extension)
            && directories
                .iter()
                .any(|directory| path.starts_with(&format!("{directory}/")))
    };
    let files = files().into_iter().filter(|path| wanted(path));
    files.map(|path| (path.clone(), read(&path))).collect()
}

/// The value of `const NAME: TYPE = VALUE;` in the sources below a directory: a number, or one shifted left by another.
pub fn constant(directory: &str, name: &str) -> u64 {
    let declaration = format!("const {name}: ");
    let found: Vec<u64> = sources(&[directory], ".rs")
        .iter()
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.split_once(&declaration))
        .filter_map(|(_, rest)| rest.split_once(" = ")?.1.strip_suffix(';'))
        .map(|value| evaluate(value).unwrap_or_else(|| panic!("{name} = {value}: a new kind of value for this test")))
        .collect();
    match found.as_slice() {
        [value] => *value,
        _ => panic!(
            "{} constants {name} below {directory}, expected one: correct this test",
            found.len()
        ),
    }
}

fn evaluate(value: &str) -> Option<u64> {
    let number = |text: &str| text.replace('_', "").parse::<u64>().ok();
    if let Some((value, shift)) = value.split_once(" << ") {
        return Some(number(value)? << number(shift)?);
    }
    // KiB is the only name that our constants multiply with.
    match value.split_once(" * KIB") {
        Some((value, "")) => Some(number(value)? * 1_024),
        _ => number(value),
    }
}

/// The value of the first line of a text that begins with this and ends with that.
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(before)?.strip_suffix(after));
    line.unwrap_or_else(|| panic!("no line `{before}…{after}`"))
}
