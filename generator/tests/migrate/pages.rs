//! The examples of the pages in `docs/migrate/`: what they show is what the command prints.

use std::path::Path;

use super::Run;
use crate::common::{directory, mooring, write};

/// A page and its code blocks of a language, after a heading.
fn blocks(page: &str, heading: &str, language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/migrate").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once(heading).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let fence = format!("\n```{language}\n");
    let blocks = section.split(&fence).skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

/// The output without comments, and what was said.
fn output(flags: &[&str], input: &str, name: &str) -> (String, String) {
    let directory = directory(name);
    write(&directory, "before.yaml", input);
    let run = mooring()
        .args(["migrate", "-f", "before.yaml"])
        .args(flags)
        .current_dir(&directory)
        .assert();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let stdout = text(&run.get_output().stdout);
    let lines = stdout.lines().filter(|line| !line.starts_with('#'));
    let stdout: Vec<&str> = lines.collect();
    (stdout.join("\n") + "\n", text(&run.get_output().stderr))
}

#[test]
fn the_example_of_ingress_nginx() {
    let heading = "## An example\n";
    let yaml = blocks("ingress-nginx.md", heading, "yaml");
    let shown = &blocks("ingress-nginx.md", heading, "text")[0];
    let (stdout, stderr) = output(
        &["--gateway", "istio-ingress/front"],
        &yaml[0],
        "migrate-page-ingress-nginx",
    );
    assert_eq!(stdout, yaml[1]);
    assert!(stderr.contains(shown.as_str()), "{shown}\n{stderr}");
}

#[test]
fn the_example_of_consistent_hash() {
    let yaml = blocks("consistent-hash.md", "# Coming from consistentHash\n", "yaml");
    let (stdout, _) = output(&[], &yaml[0], "migrate-page-consistent-hash");
    assert_eq!(stdout, yaml[1]);
    assert_eq!(Run::with(&[], &yaml[0]).said, "");
}
