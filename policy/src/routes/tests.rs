use std::convert::Infallible;

use serde_json::{Value, json};
use wasm_bindgen_test::wasm_bindgen_test;

use super::*;
use crate::{backend::Backend, config::Secure};

fn config(rules: &[Value]) -> Value {
    json!({"version": 3, "rules": rules})
}

fn rule() -> Value {
    json!({
        "route": "shop.store.0",
        "virtualHosts": ["shop.example:80"],
        "id": "HTTPRoute/shop/store#0",
        "session": {"name": "cart", "type": "Cookie", "idleTimeout": "10m"},
        "backends": [{"key": "store.shop:80"}],
    })
}

/// The rule with one value put in by its JSON pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut rule = rule();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    rule.pointer_mut(parent).unwrap()[field] = value;
    rule
}

fn parse(config: &Value) -> Result<RouteTable, InvalidConfig> {
    RouteTable::parse(config.to_string().as_bytes())
}

/// What is wrong with the rule.
fn refusal(rule: Value) -> String {
    parse(&config(&[rule])).unwrap_err().to_string()
}

/// The id of the rule for a route in a virtual host.
fn find<'a>(table: &'a RouteTable, route: &str, virtual_host: Option<&str>) -> Option<&'a str> {
    let name = || Ok::<_, Infallible>(virtual_host.map(|name| name.as_bytes().to_vec()));
    let Ok(rule) = table.find(route.as_bytes(), name, || panic!("the rules have names"));
    rule.map(|rule| rule.id())
}

#[test]
#[wasm_bindgen_test]
fn a_rule_is_found_by_its_virtual_host_and_route() {
    let table = parse(&config(&[rule()])).unwrap();
    assert_eq!(
        find(&table, "shop.store.0", Some("shop.example:80")),
        Some("HTTPRoute/shop/store#0")
    );
    assert_eq!(find(&table, "shop.store.0", Some("evil.example:80")), None);
    assert_eq!(find(&table, "shop.store.0", None), None);
    let unasked = || -> Result<Option<Vec<u8>>, Infallible> { panic!("no rule has this route") };
    for route in ["shop.store.1", ""] {
        let Ok(found) = table.find(route.as_bytes(), unasked, unasked);
        assert!(found.is_none(), "{route}");
    }
}

#[test]
#[wasm_bindgen_test]
fn rules_of_one_route_name_are_told_apart_by_virtual_host() {
    let mut first = with("/virtualHosts", json!(["a.example:80"]));
    let mut second = with("/virtualHosts", json!(["b.example:80", "c.example:80"]));
    first["id"] = json!("first");
    second["id"] = json!("second");
    let table = parse(&config(&[first.clone(), second])).unwrap();
    let find = |host: &str| find(&table, "shop.store.0", Some(host));
    assert_eq!(find("a.example:80"), Some("first"));
    assert_eq!(find("c.example:80"), Some("second"));
    assert_eq!(find("d.example:80"), None);

    let same = with("/virtualHosts", json!(["z.example:80", "a.example:80"]));
    let message = parse(&config(&[first, same])).unwrap_err().to_string();
    assert!(
        message.contains("`first` and `HTTPRoute/shop/store#0` both claim the route"),
        "{message}"
    );
}

#[test]
#[wasm_bindgen_test]
fn rules_without_a_name_collide_unless_their_virtual_services_differ() {
    let rule = |id: &str, route: &str| {
        let mut rule = with("/route", json!(route));
        rule["id"] = json!(id);
        rule
    };
    let web = |route: &str| rule("VirtualService/shop/web#0", route);
    for route in ["", ".match"] {
        let other = rule("VirtualService/shop/cart#0", route);
        assert_eq!(parse(&config(&[web(route), other])).unwrap().len(), 2, "{route}");
        let message = parse(&config(&[web(route), web(route)])).unwrap_err().to_string();
        assert!(message.contains("both claim the route"), "{message}");
    }
    // One whose identity names no VirtualService may be made from any.
    for rules in [
        [web("a"), rule("HTTPRoute/shop/a#0", "a")],
        [rule("HTTPRoute/shop/a#0", "a"), web("a")],
    ] {
        let message = parse(&config(&rules)).unwrap_err().to_string();
        assert!(message.contains("both claim the route `a`"), "{message}");
    }
}

#[test]
#[wasm_bindgen_test]
fn a_backend_is_known_by_its_cluster_and_has_a_key_of_its_own_on_the_gateway() {
    let backends = json!([{"key": "store.shop:80"}, {"key": "store.shop:80/v2"}]);
    let table = parse(&config(&[with("/backends", backends)])).unwrap();
    let rule = table.rules().next().unwrap();
    let backend = |cluster: &str| rule.backend_of_cluster(cluster.as_bytes());
    assert_eq!(backend("outbound|80||store.shop.svc.cluster.local"), Some(0));
    assert_eq!(backend("outbound|80|v2|store.shop.svc.cluster.local"), Some(1));
    assert_eq!(backend("outbound|80|v3|store.shop.svc.cluster.local"), None);
    assert_eq!(rule.backend_of_cluster(b"outbound|80||\xff"), None);
    let keys: Vec<&str> = rule.backends().iter().map(Backend::session_key).collect();
    assert_eq!(
        keys,
        [
            "HTTPRoute/shop/store#0/store.shop:80",
            "HTTPRoute/shop/store#0/store.shop:80/v2"
        ]
    );
}

#[test]
#[wasm_bindgen_test]
fn the_refresh_interval_is_a_twentieth_within_bounds() {
    for (idle, expected) in [("1s", 1), ("2s", 1), ("10m", 30), ("1h", 60)] {
        let table = parse(&config(&[with("/session/idleTimeout", json!(idle))])).unwrap();
        let rule = table.rules().next().unwrap();
        assert_eq!(
            rule.session().unwrap().timeouts().idle.unwrap().refresh,
            expected,
            "{idle}"
        );
    }
}

#[test]
#[wasm_bindgen_test]
fn names_and_attributes_that_need_secure_get_it() {
    for (pointer, value) in [
        ("/session/name", json!("__Host-cart")),
        ("/session/name", json!("__secure-cart")),
        ("/session/cookie", json!({"sameSite": "None"})),
        ("/session/cookie", json!({"partitioned": true})),
    ] {
        let table = parse(&config(&[with(pointer, value.clone())])).unwrap();
        let rule = table.rules().next().unwrap();
        assert_eq!(rule.session().unwrap().cookie().secure(), Secure::Always, "{value}");
    }
}

#[test]
#[wasm_bindgen_test]
fn what_cannot_work_is_refused() {
    for (pointer, value, message) in [
        ("/route", json!(""), "`route` must have"),
        ("/id", json!("a\u{0}b"), "`id` must have"),
        ("/virtualHosts", json!([]), "at least one virtual host"),
        ("/backends", json!([]), "at least one backend"),
        (
            "/backends",
            json!([{"key": "a b", "weight": 1}]),
            "`a b` is not a backend key",
        ),
        (
            "/backends",
            json!([{"key": "", "weight": 1}]),
            "`` is not a backend key",
        ),
        (
            "/backends",
            json!([{"key": "a", "weight": 1}, {"key": "a", "weight": 2}]),
            "two backends have the key `a`",
        ),
        ("/session/name", json!("a b"), "' ' is not allowed"),
        (
            "/session/absoluteTimeout",
            json!("0s"),
            "absoluteTimeout is 0s, but sessions count whole seconds",
        ),
        ("/session/idleTimeout", json!("1500ms"), "idleTimeout is 1s500ms, but"),
        ("/session/idleTimeout", json!("1d"), "`1d` is not a duration"),
        (
            "/session/refreshInterval",
            json!("10m"),
            "the refresh interval is 10m, and it must be shorter than the idle timeout of 10m",
        ),
        (
            "/session/cookie",
            json!({"lifetimeType": "Permanent"}),
            "absoluteTimeout must be specified",
        ),
        (
            "/session/cookie",
            json!({"path": "shop"}),
            "`shop` is not a cookie Path",
        ),
        (
            "/session/cookie",
            json!({"path": "/;Domain=evil.example"}),
            "is not a cookie Path",
        ),
        ("/session/cookie", json!({"path": "/\r\nx: y"}), "is not a cookie Path"),
        (
            "/session/cookie",
            json!({"domain": "a;b"}),
            "`a;b` is not a cookie Domain",
        ),
        (
            "/session/cookie",
            json!({"sameSite": "None", "secure": "Never"}),
            "SameSite=None needs the Secure",
        ),
        (
            "/session/cookie",
            json!({"partitioned": true, "secure": "Never"}),
            "Partitioned needs the Secure",
        ),
        ("/session/cookie", json!({"sameSite": "lax"}), "unknown variant `lax`"),
        ("/session/sessionName", json!("x"), "unknown field `sessionName`"),
    ] {
        let found = refusal(with(pointer, value.clone()));
        assert!(found.contains(message), "{pointer} = {value}: {found}");
    }
}

#[test]
#[wasm_bindgen_test]
fn a_header_session_takes_no_cookie_attributes_and_a_free_name() {
    let header =
        |name: &str, cookie: Value| with("/session", json!({"name": name, "type": "Header", "cookie": cookie}));
    assert!(parse(&config(&[header("x-cart", json!({}))])).is_ok());
    assert!(refusal(header("x-cart", json!({"path": "/a"}))).contains("only be set with type Cookie"));
    assert!(refusal(header("x-mooring-host", json!({}))).contains("a meaning of its own"));
}

#[test]
#[wasm_bindgen_test]
fn a_refresh_interval_needs_an_idle_timeout() {
    let rule = with("/session", json!({"name": "cart", "refreshInterval": "10s"}));
    assert!(refusal(rule).contains("only used with an idleTimeout"));
}

#[test]
#[wasm_bindgen_test]
fn the_host_prefix_allows_neither_path_nor_domain() {
    for cookie in [json!({"path": "/a"}), json!({"domain": "example.com"})] {
        let rule = with("/session", json!({"name": "__Host-cart", "cookie": cookie}));
        assert!(refusal(rule).contains("begins with __Host- must have the Path /"));
    }
}

#[test]
#[wasm_bindgen_test]
fn a_foreign_document_is_refused() {
    let version = parse(&json!({"version": 1, "rules": []})).unwrap_err().to_string();
    assert_eq!(
        version,
        "the plugin configuration has version 1; this module reads version 3"
    );
    for text in ["", "{}", "[]", "null", "{\"version\": 3, \"rules\": [], \"extra\": 1}"] {
        assert!(
            matches!(RouteTable::parse(text.as_bytes()), Err(InvalidConfig::Json(_))),
            "{text}"
        );
    }
}

#[test]
#[wasm_bindgen_test]
fn rules_can_be_checked_with_canaries_that_have_been_checked_before() {
    let mut with_canary = rule();
    with_canary["canary"] = json!({"position": 0, "backends": [0]});
    let rules: Vec<RuleConfig> = serde_json::from_value(json!([with_canary])).unwrap();
    let canary = json!({"name": "shop/canary", "rules": [{"name": "staff", "optIn": {"header": "x-staff"}}]});
    let canary = Rc::new(Canary::new(&serde_json::from_value(canary).unwrap()).unwrap());
    assert_eq!(RouteTable::with_canaries(&rules, &[canary]).unwrap().len(), 1);
    let missing = RouteTable::with_canaries(&rules, &[]).unwrap_err().to_string();
    assert!(missing.contains("there is no canary 0; there are 0"), "{missing}");
}

#[test]
#[wasm_bindgen_test]
fn session_routes_are_found_by_their_name() {
    let mut config = config(&[rule()]);
    assert!(!parse(&config).unwrap().lacks_sanitizer());
    config["sessionRoutes"] = json!(["shop.mooring-web.1", "shop.mooring-web.0", "shop.mooring-web.10"]);
    let table = parse(&config).unwrap();
    assert!(table.lacks_sanitizer());
    for (route, expected) in [
        ("shop.mooring-web.0", true),
        ("shop.mooring-web.1", true),
        ("shop.mooring-web.10", true),
        ("shop.mooring-web.2", false),
        ("shop.mooring-web", false),
        ("shop.store.0", false),
        ("", false),
    ] {
        assert_eq!(table.is_session_route(route.as_bytes()), expected, "{route}");
    }
    for name in ["", "shop\n"] {
        config["sessionRoutes"] = json!(["shop.mooring-web.1", name]);
        let message = parse(&config).unwrap_err().to_string();
        assert_eq!(
            message,
            "each of sessionRoutes must have at least one character and no control characters"
        );
    }
}
