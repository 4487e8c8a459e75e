//! The requests to the API server: every client of the controller is one of these, which differ by what they are for.
//!
//! A client notes that its part of the controller makes progress, waits for no answer for ever, counts, and refuses to write while
//! this replica does not lead. So no writer can forget to ask, and none can be stuck.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use tokio::{sync::RwLock, time::timeout};
use tower::{BoxError, service_fn};

use crate::{
    health::{Health, Pulse},
    lease::Permit,
    metrics::{Metrics, Outcome, Stage, Write},
};

/// How long an answer may take to begin. The API server itself gives up after 60 s.
const ANSWER: Duration = Duration::from_secs(65);

/// A watch asks again at the latest after the 295 s that the client library waits, so twice this time is a stall.
const WATCH_STALLS: Duration = Duration::from_secs(600);

/// A writer that has work asks at the latest after an answer that never came.
const WRITER_STALLS: Duration = Duration::from_secs(300);

/// How long the end of the process waits for writes.
const CLOSES: Duration = Duration::from_secs(5);

/// The connection, and what all clients share.
#[derive(Clone)]
pub struct Transport {
    client: Client,
    permit: Permit,
    health: Health,
    metrics: Metrics,
    /// Held by each write until it is answered.
    writes: Arc<RwLock<()>>,
    closed: Arc<AtomicBool>,
}

/// Why a request is not sent, or has no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Another replica may write.
    #[error("this replica does not hold the Lease")]
    NotLeading,
    /// The API server accepted the request, and does not answer.
    #[error("no answer from the API server for {} s", ANSWER.as_secs())]
    NoAnswer,
}

impl Transport {
    /// Clients of this connection that write while this permit lasts.
    #[must_use]
    pub fn new(client: Client, permit: Permit, health: Health, metrics: Metrics) -> Self {
        Self {
            client,
            permit,
            health,
            metrics,
            writes: Arc::default(),
            closed: Arc::default(),
        }
    }

    /// The progress of all parts.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// Ends all writing, and waits for the writes that are under way.
    pub async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if timeout(CLOSES, self.writes.write()).await.is_err() {
            tracing::warn!("a write is not answered yet");
        }
    }

    /// Whether this replica may write.
    #[must_use]
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The metrics of all clients.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The client of the watch of a kind. It shows that the watch goes on, although nothing may change for hours.
    #[must_use]
    pub fn watch(&self, kind: &'static str, namespace: Option<&str>) -> Client {
        let name = namespace.map_or_else(
            || format!("watch of {kind}"),
            |namespace| format!("watch of {kind} in {namespace}"),
        );
        let pulse = self.health.part(&name, WATCH_STALLS);
        self.client(Stage::Watch, Some(kind), pulse)
    }

    /// The client of a writer, and the pulse of the writer's loop.
    #[must_use]
    pub fn writer(&self, stage: Stage) -> (Client, Pulse) {
        let pulse = self.health.part(&format!("loop of {}", stage.name()), WRITER_STALLS);
        (self.client(stage, None, pulse.clone()), pulse)
    }

    fn client(&self, stage: Stage, watched: Option<&'static str>, pulse: Pulse) -> Client {
        let namespace = self.client.default_namespace().to_owned();
        let observer = Arc::new(Observer {
            transport: self.clone(),
            stage,
            watched,
            pulse,
            has_listed: AtomicBool::new(false),
        });
        let service = service_fn(move |request| {
            let observer = Arc::clone(&observer);
            async move { observer.send(request).await }
        });
        Client::new(service, namespace)
    }
}

struct Observer {
    transport: Transport,
    stage: Stage,
    watched: Option<&'static str>,
    pulse: Pulse,
    has_listed: AtomicBool,
}

impl Observer {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let transport = &self.transport;
        let write = Target::written(request.method(), request.uri().path());
        let mut under_way = None;
        if write.is_some() {
            under_way = Some(transport.writes.read().await);
            let is_dry = has(request.uri().query(), "dryRun=");
            let may_write = transport.permit.may_write() && !transport.closed.load(Ordering::SeqCst);
            if !may_write && !is_dry {
                return Err(TransportError::NotLeading.into());
            }
        }
        self.count_list(&request);
        let is_read = request.method() == Method::GET;
        let answer = timeout(ANSWER, transport.client.send(request)).await;
        drop(under_way);
        // An error is progress, too: a part that is stuck does not even fail.
        self.pulse.beat();
        let status = match &answer {
            Ok(Ok(response)) => Some(response.status()),
            _ => None,
        };
        if is_error(status, is_read) {
            transport.metrics.error(self.stage);
        }
        if let Some(target) = write {
            transport.metrics.wrote(&target.resource, target.write, outcome(status));
        }
        match answer {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(TransportError::NoAnswer.into()),
        }
    }

    /// Counts the lists of a watch after its first one. A list of several pages counts once.
    fn count_list(&self, request: &Request<Body>) {
        let query = request.uri().query();
        let begins = has(query, "limit=") && !has(query, "continue=") && !has(query, "watch=");
        if let Some(kind) = self.watched
            && begins
            && self.has_listed.swap(true, Ordering::Relaxed)
        {
            self.transport.metrics.watch_restarted(kind);
        }
    }
}

/// Whether a query has a parameter, which is given with its equals sign.
fn has(query: Option<&str>, parameter: &str) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with(parameter)))
}

/// What a request writes.
#[derive(Debug, PartialEq)]
struct Target {
    resource: String,
    write: Write,
}

impl Target {
    /// None: the request only reads.
    fn written(method: &Method, path: &str) -> Option<Self> {
        let write = match *method {
            Method::GET | Method::HEAD | Method::OPTIONS => return None,
            Method::DELETE => Write::Delete,
            _ if path.ends_with("/status") => Write::Status,
            _ => Write::Apply,
        };
        // /api/v1/… or /apis/GROUP/VERSION/…, then perhaps namespaces/NAMESPACE/, and RESOURCE.
        let mut parts = path.trim_start_matches('/').split('/');
        let skipped = if parts.next() == Some("apis") { 2 } else { 1 };
        let mut parts = parts.skip(skipped).peekable();
        if parts.peek() == Some(&"namespaces") {
            parts.next();
            parts.next();
        }
        Some(Self {
            resource: parts.next().unwrap_or_default().to_owned(),
            write,
        })
    }
}

/// A missing object is an answer to a read, and what a deletion wants.
fn is_error(status: Option<StatusCode>, is_read: bool) -> bool {
    match status {
        None => true,
        Some(StatusCode::NOT_FOUND) => !is_read,
        Some(status) => status.is_client_error() || status.is_server_error(),
    }
}

fn outcome(status: Option<StatusCode>) -> Outcome {
    match status {
        Some(status) if status.is_success() => Outcome::Written,
        Some(StatusCode::CONFLICT) => Outcome::Conflict,
        Some(StatusCode::TOO_MANY_REQUESTS) | None => Outcome::Failed,
        Some(status) if status.is_client_error() => Outcome::Refused,
        Some(_) => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::{
        sync::watch,
        time::{Instant, advance},
    };

    use super::*;
    use crate::stand_in::Server;

    /// A server that accepts everything, and a writer on it.
    fn writer(permit: Permit) -> (Server, Client) {
        let server = Server::new(|_, _| (200, json!({})));
        let transport = Transport::new(server.client(), permit, Health::default(), Metrics::new());
        let (client, _) = transport.writer(Stage::Apply);
        (server, client)
    }

    /// Sends a request about an object, and returns whether the client has sent it.
    async fn sends(client: &Client, method: Method, query: &str) -> bool {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/namespaces/shop/configmaps/a{query}"));
        let answer = client.request_text(request.body(Vec::new()).unwrap()).await;
        answer.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn writes_are_refused_unless_this_replica_leads() {
        let (term, receiver) = watch::channel(None);
        let (server, client) = writer(Permit::Term(receiver));
        let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        for method in &writes {
            assert!(!sends(&client, method.clone(), "").await, "{method}");
        }
        assert_eq!(server.asked(), []);
        // What changes nothing.
        assert!(sends(&client, Method::GET, "").await);
        assert!(sends(&client, Method::PATCH, "?dryRun=All").await);

        term.send_replace(Instant::now().checked_add(Duration::from_secs(20)));
        for method in &writes {
            assert!(sends(&client, method.clone(), "").await, "{method}");
        }
        // The end of the term has come, and nothing has told so: the process was suspended.
        advance(Duration::from_secs(20)).await;
        server.asked();
        for method in &writes {
            assert!(!sends(&client, method.clone(), "").await, "{method}");
        }
        assert_eq!(server.asked(), []);
    }

    #[tokio::test]
    async fn a_dry_run_writes_nothing() {
        let (server, client) = writer(Permit::DryRun);
        assert!(!sends(&client, Method::PATCH, "").await);
        assert_eq!(server.asked(), []);
        assert!(sends(&client, Method::PATCH, "?dryRun=All").await);
    }

    #[test]
    fn what_is_written_follows_from_the_request() {
        let target =
            |method: Method, path: &str| Target::written(&method, path).map(|target| (target.resource, target.write));
        let routes = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/cart";
        assert_eq!(target(Method::GET, routes), None);
        assert_eq!(
            target(Method::PATCH, routes),
            Some(("httproutes".to_owned(), Write::Apply))
        );
        assert_eq!(
            target(Method::DELETE, routes),
            Some(("httproutes".to_owned(), Write::Delete))
        );
        assert_eq!(
            target(
                Method::PATCH,
                "/apis/mooring.dev/v1alpha1/namespaces/shop/canarypolicies/x/status"
            ),
            Some(("canarypolicies".to_owned(), Write::Status))
        );
        // An object with the name of a part of a path.
        assert_eq!(
            target(Method::POST, "/api/v1/namespaces/namespaces/secrets"),
            Some(("secrets".to_owned(), Write::Apply))
        );
        assert_eq!(
            target(Method::PUT, "/api/v1/nodes/a"),
            Some(("nodes".to_owned(), Write::Apply))
        );
    }

    #[test]
    fn a_missing_object_is_an_error_for_writes_only() {
        assert!(!is_error(Some(StatusCode::NOT_FOUND), true));
        assert!(is_error(Some(StatusCode::NOT_FOUND), false));
        assert!(is_error(Some(StatusCode::FORBIDDEN), true));
        assert!(is_error(None, true));
        assert!(!is_error(Some(StatusCode::CREATED), false));
    }

    #[test]
    fn outcomes_tell_what_is_tried_again_from_what_is_refused() {
        assert_eq!(outcome(Some(StatusCode::OK)), Outcome::Written);
        assert_eq!(outcome(Some(StatusCode::CONFLICT)), Outcome::Conflict);
        for refused in [
            StatusCode::FORBIDDEN,
            StatusCode::UNPROCESSABLE_ENTITY,
            StatusCode::BAD_REQUEST,
        ] {
            assert_eq!(outcome(Some(refused)), Outcome::Refused);
        }
        for failed in [
            None,
            Some(StatusCode::TOO_MANY_REQUESTS),
            Some(StatusCode::INTERNAL_SERVER_ERROR),
        ] {
            assert_eq!(outcome(failed), Outcome::Failed);
        }
    }
}
