//! `deploy/pack`, the last step of `make dist`, on programs and a module that are played. A release runs it on real ones.

use std::{fs, path::Path, process};

use snapbox::cmd::cargo_bin;

use crate::common::{directory, write};

const TARGETS: [(&str, u8); 2] = [("x86_64-unknown-linux-musl", 62), ("aarch64-unknown-linux-musl", 183)];

/// Runs a program in a directory, and returns what it prints.
fn run(program: &str, arguments: &[&str], directory: &Path) -> String {
    let mut command = process::Command::new(program);
    command.args(arguments).current_dir(directory).env("TZ", "UTC");
    command.env("MOORING", cargo_bin("mooring"));
    command.envs([("BUILT", directory), ("SBOM", &directory.join("sbom"))]);
    command.env("MODULE", directory.join("mooring.wasm"));
    command.env("SOURCE_DATE_EPOCH", "1000000000");
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn pack(root: &Path, output: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/pack");
    let output = root.join(output);
    let targets = TARGETS.map(|(target, _)| target);
    run(
        script,
        &["1.2.3", output.to_str().unwrap(), targets[0], targets[1]],
        root,
    );
}

#[test]
fn a_release_is_packed_the_same_twice() {
    let root = directory("release");
    for (target, machine) in TARGETS {
        let mut program = vec![0; 120];
        program[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        program[18] = machine;
        write(&root, &format!("{target}/release/mooring-controller"), program.clone());
        write(&root, &format!("{target}/release/mooring"), program);
    }
    write(&root, "mooring.wasm", b"\0asm\x01\0\0\0");
    write(&root, "sbom/command.cdx.json", "{}");
    write(&root, "sbom/controller.cdx.json", "{}");
    write(&root, "sbom/module.cdx.json", "{}");
    pack(&root, "a/dist");
    pack(&root, "dist");
    run("diff", &["-r", "a/dist", "dist"], &root);
    let dist = root.join("dist");

    let files = run("ls", &["-1"], &dist);
    let expected = [
        "IMAGE-DIGESTS",
        "mooring-1.2.3-aarch64-unknown-linux-musl.tar.gz",
        "mooring-1.2.3-command-image.tar",
        "mooring-1.2.3-command.cdx.json",
        "mooring-1.2.3-controller-image.tar",
        "mooring-1.2.3-controller.cdx.json",
        "mooring-1.2.3-module-image.tar",
        "mooring-1.2.3-module.cdx.json",
        "mooring-1.2.3-x86_64-unknown-linux-musl.tar.gz",
        "mooring-1.2.3.wasm",
        "mooring.yaml",
    ];
    let mut files: Vec<&str> = files.lines().collect();
    files.sort_unstable();
    assert_eq!(files, expected);

    let plugin: serde_json::Value =
        serde_saphyr::from_str(&fs::read_to_string(dist.join("mooring.yaml")).unwrap()).unwrap();
    assert_eq!(plugin["spec"]["version"], "v1.2.3");
    for (target, _) in TARGETS {
        let archive = format!("mooring-1.2.3-{target}.tar.gz");
        let mut platforms = plugin["spec"]["platforms"].as_array().unwrap().iter();
        let platform = platforms.find(|platform| platform["uri"].as_str().unwrap().ends_with(&archive));
        let platform = platform.unwrap_or_else(|| panic!("no platform for {archive} in {plugin:#}"));
        let checksum = run("sha256sum", &[&archive], &dist);
        assert_eq!(checksum.split(' ').next(), platform["sha256"].as_str());
        assert_eq!(platform["files"][0]["from"], "mooring");
    }

    for (target, machine) in TARGETS {
        let archive = format!("mooring-1.2.3-{target}.tar.gz");
        let listing = run("tar", &["--numeric-owner", "-tvzf", &archive], &dist);
        assert!(listing.lines().all(|line| line.contains(" 0/0 ")), "{listing}");
        let program = listing.lines().find(|line| line.ends_with(" mooring")).unwrap();
        assert!(
            program.starts_with("-rwxr-xr-x ") && program.contains(" 2001-09-09 01:46 "),
            "{program}"
        );
        for file in [
            "README.md",
            "CHANGELOG.md",
            "LICENSE",
            "completions/mooring.bash",
            "completions/_mooring",
            "completions/mooring.fish",
            "man/man1/mooring.1",
            "man/man1/mooring-generate.1",
        ] {
            assert!(
                listing.contains(&format!(" {file}\n")),
                "{archive} has no {file}: {listing}"
            );
        }
        run("tar", &["-xzf", &archive, "mooring"], &dist);
        assert_eq!(fs::read(dist.join("mooring")).unwrap()[18], machine);
    }

    let digests = fs::read_to_string(dist.join("IMAGE-DIGESTS")).unwrap();
    let digests: Vec<(&str, &str)> = digests.lines().map(|line| line.split_once("  ").unwrap()).collect();
    assert_eq!(digests.len(), 3);
    for ((digest, file), kind) in digests.iter().zip(["module", "command", "controller"]) {
        assert_eq!(*file, format!("mooring-1.2.3-{kind}-image.tar"));
        let index = run("tar", &["-xOf", file, "index.json"], &dist);
        assert!(index.contains(&format!(r#""digest":"{digest}""#)), "{index}");
    }
}
