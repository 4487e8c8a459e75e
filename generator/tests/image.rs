//! `mooring image`: the layout, read back with other programs, and what is refused. `tests/mesh` pushes a layout to a registry.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Stdio},
};

use serde_json::{Value, json};
use snapbox::{IntoData as _, cmd::OutputAssert, data::Inline, str};

use crate::common::{SHOP, directory, mooring, write};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A module with some content that compresses badly.
fn module() -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    let mut state = 1_u32;
    bytes.extend((0..30_000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    }));
    bytes
}

/// The beginning of a statically linked program, for an ELF machine.
fn program(machine: u8) -> Vec<u8> {
    let mut bytes = vec![0; 120];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[18] = machine;
    bytes
}

const X86_64: u8 = 62;
const AARCH64: u8 = 183;

/// A directory with `mooring.wasm`, and the layout that a run writes below it.
fn layout(name: &str) -> (PathBuf, PathBuf, String) {
    let root = directory(name);
    write(&root, "mooring.wasm", module());
    let layout = root.join("layout");
    let digest = image(&layout, "--wasm", &[&root.join("mooring.wasm")]);
    (root, layout, digest)
}

/// Runs the command, which must succeed, and returns the digest: the only line of the standard output.
fn image(layout: &Path, flag: &str, files: &[&Path]) -> String {
    let run = mooring().arg("image").arg("--output-dir").arg(layout);
    let run = files.iter().fold(run, |run, file| run.arg(flag).arg(file)).assert();
    let run = run.success().stderr_eq("");
    let stdout = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    let digest = stdout.strip_suffix('\n').unwrap();
    let hex = digest.strip_prefix("sha256:").unwrap();
    assert!(
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{stdout:?}"
    );
    digest.to_owned()
}

/// What a shell prints, with these arguments as $1, $2 and so on.
fn shell(script: &str, arguments: &[&Path]) -> Vec<u8> {
    let mut command = process::Command::new("sh");
    let command = command.args(["-euc", script, "sh"]).args(arguments);
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{script}");
    output.stdout
}

fn shell_text(script: &str, arguments: &[&Path]) -> String {
    String::from_utf8(shell(script, arguments)).unwrap().trim().to_owned()
}

/// The file of a descriptor, whose size and SHA-256 must be right.
fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().unwrap();
    let path = layout.join("blobs").join(digest.replace(':', "/"));
    assert_eq!(
        format!("sha256:{}", shell_text("sha256sum < $1 | cut -d' ' -f1", &[&path])),
        digest
    );
    assert_eq!(fs::metadata(&path).unwrap().len(), descriptor["size"].as_u64().unwrap());
    path
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The one entry of a layout, whose digest must be the printed one.
fn entry(layout: &Path, digest: &str) -> Value {
    assert_eq!(
        json_file(&layout.join("oci-layout")),
        json!({ "imageLayoutVersion": "1.0.0" })
    );
    let index = json_file(&layout.join("index.json"));
    assert_eq!(index["schemaVersion"], 2);
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 1, "{index:#}");
    assert_eq!(manifests[0]["digest"], digest);
    manifests[0].clone()
}

/// The listing of the one layer of an image, its file, and its configuration.
fn unpack(layout: &Path, manifest: &Value, file: &str) -> (String, Vec<u8>, Value) {
    assert_eq!(manifest["mediaType"], MANIFEST);
    let manifest = json_file(&blob(layout, manifest));
    assert_eq!(manifest["schemaVersion"], 2);
    assert_eq!(manifest["mediaType"], MANIFEST);
    assert_eq!(
        manifest["config"]["mediaType"],
        "application/vnd.oci.image.config.v1+json"
    );
    let config = json_file(&blob(layout, &manifest["config"]));
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(
        manifest["layers"][0]["mediaType"],
        "application/vnd.oci.image.layer.v1.tar+gzip"
    );
    let layer = blob(layout, &manifest["layers"][0]);
    let diff_id = shell_text("gzip -dc $1 | sha256sum | cut -d' ' -f1", &[&layer]);
    assert_eq!(config["rootfs"]["type"], "layers");
    assert_eq!(config["rootfs"]["diff_ids"], json!([format!("sha256:{diff_id}")]));
    let listing = shell_text(
        "TZ=UTC tar --numeric-owner -tvzf $1 | tr -s ' '; gzip -lv $1 >/dev/null",
        &[&layer],
    );
    let content = shell("tar -xOzf $1 $2", &[&layer, Path::new(file)]);
    (listing, content, config)
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<String> {
    let listing = shell_text("cd $1 && find . ! -type d | sort", &[directory]);
    listing.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn a_module_becomes_one_manifest_with_one_layer() {
    let (_, layout, digest) = layout("image-module");
    let manifest = entry(&layout, &digest);
    let (listing, content, config) = unpack(&layout, &manifest, "plugin.wasm");
    assert_eq!(listing, "-rw-r--r-- 0/0 30008 1970-01-01 00:00 plugin.wasm");
    assert_eq!(content, module());
    assert_eq!(config["os"], "linux");
    assert_eq!(config["architecture"], "amd64");
    assert_eq!(config["config"]["Entrypoint"], Value::Null);
    assert_eq!(files(&layout).len(), 5, "{:?}", files(&layout));
}

#[test]
fn the_same_module_gives_the_same_bytes() {
    let (root, first, digest) = layout("image-same");
    // Nothing of the file but its content is in the image: another name, time and permissions.
    let copy = root.join("other.wasm");
    shell(
        "cp $1 $2; chmod 600 $2; touch -d 2001-02-03 $2",
        &[&root.join("mooring.wasm"), &copy],
    );
    let second = root.join("a/b/c");
    assert_eq!(image(&second, "--wasm", &[&copy]), digest);
    shell("diff -r $1 $2", &[&first, &second]);
    // With this digest, another machine finds out that it built the same module. If a new version of a dependency compresses in another
    // way, the changelog must say that the digest of an unchanged module changes.
    assert_eq!(
        digest,
        "sha256:ce2727138f743a2010fe4c50519a69116c2a343398b68d2a0e4ef5064148d4dc"
    );
}

#[test]
fn a_second_run_leaves_the_layout_as_it_is() {
    let (root, layout, digest) = layout("image-again");
    let times = |layout: &Path| shell_text("cd $1 && find . -printf '%p %T@ %i\n' | sort", &[layout]);
    let before = times(&layout);
    assert_eq!(image(&layout, "--wasm", &[&root.join("mooring.wasm")]), digest);
    assert_eq!(times(&layout), before);
}

#[test]
fn an_empty_directory_is_used() {
    let root = directory("image-empty");
    write(&root, "mooring.wasm", module());
    fs::create_dir(root.join("layout")).unwrap();
    std::os::unix::fs::symlink("layout", root.join("link")).unwrap();
    image(&root.join("link"), "--wasm", &[&root.join("mooring.wasm")]);
    assert!(root.join("layout/index.json").is_file());
}

#[test]
fn the_digest_is_a_checksum_for_generate() {
    let (_, _, digest) = layout("image-checksum");
    let run = mooring().args(["generate", "-f", "-", "--wasm", "oci://registry.example/mooring:1"]);
    let run = run.args(["--wasm-sha256", &digest]).stdin(SHOP).assert().success();
    let output = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    let hex = digest.trim_start_matches("sha256:");
    assert!(output.contains(&format!("\n  sha256: {hex}\n")), "{output}");
}

/// Runs the command on a file `input` with this content, and expects a message and no output.
#[track_caller]
fn refused(name: &str, flag: &str, content: &[u8], message: Inline) {
    let root = directory(name);
    write(&root, "input", content);
    let run = mooring().current_dir(&root).args(["image", flag, "input"]);
    let run = run.args(["--output-dir", "a/layout"]).assert();
    run.code(1).stdout_eq("").stderr_eq(message.raw());
    assert_eq!(files(&root), ["./input"]);
    assert!(!root.join("a").exists());
}

#[test]
fn what_is_no_module_is_refused() {
    let message = || {
        str![[r#"
error: cannot make an image of `input`: it is not a WebAssembly module: it does not begin with \0asm and version 1

"#]]
    };
    refused("image-not-wasm", "--wasm", b"\x7fELF\x02\x01\x01", message());
    refused("image-component", "--wasm", b"\0asm\x0d\0\x01\0", message());
    refused("image-no-bytes", "--wasm", b"", message());
}

#[test]
fn a_dynamic_program_is_refused() {
    let mut dynamic = program(X86_64);
    dynamic[32] = 64;
    dynamic[54] = 56;
    dynamic[56] = 1;
    dynamic[64] = 3;
    refused(
        "image-dynamic",
        "--command",
        &dynamic,
        str![[r#"
error: cannot make an image of `input`: it is dynamically linked, but the image has no libraries: build it for a musl target (make dist)

"#]],
    );
    refused(
        "image-no-program",
        "--command",
        &module(),
        str![[r#"
error: cannot make an image of `input`: it is not a Linux program (64-bit ELF)

"#]],
    );
}

/// Runs the command with the module of a directory, into another.
fn run_in(root: &Path, wasm: &str, output: &str) -> OutputAssert {
    let run = mooring().current_dir(root).args(["image", "--wasm", wasm]);
    run.args(["--output-dir", output]).assert()
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let root = directory("image-unreadable");
    run_in(&root, "missing.wasm", "layout")
        .code(1)
        .stdout_eq("")
        .stderr_eq(str![[r#"
error: cannot read `missing.wasm`: No such file or directory (os error 2)

"#]]);
    run_in(&root, ".", "layout").code(1).stdout_eq("").stderr_eq(str![[r#"
error: cannot read `.`: Is a directory (os error 21)

"#]]);
    assert!(files(&root).is_empty());
}

#[test]
fn other_content_of_the_directory_survives() {
    let (root, layout, _) = layout("image-not-empty");
    let mut other = module();
    other.push(0);
    write(&root, "other.wasm", other);
    let before = shell_text("cd $1 && tar --sort=name -c . | sha256sum", &[&layout]);
    run_in(&root, "other.wasm", "layout")
        .code(1)
        .stdout_eq("")
        .stderr_eq(str![[r#"
error: `layout` is not empty: remove it, or name another directory

"#]]);
    assert_eq!(
        shell_text("cd $1 && tar --sort=name -c . | sha256sum", &[&layout]),
        before
    );
    // The same layout with a file more, or with a changed one, is not this layout.
    write(&layout, "blobs/notes", "mine");
    run_in(&root, "mooring.wasm", "layout").code(1);
    fs::remove_file(layout.join("blobs/notes")).unwrap();
    write(&layout, "index.json", "{}");
    run_in(&root, "mooring.wasm", "layout").code(1);
    assert_eq!(fs::read_to_string(layout.join("index.json")).unwrap(), "{}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let root = directory("image-unwritable");
    write(&root, "mooring.wasm", module());
    run_in(&root, "mooring.wasm", "mooring.wasm")
        .code(1)
        .stdout_eq("")
        .stderr_eq(str![[r#"
error: cannot write `mooring.wasm`: Not a directory (os error 20)

"#]]);
    run_in(&root, "mooring.wasm", "mooring.wasm/layout")
        .code(1)
        .stdout_eq("")
        .stderr_eq(str![[r#"
error: cannot write `mooring.wasm/layout`: Not a directory (os error 20)

"#]]);
    assert_eq!(fs::read(root.join("mooring.wasm")).unwrap(), module());
}

#[test]
fn half_a_layout_is_removed() {
    let root = directory("image-half");
    write(&root, "mooring.wasm", module());
    fs::create_dir(root.join("mine")).unwrap();
    // A limit on the size of files plays a full disk. Without the trap, the signal would end the process.
    let script =
        "cd $1; trap '' XFSZ; ulimit -f 8; exec 2>&1; ! $2 image --wasm mooring.wasm --output-dir mine/a/layout";
    let output = shell_text(script, &[&root, snapbox::cmd::cargo_bin!("mooring")]);
    assert!(
        output.starts_with("error: cannot write `mine/a/layout/blobs/sha256/"),
        "{output}"
    );
    assert!(output.ends_with("File too large (os error 27)"), "{output}");
    assert_eq!(files(&root), ["./mooring.wasm"]);
    assert_eq!(fs::read_dir(root.join("mine")).unwrap().count(), 0);
}

#[test]
fn the_command_runs_as_another_user_than_root() {
    let root = directory("image-command");
    write(&root, "amd64", program(X86_64));
    let layout = root.join("layout");
    let digest = image(&layout, "--command", &[&root.join("amd64")]);
    let manifest = entry(&layout, &digest);
    let (listing, content, config) = unpack(&layout, &manifest, "mooring");
    assert_eq!(listing, "-rwxr-xr-x 0/0 120 1970-01-01 00:00 mooring");
    assert_eq!(content, program(X86_64));
    assert_eq!(config["architecture"], "amd64");
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], json!(["/mooring"]));
    assert_eq!(config["config"]["Env"], json!(["PATH=/"]));
}

#[test]
fn the_controller_is_a_program_of_its_own() {
    let root = directory("image-controller");
    write(&root, "amd64", program(X86_64));
    let layout = root.join("layout");
    let digest = image(&layout, "--controller", &[&root.join("amd64")]);
    let (listing, _, config) = unpack(&layout, &entry(&layout, &digest), "mooring-controller");
    assert_eq!(listing, "-rwxr-xr-x 0/0 120 1970-01-01 00:00 mooring-controller");
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], json!(["/mooring-controller"]));
}

#[test]
fn the_command_for_several_architectures_is_an_index() {
    let root = directory("image-index");
    write(&root, "amd64", program(X86_64));
    write(&root, "arm64", program(AARCH64));
    let layout = root.join("layout");
    let (amd64, arm64) = (root.join("amd64"), root.join("arm64"));
    let digest = image(&layout, "--command", &[&arm64, &amd64]);
    let index = entry(&layout, &digest);
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    let index = json_file(&blob(&layout, &index));
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 2);
    for (manifest, (architecture, machine)) in manifests.iter().zip([("amd64", X86_64), ("arm64", AARCH64)]) {
        assert_eq!(
            manifest["platform"],
            json!({ "architecture": architecture, "os": "linux" })
        );
        let (_, content, config) = unpack(&layout, manifest, "mooring");
        assert_eq!(content, program(machine));
        assert_eq!(config["architecture"], architecture);
    }
    // The order of the flags makes no difference.
    assert_eq!(image(&layout, "--command", &[&amd64, &arm64]), digest);

    let run = mooring().current_dir(&root).args(["image", "--output-dir", "twice"]);
    let run = run.args(["--command", "amd64", "--command", "amd64"]).assert();
    run.code(1).stdout_eq("").stderr_eq(str![[r#"
error: two files are for amd64: an image has one per architecture

"#]]);
    assert!(!root.join("twice").exists());
}
