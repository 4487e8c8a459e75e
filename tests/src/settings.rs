//! Where the programs under test are: from the environment, as `make test` sets it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

/// The Envoy binary, or `func-e`: environment variable `ENVOY`, no default.
pub fn envoy() -> PathBuf {
    let path = std::env::var_os("ENVOY").filter(|path| !path.is_empty());
    let path = path.expect("the environment variable ENVOY names no Envoy binary: run `make test`, which finds one");
    existing(PathBuf::from(path), "ENVOY")
}

/// The `mooring` command: environment variable `MOORING`, else the release build of this workspace.
pub fn mooring() -> PathBuf {
    file("MOORING", "target/release/mooring")
}

/// The filter's module: environment variable `MOORING_WASM`, else the one that the Makefile builds.
pub fn wasm() -> PathBuf {
    file("MOORING_WASM", "target/mooring.wasm")
}

/// The same module with a trap in it, which a request with the header `x-trap-now` springs: environment variable
/// `MOORING_TRAP_WASM`, else the one that the Makefile builds.
pub fn trapping_wasm() -> PathBuf {
    file("MOORING_TRAP_WASM", "target/mooring-trap.wasm")
}

/// Prometheus: environment variable `PROMETHEUS`, else the one that `make prometheus` unpacks.
pub fn prometheus() -> PathBuf {
    file("PROMETHEUS", ".tools/prometheus/usr/bin/prometheus")
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member)
}

/// A command that runs Envoy; arguments for Envoy follow.
pub fn envoy_command() -> Command {
    let program = envoy();
    let mut command = Command::new(&program);
    if program.file_name() == Some(OsStr::new("func-e")) {
        command.arg("run");
    }
    command
}

fn file(variable: &str, default: &str) -> PathBuf {
    let path = match std::env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => workspace().join(default),
    };
    existing(path, variable)
}

fn existing(path: PathBuf, variable: &str) -> PathBuf {
    assert!(
        path.is_file(),
        "{} does not exist: run `make test`, which builds it, or set {variable}",
        path.display()
    );
    path
}
