//! One user: a connection to the gateway and the session that it was given.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    HeaderMap, Uri,
    body::Incoming,
    client::conn::{http1, http2},
    header::{ACCEPT, ACCEPT_ENCODING, COOKIE, HOST, HeaderValue, SET_COOKIE, USER_AGENT},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::certificate::Certificate;

/// The host name that users ask for.
pub(crate) const HOSTNAME: &str = mooring_tests::HOSTNAME;

/// What a user speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    /// By prior knowledge.
    Http2,
    /// HTTP/1.1 over TLS 1.3.
    Tls,
}

/// What a user asks for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) host: &'static str,
    pub(crate) path: String,
    /// The application's own cookies, as a `Cookie` line; may be empty.
    pub(crate) cookies: String,
}

/// See the module.
pub(crate) struct User {
    protocol: Protocol,
    connection: Connection,
    uri: Uri,
    headers: HeaderMap,
    /// The body of the first answer, if it has to be that of all.
    pod: Option<Bytes>,
}

enum Connection {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl User {
    /// A user with a connection of its own.
    pub(crate) async fn connect(address: SocketAddr, protocol: Protocol) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let connection = match protocol {
            Protocol::Http1 => http1(stream).await?,
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Connection::Http2(sender)
            }
            Protocol::Tls => {
                let name = ServerName::try_from(HOSTNAME)?;
                http1(TlsConnector::from(tls()).connect(name, stream).await?).await?
            }
        };
        Ok(Self::on(protocol, connection))
    }

    /// Another user on the same connection, where the protocol can do that.
    pub(crate) fn beside(&self) -> Option<Self> {
        match &self.connection {
            Connection::Http1(_) => None,
            Connection::Http2(sender) => Some(Self::on(self.protocol, Connection::Http2(sender.clone()))),
        }
    }

    fn on(protocol: Protocol, connection: Connection) -> Self {
        Self {
            protocol,
            connection,
            uri: Uri::default(),
            headers: HeaderMap::new(),
            pod: None,
        }
    }

    /// Prepares the requests of this user. `keep`: the first answer gives the cookies and the pod of all later ones.
    pub(crate) async fn begin(&mut self, request: &Request, keep: bool) -> Result<()> {
        self.headers = HeaderMap::new();
        if self.protocol == Protocol::Http2 {
            self.uri = format!("http://{}{}", request.host, request.path).parse()?;
        } else {
            self.uri = request.path.parse()?;
            self.headers.insert(HOST, HeaderValue::from_static(request.host));
        }
        self.headers.insert(
            USER_AGENT,
            HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
        );
        self.headers.insert(
            ACCEPT,
            HeaderValue::from_static("text/html,application/xhtml+xml,*/*;q=0.8"),
        );
        self.headers
            .insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br, zstd"));
        let mut cookies: Vec<String> = Vec::new();
        if !request.cookies.is_empty() {
            cookies.push(request.cookies.clone());
            self.headers.insert(COOKIE, HeaderValue::from_str(&request.cookies)?);
        }
        let (headers, body) = self.exchange().await?;
        if !keep {
            return Ok(());
        }
        for cookie in headers.get_all(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            cookies.push(pair.to_owned());
        }
        if !cookies.is_empty() {
            self.headers.insert(COOKIE, HeaderValue::from_str(&cookies.join("; "))?);
        }
        if headers.contains_key(SET_COOKIE) {
            self.pod = Some(body);
        }
        Ok(())
    }

    /// Sends the request once and checks the answer.
    pub(crate) async fn visit(&mut self) -> Result<()> {
        let (_, body) = self.exchange().await?;
        if let Some(pod) = &self.pod {
            ensure!(body == pod, "a session left its pod {pod:?} for {body:?}");
        }
        Ok(())
    }

    async fn exchange(&mut self) -> Result<(HeaderMap, Bytes)> {
        let mut message = hyper::Request::new(Empty::new());
        *message.uri_mut() = self.uri.clone();
        *message.headers_mut() = self.headers.clone();
        let response = self.connection.send(message).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        ensure!(head.status == 200, "{} instead of 200", head.status);
        Ok((head.headers, body))
    }
}

impl Connection {
    async fn send(&mut self, message: hyper::Request<Empty<Bytes>>) -> hyper::Result<hyper::Response<Incoming>> {
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

async fn http1(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Connection> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(Connection::Http1(sender))
}

/// TLS that trusts the certificate of this run.
fn tls() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // A certificate that is not taken shows in the first handshake.
        let (_taken, _not) = roots.add_parsable_certificates([Certificate::of_this_run().der.clone()]);
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    });
    Arc::clone(config)
}
