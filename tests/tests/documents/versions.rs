//! Versions of Rust, Envoy, Istio, Gateway API and of Mooring itself are the same everywhere.

use std::{env, process::Command};

use mooring_tests::settings::workspace;
use serde_json::Value;

use crate::{assert_none, markdown::Document, repository};

fn envoys() -> Vec<String> {
    let makefile = repository::read("Makefile");
    repository::between(&makefile, "ENVOYS := ", "")
        .split(' ')
        .map(ToOwned::to_owned)
        .collect()
}

/// The versions with three numbers that follow this word in a text.
fn versions_after(text: &str, word: &str) -> Vec<String> {
    let rests = text.split(word).skip(1);
    let versions = rests.map(|rest| {
        rest.chars()
            .take_while(|letter| letter.is_ascii_digit() || *letter == '.')
            .collect::<String>()
    });
    let versions = versions.map(|version| version.trim_end_matches('.').to_owned());
    versions.filter(|version| version.split('.').count() == 3).collect()
}

#[test]
fn the_compatibility_table_has_the_envoys_of_the_makefile() {
    let readme = Document::read("README.md");
    let rows: Vec<String> = readme
        .rows()
        .into_iter()
        .filter(|row| row.header == "Mooring")
        .map(|row| row.cells.join(" | "))
        .collect();
    let mut tested: Vec<String> = rows.iter().flat_map(|row| versions_after(row, "Envoy ")).collect();
    tested.sort();
    tested.dedup();
    assert_eq!(
        tested,
        envoys(),
        "README.md, compatibility, against ENVOYS in the Makefile"
    );
    for (row, version) in rows.iter().zip(envoys()) {
        let minor = version
            .rsplit_once('.')
            .map(|(minor, _)| minor.to_owned())
            .unwrap_or_default();
        assert!(
            row.contains(&format!("| {minor} |")),
            "README.md, compatibility: not the minor version of {version}: {row}"
        );
    }
}

#[test]
fn the_compatibility_table_has_the_versions_of_istio_that_output_is_for() {
    let constant = |name| repository::constant("generator/src/emit/istio", name);
    let expected: Vec<String> = (constant("OLDEST")..=constant("NEWEST"))
        .map(|minor| format!("1.{minor}"))
        .collect();
    let rows = Document::read("README.md")
        .rows()
        .into_iter()
        .filter(|row| row.header == "Mooring");
    let listed: Vec<String> = rows
        .map(|row| row.cells[1].clone())
        .filter(|istio| istio.starts_with("1."))
        .collect();
    assert_eq!(
        listed, expected,
        "README.md, compatibility, against OLDEST and NEWEST of the generator"
    );
}

#[test]
fn every_envoy_that_a_document_names_is_tested() {
    let envoys = envoys();
    let mut wrong = Vec::new();
    for document in Document::all()
        .into_iter()
        .filter(|document| document.path != "CHANGELOG.md")
    {
        for line in document.lines() {
            for word in ["Envoy ", "ENVOY_VERSION=", "envoys/"] {
                let unknown = versions_after(&line.text, word)
                    .into_iter()
                    .filter(|version| !envoys.contains(version));
                wrong.extend(
                    unknown.map(|version| {
                        format!("{}: Envoy {version} is not among ENVOYS of the Makefile", line.location)
                    }),
                );
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_compatibility_section_has_the_gateway_apis_and_the_kubernetes_of_the_mesh_tests() {
    let readme = repository::read("README.md");
    let crds = repository::read("tests/mesh/crds/go.mod");
    let mut releases: Vec<String> = crds
        .lines()
        .filter_map(|line| line.trim().strip_prefix("mooring.dev/gateway-api-"))
        .filter(|line| !line.contains("=>"))
        .filter_map(|line| line.split(' ').next())
        .map(ToOwned::to_owned)
        .collect();
    let newest = repository::read("tests/mesh/run");
    let newest = newest
        .split("gateway-api-")
        .map(|rest| {
            rest.chars()
                .take_while(|letter| letter.is_ascii_digit() || *letter == '.')
                .collect::<String>()
        })
        .filter(|version| version.contains('.') && !version.ends_with('.'))
        .max()
        .unwrap_or_default();
    if !releases.contains(&newest) {
        releases.push(newest);
    }
    let last = releases.pop().unwrap_or_default();
    let phrase = format!("Tested with {} and {last}", releases.join(", "));
    assert!(
        readme.replace('\n', " ").replace("  ", " ").contains(&phrase),
        "README.md, compatibility: expected \"{phrase}\""
    );
    let programs = repository::read("tests/mesh/go.mod");
    let kubernetes = repository::between(&programs, "\tk8s.io/kubernetes v", "");
    let minor = kubernetes.rsplit_once('.').map(|(minor, _)| minor).unwrap_or_default();
    assert!(
        readme.contains(&format!("kube-apiserver {minor}")),
        "README.md, compatibility: kube-apiserver is {minor} in tests/mesh/go.mod"
    );
}

#[test]
fn the_compatibility_section_has_the_tools_of_the_mesh_tests() {
    let readme = repository::read("README.md");
    let programs = repository::read("tests/mesh/go.mod");
    // The version that replaces another one counts; Go modules of Kubernetes have 0 for its 1.
    for (tool, module, major) in [
        ("kubectl", "\tk8s.io/kubectl => k8s.io/kubectl v0.", "1."),
        ("Helm", "\thelm.sh/helm/v3 v", ""),
        ("kustomize", "\tsigs.k8s.io/kustomize/kustomize/v5 v", ""),
        ("crane", "\tgithub.com/google/go-containerregistry v", ""),
    ] {
        let version = repository::between(&programs, module, "");
        let version = version.split(' ').next().unwrap_or_default();
        let minor = version.rsplit_once('.').map(|(minor, _)| minor).unwrap_or_default();
        let phrase = format!("{tool} {major}{minor}");
        assert!(
            readme.contains(&phrase),
            "README.md, compatibility: expected \"{phrase}\", as in tests/mesh/go.mod"
        );
    }
}

#[test]
fn every_module_that_a_document_names_has_the_version_of_the_workspace() {
    let version = env!("CARGO_PKG_VERSION");
    let mut wrong = Vec::new();
    for document in Document::all()
        .into_iter()
        .filter(|document| document.path != "CHANGELOG.md")
    {
        for line in document.lines() {
            let tagged = versions_after(&line.text, "mooring:")
                .into_iter()
                .chain(versions_after(&line.text, "mooring-"));
            wrong.extend(
                tagged
                    .filter(|tag| tag != version)
                    .map(|tag| format!("{}: {tag} is not the version {version}", line.location)),
            );
        }
    }
    assert_none(&wrong);
}

/// A version with two or three numbers, comparable.
fn parse(version: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> = version.split('.').filter_map(|number| number.parse().ok()).collect();
    numbers.resize(3, 0);
    numbers
}

#[test]
fn the_compiler_of_releases_is_named_exactly_and_not_older_than_rust_version() {
    let toolchain = repository::read("rust-toolchain.toml");
    let channel = repository::between(&toolchain, "channel = \"", "\"");
    assert_eq!(
        channel.split('.').count(),
        3,
        "rust-toolchain.toml: a release is made with one version, not with {channel}"
    );
    assert!(
        parse(channel) >= parse(env!("CARGO_PKG_RUST_VERSION")),
        "rust-toolchain.toml: {channel} is older than rust-version"
    );
    for target in ["wasm32-wasip1", "wasm32-unknown-unknown"] {
        assert!(
            toolchain.contains(&format!("\"{target}\"")),
            "rust-toolchain.toml: the target {target} is missing"
        );
    }
}

#[test]
fn no_dependency_declares_a_newer_rust_than_rust_version() {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(workspace())
        .args(["metadata", "--locked", "--format-version", "1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ours = env!("CARGO_PKG_RUST_VERSION");
    let mut wrong = Vec::new();
    let mut declared = 0;
    for package in metadata["packages"].as_array().unwrap() {
        if let Some(theirs) = package["rust_version"].as_str() {
            declared += 1;
            if parse(theirs) > parse(ours) {
                wrong.push(format!(
                    "{} {} needs Rust {theirs}, but rust-version is {ours}",
                    package["name"], package["version"]
                ));
            }
        }
    }
    println!("{declared} packages declare a version");
    assert!(declared > 100, "{declared} packages declare a version");
    assert_none(&wrong);
}
