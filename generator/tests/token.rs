//! `mooring token`: what is in a session token, and tokens for tests.

use mooring_policy::{
    keys::{Entry, KeyRing},
    token::{Binding, Token},
};
use serde_json::{Value, json};
use snapbox::{IntoData as _, assert_data_eq, str};

use crate::common::{directory, mooring, write};

const RULE: &str = "HTTPRoute/shop/cart/main";
const ISSUED: u64 = 1_700_000_000;
const AT: &str = "2023-11-14T22:43:20Z";

/// The text of a ring with this key. Different secrets give different rings.
fn ring(id: u8, secret: u8) -> String {
    let bytes = std::array::from_fn(|position| {
        let position = u8::try_from(position).unwrap();
        secret ^ position.wrapping_mul(position).wrapping_mul(7)
    });
    Entry::new(id, bytes).reveal().to_string()
}

/// A token as a gateway with the key 01 seals it.
fn sealed() -> String {
    let token = Token {
        seen: ISSUED + 1_740,
        backend: b"cart-v2.shop:80".as_slice().into(),
        host: b"10.0.0.7:8080".as_slice().into(),
        ..Token::new(ISSUED, true)
    };
    let keys = KeyRing::parse(&ring(1, 1)).unwrap();
    token.seal(&keys, &Binding::new(RULE, "cart"), [7; 24]).unwrap()
}

/// The exit code, the standard output and the standard error of `mooring token` with this standard input.
fn token(input: &str, arguments: &[&str]) -> (i32, String, String) {
    let run = mooring().arg("token").args(arguments).stdin(input).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let result = (run.status.code().unwrap(), text(run.stdout), text(run.stderr));
    let secret = ring(1, 1).replace("01:", "");
    assert!(!result.1.contains(&secret) && !result.2.contains(&secret));
    if !arguments.contains(&"seal") {
        let start = &*sealed().chars().take(24).collect::<String>();
        assert!(
            !result.1.contains(start) && !result.2.contains(start),
            "a token was printed"
        );
    }
    result
}

/// The output of `inspect` with the key on the standard input.
fn inspected(text: &str, arguments: &[&str]) -> String {
    let arguments = [&["inspect", text, "--keys", "-", "--rule", RULE, "--at", AT], arguments].concat();
    let (code, stdout, stderr) = token(&ring(1, 1), &arguments);
    assert_eq!((code, stderr.as_str()), (0, ""));
    stdout
}

#[test]
fn without_a_key_version_key_and_length_are_shown() {
    let text = sealed();
    let expected = str![[r#"
token    format version 2, key 01, 120 characters
content  sealed: give --keys and --rule to open it

"#]];
    for (input, arguments) in [
        ("", vec!["inspect", &text]),
        (&*text, vec!["inspect"]),
        (&*text, vec!["inspect", "-"]),
    ] {
        let (code, stdout, stderr) = token(input, &arguments);
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert_data_eq!(stdout, expected.clone().raw());
    }
    let (_, stdout, _) = token("", &["inspect", &format!("Cookie: a=b; cart={text}"), "-o", "json"]);
    let value: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        value,
        json!({"version": 2, "keyId": "01", "length": 120, "session": "cart"})
    );
}

#[test]
fn with_a_key_everything_is_shown() {
    let expected = str![[r#"
token             format version 2, key 01, 120 characters
rule              HTTPRoute/shop/cart/main
session           cart
backend           cart-v2.shop:80
host              10.0.0.7:8080
issued            2023-11-14T22:13:20Z (30m ago)
last seen         2023-11-14T22:42:20Z (1m ago)
cookie            Secure
absolute timeout  1h, 30m left, until 2023-11-14T23:13:20Z
idle timeout      10m, 9m left, until 2023-11-14T22:52:20Z
state             live

"#]];
    let text = sealed();
    let timeouts = ["--absolute-timeout", "1h", "--idle-timeout", "10m"];
    for (text, more) in [
        (text.clone(), &["--session", "cart"][..]),
        (format!("cart={text}"), &[]),
        (format!("Set-Cookie: cart={text}; Path=/; HttpOnly"), &[]),
        (format!("cart={text}"), &["--rule", "HTTPRoute/shop/other#0"]),
    ] {
        let arguments = [&timeouts[..], more].concat();
        assert_data_eq!(inspected(&text, &arguments), expected.clone().raw());
    }
    let json = inspected(&format!("cart={text}"), &["-o", "json", "--idle-timeout", "30s"]);
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        value,
        json!({
            "version": 2,
            "keyId": "01",
            "length": 120,
            "rule": RULE,
            "session": "cart",
            "backend": "cart-v2.shop:80",
            "backendVersion": null,
            "backendShare": null,
            "host": "10.0.0.7:8080",
            "secure": true,
            "issued": {"time": "2023-11-14T22:13:20Z", "secondsAgo": 1800},
            "lastSeen": {"time": "2023-11-14T22:42:20Z", "secondsAgo": 60},
            "state": "expired-idle",
            "absoluteTimeout": null,
            "idleTimeout": {"timeoutSeconds": 30, "secondsLeft": 0, "expires": "2023-11-14T22:42:50Z"},
        })
    );
}

#[test]
fn the_keys_may_be_a_secret() {
    let copy = [
        "keygen",
        "--ring",
        "-",
        "--copy",
        "--secret",
        "istio-ingress/mooring-keys",
    ];
    let run = mooring().args(copy).stdin(ring(1, 1)).output().unwrap();
    let secret = String::from_utf8(run.stdout).unwrap();
    let secret: Value = serde_saphyr::from_str(&secret).unwrap();
    let directory = directory("token/secret");
    write(&directory, "secret.json", secret.to_string());
    let keys = directory.join("secret.json");
    let pair = format!("cart={}", sealed());
    let arguments = ["inspect", &pair, "--keys", keys.to_str().unwrap(), "--rule", RULE];
    let (code, stdout, stderr) = token("", &arguments);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("cart-v2.shop:80"), "{stdout}");
}

#[test]
fn a_sealed_token_has_what_was_asked_for() {
    let keys = ring(1, 1);
    let directory = directory("token/seal");
    write(&directory, "keys.txt", &keys);
    let file = directory.join("keys.txt");
    let usual = [
        "seal",
        "--keys",
        file.to_str().unwrap(),
        "--rule",
        RULE,
        "--session",
        "cart",
        "--backend",
        "cart.shop:80",
    ];
    let times = [
        "--host",
        "10.0.0.7:8080",
        "--issued",
        "2023-11-14T22:13:20Z",
        "--last-seen",
        AT,
        "--secure",
    ];
    let (code, stdout, stderr) = token("", &[&usual[..], &times].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    // The gateway opens it.
    let opened = Token::open(
        stdout.trim().as_bytes(),
        &KeyRing::parse(&keys).unwrap(),
        &Binding::new(RULE, "cart"),
    );
    let expected = Token {
        seen: ISSUED + 1_800,
        backend: b"cart.shop:80".as_slice().into(),
        host: b"10.0.0.7:8080".as_slice().into(),
        ..Token::new(ISSUED, true)
    };
    assert_eq!(opened, Ok(expected));
    // Without times, the session begins now. Two tokens differ: each has a nonce of its own.
    let (first, second) = (token("", &usual).1, token("", &usual).1);
    assert_ne!(first, second);
    let pair = format!("cart={first}");
    let (_, stdout, _) = token(
        &keys,
        &["inspect", pair.trim(), "--keys", "-", "--rule", RULE, "-o", "json"],
    );
    let value: Value = serde_json::from_str(&stdout).unwrap();
    let age = value["issued"]["secondsAgo"].as_i64().unwrap();
    assert!((0..60).contains(&age), "{value}");
    assert_eq!(value["host"], Value::Null);
    let (_, old, _) = token("", &[&usual[..], &["--issued", "1h30m"]].concat());
    let pair = format!("cart={old}");
    let (_, stdout, _) = token(
        &keys,
        &["inspect", pair.trim(), "--keys", "-", "--rule", RULE, "-o", "json"],
    );
    let value: Value = serde_json::from_str(&stdout).unwrap();
    let age = value["issued"]["secondsAgo"].as_i64().unwrap();
    assert!((5_400..5_460).contains(&age), "{value}");
}

#[test]
fn the_share_of_the_backend_is_sealed_and_shown() {
    let keys = ring(1, 1);
    let directory = directory("token/share");
    write(&directory, "keys.txt", &keys);
    let file = directory.join("keys.txt");
    let seal = |share: &str| {
        let file = file.to_str().unwrap();
        let bound = [
            "seal",
            "--keys",
            file,
            "--rule",
            RULE,
            "--session",
            "cart",
            "--backend",
            "cart.shop:80",
        ];
        token("", &[&bound[..], &["--backend-share", share]].concat())
    };
    let (code, sealed, stderr) = seal("37.5");
    assert_eq!((code, stderr.as_str()), (0, ""));
    let pair = format!("cart={}", sealed.trim());
    let shown = |more: &[&str]| {
        let arguments = [&["inspect", &pair, "--keys", "-", "--rule", RULE], more].concat();
        token(&keys, &arguments).1
    };
    let value: Value = serde_json::from_str(&shown(&["-o", "json"])).unwrap();
    assert_eq!((&value["version"], &value["backendShare"]), (&json!(4), &json!(37.5)));
    assert!(
        shown(&[]).contains("\nbackend share  37.5% when the session was drawn\n"),
        "{}",
        shown(&[])
    );
    let (code, _, stderr) = seal("101");
    assert_eq!(code, 2);
    assert!(stderr.contains("0 to 100, with at most two decimals"), "{stderr}");
}

/// One message, nothing on the standard output, and neither the token nor the keys in it.
#[track_caller]
fn refused(input: &str, arguments: &[&str], message: &str) {
    let (code, stdout, stderr) = token(input, arguments);
    assert_eq!((code, stdout.as_str()), (1, ""), "{arguments:?}\n{stderr}");
    assert!(
        stderr.starts_with("error: ") && stderr.contains(message),
        "{arguments:?}\n{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn what_cannot_be_opened_is_said_in_one_line() {
    let text = sealed();
    let pair = format!("cart={text}");
    let cut = pair.get(..pair.len() - 4).unwrap();
    let open = |text: &'static str| ["--keys", "-", "--rule", text];
    let keys = ring(1, 1);
    for (input, arguments, message) in [
        (
            &*keys,
            [&["inspect", &pair][..], &open("HTTPRoute/shop/other#0")].concat(),
            "the token belongs to another rule or session",
        ),
        (
            &keys,
            [&["inspect", &format!("user={text}")][..], &open(RULE)].concat(),
            "the token belongs to another rule or session",
        ),
        (
            &ring(1, 2),
            [&["inspect", &pair][..], &open(RULE)].concat(),
            "or the gateway has another secret under the key ID 01",
        ),
        (
            &ring(7, 1),
            [&["inspect", &pair][..], &open(RULE)].concat(),
            "the token was sealed with the key 01, which the ring does not have; it has: 07",
        ),
        (
            &keys,
            [&["inspect", cut][..], &open(RULE)].concat(),
            "is cut off or changed",
        ),
        (
            &keys,
            [&["inspect", pair.get(..40).unwrap()][..], &open(RULE)].concat(),
            "the value of `cart` is not a token: it has 35 characters, and a token has 59 to 1024",
        ),
    ] {
        refused(input, &arguments, message);
    }
}

#[test]
fn input_that_is_no_token_or_no_ring_is_refused() {
    let text = sealed();
    let pair = format!("cart={text}");
    let open = |text: &'static str| ["--keys", "-", "--rule", text];
    let keys = ring(1, 1);
    for (input, arguments, message) in [
        (
            "",
            vec!["inspect", "hello world"],
            "this is not a token: its character 6 is not",
        ),
        ("", vec!["inspect"], "there is no token: the text is empty"),
        (
            "",
            [&["inspect", &pair][..], &open(RULE)].concat(),
            "cannot use -: the key ring is empty",
        ),
        (
            "junk",
            [&["inspect", &pair][..], &open(RULE)].concat(),
            "cannot use -: key 1 of the ring is not `ID:SECRET`",
        ),
        (
            "kind: Secret\n",
            [&["inspect", &pair][..], &open(RULE)].concat(),
            "cannot use -: it is YAML; print the Secret with",
        ),
        (
            "",
            vec!["inspect", &pair, "--keys", "nowhere.txt", "--rule", RULE],
            "cannot read nowhere.txt: ",
        ),
        (
            &keys,
            vec!["inspect", &text, "--keys", "-", "--rule", RULE],
            "the session name is missing",
        ),
        (&keys, vec!["inspect", &pair, "--keys", "-"], "the rule is missing"),
        (
            "",
            vec![
                "seal",
                "--keys",
                "nowhere.txt",
                "--rule",
                RULE,
                "--session",
                "cart",
                "--backend",
                "a",
            ],
            "cannot read nowhere.txt: ",
        ),
        (
            &keys,
            vec![
                "seal",
                "--keys",
                "-",
                "--rule",
                RULE,
                "--session",
                "cart",
                "--backend",
                &"a".repeat(256),
            ],
            "--backend, --backend-version or --host is too long",
        ),
    ] {
        refused(input, &arguments, message);
    }
}

#[test]
fn the_version_of_the_backend_is_in_the_token() {
    let arguments = [
        "seal",
        "--keys",
        "-",
        "--rule",
        RULE,
        "--session",
        "cart",
        "--backend",
        "cart-v2.shop:80",
    ];
    let (code, sealed, _) = token(
        &ring(1, 1),
        &[&arguments[..], &["--backend-version", "6c5f9b7d4"]].concat(),
    );
    assert_eq!(code, 0);
    let shown = inspected(&format!("cart={}", sealed.trim()), &[]);
    assert!(
        shown.contains("format version 3,") && shown.contains("backend version  6c5f9b7d4\n"),
        "{shown}"
    );
    let shown = inspected(&format!("cart={}", sealed.trim()), &["-o", "json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["backendVersion"], "6c5f9b7d4");
    let (_, sealed, _) = token(&ring(1, 1), &arguments);
    let shown = inspected(&format!("cart={}", sealed.trim()), &[]);
    assert!(
        shown.contains("format version 2,") && !shown.contains("backend version"),
        "{shown}"
    );
}

#[test]
fn wrong_flags_have_their_own_status() {
    for (arguments, message) in [
        (&["inspect", "a", "--rule", RULE][..], "--keys <FILE>"),
        (
            &["inspect", "a", "--at", "noon"],
            "write a time such as 2026-01-31T12:00:00Z",
        ),
        (&["inspect", "a", "--keys", "k", "--idle-timeout", "0s"], "idleTimeout"),
        (&["inspect", "--keys", "-"], "cannot both come from the standard input"),
        (&["seal"], "--backend <KEY>"),
        (
            &["seal", "--keys", "k", "--rule", "", "--session", "a", "--backend", "b"],
            "--rule is empty",
        ),
        (&[], "Usage: mooring token [OPTIONS] <COMMAND>"),
    ] {
        let (code, stdout, stderr) = token("", arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}\n{stderr}");
        assert!(stderr.contains(message), "{arguments:?}\n{stderr}");
    }
}
