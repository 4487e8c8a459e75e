//! `mooring keygen`: new keys, and the steps that replace a key.

use std::{fs, process};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use snapbox::{cmd::cargo_bin, str};

use crate::common::{directory, mooring};

#[test]
fn it_prints_an_entry_or_a_secret() {
    let entry = mooring()
        .args(["keygen", "--id", "0A"])
        .assert()
        .success()
        .stderr_eq("");
    let text = String::from_utf8(entry.get_output().stdout.clone()).unwrap();
    assert!(
        text.starts_with("0a:") && text.len() == "0a:".len() + 43 + 1,
        "the length is {}",
        text.len()
    );
    mooring()
        .args(["keygen", "--id", "01", "--secret", "istio-ingress/mooring-keys"])
        .assert()
        .success()
        .stdout_eq(str![[r#"
apiVersion: v1
kind: Secret
metadata:
  labels:
    app.kubernetes.io/managed-by: mooring
  name: mooring-keys
  namespace: istio-ingress
stringData:
  MOORING_KEYS: 01:[..]
type: Opaque

"#]]);
    mooring().args(["keygen", "--id", "1"]).assert().code(2).stdout_eq("");
    mooring()
        .args(["keygen", "--secret", "mooring-keys"])
        .assert()
        .code(2)
        .stdout_eq("");
}

/// The exit code, the standard output and the standard error of `mooring keygen` with this standard input.
fn keygen(input: &str, arguments: &[&str]) -> (i32, String, String) {
    let run = mooring().arg("keygen").args(arguments).stdin(input).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (run.status.code().unwrap(), text(run.stdout), text(run.stderr))
}

/// What a successful `mooring keygen` prints, without the newline.
fn printed(input: &str, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = keygen(input, arguments);
    assert_eq!(code, 0, "{stderr}");
    stdout.trim_end().to_owned()
}

#[test]
fn it_appends_to_a_ring() {
    let first = printed("", &["--id", "0a"]);
    let file = directory("keygen/ring").join("ring");
    fs::write(&file, format!("{first}\n")).unwrap();

    let ring = printed("", &["--ring", file.to_str().unwrap()]);
    let (before, new) = ring.split_once(',').unwrap();
    assert_eq!(before, first);
    assert!(!new.starts_with("0a:"));
    let secret = printed(&ring, &["--ring", "-", "--secret", "istio-ingress/mooring-keys"]);
    assert!(
        secret.contains(&format!("MOORING_KEYS: {before},{new},")),
        "{}",
        secret.len()
    );

    for (ring, arguments, said) in [
        ("", ["--ring", "-"].as_slice(), "the key ring is empty"),
        ("junk", &["--ring", "-"], "key 1 of the ring"),
        ("", &["--ring", "-", "--check"], "the key ring is empty"),
        ("kind: Secret\ndata: junk", &["--ring", "-"], "--output json"),
        ("{\"kind\": \"junk\"}", &["--ring", "-"], "it is not a Secret"),
        ("", &["--ring", "none.txt"], "cannot read none.txt"),
    ] {
        let (code, stdout, stderr) = keygen(ring, arguments);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
        assert!(!stderr.contains("junk") && !stderr.contains(before), "{stderr}");
    }
}

/// A step that is done already prints the same ring and says so.
#[test]
fn each_step_of_a_rotation_can_be_repeated() {
    let first = printed("", &["--id", "01"]);
    let both = printed(&first, &["--ring", "-", "--id", "02"]);
    let second = both.split_once(',').unwrap().1.to_owned();
    assert_eq!(both, format!("{first},{second}"));
    let promoted = format!("{second},{first}");
    for (before, arguments, after) in [
        (&both, ["--id", "02"], &both),
        (&both, ["--promote", "02"], &promoted),
        (&promoted, ["--promote", "02"], &promoted),
        (&promoted, ["--remove", "01"], &second),
        (&second, ["--remove", "01"], &second),
    ] {
        let (code, stdout, stderr) = keygen(before, &[&["--ring", "-"], arguments.as_slice()].concat());
        assert_eq!(
            (code, stdout.trim_end()),
            (0, after.as_str()),
            "{arguments:?}: {stderr}"
        );
        assert_eq!(
            stderr.starts_with("unchanged: "),
            before == after,
            "{arguments:?}: {stderr}"
        );
    }
    for (arguments, said) in [
        (["--remove", "01"], "promote another key first"),
        (["--promote", "03"], "the ring has no key with the ID 03"),
    ] {
        let (code, stdout, stderr) = keygen(&both, &[&["--ring", "-"], arguments.as_slice()].concat());
        assert_eq!((code, stdout.as_str()), (1, ""));
        assert!(stderr.contains(said), "{stderr}");
    }
}

/// `kubectl get secret --output json | mooring keygen --ring - … | kubectl replace -f -`.
#[test]
fn a_secret_is_printed_for_a_secret() {
    let first = printed("", &["--id", "01"]);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "mooring-keys", "namespace": "istio-ingress", "resourceVersion": "7"},
        "data": {"MOORING_KEYS": STANDARD.encode(&first)},
    });
    let changed = printed(&secret.to_string(), &["--ring", "-", "--id", "02"]);
    let changed: Value = serde_json::from_str(&changed).unwrap();
    let encoded = changed["data"]["MOORING_KEYS"].as_str().unwrap();
    let ring = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
    assert!(ring.starts_with(&format!("{first},02:")), "{}", ring.len());
    let mut expected = secret;
    expected["data"]["MOORING_KEYS"] = json!(encoded);
    assert_eq!(changed, expected);
    assert_eq!(
        printed(&changed.to_string(), &["--ring", "-", "--check"]),
        "key 1: ID 01, encrypts new tokens\nkey 2: ID 02, decrypts tokens"
    );
    let copy = printed(
        &changed.to_string(),
        &["--ring", "-", "--copy", "--secret", "shop/mooring-keys"],
    );
    assert!(copy.contains("namespace: shop\n") && copy.contains(&format!("MOORING_KEYS: {ring}\n")));
}

#[test]
fn check_reports_what_is_invalid_without_secrets() {
    let first = printed("", &["--id", "01"]);
    let (code, stdout, stderr) = keygen(&format!("{first},{first},junk"), &["--ring", "-", "--check"]);
    assert_eq!((code, stderr.as_str()), (1, ""));
    let expected = "key 1: ID 01, encrypts new tokens\n\
        key 2: invalid: key 2 of the ring has the ID 01 of an earlier one; IDs must differ\n\
        key 3: invalid: key 3 of the ring is not `ID:SECRET` with an ID of two hexadecimal digits\n";
    assert_eq!(stdout, expected);
}

#[cfg(unix)]
#[test]
fn a_key_is_not_lost() {
    let keygen = |redirection: &str| {
        let mooring = cargo_bin("mooring");
        let command = format!("exec '{}' keygen {redirection}", mooring.display());
        process::Command::new("sh").args(["-c", &command]).output().unwrap()
    };
    for closed in [">&-", "<&- >&-", "--secret a/b >&-"] {
        let output = keygen(closed);
        assert_eq!(output.status.code(), Some(1), "{closed}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            stderr,
            "error: the standard output is closed, so the key would be lost\n"
        );
    }
    for (open, code) in [("", 0), (">/dev/null", 0), (">/dev/full", 1)] {
        assert_eq!(keygen(open).status.code(), Some(code), "{open}");
    }
}
