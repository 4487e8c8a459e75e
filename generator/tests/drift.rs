//! `mooring diff` and `mooring generate --check`: 0 when the directory is current, 1 when it is not, 2 when nothing
//! can be compared.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::common::{SHOP, SHOP_IS_READ, directory, mooring, shop_with, without_policy};
use snapbox::{cmd::OutputAssert, str};

const WASM: [&str; 2] = ["--wasm", crate::common::WASM];

/// A directory `out` into which the shop has been generated, inside one for the test.
fn generated(test: &str) -> PathBuf {
    let directory = directory(&format!("drift/{test}")).join("out");
    let written = mooring().args(["generate", "-f", "-", "--output-dir"]).arg(&directory);
    written.args(WASM).stdin(SHOP).assert().code(0);
    directory
}

fn diff(directory: &Path, input: &str) -> OutputAssert {
    let here = directory.parent().unwrap();
    let name = directory.file_name().unwrap();
    let check = mooring()
        .current_dir(here)
        .args(["generate", "-f", "-", "--check"])
        .arg(name)
        .args(WASM);
    let check = check.stdin(input).assert();
    let diff = mooring()
        .current_dir(here)
        .arg("diff")
        .arg(name)
        .args(["-f", "-"])
        .args(WASM);
    let diff = diff.stdin(input).assert();
    assert_eq!(check.get_output(), diff.get_output());
    diff
}

#[test]
fn nothing_has_changed() {
    let directory = generated("nothing_has_changed");
    diff(&directory, SHOP).code(0).stdout_eq("").stderr_eq(SHOP_IS_READ);
}

#[test]
fn a_timeout_has_changed() {
    let directory = generated("a_timeout_has_changed");
    diff(&directory, &shop_with("idleTimeout: 10m", "idleTimeout: 5m"))
        .code(1)
        .stderr_eq(SHOP_IS_READ)
        .stdout_eq(str![[r#"
--- out/wasmplugin-default-mooring-front.yaml
+++ out/wasmplugin-default-mooring-front.yaml
@@ -30,7 +30,7 @@
           privateCache: true
           sameSite: Lax
           secure: Auto
-        idleTimeout: 10m
+        idleTimeout: 5m
         name: shop
         type: Cookie
       virtualHosts:

"#]]);
}

/// Each object names the minor version of Istio that it is for.
#[test]
fn the_istio_has_changed() {
    let directory = generated("the_istio_has_changed");
    let diff = |version: &str| {
        let diff = mooring().arg("diff").arg(&directory).args(["-f", "-"]).args(WASM);
        diff.args(["--istio-version", version]).stdin(SHOP).assert()
    };
    diff("v1.31.4").code(0).stdout_eq("");
    let run = diff("1.30").code(1);
    let stdout = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let lines = "-    mooring.dev/istio-version: \"1.31\"\n+    mooring.dev/istio-version: \"1.30\"\n";
    assert_eq!(stdout.matches(lines).count(), 2, "{stdout}");
}

#[test]
fn a_file_is_missing() {
    let directory = generated("a_file_is_missing");
    fs::remove_file(directory.join("envoyfilter-default-mooring-front-http.yaml")).unwrap();
    let run = diff(&directory, SHOP).code(1);
    let stdout = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    assert!(
        stdout.starts_with("--- /dev/null\n+++ out/envoyfilter-default-mooring-front-http.yaml\n@@ -0,0 +1,"),
        "{stdout}"
    );
}

#[test]
fn what_would_not_be_generated_any_more_is_a_difference() {
    let directory = generated("what_would_not_be_generated_any_more_is_a_difference");
    let run = diff(&directory, &without_policy(SHOP)).code(1);
    let stdout = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    for name in [
        "envoyfilter-default-mooring-front-http",
        "wasmplugin-default-mooring-front",
    ] {
        let head = format!("--- out/{name}.yaml\n+++ /dev/null\n");
        assert!(stdout.contains(&head), "{stdout}");
    }
}

#[test]
fn files_of_others_are_nobodys_business() {
    let directory = generated("files_of_others_are_nobodys_business");
    fs::write(directory.join("kustomization.yaml"), "resources: []\n").unwrap();
    fs::write(directory.join("README.md"), "app.kubernetes.io/managed-by: mooring\n").unwrap();
    fs::write(directory.join("broken.yaml"), "]").unwrap();
    fs::write(
        directory.join("other.yaml"),
        "metadata: {labels: {app.kubernetes.io/managed-by: helm}}\n",
    )
    .unwrap();
    // Mooring did not write a file that also holds other objects.
    fs::write(
        directory.join("both.yaml"),
        "metadata: {labels: {app.kubernetes.io/managed-by: mooring}}\n---\nmetadata: {}\n",
    )
    .unwrap();
    diff(&directory, SHOP).code(0).stdout_eq("");
}

#[test]
fn a_file_of_ours_under_another_name_is_a_difference() {
    let directory = generated("a_file_of_ours_under_another_name_is_a_difference");
    let all = mooring()
        .args(["generate", "-f", "-", "-o", "json"])
        .args(WASM)
        .stdin(SHOP)
        .assert();
    fs::write(directory.join("all.json"), &all.get_output().stdout).unwrap();
    let run = diff(&directory, SHOP).code(1);
    let stdout = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    assert!(stdout.starts_with("--- out/all.json\n+++ /dev/null\n"), "{stdout}");
}

#[test]
fn what_is_wrong_is_no_difference() {
    let directory = generated("what_is_wrong_is_no_difference");
    diff(&directory, "]").code(2).stdout_eq("");
    diff(&directory.with_file_name("missing"), SHOP)
        .code(2)
        .stdout_eq("")
        .stderr_eq("error: cannot read the directory `missing`: No such file or directory (os error 2)\n");
    let both = ["generate", "-f", "-", "--check", "a", "--output-dir", "b"];
    mooring().args(both).args(WASM).stdin(SHOP).assert().code(2);
}

#[cfg(unix)]
#[test]
fn the_content_of_what_a_link_leads_to_is_not_shown() {
    use std::os::unix::fs::symlink;

    let directory = generated("the_content_of_what_a_link_leads_to_is_not_shown");
    let secret = directory.parent().unwrap().join("secret");
    fs::write(&secret, "PASSWORD=s3cret").unwrap();
    let name = "wasmplugin-default-mooring-front.yaml";
    fs::remove_file(directory.join(name)).unwrap();
    symlink(&secret, directory.join(name)).unwrap();
    diff(&directory, SHOP).code(2).stdout_eq("").stderr_eq(format!(
        "{SHOP_IS_READ}error: cannot read `out/{name}`: it is not a regular file\n"
    ));
}
