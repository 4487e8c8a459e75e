//! Random requests that meet and miss the conditions of the routes that Envoy has.
//!
//! Each request aims at a route: it meets all conditions, or one of them is broken, and further headers, parameters and
//! cookies are drawn from the values that any route looks at. So each condition is met about as often as it is missed.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::Value;

/// A request.
#[derive(Clone, Debug)]
pub struct Question {
    /// The port of the Gateway.
    pub port: u16,
    pub method: String,
    pub host: String,
    /// The path and the query.
    pub target: String,
    pub headers: Vec<(String, String)>,
}

/// A virtual host with the matches of its routes.
#[derive(Clone, Debug)]
pub struct VirtualHost {
    pub port: u16,
    pub domain: String,
    pub matches: Vec<Value>,
}

/// Values of headers and parameters that some route looks at, and some that none does.
const HEADERS: [(&str, &[&str]); 10] = [
    ("x-user", &["anna", "Anna", "bob", ""]),
    ("x-kind", &["exact", "v1", "v23", "vx", "exactly"]),
    ("x-region", &["eu", "us"]),
    ("x-internal", &["true", "false", ""]),
    ("x-flag", &["", "1"]),
    ("x-build", &["v2.1", "v1.2", "abc-3", "v2.0-rc"]),
    ("x-tenant", &["gold", "silver"]),
    ("x-preview", &["1", ""]),
    ("x-staff", &["1", "0"]),
    ("x-other", &["anything"]),
];

const PARAMETERS: [(&str, &[&str]); 3] = [
    ("q", &["1", "2", "abc", "abz", ""]),
    ("page", &["2", "3"]),
    ("v", &["2", "bb", "bc"]),
];

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"];

/// How many requests aim at each rule with sessions or a canary, and meet its conditions.
const DECISIONS: usize = 24;

/// Conditions of the canary rules: what makes each of them match, or not.
const CANARY_LINES: [(&str, &[&str]); 8] = [
    ("x-account", &["u1", "u2", "u3", "u4", "u5", "u6", ""]),
    ("x-tester", &["yes", "no"]),
    (
        "cookie",
        &[
            "usertype=tester",
            "a=b; usertype=tester",
            "usertype=other",
            "group=42",
            "group=52",
            "group=4",
        ],
    ),
    ("x-build", &["v2.0-rc", "v2.0", "v1.0-rc"]),
    ("x-agent", &["a robot", "a person"]),
    ("x-beta", &["1", ""]),
    ("x-gone", &["1"]),
    ("cookie", &["canary=always", "canary=never", "canary=maybe"]),
];

/// The same for the canary rules beside sessions.
const SESSION_LINES: [(&str, &[&str]); 2] = [("x-staff", &["1", "0"]), ("x-preview", &["", "1"])];

/// Texts that a regular expression of the routes matches, and others that are close.
fn samples(regex: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match regex {
        "/item/[0-9]+" => (
            &["/item/1", "/item/0042"],
            &["/item/", "/item/1a", "/item/1/", "/items/1"],
        ),
        "/(left|right)/.*" => (&["/left/", "/right/x/y"], &["/left", "/up/x", "/lefty/x"]),
        "(?i)/about(/.*)?" => (&["/about", "/ABOUT/us", "/About/"], &["/aboutus", "/ab"]),
        r"/shop\.(Item|Order)/[A-Z][a-z]+" => (
            &["/shop.Item/Get", "/shop.Order/List"],
            &["/shopxItem/Get", "/shop.Item/get", "/shop.Cart/Get"],
        ),
        "/[^/]+/Check" => (&["/grpc.health/Check", "/x/Check"], &["/a/b/Check", "/x/Checks"]),
        "/r/[a-z]{2,4}" => (&["/r/ab", "/r/abcd"], &["/r/a", "/r/abcde", "/r/AB"]),
        "v[0-9]+" => (&["v1", "v23"], &["v", "v1x", "xv1"]),
        "[a-f]+" => (&["a", "fade"], &["", "g", "abz"]),
        "[a-z]+-[0-9]" => (&["abc-3", "x-0"], &["abc-33", "-1", "ABC-3"]),
        "P(OST|UT)" => (&["POST", "PUT"], &["PATCH", "GET"]),
        "b+" => (&["b", "bbb"], &["", "bc"]),
        r"[a-z]+\.test\.org" => (&["one.test.org", "ab.test.org"], &["one2.test.org", "one.test.com"]),
        other => panic!("questions.rs has no samples for the regular expression {other}"),
    }
}

/// The virtual hosts of a bootstrap.
pub fn virtual_hosts(bootstrap: &Value) -> Vec<VirtualHost> {
    let mut found = Vec::new();
    for listener in bootstrap["static_resources"]["listeners"].as_array().unwrap() {
        let port = listener["name"].as_str().unwrap().rsplit('.').next().unwrap();
        let config = &listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"];
        for host in config["virtual_hosts"].as_array().unwrap() {
            let matches = host["routes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|route| route["match"].clone());
            found.push(VirtualHost {
                port: port.parse().unwrap(),
                domain: host["domains"][0].as_str().unwrap().to_owned(),
                matches: matches.filter(|one| !is_of_session(one)).collect(),
            });
        }
    }
    found
}

fn is_of_session(one: &Value) -> bool {
    let headers = one["headers"].as_array().into_iter().flatten();
    headers.into_iter().any(|header| header["name"] == "x-mooring-backend")
}

/// One of these.
fn one<'a, T>(rng: &mut Rng, values: &'a [T]) -> &'a T {
    &values[rng.usize(..values.len())]
}

/// What a request aims at.
#[derive(Clone, Copy, Debug)]
struct Aim<'h> {
    host: &'h VirtualHost,
    /// The match of a route. None: no route.
    route: Option<&'h Value>,
    /// The condition that the request does not meet. None: it meets all.
    broken: Option<usize>,
}

/// This many requests. Each route is aimed at about equally often, with all conditions met and with each of them broken.
pub fn random(rng: &mut Rng, hosts: &[VirtualHost], count: usize) -> Vec<Question> {
    let mut aims = Vec::new();
    for host in hosts {
        aims.push(Aim {
            host,
            route: None,
            broken: None,
        });
        for route in &host.matches {
            let conditions = 1 + list(route, "headers").count() + list(route, "query_parameters").count();
            // Most requests for sessions and canaries reach them, because there the module decides.
            let met = if decides(&host.domain) {
                DECISIONS
            } else {
                conditions + 1
            };
            let broken = (0..conditions).map(Some).chain(vec![None; met]);
            aims.extend(broken.map(|broken| Aim {
                host,
                route: Some(route),
                broken,
            }));
        }
    }
    rng.shuffle(&mut aims);
    let aims = aims.iter().cycle().take(count);
    aims.map(|aim| aim.request(rng)).collect()
}

/// Whether the rules of a host name have sessions or canaries.
fn decides(domain: &str) -> bool {
    ["canary.", "session.", "*.versions."]
        .iter()
        .any(|start| domain.starts_with(start))
}

fn list<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value[field].as_array().into_iter().flatten()
}

impl Aim<'_> {
    fn request(self, rng: &mut Rng) -> Question {
        let Self { host, route, broken } = self;
        let mut question = Question {
            port: host.port,
            method: "GET".to_owned(),
            host: name_below(rng, &host.domain),
            target: String::new(),
            headers: Vec::new(),
        };
        let (mut path, mut query) = (String::from("/"), Vec::new());
        if let Some(route) = route {
            path = a_path(rng, route, broken == Some(0));
            let headers = list(route, "headers").count();
            for (position, header) in (1..).zip(list(route, "headers")) {
                meet_header(rng, header, broken == Some(position), &mut question);
            }
            for (position, parameter) in (1 + headers..).zip(list(route, "query_parameters")) {
                let name = parameter["name"].as_str().unwrap();
                let value = a_value(rng, &parameter["string_match"], broken == Some(position));
                query.extend(value.map(|value| (name.to_owned(), value)));
            }
        }
        vary(rng, &mut question, &mut query);
        if decides(&host.domain) {
            let lines: &[(&str, &[&str])] = match host.domain.as_str() {
                "canary.example.com" => &CANARY_LINES,
                _ => &SESSION_LINES,
            };
            for _ in 0..rng.usize(..3) {
                let (name, values) = *one(rng, lines);
                let value = *one(rng, values);
                add(&mut question.headers, name, value);
            }
        }
        let path = detour(rng, path);
        question.target = with_query(rng, path, &query);
        question
    }
}

/// A path, sometimes written in another way that Envoy normalizes.
fn detour(rng: &mut Rng, path: String) -> String {
    match rng.u8(..30) {
        0 => format!("/x/..{path}"),
        1 => format!("/.{path}"),
        2 => path.replacen('a', "%61", 1),
        3 => path + "/../y",
        4 => path + "%2f",
        5 => format!("/{path}"),
        _ => path,
    }
}

/// A host name of a domain, sometimes in upper case, with a port, or of no domain at all.
fn name_below(rng: &mut Rng, domain: &str) -> String {
    let name = match domain.strip_prefix('*') {
        Some("") => one(
            rng,
            &[
                "other.org",
                "admin.other.org",
                "one.test.org",
                "127.0.0.1",
                "example.com",
            ],
        )
        .to_string(),
        Some(below) => format!("{}{below}", one(rng, &["a", "a.b", "shopping"])),
        None => domain.to_owned(),
    };
    match rng.u8(..24) {
        0 => name.to_uppercase(),
        1 => format!("{name}:8080"),
        2 => format!("x{name}"),
        _ => name,
    }
}

fn a_path(rng: &mut Rng, aim: &Value, broken: bool) -> String {
    let text = |field: &str| aim[field].as_str().map(str::to_owned);
    let ignores_case = aim["case_sensitive"] == false;
    let mut path = if let Some(path) = text("path") {
        path + if broken { *one(rng, &["/", "x", "/x"]) } else { "" }
    } else if let Some(prefix) = text("path_separated_prefix") {
        prefix
            + *one(
                rng,
                if broken {
                    &["x", "s/", ".html"]
                } else {
                    &["", "/", "/x", "/x/y"]
                },
            )
    } else if let Some(prefix) = text("prefix") {
        if broken && prefix.len() > 1 {
            prefix.get(..prefix.len() - 1).unwrap().to_owned()
        } else {
            prefix + *one(rng, &["", "/x", "x"])
        }
    } else {
        let (hits, misses) = samples(aim["safe_regex"]["regex"].as_str().unwrap());
        one(rng, if broken { misses } else { hits }).to_string()
    };
    if (ignores_case && rng.bool()) || rng.u8(..20) == 0 {
        path = if rng.bool() {
            path.to_uppercase()
        } else {
            path.to_lowercase()
        };
    }
    path
}

fn a_value(rng: &mut Rng, matcher: &Value, broken: bool) -> Option<String> {
    if broken && rng.u8(..3) == 0 {
        return None;
    }
    let text = |field: &str| matcher[field].as_str();
    if let Some(exact) = text("exact") {
        return Some(if broken {
            one(rng, &[format!("{exact}x"), exact.to_uppercase() + "!", String::new()]).clone()
        } else {
            exact.to_owned()
        });
    }
    if let Some(prefix) = text("prefix") {
        return Some(if broken {
            format!("x{prefix}")
        } else {
            format!("{prefix}{}", one(rng, &["", "1", "x.org"]))
        });
    }
    let (hits, misses) = samples(matcher["safe_regex"]["regex"].as_str().unwrap());
    Some(one(rng, if broken { misses } else { hits }).to_string())
}

fn meet_header(rng: &mut Rng, header: &Value, broken: bool, question: &mut Question) {
    let name = header["name"].as_str().unwrap();
    let inverted = header["invert_match"] == true;
    let value = if header["present_match"] == true {
        (broken == inverted).then(|| one(rng, &["", "1"]).to_string())
    } else {
        a_value(rng, &header["string_match"], broken != inverted)
    };
    match (name, value) {
        (":method", Some(value)) if METHODS.contains(&value.as_str()) => question.method = value,
        (":method", _) => "PATCH".clone_into(&mut question.method),
        (":authority", Some(value)) if !value.is_empty() => question.host = value,
        (":authority", _) | (_, None) => {}
        (name, Some(value)) => add(&mut question.headers, name, &value),
    }
}

/// Adds what the route at which the request aims does not look at, but perhaps another one.
fn vary(rng: &mut Rng, question: &mut Question, query: &mut Vec<(String, String)>) {
    for _ in 0..rng.usize(..3) {
        let (name, values) = *one(rng, &HEADERS);
        if rng.bool() {
            let value = *one(rng, values);
            add(&mut question.headers, name, value);
        }
    }
    // A second line of a header that is there.
    let first = question.headers.first().map(|(name, _)| name.clone());
    let known = first.and_then(|first| HEADERS.iter().find(|(name, _)| *name == first));
    if let Some((name, values)) = known.filter(|_| rng.u8(..4) == 0) {
        let value = *one(rng, values);
        add(&mut question.headers, name, value);
    }
    if rng.u8(..4) == 0 {
        let (name, values) = *one(rng, &PARAMETERS);
        query.insert(
            rng.usize(..=query.len()),
            (name.to_owned(), one(rng, values).to_string()),
        );
    }
    if rng.u8(..6) == 0 {
        question.method = one(rng, &METHODS).to_string();
    }
}

fn add(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    headers.push((name.to_owned(), value.to_owned()));
}

fn with_query(rng: &mut Rng, path: String, query: &[(String, String)]) -> String {
    if query.is_empty() {
        return path + *one(rng, &["", "", "", "?", "?x", "?x=/cart"]);
    }
    let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{path}?{}", pairs.join("&"))
}

/// Leaves one line of each header: Envoy 1.36 compares the lines joined by commas, and later versions one by one.
pub fn without_repeated_headers(question: &mut Question) {
    let mut seen = BTreeSet::new();
    question
        .headers
        .retain(|(name, _)| name == "cookie" || seen.insert(name.clone()));
}
