//! `mooring validate --target X` finds what `mooring generate --target X` finds. `common::generate` asserts the same of each of its
//! inputs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use mooring_generator::emit::target::Target;

use crate::common::{
    WASM, mooring,
    validation::{findings, findings_of},
};

/// The targets, each with its module.
const TARGETS: [(Target, &str); 2] = [(Target::Istio, WASM), (Target::Envoy, "mooring.wasm")];

/// The directories with input that this repository has, and the files in them that are read alone.
fn inputs() -> Vec<Vec<PathBuf>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = fs::read_dir(here.join("../examples")).unwrap();
    let mut inputs: Vec<Vec<PathBuf>> = examples
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| vec![path])
        .collect();
    let verdicts = here.join("tests/verdicts");
    for folder in ["accept", "differ", "reject"] {
        for version in fs::read_dir(verdicts.join(folder)).unwrap() {
            // One file of each would do, but all together are one run.
            inputs.push(vec![verdicts.join("shop.yaml"), version.unwrap().path()]);
        }
    }
    inputs.push(vec![here.join("tests/data/everything.yaml")]);
    inputs
}

#[test]
fn both_commands_find_the_same() {
    let mut compared = 0;
    for files in inputs() {
        for (target, wasm) in TARGETS {
            let run = mooring()
                .args(["generate", "--wasm", wasm, "--target", target.name(), "-f"])
                .args(&files)
                .assert();
            let validated = findings(&files, &mut std::io::empty(), target);
            assert_eq!(validated, findings_of(&run), "{files:?} for {}", target.name());
            compared += validated.matches("\n\n").count();
        }
    }
    assert!(compared > 50, "only {compared} findings");
}

#[test]
fn the_commands_agree_with_flags_too() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/mesh-myweb");
    let run = |command: &str, more: &[&str]| {
        let run = mooring().args([command, "--findings", "github", "-f"]).arg(&example);
        let run = run.args(["--callers", "myweb", "--istio-version", "1.40", "--allow", "Accepted"]);
        let run = run.args(more).assert();
        String::from_utf8(run.get_output().stderr.clone()).unwrap()
    };
    let generated = run("generate", &["--wasm", WASM]);
    assert_eq!(run("validate", &[]), generated);
    assert!(generated.contains("title=Untested::"), "{generated}");
}
