//! Which files are read, and in which forms objects may stand in them.

/// Texts that hold no manifest: charts, values, Kustomize files, other tools' files.
mod foreign_texts;

use std::path::PathBuf;

use crate::common::{self, SHOP, SHOP_IS_READ, WASM, generate, mooring, said, write};
use snapbox::cmd::OutputAssert;

/// A directory of a test with these files.
fn directory<C: AsRef<[u8]>>(name: &str, files: &[(&str, C)]) -> PathBuf {
    let path = common::directory(&format!("input_files/{name}"));
    for (file, content) in files {
        write(&path, file, content);
    }
    path
}

/// `mooring generate` in a directory.
fn generate_in(directory: &PathBuf, arguments: &[&str]) -> OutputAssert {
    let command = mooring().current_dir(directory).args(["generate", "--wasm", WASM]);
    command.args(arguments).assert()
}

/// Asserts that a run has generated what the shop alone gives, and has said nothing.
#[track_caller]
fn is_the_shop(run: OutputAssert) {
    let run = run.code(0).stderr_eq(SHOP_IS_READ);
    assert_eq!(run.get_output().stdout, generate(SHOP).get_output().stdout);
}

fn documents() -> Vec<&'static str> {
    SHOP.split("---\n").collect()
}

#[test]
fn a_shell_may_expand_the_files() {
    let documents = documents();
    let (first, rest) = documents.split_first().unwrap();
    let rest = rest.join("---\n");
    let files = [("a.yaml", first.as_bytes()), ("b.yaml", rest.as_bytes())];
    let root = directory("shell", &files);
    is_the_shop(generate_in(&root, &["-f", "a.yaml", "b.yaml"]));
    is_the_shop(generate_in(&root, &["-f", "a.yaml", "-f", "b.yaml"]));
    is_the_shop(generate_in(
        &root,
        &["--file=a.yaml", "-f", "b.yaml", "a.yaml", "--strict"],
    ));
    let validate = mooring()
        .current_dir(&root)
        .args(["validate", "-f", "a.yaml", "b.yaml"]);
    validate.assert().code(0);
    let written = generate_in(&root, &["-f", "a.yaml", "b.yaml", "--output-dir", "out"]);
    written.code(0);
    let diff = mooring().current_dir(&root).args(["diff", "out", "--wasm", WASM]);
    diff.args(["-f", "a.yaml", "b.yaml"]).assert().code(0).stdout_eq("");
}

#[test]
fn directories_of_tools_are_not_read() {
    let broken = b"[".as_slice();
    let files = [
        ("shop.yaml", SHOP.as_bytes()),
        (".git/config.yaml", broken),
        (".github/workflows/ci.yml", broken),
        ("deep/.terraform/x/y.json", broken),
    ];
    let root = directory("dots", &files);
    is_the_shop(generate_in(&root, &["-f", "."]));
    // What is named is read.
    generate_in(&root, &["-f", ".", ".git"]).code(3);
}

#[test]
fn what_is_to_be_ignored_is_not_read() {
    let broken = b"[".as_slice();
    let files = [
        ("in/shop.yaml", SHOP.as_bytes()),
        ("in/values.yaml", broken),
        ("in/deep/values-prod.yaml", broken),
        ("in/charts/shop/templates/route.yaml", broken),
        ("in/drafts/a.yaml", broken),
    ];
    let root = directory("ignore", &files);
    let globs = [
        "--ignore",
        "values*.yaml",
        "--ignore",
        "charts/*/templates",
        "--ignore=drafts/",
    ];
    is_the_shop(generate_in(&root, &[&["-f", "in"], &globs[..]].concat()));
    is_the_shop(generate_in(
        &root,
        &[&["-f", "in/shop.yaml", "in/values.yaml"], &globs[..]].concat(),
    ));
    generate_in(&root, &["-f", "in", "--ignore", "values*.yaml"]).code(3);
    let run = generate_in(&root, &["-f", "in", "--ignore", "{a"]).code(2);
    let stderr = said(&run);
    assert!(
        stderr.starts_with("error: invalid value '{a' for '--ignore <GLOB>'"),
        "{stderr}"
    );
}

fn utf_16(text: &str, order: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

#[test]
fn a_text_that_is_not_utf_8_is_told_what_it_is() {
    let shop = format!("\u{feff}{SHOP}");
    for (input, message) in [
        (utf_16(&shop, u16::to_le_bytes), "`<stdin>` is UTF-16: save it as UTF-8"),
        (utf_16(&shop, u16::to_be_bytes), "`<stdin>` is UTF-16: save it as UTF-8"),
        (utf_16(SHOP, u16::to_le_bytes), "`<stdin>` is UTF-16: save it as UTF-8"),
        (utf_16(SHOP, u16::to_be_bytes), "`<stdin>` is UTF-16: save it as UTF-8"),
        (
            shop.chars()
                .flat_map(|character| u32::from(character).to_le_bytes())
                .collect(),
            "`<stdin>` is UTF-32: save it as UTF-8",
        ),
        (
            b"\x80".to_vec(),
            "`<stdin>` is not YAML: the byte at offset 0 is not UTF-8",
        ),
    ] {
        let run = mooring().args(["generate", "-f", "-", "--wasm", WASM]).stdin(input);
        let run = run.assert().code(1).stdout_eq("");
        assert_eq!(said(&run), format!("error[Syntax]: {message}\n\n"));
    }
}

#[test]
fn a_text_from_windows_is_read() {
    is_the_shop(generate(&format!("\u{feff}{SHOP}")));
    is_the_shop(generate(&SHOP.replace('\n', "\r\n")));
    is_the_shop(generate(&format!("\u{feff}{}", SHOP.replace('\n', "\r\n"))));
    is_the_shop(generate(&SHOP.replace("---\n", "---\n\u{feff}")));
    is_the_shop(generate(&SHOP.replace("---\n", "\u{feff}---\n")));
}

/// The shop as JSON values, in the order of its documents.
fn values() -> Vec<serde_json::Value> {
    serde_saphyr::from_multiple(SHOP).unwrap()
}

#[test]
fn json_values_may_follow_each_other() {
    let compact: Vec<String> = values().iter().map(ToString::to_string).collect();
    let pretty: Vec<String> = values().iter().map(|value| format!("{value:#}")).collect();
    let list = |items: &[serde_json::Value]| serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
    let all = values();
    let (some, others) = all.split_at(2);
    for input in [
        compact.join("\n"),
        compact.concat(),
        pretty.concat(),
        pretty.join("\n\n"),
        format!("\n\n{}\n", pretty.join("\n---\n")),
        format!("[{}]", compact.join(",")),
        format!("[\n\t{}\n]", pretty.join(",\n")),
        format!(
            "[{}][{}]",
            compact.get(..2).unwrap().join(","),
            compact.get(2..).unwrap().join(",\n")
        ),
        format!("{}{}", list(some), list(others)),
    ] {
        is_the_shop(generate(&input));
    }
}

#[test]
fn the_place_of_a_value_among_others_is_that_in_the_file() {
    let policy = |name: &str, field: &str| {
        format!(
            "{{\"apiVersion\":\"gateway.networking.k8s.io/v1alpha2\",\"kind\":\"BackendLBPolicy\",\
             \"metadata\":{{\"name\":\"{name}\"}},\"spec\":{{\"{field}\":1}}}}"
        )
    };
    // The column of `"wrong"` in a policy with a name of one letter.
    let column = policy("a", "wrong").find("\"wrong\"").unwrap().saturating_add(1);
    let one = policy("a", "wrong");
    let place = |line: usize, before: usize| format!("--> <stdin>:{line}:{}\n", column.saturating_add(before));
    for (input, expected) in [
        (one.clone(), vec![place(1, 0)]),
        (format!("{{\"ä\":1}}{one}"), vec![place(1, 7)]),
        (
            format!("\n{{}}\n\n{one} {}", policy("b", "wrong")),
            vec![place(4, 0), place(4, one.len().saturating_add(1))],
        ),
        (format!("[{one}]"), vec![place(1, 1)]),
        (
            format!("[{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"}},\n  {one}]"),
            vec![place(2, 2)],
        ),
        (format!("---\n{one}\n---\n{one}"), vec![place(2, 0), place(4, 0)]),
    ] {
        let run = generate(&input).code(3);
        let stderr = said(&run);
        for place in expected {
            assert!(stderr.contains(&place), "{input}\n{place}\n{stderr}");
        }
    }
}

#[test]
fn a_value_that_breaks_off_does_not_hide_those_before_it() {
    let compact: Vec<String> = values().iter().map(ToString::to_string).collect();
    let run = generate(&format!("{}\n{{\"kind\":", compact.join("\n"))).code(3);
    assert!(said(&run).contains("left out because of errors: 1 document (<stdin>:6)"));
    assert_eq!(run.get_output().stdout, generate(SHOP).get_output().stdout);
}

#[test]
fn session_routes_are_copied_from_an_array_too() {
    let split = SHOP.replace(
        "    - name: web\n      port: 80\n",
        "    - {name: web, port: 80}\n    - {name: api, port: 80}\n",
    );
    let split = format!(
        "{split}---\napiVersion: v1\nkind: Service\nmetadata: {{name: api}}\nspec: {{ports: [{{port: 80}}]}}\n"
    );
    let values: Vec<serde_json::Value> = serde_saphyr::from_multiple(&split).unwrap();
    let array = serde_json::Value::from(values.clone()).to_string();
    let lines: Vec<String> = values.iter().map(ToString::to_string).collect();
    let whole = generate(&split).code(0);
    assert!(String::from_utf8_lossy(&whole.get_output().stdout).contains("kind: HTTPRoute"));
    for input in [array, lines.concat()] {
        let run = generate(&input).code(0);
        assert_eq!(run.get_output().stdout, whole.get_output().stdout);
    }
}

#[test]
fn a_list_may_have_nothing_in_it() {
    for items in ["items: null\n", "items:\n", "items: []\n", ""] {
        let list = format!("apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: ''}}\n{items}");
        is_the_shop(generate(&format!("{SHOP}---\n{list}")));
    }
    is_the_shop(generate(&format!("{SHOP}---\n[]\n")));
}
