//! The web server of the page: its files, what it shows, and what its buttons do.
//!
//! Only this machine reaches it. Other pages that are open in the same browser do not: the server wants its own name in `Host`, and
//! for everything that changes something a header that only its own page can send.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

use super::shop::{Refusal, Shop};

/// The page loads from its own server and from nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Marks a request of the page. Another site's page cannot set it without asking this server first, which does not allow it.
const MARK: &str = "x-mooring-demo";
/// How many requests a visitor sends at most for one button.
const MOST_VISITS: u32 = 50;
const JSON: &str = "application/json";

/// The files of the page.
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("../../page/index.html")),
    (
        "/style.css",
        "text/css; charset=utf-8",
        include_str!("../../page/style.css"),
    ),
    (
        "/app.js",
        "text/javascript; charset=utf-8",
        include_str!("../../page/app.js"),
    ),
    ("/icon.svg", "image/svg+xml", include_str!("../../page/icon.svg")),
];

type Reply = Response<Full<Bytes>>;

/// Answers until it is stopped.
pub async fn serve(listener: TcpListener, shop: Arc<Shop>) {
    let address = listener.local_addr().expect("a listener has an address");
    // Dropped with this future, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Such as too many open files: that passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let shop = Arc::clone(&shop);
        let service = service_fn(move |request| {
            let shop = Arc::clone(&shop);
            async move { Ok::<_, Infallible>(answer(&shop, address, &request).await) }
        });
        connections.spawn(async move {
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new());
            // A connection that ends badly is the client's business.
            let _ended = server.serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(shop: &Shop, address: SocketAddr, request: &Request<Incoming>) -> Reply {
    if !is_own_name(request, address) {
        return text(StatusCode::FORBIDDEN, "This page is for a browser on the same machine.");
    }
    let path = request.uri().path();
    if request.method() == Method::GET {
        if path == "/api/state" {
            return state(shop);
        }
        let file = FILES.iter().find(|(name, ..)| *name == path);
        return file.map_or_else(not_found, |(_, kind, content)| reply(StatusCode::OK, kind, *content));
    }
    if request.method() != Method::POST || !request.headers().contains_key(MARK) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "The page's own script does that.");
    }
    match act(shop, path, Query(request.uri().query().unwrap_or_default())).await {
        Some(Ok(body)) => reply(StatusCode::OK, JSON, body),
        Some(Err(refusal)) => text(StatusCode::BAD_REQUEST, refusal.to_string()),
        None => not_found(),
    }
}

/// Does what a button of the page is for. `None`: there is no such button.
async fn act(shop: &Shop, path: &str, query: Query<'_>) -> Option<Result<String, Refusal>> {
    let done = |outcome: Result<(), Refusal>| outcome.map(|()| "{}".to_owned());
    Some(match path {
        "/api/visit" => {
            let times = query.number("times").unwrap_or(1).min(MOST_VISITS);
            let answers = shop.visit(query.get("who"), times).await;
            answers.map(|answers| json!({"answers": answers}).to_string())
        }
        "/api/tester" => done(shop.set_tester(query.get("who"), query.is_true("on")).await),
        "/api/forget" => done(shop.forget(query.get("who")).await),
        "/api/weights" => {
            // What is not a number is not a weight either.
            let weight = |version| query.number(version).unwrap_or(u32::MAX);
            done(shop.set_weights([weight("v1"), weight("v2")]).await)
        }
        "/api/pod" => done(shop.set_running(query.get("name"), query.is_true("running")).await),
        "/api/crowd" => {
            shop.crowd().set(query.is_true("on"));
            done(Ok(()))
        }
        _ => return None,
    })
}

/// Whether the request is for this server by a name of this machine: not by one that a foreign site lets point here.
fn is_own_name(request: &Request<Incoming>, address: SocketAddr) -> bool {
    let name = request.headers().get(HOST).map(HeaderValue::as_bytes);
    let own = [address.to_string(), format!("localhost:{}", address.port())];
    own.iter().any(|own| name == Some(own.as_bytes()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the page shows how much time is left of a session"
)]
fn state(shop: &Shop) -> Reply {
    let mut board = shop.board().clone();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    board.now = now.unwrap_or_default().as_secs_f64();
    match serde_json::to_vec(&board) {
        Ok(body) => reply(StatusCode::OK, JSON, body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// The fields after the `?`. Their values are plain words and numbers.
struct Query<'a>(&'a str);

impl Query<'_> {
    fn get(&self, name: &str) -> &str {
        let mut fields = self.0.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.get(name).parse().ok()
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name) == "true"
    }
}

fn not_found() -> Reply {
    text(StatusCode::NOT_FOUND, "There is nothing here.")
}

fn text(status: StatusCode, message: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=utf-8", message)
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
