//! A stand-in for the API server in unit tests.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{BoxError, service_fn};

/// A request: the method and the path, and the body.
pub type Asked = (String, Value);

/// The answer to a request: the status code and the body.
type Answer = dyn Fn(&str, &Value) -> (u16, Value) + Send + Sync;

/// A server that notes what it is asked.
#[derive(Clone)]
pub struct Server {
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Answer>,
    latency: Arc<Mutex<Duration>>,
}

impl Server {
    /// A server with these answers.
    pub fn new(answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static) -> Self {
        Self {
            asked: Arc::default(),
            answer: Arc::new(answer),
            latency: Arc::default(),
        }
    }

    /// Takes this long for each request from now on.
    pub fn answer_after(&self, latency: Duration) {
        *self.latency.lock().unwrap() = latency;
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let asked = format!("{} {}", request.method(), request.uri().path());
                let body = request.into_body().collect_bytes().await;
                let body = body
                    .ok()
                    .and_then(|body| serde_json::from_slice(&body).ok())
                    .unwrap_or_default();
                let latency = *server.latency.lock().unwrap();
                if !latency.is_zero() {
                    sleep(latency).await;
                }
                let (code, answer) = (server.answer)(&asked, &body);
                server.asked.lock().unwrap().push((asked, body));
                let answer = Body::from(answer.to_string().into_bytes());
                Ok::<_, BoxError>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        Client::new(service, "default")
    }

    /// What it was asked since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// An error as the API server answers it.
pub fn failure(code: u16) -> (u16, Value) {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        _ => "",
    };
    let details = json!({ "name": "shop" });
    (
        code,
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "details": details,
        }),
    )
}
