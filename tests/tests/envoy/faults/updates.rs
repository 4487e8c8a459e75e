//! Updates of the module and of its configuration, good and bad, under load.

use std::{
    fs,
    path::{Path, PathBuf},
};

use mooring_tests::{Bootstrap, Envoy, Pod, Update, settings};
use tempfile::TempDir;

use super::many_clients;
use crate::shop::{cart, persistence};

/// The module as it ships, but other bytes: WebAssembly may carry sections that say nothing (custom sections).
fn another_module(directory: &TempDir, number: u8) -> PathBuf {
    let name = format!("build-{number:03}");
    let length = u8::try_from(name.len()).unwrap();
    let mut bytes = fs::read(settings::wasm()).unwrap();
    bytes.extend([0, length + 1, length]);
    bytes.extend(name.as_bytes());
    let path = directory.path().join(format!("{name}.wasm"));
    fs::write(&path, bytes).unwrap();
    path
}

/// Replaces the module and its configuration this number of times, under load.
async fn replace(modules: u8, configurations: u8) {
    let directory = tempfile::tempdir().unwrap();
    let pods = Pod::start_several("cart", 4).await;
    let lasting = |hours: u8| cart(&pods, persistence().absolute(&format!("{}h", hours + 1)));
    let mut envoy = Envoy::builder().dynamic().start(&lasting(0)).await;
    let traffic = many_clients(&[&envoy]).await;
    for number in 0..modules {
        let mut bootstrap = envoy.generate(&lasting(0));
        bootstrap.module().file(&another_module(&directory, number));
        assert_eq!(envoy.apply_bootstrap(bootstrap).await, Update::Taken);
    }
    let before = envoy.resident();
    for number in 1..=configurations {
        assert_eq!(envoy.apply(&lasting(number)).await, Update::Taken);
    }
    traffic.goes_on(5).await;
    let reloads = envoy
        .stats()
        .await
        .get("extension_config_discovery.http_filter.mooring.config_reload");
    assert_eq!(reloads, 1 + u64::from(modules) + u64::from(configurations));
    println!(
        "memory before the configurations {before} bytes, after {}",
        envoy.resident()
    );
    let tally = traffic.stop().await;
    println!("{modules} modules, {configurations} configurations: {tally:?}");
    tally.unharmed(500);
    assert_eq!(envoy.stats().await.mooring("mooring_error_total"), 0);
}

#[tokio::test]
async fn fifty_configurations_and_some_modules_one_after_the_other_harm_nobody() {
    replace(5, 50).await;
}

#[tokio::test]
#[ignore = "compiles the module fifty times: `make test-long`"]
async fn fifty_modules_one_after_the_other_harm_nobody() {
    replace(50, 0).await;
}

#[tokio::test]
async fn an_update_that_is_no_good_harms_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let corrupt = directory.path().join("corrupt.wasm");
    fs::write(&corrupt, b"\0asm\x01\0\0\0 and then nonsense").unwrap();
    let half = directory.path().join("half.wasm");
    let whole = fs::read(settings::wasm()).unwrap();
    fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    let missing = directory.path().join("missing.wasm");
    let pods = Pod::start_several("cart", 4).await;
    let manifests = cart(&pods, persistence());
    let mut envoy = Envoy::builder().dynamic().start(&manifests).await;
    let traffic = many_clients(&[&envoy]).await;
    for path in [&corrupt, &half, &missing] {
        let mut bad = envoy.generate(&manifests);
        bad.module().file(path);
        assert_eq!(envoy.apply_bootstrap(bad).await, Update::Rejected, "{}", path.display());
        traffic.goes_on(3).await;
    }
    for text in ["", "no JSON", "{}", r#"{"version": 999, "rules": []}"#] {
        let mut bad = envoy.generate(&manifests);
        bad.module().configuration(text);
        assert_eq!(envoy.apply_bootstrap(bad).await, Update::Rejected, "{text}");
        traffic.goes_on(3).await;
    }
    let tally = traffic.stop().await;
    println!("seven bad updates: {tally:?}");
    tally.unharmed(1_000);
}

#[tokio::test]
async fn a_gateway_without_a_good_module_does_not_start_while_another_one_serves() {
    let directory = tempfile::tempdir().unwrap();
    let corrupt = directory.path().join("corrupt.wasm");
    fs::write(&corrupt, b"\0asm\x01\0\0\0 and then nonsense").unwrap();
    let missing = directory.path().join("missing.wasm");
    let pods = Pod::start_several("cart", 4).await;
    let manifests = cart(&pods, persistence());
    let envoy = Envoy::serve(&manifests).await;
    let traffic = many_clients(&[&envoy]).await;
    for (path, said) in [(corrupt, "wasm"), (missing, "missing.wasm")] {
        let of = |path: &Path| {
            let path = path.to_owned();
            move |bootstrap: &mut Bootstrap| {
                bootstrap.module().file(&path);
            }
        };
        let log = Envoy::builder().edit(of(&path)).fails_to_start(&manifests).await;
        assert!(log.to_lowercase().contains(said), "{log}");
        traffic.goes_on(3).await;
    }
    let tally = traffic.stop().await;
    println!("a second gateway that does not start: {tally:?}");
    tally.unharmed(300);
}
