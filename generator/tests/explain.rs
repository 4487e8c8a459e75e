//! `mooring explain`: what it says about a request, and about objects that are applied. `tests/tests/envoy/explain.rs` compares it with
//! Envoy.

use std::{fs, path::Path};

use mooring_policy::{
    keys::KeyRing,
    token::{Binding, NONCE_LENGTH, Token},
};
use serde_json::{Value, json};
use snapbox::cmd::OutputAssert;

use crate::common::{SHOP, directory, generate, mooring, said, shop_with, with_testers, write};

/// A key for tests.
const KEYS: &str = "01:WlteY2p3gIOGiYyPkpWYm56hpKeqrbCztrm8v8LFyMs";

/// 2026-11-26T03:00:00Z.
const NOW: u64 = 1_795_662_000;

/// The shop with a second Service, which gets a tenth of the requests and all those of testers.
fn split() -> String {
    let shop = shop_with(
        "  - backendRefs:\n    - name: web\n      port: 80\n",
        "  - name: all\n    matches: [{path: {value: /cart}}]\n    backendRefs: [{name: web, port: 80, weight: 90}, {name: web2, port: 80, weight: 10}]\n    \
         sessionPersistence: {sessionName: shop, absoluteTimeout: 1h, idleTimeout: 10m}\n",
    );
    with_testers(&shop)
}

/// Runs the command on a text. The arguments are separated by `|`.
fn run(input: &str, arguments: &str) -> OutputAssert {
    mooring()
        .args(["explain", "-q", "-f", "-", "--at", "2026-11-26T03:00:00Z"])
        .args(arguments.split('|'))
        .stdin(input)
        .assert()
}

fn stdout(run: &OutputAssert) -> String {
    String::from_utf8(run.get_output().stdout.clone()).unwrap()
}

/// The explanation of a request that a route takes.
fn explain(input: &str, arguments: &str) -> Value {
    let run = run(input, &format!("{arguments}|-o|json")).success();
    serde_json::from_str(&stdout(&run)).unwrap()
}

/// A token of the split for a Service, begun and seen so many seconds ago.
fn token(service: &str, age: u64, idle: u64) -> String {
    let keys = KeyRing::parse(KEYS).unwrap();
    let token = Token {
        issued: NOW - age,
        seen: NOW - idle,
        secure: false,
        backend: format!("{service}.default:80").into_bytes().into(),
        version: Box::default(),
        share: None,
        host: b"127.0.9.1:8080".as_slice().into(),
    };
    let binding = Binding::new("HTTPRoute/default/web/all", "shop");
    token.seal(&keys, &binding, [9; NONCE_LENGTH]).unwrap()
}

/// A file with the key ring.
fn keys(test: &str) -> String {
    let directory = directory(&format!("explain-{test}"));
    write(&directory, "keys.txt", format!("{KEYS}\n"));
    directory.join("keys.txt").display().to_string()
}

const CART: &str = "--url|http://shop.example.com/cart/1";

#[test]
fn a_new_client_goes_by_weight_and_gets_a_cookie() {
    let found = explain(&split(), CART);
    assert_eq!(found["outcome"], "routed");
    assert_eq!(found["proxy"], json!({ "name": "Gateway default/front", "port": 80 }));
    assert_eq!(found["virtualHost"]["name"], "*:80");
    assert_eq!(found["route"]["rule"], "HTTPRoute/default/web/all");
    assert_eq!(
        found["route"]["location"],
        json!({ "file": "<stdin>", "line": 21, "column": 15 })
    );
    assert_eq!(found["configuration"], json!({ "source": "generated" }));
    assert_eq!(
        (&found["decision"]["reason"], &found["decision"]["session"]),
        (&json!("split"), &json!("new"))
    );
    assert_eq!(found["decision"]["backend"], Value::Null);
    let odds =
        json!([{ "backend": "web.default:80", "percent": 90.0 }, { "backend": "web2.default:80", "percent": 10.0 }]);
    assert_eq!(found["odds"], odds);
    assert_eq!(
        found["responseHeaders"][0],
        json!({ "action": "add", "name": "set-cookie", "value": "shop=<token>; HttpOnly; SameSite=Lax; Path=/" })
    );
    assert_eq!(
        found["session"]["setBy"]["name"],
        "sessionPersistence of HTTPRoute/default/web/all"
    );
}

#[test]
fn a_live_session_stays_with_its_backend_and_shows_what_is_left_of_both_timeouts() {
    let keys = keys("live");
    let found = explain(
        &split(),
        &format!("{CART}|--cookie|shop={}|--keys|{keys}", token("web2", 600, 5)),
    );
    let decision = &found["decision"];
    assert_eq!(
        (&decision["backend"], &decision["host"]),
        (&json!("web2.default:80"), &json!("127.0.9.1:8080"))
    );
    assert_eq!(
        (&decision["reason"], &decision["session"], &decision["token"]),
        (&json!("session"), &json!("resumed"), &Value::Null)
    );
    let [token] = found["tokens"].as_array().unwrap().as_slice() else {
        panic!("{found}")
    };
    let content = &token["content"];
    assert_eq!(
        (
            &token["counts"],
            &content["issued"]["secondsAgo"],
            &content["lastSeen"]["secondsAgo"]
        ),
        (&json!(true), &json!(600), &json!(5))
    );
    assert_eq!(
        (
            &content["absoluteTimeout"]["secondsLeft"],
            &content["idleTimeout"]["secondsLeft"]
        ),
        (&json!(3_000), &json!(595))
    );
    let key = "HTTPRoute/default/web/all/web2.default:80";
    assert!(
        found["requestHeaders"]
            .as_array()
            .unwrap()
            .contains(&json!({ "action": "set", "name": "x-mooring-backend", "value": key }))
    );
    let then = |event: &str| {
        let failures = found["failures"].as_array().unwrap().iter();
        failures
            .filter(|failure| failure["event"] == event)
            .map(|failure| failure["then"].as_str().unwrap())
            .collect::<String>()
    };
    assert_eq!(
        then("pod-gone"),
        "another pod of web2.default:80 answers, and the session moves to it"
    );
    assert!(
        then("backend-down").ends_with("moves to another backend that the weights select, such as web.default:80"),
        "{found}"
    );
}

#[test]
fn a_token_that_does_not_count_says_why() {
    let keys = keys("rejected");
    let of = |value: &str| {
        let found = explain(&split(), &format!("{CART}|--cookie|shop={value}|--keys|{keys}"));
        let verdict = found["tokens"][0]["verdict"].as_str().unwrap().to_owned();
        assert_eq!(found["tokens"][0]["counts"], false, "{found}");
        (found["decision"]["session"].as_str().unwrap().to_owned(), verdict)
    };
    let expected = |session: &str, verdict: &str| (session.to_owned(), verdict.to_owned());
    assert_eq!(
        of(&token("web", 700, 601)),
        expected(
            "expired-idle",
            "it has expired: its last request was 10m1s ago, and the idle timeout is 10m"
        )
    );
    assert_eq!(
        of(&token("web", 3_600, 1)),
        expected(
            "expired-absolute",
            "it has expired: it is 1h old, and the absolute timeout is 1h"
        )
    );
    let (session, verdict) = of("junk");
    assert_eq!(session, "rejected-malformed");
    assert!(verdict.starts_with("this is not a token: "), "{verdict}");
    let live = token("web", 10, 10);
    let last = if live.ends_with('A') { 'B' } else { 'A' };
    let changed = format!("{}{last}", live.get(..live.len() - 1).unwrap());
    assert_eq!(of(&changed).0, "rejected-tampered");
}

#[test]
fn of_two_tokens_the_one_that_was_sealed_last_counts() {
    let keys = keys("two");
    let (old, new) = (token("web", 100, 50), token("web2", 100, 20));
    let found = explain(
        &split(),
        &format!("{CART}|--cookie|shop={old}|--cookie|shop={new}|--keys|{keys}"),
    );
    assert_eq!(found["decision"]["backend"], "web2.default:80");
    assert_eq!(
        found["tokens"][0]["verdict"],
        "it does not count: another token was sealed later"
    );
    assert_eq!(found["tokens"][1]["verdict"], "it counts");
}

#[test]
fn without_keys_a_token_is_not_opened() {
    let found = explain(&split(), &format!("{CART}|--cookie|shop={}", token("web2", 10, 5)));
    assert_eq!(found["decision"]["session"], "not-opened");
    assert_eq!(
        found["tokens"][0]["verdict"],
        "it is not opened: give the key ring of the gateway with --keys"
    );
}

#[test]
fn a_canary_rule_is_named_with_its_place_and_conditions() {
    let found = explain(&split(), &format!("{CART}|-H|x-tester: yes"));
    assert_eq!(
        (&found["decision"]["backend"], &found["decision"]["reason"]),
        (&json!("web2.default:80"), &json!("canary:testers"))
    );
    assert_eq!(found["canary"]["policy"]["name"], "CanaryPolicy default/testers");
    assert_eq!(found["canary"]["rule"]["location"]["column"], 11);
    assert_eq!(found["canary"]["conditions"], json!(["the header `x-tester` is `yes`"]));
}

#[test]
fn no_token_is_printed() {
    let keys = keys("secret");
    let token = token("web", 100, 50);
    for output in ["text", "json"] {
        let run = run(
            &split(),
            &format!("{CART}|--cookie|shop={token}|--keys|{keys}|-o|{output}"),
        )
        .success();
        let text = stdout(&run);
        assert!(!text.contains(token.get(..12).unwrap()), "{text}");
        // The response renews the token: its value is a placeholder.
        assert!(text.contains("shop=<token>;"), "{text}");
    }
}

#[test]
fn a_request_without_a_route_fails_with_the_nearest_ones() {
    let run = run(&split(), "--url|http://shop.example.com/car").code(1);
    let text = stdout(&run);
    let expected = "
ROUTE          404, no route
NEAREST        3. all of HTTPRoute/default/web/all (<stdin>:21:15)
  NOT MET      the path is `/cart` or below it: found `/car`
DECISION       no route takes the request, so Envoy answers 404
";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn an_unknown_host_is_answered_with_the_known_ones() {
    let input = shop_with(
        "  rules:\n",
        "  hostnames: [shop.example.com, '*.example.net']\n  rules:\n",
    );
    let run = run(&input, "--url|http://shop.example.org/").code(1);
    assert!(
        stdout(&run).contains("\n  hosts        *.example.net, shop.example.com\n"),
        "{}",
        stdout(&run)
    );
}

#[test]
fn flags_that_are_wrong_are_usage_errors() {
    for (arguments, message) in [
        (
            "--url|shop.example.com/cart",
            "it must begin with http:// or https:// and a host name",
        ),
        ("--url|http://a b/", "is not a URL"),
        (&format!("{CART}|-H|x-user"), "write a name, a colon and a value"),
        (&format!("{CART}|-H|host: a"), "the host name is in --url"),
        (&format!("{CART}|--cookie|a"), "write a name and a value"),
        (&format!("{CART}|--method|GET /"), "a method is one word"),
        (&format!("{CART}|--port|0"), "0 is not in 1..=65535"),
    ] {
        let run = run(SHOP, arguments).code(2);
        assert!(said(&run).contains(message), "{}", said(&run));
        assert_eq!(stdout(&run), "");
    }
    let time = mooring()
        .args(["explain", "-f", "-", "--url", "http://a/", "--at", "now"])
        .stdin(SHOP)
        .assert()
        .code(2);
    assert!(said(&time).contains("write a time such as"), "{}", said(&time));
}

#[test]
fn what_cannot_be_read_is_said_in_one_message() {
    let directory = directory("explain-unreadable");
    write(&directory, "keys.txt", "01:AAAA\n");
    for (keys, message) in [
        ("missing.txt", "cannot read "),
        ("keys.txt", "the secret of key 1 of the ring has 3 bytes instead of 32"),
    ] {
        let run = run(SHOP, &format!("{CART}|--keys|{}", directory.join(keys).display())).code(1);
        assert!(said(&run).contains(message), "{}", said(&run));
        assert_eq!(stdout(&run), "");
    }
    let run = run(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n",
        CART,
    )
    .code(1);
    assert!(
        said(&run).contains("no proxy of the input has a route"),
        "{}",
        said(&run)
    );
    let port = self::run(SHOP, "--url|http://shop.example.com:8443/").success();
    assert!(
        stdout(&port).contains("Gateway default/front, port 80"),
        "the only port: {}",
        stdout(&port)
    );
}

#[test]
fn of_several_gateways_one_is_selected() {
    let gateway = SHOP.split("---").next().unwrap().replace("name: front", "name: back");
    let route = SHOP
        .split("---")
        .nth(1)
        .unwrap()
        .replace("  name: web\n", "  name: web-back\n")
        .replace("name: front", "name: back");
    let input = format!("{SHOP}---\n{gateway}---{route}");
    let both = run(&input, CART).code(1);
    let message = "several proxies may receive the request: Gateway default/back, Gateway default/front; select a Gateway with --gateway";
    assert!(said(&both).contains(message), "{}", said(&both));
    let found = explain(&input, &format!("{CART}|--gateway|default/back"));
    assert_eq!(found["route"]["rule"], "HTTPRoute/default/web-back#0");
}

#[test]
fn callers_have_the_routes_of_the_mesh() {
    let route = "  parentRefs:\n  - {group: \"\", kind: Service, name: web}\n";
    let input = shop_with("  parentRefs:\n  - name: front\n", route);
    let found = explain(&input, "--url|http://web.default/|--callers|default");
    assert_eq!(found["proxy"]["name"], "the callers default");
    assert_eq!(found["decision"]["reason"], "single");
}

/// The objects that are generated for an input.
fn applied(input: &str) -> String {
    stdout(&generate(input).success())
}

#[test]
fn applied_rules_decide_instead_of_the_written_ones() {
    // What is applied has no session, and another canary rule.
    let old = split()
        .replace(
            "    sessionPersistence: {sessionName: shop, absoluteTimeout: 1h, idleTimeout: 10m}\n",
            "",
        )
        .replace("value: 'yes'", "value: 'always'");
    let old = old
        .split("---\napiVersion: gateway.networking.k8s.io/v1alpha2")
        .next()
        .unwrap()
        .to_owned()
        + old
            .split_once("cookieConfig:\n      lifetimeType: Permanent\n")
            .unwrap()
            .1;
    let input = format!("{}---\n{}", split(), applied(&old));
    let found = explain(&input, CART);
    let configuration = &found["configuration"];
    assert_eq!(
        (&configuration["source"], &configuration["wasmPlugin"]),
        (&json!("applied"), &json!("default/mooring-front"))
    );
    let id = "HTTPRoute/default/web/all";
    assert_eq!(
        configuration["differences"],
        json!([
            format!("another session of the rule {id} would be generated"),
            format!("other canary rules of the rule {id} would be generated"),
        ])
    );
    assert_eq!(
        (&found["decision"]["session"], &found["session"]),
        (&json!("none"), &Value::Null)
    );
    assert_eq!(
        explain(&input, &format!("{CART}|-H|x-tester: always"))["decision"]["reason"],
        "canary:testers"
    );
    assert_eq!(
        explain(&input, &format!("{CART}|-H|x-tester: yes"))["decision"]["reason"],
        "split"
    );
    let written = explain(&input, &format!("{CART}|-H|x-tester: yes|--config|generated"));
    assert_eq!(written["decision"]["reason"], "canary:testers");
}

#[test]
fn a_rule_that_is_not_applied_yet_is_named() {
    let input = format!("{}---\n{}", split(), applied(SHOP));
    let found = explain(&input, CART);
    assert_eq!(found["decision"]["reason"], Value::Null);
    let differences = found["configuration"]["differences"].to_string();
    assert!(
        differences.contains("it lacks the rule HTTPRoute/default/web/all, which would be generated"),
        "{differences}"
    );
    assert!(differences.contains("it differs in another rule too"), "{differences}");
}

#[test]
fn the_same_objects_differ_in_nothing() {
    let input = format!("{}---\n{}", split(), applied(&split()));
    let found = explain(&input, &format!("{CART}|--config|applied"));
    assert_eq!(found["configuration"]["differences"], Value::Null, "{found}");
    assert_eq!(found["configuration"]["release"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_virtual_host_that_no_envoy_filter_enables_is_without_mooring() {
    let objects = applied(&split()).replace("          name: \"*:80\"", "          name: \"other:80\"");
    let found = explain(&format!("{}---\n{objects}", split()), CART);
    let text = "no EnvoyFilter of the input enables the module in this virtual host, so Mooring does nothing";
    assert_eq!(found["decision"]["text"], text, "{found}");
}

#[test]
fn objects_of_another_release_say_so() {
    let objects = applied(&split()).replace("mooring.dev/version: \"0.1.0\"", "mooring.dev/version: \"0.0.9\"");
    let other = explain(&format!("{}---\n{objects}", split()), CART);
    assert_eq!(
        other["configuration"]["differences"],
        json!(["mooring 0.0.9 generated it, and this is mooring 0.1.0"])
    );
    let unreadable = objects.replace("    version: 3\n", "    version: 4\n");
    let run = run(&format!("{}---\n{unreadable}", split()), CART).code(1);
    assert_eq!(stdout(&run), "");
    let message = "the WasmPlugin default/mooring-front cannot be explained by mooring 0.1.0, because mooring 0.0.9 generated it: its \
                   configuration has version 4, and this release of Mooring reads version 3";
    assert!(said(&run).contains(message), "{}", said(&run));
    // The rules that would be generated can be explained.
    explain(
        &format!("{}---\n{unreadable}", split()),
        &format!("{CART}|--config|generated"),
    );
}

#[test]
fn without_an_applied_configuration_there_is_none_to_explain() {
    let run = run(SHOP, &format!("{CART}|--config|applied")).code(1);
    assert!(
        said(&run).contains("the input has no WasmPlugin default/mooring-front"),
        "{}",
        said(&run)
    );
}

/// Runs each command of the page, and compares what it prints. `UPDATE_GENERATED` writes the page again.
#[test]
fn the_outputs_of_the_page_are_those_of_the_command() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = root.join("docs/explain.md");
    let text = fs::read_to_string(&page).unwrap();
    let keys = keys("page");
    let mut current = String::new();
    let mut commands = 0;
    for (number, part) in text.split("```").enumerate() {
        let body = part.strip_prefix("console\n").filter(|_| number % 2 == 1);
        let Some(command) = body
            .and_then(|body| body.lines().next())
            .and_then(|line| line.strip_prefix("$ "))
        else {
            current += if number > 0 { "```" } else { "" };
            current += part;
            continue;
        };
        commands += 1;
        let words = words(command);
        assert_eq!(words.first().map(String::as_str), Some("mooring"), "{command}");
        let token = page_token();
        let words = words
            .iter()
            .skip(1)
            .map(|word| word.replace("$TOKEN", &token).replace("keys.txt", &keys));
        let run = mooring().args(words).current_dir(&root).assert();
        current += &["```console\n$ ", command, "\n", &stdout(&run)].concat();
    }
    assert!(commands > 2, "{commands} commands");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        return fs::write(&page, &current).unwrap();
    }
    assert_eq!(text, current, "docs/explain.md is not current; run `make generated`");
}

/// The session of the page: on the canary of examples/sticky-canary.
fn page_token() -> String {
    let token = Token {
        issued: NOW - 5_400,
        seen: NOW - 240,
        secure: false,
        backend: b"shop-v2.default:80".as_slice().into(),
        version: Box::default(),
        share: None,
        host: Box::default(),
    };
    let keys = KeyRing::parse(KEYS).unwrap();
    let binding = Binding::new("HTTPRoute/default/shop/shop", "shop-version");
    token.seal(&keys, &binding, [3; NONCE_LENGTH]).unwrap()
}

/// The words of a command, some of them in quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in command.split(['\'', '"']).enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
