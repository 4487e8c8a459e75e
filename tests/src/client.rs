//! A client of the gateway: one connection, any header bytes.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Method, Uri,
    body::Incoming,
    client::conn::{http1, http2},
    header::{HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex,
    time::timeout,
};

use crate::reply::Reply;

/// The host name that clients ask for when they are not told another one.
pub const HOSTNAME: &str = "shop.example.com";

/// How long one request may take, on a machine that is busy with something else.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A client that talks to one address over one connection, opened again whenever the other side has closed it.
pub struct Client {
    address: SocketAddr,
    protocol: Protocol,
    connection: Mutex<Option<Connection>>,
}

#[derive(Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

enum Connection {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Client {
    /// A client that speaks HTTP/1.1.
    pub fn http1(address: SocketAddr) -> Self {
        Self::new(address, Protocol::Http1)
    }

    /// A client that speaks HTTP/2 without TLS, by prior knowledge.
    pub fn http2(address: SocketAddr) -> Self {
        Self::new(address, Protocol::Http2)
    }

    fn new(address: SocketAddr, protocol: Protocol) -> Self {
        Self {
            address,
            protocol,
            connection: Mutex::new(None),
        }
    }

    /// Sends a GET without anything else.
    pub async fn get(&self, target: &str) -> Reply {
        self.request(target).send().await
    }

    /// A GET of `target` to which more can be added.
    pub fn request(&self, target: &str) -> Request<'_> {
        Request {
            client: self,
            method: Method::GET,
            host: HOSTNAME.to_owned(),
            target: target.to_owned(),
            headers: HeaderMap::new(),
        }
    }

    async fn send(&self, request: &Request<'_>) -> Result<Reply, Failure> {
        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take().filter(Connection::is_open) {
            Some(open) => open,
            None => self.connect().await?,
        };
        let response = connection.send(self.message(request)).await?;
        *slot = Some(connection);
        drop(slot);
        let (head, body) = response.into_parts();
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| Failure::Refused(self.address, error))?;
        stream.set_nodelay(true).expect("a TCP socket");
        let io = TokioIo::new(stream);
        Ok(match self.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection);
                Connection::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                Connection::Http2(sender)
            }
        })
    }

    fn message(&self, request: &Request<'_>) -> hyper::Request<Empty<Bytes>> {
        let mut message = hyper::Request::new(Empty::new());
        *message.method_mut() = request.method.clone();
        *message.headers_mut() = request.headers.clone();
        let (host, target) = (&request.host, &request.target);
        let uri = match self.protocol {
            Protocol::Http1 => {
                let host = host.parse().expect("a host name is a header value");
                message.headers_mut().insert(HOST, host);
                target.clone()
            }
            // `:authority` and `:scheme` come out of the target.
            Protocol::Http2 => format!("http://{host}{target}"),
        };
        *message.uri_mut() = uri.parse::<Uri>().expect("a path and query");
        message
    }
}

impl Connection {
    fn is_open(&self) -> bool {
        match self {
            Self::Http1(sender) => !sender.is_closed(),
            Self::Http2(sender) => !sender.is_closed(),
        }
    }

    async fn send(&mut self, message: hyper::Request<Empty<Bytes>>) -> Result<hyper::Response<Incoming>, hyper::Error> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(message).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(message).await
            }
        }
    }
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing listens at the address.
    #[error("{0} refuses a connection: {1}")]
    Refused(SocketAddr, io::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// Nothing came in time.
    #[error("no answer within {DEADLINE:?}")]
    Silent,
}

/// A request that is being put together.
pub struct Request<'a> {
    client: &'a Client,
    method: Method,
    host: String,
    target: String,
    headers: HeaderMap,
}

impl Request<'_> {
    /// With another method than GET.
    pub fn method(mut self, method: &str) -> Self {
        self.method = method.parse().expect("a method");
        self
    }

    /// For another host name.
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// With a header line. Bytes from 0x80 on are allowed, the same name may come several times.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a header value; for other bytes there is `raw`");
        self.headers.append(name, value);
        self
    }

    /// With a Cookie header.
    pub fn cookie(self, value: impl AsRef<[u8]>) -> Self {
        self.header("cookie", value)
    }

    /// Sends it; no answer within half a minute is a failure.
    ///
    /// A connection that the other side closed just when the request went out is no answer and no failure: the request
    /// is sent once more, as browsers do.
    pub async fn send(self) -> Reply {
        match self.attempt().await {
            Err(Failure::Broken(error)) if error.is_canceled() || error.is_closed() => self.attempt().await,
            outcome => outcome,
        }
        .unwrap_or_else(|error| panic!("no answer to {} {}: {error}", self.method, self.target))
    }

    /// Sends it, and says why when no answer came, for traffic that counts failures.
    pub async fn attempt(&self) -> Result<Reply, Failure> {
        let outcome = timeout(DEADLINE, self.client.send(self)).await;
        outcome.unwrap_or(Err(Failure::Silent))
    }
}

/// Sends bytes as they are over a connection of their own and reads the answer until the other side closes, for what no
/// client library would send. The request should say `Connection: close`.
pub async fn raw(address: SocketAddr, request: &[u8]) -> Reply {
    raw_over(TcpStream::connect(address).await.expect("a connection"), request).await
}

/// The same over a connection that is there, such as one with TLS.
pub async fn raw_over(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Reply {
    let exchange = async {
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let outcome = timeout(DEADLINE, exchange).await.expect("an answer in time");
    parse(&outcome.expect("an answer"))
}

pub(crate) fn parse(answer: &[u8]) -> Reply {
    let mut lines = [httparse::EMPTY_HEADER; 100];
    let mut head = httparse::Response::new(&mut lines);
    let status = head.parse(answer).expect("an HTTP/1.1 response");
    let httparse::Status::Complete(start) = status else {
        panic!("half a response: {:?}", String::from_utf8_lossy(answer));
    };
    let mut headers = HeaderMap::new();
    for line in head.headers.iter() {
        let name: HeaderName = line.name.parse().expect("a header name");
        headers.append(name, HeaderValue::from_bytes(line.value).expect("a header value"));
    }
    Reply {
        status: head.code.expect("a complete response has a status"),
        headers,
        body: Bytes::copy_from_slice(answer.get(start..).unwrap_or_default()),
    }
}
