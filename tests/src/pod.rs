//! A pod: a small HTTP server on an address of its own that tells who it is and what it was sent.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle, task::JoinSet};

use crate::{address, reply::Echo};

/// The port on which every pod listens.
pub(crate) const PORT: u16 = 8080;
/// Where active health checks ask.
pub(crate) const HEALTH: &str = "/healthz";

/// What a pod answers instead of its own 200.
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
        }
    }
}

impl Answer {
    /// With this status.
    pub fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("a status code"),
            headers: HeaderMap::new(),
        }
    }

    /// With this header besides its own; the same name may come several times.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.bytes(name, value.as_bytes())
    }

    /// The same, with bytes that need not be text.
    pub fn bytes(mut self, name: &str, value: &[u8]) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        let value = HeaderValue::from_bytes(value).expect("a header value");
        self.headers.append(name, value);
        self
    }
}

/// A running pod. It stops when dropped.
pub struct Pod {
    name: String,
    version: String,
    address: Ipv4Addr,
    state: Arc<Mutex<State>>,
    server: Option<JoinHandle<()>>,
}

struct State {
    healthy: bool,
    answer: Answer,
    echoes: Vec<Echo>,
}

impl Pod {
    /// Starts a pod of version `v1`.
    pub async fn start(name: &str) -> Self {
        Self::start_version(name, "v1").await
    }

    /// Starts a pod of a version.
    pub async fn start_version(name: &str, version: &str) -> Self {
        let mut pod = Self {
            name: name.to_owned(),
            version: version.to_owned(),
            address: address::fresh(),
            state: Arc::new(Mutex::new(State {
                healthy: true,
                answer: Answer::default(),
                echoes: Vec::new(),
            })),
            server: None,
        };
        pod.resume().await;
        pod
    }

    /// Starts `count` pods named `<name>-1`, `<name>-2` and so on.
    pub async fn start_several(name: &str, count: usize) -> Vec<Self> {
        let mut pods = Vec::with_capacity(count);
        for number in 1..=count {
            pods.push(Self::start(&format!("{name}-{number}")).await);
        }
        pods
    }

    /// The pod's name, which its answers carry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pod's version, which its answers carry.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The pod's address, as an `EndpointSlice` has it.
    pub fn ip(&self) -> Ipv4Addr {
        self.address
    }

    /// The pod's address and port, as Envoy has it.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::from((self.address, PORT))
    }

    /// Makes the pod pass or fail its health checks. It goes on serving.
    pub fn set_healthy(&self, healthy: bool) {
        self.state().healthy = healthy;
    }

    /// Makes the pod answer otherwise than it does by itself.
    pub fn answer(&self, answer: Answer) {
        self.state().answer = answer;
    }

    /// What the pod was sent up to now, health checks aside.
    pub fn echoes(&self) -> Vec<Echo> {
        self.state().echoes.clone()
    }

    /// Forgets what it was sent.
    pub fn forget(&self) {
        self.state().echoes.clear();
    }

    /// How many requests the pod was sent since this was asked last, health checks aside. Forgets them.
    pub fn count(&self) -> usize {
        std::mem::take(&mut self.state().echoes).len()
    }

    /// Stops serving: open connections are cut, new ones refused. The address stays this pod's.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            // An aborted task is done when its join handle is; only then is the port closed.
            let _aborted = server.await;
        }
    }

    /// Whether the pod serves.
    pub fn is_running(&self) -> bool {
        self.server.is_some()
    }

    /// Serves again after [`Pod::stop`].
    pub async fn resume(&mut self) {
        self.stop().await;
        let listener = TcpListener::bind(self.socket())
            .await
            .expect("a free address for a pod");
        self.server = Some(tokio::spawn(serve(
            listener,
            self.name.clone(),
            self.version.clone(),
            Arc::clone(&self.state),
        )));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, name: String, version: String, state: Arc<Mutex<State>>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (name, version, state) = (name.clone(), version.clone(), Arc::clone(&state));
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let answer = respond(&name, &version, &state, &request);
            async move { Ok::<_, Infallible>(answer) }
        });
        connections.spawn(async move {
            // A connection that ends badly is the client's business.
            let _ended = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

fn respond(
    name: &str,
    version: &str,
    state: &Mutex<State>,
    request: &hyper::Request<Incoming>,
) -> Response<Full<Bytes>> {
    let mut state = lock(state);
    if request.uri().path() == HEALTH {
        let status = if state.healthy {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        return answer(status, HeaderMap::new(), "text/plain", String::new());
    }
    let echo = Echo::of(name, version, request);
    let body = echo.to_json();
    state.echoes.push(echo);
    let Answer { status, headers } = state.answer.clone();
    let mut response = answer(status, headers, "application/json", body);
    response
        .headers_mut()
        .insert("x-pod", name.parse().expect("a pod name is a header value"));
    response
}

fn answer(status: StatusCode, headers: HeaderMap, kind: &str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, kind.parse().expect("a media type is a header value"));
    response
}
