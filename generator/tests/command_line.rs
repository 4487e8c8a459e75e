//! The command as a user calls it: files, flags, exit status, and what lands where.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{self, Stdio},
};

use crate::common::{
    SHOP, SHOP_IS_READ, WASM, directory, generate, generate_envoy, mooring, passed_over, shop_with, without_policy,
};
use snapbox::{IntoData as _, cmd::cargo_bin, data::Inline, str};

fn names(directory: &PathBuf) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn wrong_flags(arguments: &[&str], message: Inline) {
    let run = mooring()
        .args(["generate", "-f", "-"])
        .args(arguments)
        .stdin(SHOP)
        .assert();
    run.code(2).stdout_eq("").stderr_eq(message.raw());
}

#[test]
fn wasm_is_required() {
    wrong_flags(
        &[],
        str![[r#"
error: the following required arguments were not provided:
  --wasm <URL|PATH>

Usage: mooring generate --wasm <URL|PATH> <--file <FILE|DIR|->...|--from-cluster>

For more information, try '--help'.

"#]],
    );
}

#[test]
fn istio_fetches_the_module_from_a_url() {
    wrong_flags(
        &["--wasm", "target/mooring.wasm"],
        str![[r#"
error: --wasm must be a URL for --target istio: oci://, https://, http:// or file://

Usage: mooring generate [OPTIONS] --wasm <URL|PATH> <--file <FILE|DIR|->...|--from-cluster>

For more information, try '--help'.

"#]],
    );
}

#[test]
fn a_local_envoy_reads_the_module_from_a_file() {
    wrong_flags(
        &["--target", "envoy", "--wasm", "oci://registry.example/mooring:1"],
        str![[r#"
error: --wasm must be the path of a file for --target envoy

Usage: mooring generate [OPTIONS] --wasm <URL|PATH> <--file <FILE|DIR|->...|--from-cluster>

For more information, try '--help'.

"#]],
    );
}

#[test]
fn flags_of_the_other_target_are_refused() {
    wrong_flags(
        &["--wasm", "https://x", "--listen", "80=127.0.0.1:8080"],
        str![[r#"
error: --listen can only be used with --target envoy

Usage: mooring generate [OPTIONS] --wasm <URL|PATH> <--file <FILE|DIR|->...|--from-cluster>

For more information, try '--help'.

"#]],
    );
    wrong_flags(
        &["--wasm", "https://x", "--admin", "127.0.0.1:9000"],
        str![[r#"
error: --admin can only be used with --target envoy

Usage: mooring generate [OPTIONS] --wasm <URL|PATH> <--file <FILE|DIR|->...|--from-cluster>

For more information, try '--help'.

"#]],
    );
    let sha256 = "0".repeat(64);
    wrong_flags(
        &["--target", "envoy", "--wasm", "x", "--wasm-sha256", &sha256],
        str![[r#"
error: --wasm-sha256 can only be used with --target istio

Usage: mooring generate [OPTIONS] --wasm <URL|PATH> <--file <FILE|DIR|->...|--from-cluster>

For more information, try '--help'.

"#]],
    );
}

#[test]
fn values_of_flags_are_checked() {
    wrong_flags(
        &["--wasm", "https://x", "--target", "nginx"],
        str![[r#"
error: invalid value 'nginx' for '--target <TARGET>'
  [possible values: istio, envoy]

For more information, try '--help'.

"#]],
    );
    wrong_flags(
        &["--wasm", "https://x", "--wasm-sha256", "abc"],
        str![[r#"
error: invalid value 'abc' for '--wasm-sha256 <HEX>': a SHA-256 is 64 lower-case hexadecimal digits

For more information, try '--help'.

"#]],
    );
    wrong_flags(
        &["--target", "envoy", "--wasm", "x", "--listen", "80"],
        str![[r#"
error: invalid value '80' for '--listen <PORT=ADDR:PORT>': write the Gateway's port and an address with a port, such as 80=127.0.0.1:8080

For more information, try '--help'.

"#]],
    );
    wrong_flags(
        &[
            "--target",
            "envoy",
            "--wasm",
            "x",
            "--listen",
            "80=127.0.0.1:1",
            "--listen",
            "80=127.0.0.1:2",
        ],
        str![[r#"
error: --listen maps the port 80 twice

Usage: mooring generate [OPTIONS] --wasm <URL|PATH> <--file <FILE|DIR|->...|--from-cluster>

For more information, try '--help'.

"#]],
    );
}

#[test]
fn without_a_command_the_help_is_shown() {
    mooring().assert().code(2).stdout_eq("");
    let help = mooring().args(["generate", "--help"]).assert().success();
    let text = String::from_utf8_lossy(&help.get_output().stdout).into_owned();
    assert!(text.contains("oci://, https://, http:// or"), "{text}");
    mooring()
        .arg("--version")
        .assert()
        .success()
        .stdout_eq("mooring 0.1.0\n");
}

#[test]
fn files_directories_and_the_standard_input_are_one_input() {
    let input = directory("command_line/inputs");
    fs::create_dir_all(input.join("deep/er")).unwrap();
    let documents: Vec<&str> = SHOP.split("---\n").collect();
    fs::write(input.join("a.yaml"), documents[0]).unwrap();
    fs::write(
        input.join("deep/er/b.yml"),
        format!("{}---\n{}", documents[1], documents[2]),
    )
    .unwrap();
    fs::write(input.join("deep/notes.txt"), "not for us: {").unwrap();
    let service = "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": []}";
    fs::write(input.join("c.json"), service).unwrap();
    let run = mooring()
        .args(["generate", "--wasm", WASM, "-f", "-", "-f"])
        .arg(&input)
        .arg("-f")
        .arg(input.join("a.yaml"))
        .stdin(format!("{}---\n{}", documents[3], documents[4]))
        .assert()
        .success();
    let whole = generate(SHOP).success();
    assert_eq!(run.get_output().stdout, whole.get_output().stdout);
}

#[test]
fn a_directory_without_yaml_is_an_error() {
    let empty = directory("command_line/empty");
    fs::write(empty.join("README.md"), "# nothing").unwrap();
    let run = mooring()
        .current_dir(empty.parent().unwrap())
        .args(["generate", "--wasm", "https://x", "-f", "empty"])
        .assert();
    run.code(1).stdout_eq("").stderr_eq(
        str![[r#"
error[Unreadable]: the directory `empty` has no file that ends in .yaml, .yml or .json


"#]]
        .raw(),
    );
}

#[test]
fn each_object_gets_a_file_of_its_own() {
    let out = directory("command_line/files").join("new");
    let run = |arguments: &[&str]| {
        let run = mooring()
            .args(["generate", "-f", "-"])
            .args(arguments)
            .arg("--output-dir")
            .arg(&out);
        run.stdin(SHOP).assert().success().stdout_eq("");
    };
    run(&["--wasm", "https://x"]);
    assert_eq!(
        names(&out),
        [
            "envoyfilter-default-mooring-front-http.yaml",
            "wasmplugin-default-mooring-front.yaml",
        ]
    );
    run(&["--wasm", "https://x", "-o", "json"]);
    run(&["--wasm", "x", "--target", "envoy"]);
    assert_eq!(
        names(&out),
        [
            "envoy.yaml",
            "envoyfilter-default-mooring-front-http.json",
            "wasmplugin-default-mooring-front.json",
        ]
    );
    let bootstrap = fs::read(out.join("envoy.yaml")).unwrap();
    let run = mooring()
        .args(["generate", "-f", "-", "--wasm", "x", "--target", "envoy"])
        .stdin(SHOP)
        .assert();
    assert_eq!(run.get_output().stdout, bootstrap);
}

#[test]
fn with_strict_a_wrong_input_writes_no_file() {
    let out = directory("command_line/untouched");
    fs::write(out.join("wasmplugin-default-mooring-front.yaml"), "old").unwrap();
    let run = mooring()
        .args(["generate", "-f", "-", "--wasm", "https://x", "--strict", "--output-dir"])
        .arg(&out)
        .stdin(shop_with("1h", "1d"))
        .assert();
    run.code(1);
    assert_eq!(names(&out), ["wasmplugin-default-mooring-front.yaml"]);
    assert_eq!(
        fs::read_to_string(out.join("wasmplugin-default-mooring-front.yaml")).unwrap(),
        "old"
    );
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind() {
    let out = directory("command_line/blocked");
    // A directory stands where the file should go.
    fs::create_dir(out.join("wasmplugin-default-mooring-front.yaml")).unwrap();
    let run = mooring()
        .args(["generate", "-f", "-", "--wasm", "https://x", "--output-dir"])
        .arg(&out)
        .stdin(SHOP)
        .assert();
    run.code(1).stdout_eq("").stderr_eq(format!(
        "{SHOP_IS_READ}error: cannot write `[..]blocked/wasmplugin-default-mooring-front.yaml`: is a directory\n"
    ));
    assert_eq!(names(&out), ["wasmplugin-default-mooring-front.yaml"]);
}

#[test]
fn json_is_one_object_or_a_list() {
    let run = mooring()
        .args(["generate", "-f", "-", "--wasm", "https://x", "-o", "json"])
        .stdin(SHOP)
        .assert();
    let list: serde_json::Value = serde_json::from_slice(&run.success().get_output().stdout).unwrap();
    assert_eq!(list.pointer("/kind").unwrap(), "List");
    assert_eq!(list.pointer("/items/0/kind").unwrap(), "EnvoyFilter");
    assert_eq!(list.pointer("/items/1/kind").unwrap(), "WasmPlugin");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = process::Command::new(cargo_bin("mooring"))
        .args(["generate", "-f", "-", "--wasm", "https://x"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(SHOP.as_bytes()).unwrap();
    let mut message = String::new();
    child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), message.as_str()),
        (Some(0), SHOP_IS_READ)
    );
}

#[test]
fn the_exit_status_tells_of_errors_to_whoever_does_not_listen() {
    let mut child = process::Command::new(cargo_bin("mooring"))
        .args(["generate", "-f", "-", "--wasm", "https://x"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let input = shop_with("1h", "1d");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn the_short_help_is_a_summary() {
    for command in ["generate", "validate", "diff", "keygen"] {
        let help = |flag: &str| {
            let run = mooring().args([command, flag]).assert().code(0);
            String::from_utf8(run.get_output().stdout.clone()).unwrap()
        };
        let (short, long) = (help("-h"), help("--help"));
        let words = |text: &str| text.split_whitespace().count();
        assert!(words(&short) < words(&long), "{command}");
        assert!(
            !short.contains("Exit status") && short.contains("see more with '--help'"),
            "{short}"
        );
    }
}

#[test]
fn a_gateway_without_sessions_needs_nothing_on_istio() {
    let without = without_policy(SHOP);
    passed_over(
        generate(&without).stdout_eq(""),
        str![[r#"
warning[NoEffect]: nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries


"#]],
    );
    passed_over(generate_envoy(&without), str![""]);
}

#[test]
fn a_url_with_a_user_is_refused_and_its_password_is_not_shown() {
    for url in [
        "https://user:s3cret@a.example/mooring.wasm",
        "http://s3cret@a.example/mooring.wasm",
        "oci://user:s3cret@a.example/mooring:1",
        "oci://user:s3cret@a.example/mooring@sha256:1111111111111111111111111111111111111111111111111111111111111111",
    ] {
        let run = mooring()
            .args(["generate", "-f", "-", "--wasm", url])
            .stdin(SHOP)
            .assert();
        let run = run.code(2).stdout_eq("");
        let stderr = crate::common::said(&run);
        assert!(
            stderr.starts_with("error: --wasm must not have a user name or password in its URL"),
            "{stderr}"
        );
        assert!(!stderr.contains("s3cret"), "{stderr}");
    }
    for url in [
        "https://a.example/@scope/mooring.wasm",
        "https://a.example/mooring.wasm?by=a@b",
    ] {
        let run = mooring()
            .args(["generate", "-f", "-", "--wasm", url])
            .stdin(SHOP)
            .assert();
        run.code(0).stderr_eq(SHOP_IS_READ);
    }
}

#[cfg(unix)]
#[test]
fn only_regular_files_of_a_directory_are_read() {
    use std::os::unix::fs::symlink;

    let root = directory("command_line/links");
    let input = root.join("input");
    fs::create_dir_all(input.join("deep")).unwrap();
    fs::write(root.join("secret.txt"), "PASSWORD: [s3cret").unwrap();
    fs::create_dir(root.join("elsewhere")).unwrap();
    fs::write(root.join("elsewhere/more.yaml"), "PASSWORD: [s3cret").unwrap();
    fs::write(input.join("shop.yaml"), SHOP).unwrap();
    symlink("../secret.txt", input.join("a.yaml")).unwrap();
    symlink("../../elsewhere", input.join("deep/b")).unwrap();
    // A ring, a link that leads nowhere, and one to a file of a name that is not read anyway.
    symlink("..", input.join("deep/c")).unwrap();
    symlink("missing", input.join("d.json")).unwrap();
    symlink("../secret.txt", input.join("notes.txt")).unwrap();
    let fifo = process::Command::new("mkfifo")
        .arg(input.join("e.yml"))
        .status()
        .unwrap();
    assert!(fifo.success());
    let socket = std::os::unix::net::UnixListener::bind(input.join("f.yaml")).unwrap();
    symlink("shop.yaml", input.join("g.yaml")).unwrap();

    let run = mooring()
        .current_dir(&root)
        .args(["generate", "--wasm", WASM, "-f", "input"])
        .assert();
    let whole = generate(SHOP).success();
    snapbox::assert_data_eq!(
        crate::common::said(&run),
        str![[r#"
warning[Unreadable]: Mooring reads only regular files in the directory `input`, so it skips `input/a.yaml` (a symbolic link), `input/d.json` (a symbolic link), `input/deep/b` (a symbolic link), `input/deep/c` (a symbolic link), `input/e.yml` (not a regular file) and 2 more
 |
 = help: to read such a file, name it: -f input/a.yaml


"#]]
        .raw(),
    );
    assert_eq!(run.get_output().stdout, whole.get_output().stdout);
    drop(socket);

    // What is named is read, also by a link.
    let named = mooring()
        .current_dir(&root)
        .args(["generate", "--wasm", WASM, "-f", "input/g.yaml"])
        .assert();
    assert_eq!(named.success().get_output().stdout, whole.get_output().stdout);
}

#[cfg(unix)]
#[test]
fn a_link_in_the_output_directory_is_replaced_and_not_followed() {
    use std::os::unix::fs::symlink;

    let root = directory("command_line/out-links");
    let out = root.join("out");
    fs::create_dir(&out).unwrap();
    let victim = root.join("victim");
    fs::write(&victim, "precious").unwrap();
    let name = "wasmplugin-default-mooring-front.yaml";
    symlink(&victim, out.join(name)).unwrap();
    let mut command = process::Command::new(cargo_bin("mooring"));
    command.args(["generate", "-f", "-", "--wasm", WASM, "--output-dir"]);
    let mut child = command.arg(&out).stdin(Stdio::piped()).spawn().unwrap();
    // A predictable name of a temporary file, which another process could create first.
    let guessed = out.join(format!("{name}.{}.tmp", child.id()));
    symlink(&victim, &guessed).unwrap();
    child.stdin.take().unwrap().write_all(SHOP.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(fs::symlink_metadata(out.join(name)).unwrap().is_file());
    assert!(fs::symlink_metadata(&guessed).unwrap().is_symlink());
    assert_eq!(names(&out).len(), 3);
}
