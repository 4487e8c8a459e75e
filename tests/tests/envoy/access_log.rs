//! What access logs show of the decisions about requests, with `--access-log`.

use std::{fs, sync::Arc};

use mooring_policy::{
    keys::KeyRing,
    token::{Binding, NONCE_LENGTH, Token},
};
use mooring_tests::{
    Bootstrap, Builder, Canary, Client, Envoy, Manifests, Persistence, Pod, Route, Rule, Service, Source, address,
    keys, wait,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::shop::{COOKIE, cart, large, persistence};

mod cases;

/// Envoy's own access log, and those that a user adds beside it.
pub struct Logs(Arc<TempDir>);

/// What a request's line of the JSON log has, by its header `x-case`.
#[derive(Debug)]
pub struct Line(Value);

/// The fields of a decision.
const FIELDS: [&str; 5] = ["rule", "reason", "backend", "session", "age"];

impl Logs {
    pub fn new() -> Self {
        Self(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// An Envoy that writes them, and writes what it has at once.
    pub fn envoy(&self) -> Builder {
        let directory = Arc::clone(&self.0);
        let flags = ["--log-level", "info", "--component-log-level", "main:warning"];
        Envoy::builder()
            .log(&[flags.as_slice(), &["--file-flush-interval-msec", "20"]].concat())
            .edit(move |bootstrap| add(bootstrap, &directory))
    }

    /// The lines of one of the files that are there by now.
    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.0.path().join(file)).unwrap_or_default();
        // The last one may not be complete.
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        complete.lines().map(str::to_owned).collect()
    }

    /// The line of the JSON log about this request.
    pub async fn line(&self, case: &str) -> Line {
        wait::until(&format!("the access log has {case}"), || async {
            let lines = self.lines("json.log").into_iter();
            let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
            lines.find(|line| line["case"] == case).map(Line)
        })
        .await
    }
}

impl Line {
    /// The text that the module has left. None: nothing.
    pub fn text(&self) -> Option<&str> {
        self.0["mooring"].as_str()
    }

    /// The text without the age, and the age.
    #[track_caller]
    pub fn decision(&self) -> (&str, &str) {
        let text = self.text().unwrap_or_else(|| panic!("{self:?}"));
        let fields = text.split(';').map(|field| field.split_once('=').unwrap().0);
        assert!(fields.eq(FIELDS), "{text}");
        text.rsplit_once(";age=").unwrap()
    }
}

/// Adds a log in text, in JSON, in text that is JSON, and one with a filter, to every connection manager.
fn add(bootstrap: &mut Bootstrap, directory: &TempDir) {
    let file = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";
    let cel = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter";
    let text = "%FILTER_STATE(wasm.mooring:PLAIN)%";
    let in_json = json!({
        "case": "%REQ(X-CASE)%",
        "mooring": text,
        "flags": "%RESPONSE_FLAGS%",
        "cluster": "%UPSTREAM_CLUSTER%",
        "route": "%ROUTE_NAME%",
    });
    let of_text = |format: String| json!({"text_format_source": {"inline_string": format + "\n"}});
    let log = |name: &str, format: Value| {
        let path = directory.path().join(name);
        json!({"name": name, "typed_config": {"@type": file, "path": path, "log_format": format}})
    };
    let mut moved = log("moved.log", of_text(format!("%REQ(X-CASE)% {text}")));
    let expression = "filter_state['wasm.mooring'].matches('session=(moved|ended|released|backend-)')";
    moved["filter"] = json!({"extension_filter": {
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": {"@type": cel, "expression": expression},
    }});
    let logs = [
        moved,
        log("text.log", of_text(format!("%REQ(X-CASE)% {text}"))),
        log(
            "text-json.log",
            of_text(format!("{{\"case\":\"%REQ(X-CASE)%\",\"mooring\":\"{text}\"}}")),
        ),
        log("json.log", json!({"json_format": in_json})),
    ];
    let listeners = bootstrap.json_mut().pointer_mut("/static_resources/listeners");
    for listener in listeners.and_then(Value::as_array_mut).unwrap() {
        let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
        let mut all = manager["access_log"].as_array().cloned().unwrap_or_default();
        all.extend(logs.clone());
        manager["access_log"] = json!(all);
    }
}

async fn send(client: &Client, case: &str, target: &str, lines: &[(&str, &str)]) -> u16 {
    let request = client.request(target).header("x-case", case);
    let request = lines
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value));
    request.send().await.status()
}

/// A token for the session of a rule, so many seconds old.
fn token(rule: &str, name: &str, (backend, host): (&str, &str), issued: i64, seen: i64) -> String {
    let ago = |seconds| u64::try_from(time::UtcDateTime::now().unix_timestamp() - seconds).unwrap();
    let token = Token {
        issued: ago(issued),
        seen: ago(seen),
        secure: false,
        backend: backend.as_bytes().into(),
        version: Box::default(),
        share: None,
        host: host.as_bytes().into(),
    };
    let keys = KeyRing::parse(&keys::key(1)).unwrap();
    token.seal(&keys, &Binding::new(rule, name), [7; NONCE_LENGTH]).unwrap()
}

#[tokio::test]
async fn the_log_of_a_local_envoy_ends_in_the_decision_and_without_the_flag_there_is_none() {
    let pods = Pod::start_several("cart", 2).await;
    let logs = Logs::new();
    let envoy = logs.envoy().start(&cart(&pods, persistence()).access_log()).await;
    let mut browser = envoy.browser();
    for _ in 0..2 {
        browser.get("/a?b=c").await.ok();
    }
    let written = |text: String, session: &str| {
        let decision = format!(";backend=cart.shop:80;session={session};age=");
        text.lines().find(|line| line.contains(&decision)).map(str::to_owned)
    };
    let line = wait::until("Envoy writes its access log", || async {
        written(envoy.log(), "resumed")
    })
    .await;
    assert!(line.contains("] \"GET /a?b=c HTTP/1.1\" 200 - "), "{line}");
    let words: Vec<&str> = line.rsplitn(4, ' ').collect();
    assert!(
        words[0].starts_with("rule=HTTPRoute/shop/cart#0;reason=session;"),
        "{line}"
    );
    assert!(pods.iter().any(|pod| words[1] == pod.socket().to_string()), "{line}");
    assert_eq!(words[2], "outbound|80||cart.shop.svc.cluster.local");
    assert!(written(envoy.log(), "new").unwrap().contains(";reason=single;"));

    let logs = Logs::new();
    let envoy = logs.envoy().start(&cart(&pods, persistence())).await;
    assert_eq!(send(&envoy.client(), "off", "/", &[]).await, 200);
    assert_eq!(logs.line("off").await.text(), None);
    let in_text = wait::until("the text log has a line", || async {
        Some(logs.lines("text.log")).filter(|lines| !lines.is_empty())
    });
    assert_eq!(in_text.await, ["off -"]);
    assert!(!envoy.log().contains("GET /"), "{}", envoy.log());
}

#[tokio::test]
async fn nothing_that_a_client_sends_is_shown() {
    let pods = Pod::start_several("cart", 2).await;
    let logs = Logs::new();
    let envoy = logs.envoy().start(&cart(&pods, persistence()).access_log()).await;
    let forged = "x;session=moved;age=\"1\\";
    let cookie = format!("{COOKIE}={forged}");
    let lines = [
        ("cookie", cookie.as_str()),
        ("x-mooring-backend", forged),
        ("x-mooring-host", forged),
        ("mooring", forged),
        ("wasm.mooring", forged),
    ];
    let target = "/x;session=moved;age=1?wasm.mooring=%22";
    for (case, client) in [("http1", envoy.client()), ("http2", envoy.client_http2())] {
        assert_eq!(send(&client, case, target, &lines).await, 200);
        let expected = "rule=HTTPRoute/shop/cart#0;reason=single;backend=cart.shop:80;session=rejected-malformed;age=-";
        assert_eq!(logs.line(case).await.text(), Some(expected));
    }
    assert_eq!(logs.lines("moved.log"), [""; 0]);
}

#[tokio::test]
async fn a_request_that_its_client_abandons_shows_its_decision() {
    let silent = address::fresh();
    let pod = tokio::net::TcpListener::bind((silent, 8080)).await.unwrap();
    let shop = Manifests::new()
        .service(&Service::at("cart", [silent]))
        .route(&Route::new("cart").rule(Rule::to("cart").persistence(persistence())));
    let logs = Logs::new();
    let envoy = logs.envoy().start(&shop.access_log()).await;
    let mut client = TcpStream::connect(envoy.address()).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: shop.example.com\r\nx-case: abandoned\r\n\r\n";
    client.write_all(request).await.unwrap();
    let (_connection, _) = pod.accept().await.unwrap();
    drop(client);
    let line = logs.line("abandoned").await;
    assert_eq!(line.0["flags"], "DC", "{line:?}");
    let expected = "rule=HTTPRoute/shop/cart#0;reason=single;backend=cart.shop:80;session=new";
    assert_eq!(line.decision(), (expected, "-"));
}

#[tokio::test]
async fn in_a_large_virtual_host_the_session_stays_too() {
    let pods = Pod::start_several("cart", 3).await;
    let logs = Logs::new();
    let envoy = logs.envoy().start(&large(&pods, 81).access_log()).await;
    let mut browser = envoy.browser();
    let first = browser.get("/other-0070/x").await.ok();
    let cookie = browser.cookie_header().unwrap();
    let client = envoy.client();
    for number in 0..5 {
        let case = number.to_string();
        let request = client.request("/other-0070/x").header("x-case", &case).cookie(&cookie);
        assert_eq!(request.send().await.ok().pod(), first.pod());
        let expected = "rule=HTTPRoute/shop/other-0070#0;reason=session;backend=cart.shop:80;session=resumed";
        assert_eq!(logs.line(&case).await.decision().0, expected);
    }
}
