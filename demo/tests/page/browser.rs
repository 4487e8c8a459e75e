//! A headless Chromium with its driver, and what a person does with it.

use std::{net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use mooring_tests::wait;
use serde_json::{Value, json};
use thirtyfour::{
    BrowserLogEntry, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver, WebElement,
    common::capabilities::desiredcapabilities::CapabilitiesHelper,
    error::{WebDriverError, WebDriverErrorInner, WebDriverResult},
    prelude::By,
    session::http::{Body, HttpClient},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

/// A page in a browser.
pub struct Page {
    pub driver: WebDriver,
    url: String,
    /// Ended with the page.
    _chromedriver: Child,
}

impl Page {
    /// Opens this URL in a new browser.
    pub async fn open(url: String) -> Self {
        let (chromedriver, address) = start_chromedriver().await;
        let mut capabilities = DesiredCapabilities::chrome();
        capabilities.set_binary(program("CHROMIUM").to_str().unwrap()).unwrap();
        // Without a sandbox, because root has none. The only page comes from the demo.
        for argument in ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] {
            capabilities.add_arg(argument).unwrap();
        }
        let logs = json!({"browser": "ALL", "performance": "ALL"});
        capabilities.set("goog:loggingPrefs", logs).unwrap();
        let driver = WebDriver::builder(format!("http://{address}"), capabilities)
            .client(Http(address))
            .await
            .unwrap();
        let page = Self {
            driver,
            url,
            _chromedriver: chromedriver,
        };
        page.has_size(1280, 900).await;
        page.driver.goto(&page.url).await.unwrap();
        page.shows("#envoy", "live").await;
        page
    }

    /// The one element that this selector selects.
    pub async fn one(&self, selector: &str) -> WebElement {
        let found = self.driver.find(By::Css(selector)).await;
        found.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    /// The text of an element as it is seen. In one step, because the page replaces elements at any time.
    pub async fn text(&self, selector: &str) -> String {
        let text = self
            .value(&format!("document.querySelector(\"{selector}\")?.innerText"))
            .await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on an element.
    pub async fn click(&self, selector: &str) {
        self.one(selector).await.click().await.unwrap();
    }

    /// Waits until an element shows this text, among other text.
    pub async fn shows(&self, selector: &str, text: &str) -> String {
        wait::until(&format!("{selector} shows {text}"), || async {
            let shown = self.text(selector).await;
            shown.contains(text).then_some(shown)
        })
        .await
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Value {
        let answer = self.driver.execute(format!("return {expression}"), Vec::new()).await;
        answer
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
            .json()
            .clone()
    }

    /// Gives the page this size, as a phone or a desktop has it.
    pub async fn has_size(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// A command of Chromium's own protocol.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(name, parameters).await.unwrap()
    }

    /// Closes the browser; then fails if the console had an error or a warning, or a request went elsewhere than to the demo.
    pub async fn closes(self) {
        let console = self.driver.get_log("browser").await.unwrap();
        let events = self.driver.get_log("performance").await.unwrap();
        self.driver.quit().await.unwrap();
        let bad: Vec<&BrowserLogEntry> = console.iter().filter(|entry| entry.level != "INFO").collect();
        assert!(bad.is_empty(), "{bad:?}");
        let requests: Vec<String> = events.iter().filter_map(requested).collect();
        assert!(requests.len() > 5, "requests are recorded: {requests:?}");
        let elsewhere: Vec<&String> = requests.iter().filter(|url| !url.starts_with(&self.url)).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
    }
}

/// Starts the driver on a free port, which it prints.
async fn start_chromedriver() -> (Child, SocketAddr) {
    let mut child = Command::new(program("CHROMEDRIVER"))
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let starts = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver starts");
            let port = line.split_once("started successfully on port ");
            if let Some(port) = port.and_then(|(_, port)| port.trim_end_matches('.').parse::<u16>().ok()) {
                break port;
            }
        }
    };
    let port = tokio::time::timeout(wait::PATIENCE, starts)
        .await
        .expect("chromedriver starts");
    (child, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// The URL of the request that an event is about.
fn requested(event: &BrowserLogEntry) -> Option<String> {
    let event: Value = serde_json::from_str(&event.message).unwrap();
    let message = event.get("message")?;
    let sent = message.get("method")? == "Network.requestWillBeSent";
    let url = message.pointer("/params/request/url")?.as_str()?;
    // A page that is empty is no request.
    (sent && !url.starts_with("data:")).then(|| url.to_owned())
}

/// A program from the environment, as `make test-page` sets it.
fn program(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty());
    PathBuf::from(path.unwrap_or_else(|| panic!("{variable} names no program: run `make test-page`")))
}

/// HTTP for the driver, without TLS and a pool.
#[derive(Clone, Copy)]
struct Http(SocketAddr);

#[async_trait::async_trait]
impl HttpClient for Http {
    async fn send(&self, request: Request<Body<'_>>) -> WebDriverResult<Response<Bytes>> {
        let (mut head, body) = request.into_parts();
        let body = match body {
            Body::Empty => Vec::new(),
            Body::Json(json) => json.to_string().into_bytes(),
        };
        head.headers.insert(HOST, self.0.to_string().parse().unwrap());
        head.uri = head.uri.path().parse().unwrap();
        let answer = async {
            let stream = TcpStream::connect(self.0).await.map_err(|error| error.to_string())?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| error.to_string())?;
            tokio::spawn(connection);
            let request = Request::from_parts(head, Full::new(Bytes::from(body)));
            let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?;
            Ok::<_, String>(Response::from_parts(head, body.to_bytes()))
        };
        answer
            .await
            .map_err(|error| WebDriverError::from_inner(WebDriverErrorInner::RequestFailed(error)))
    }

    async fn new(&self) -> Arc<dyn HttpClient> {
        Arc::new(*self)
    }
}
