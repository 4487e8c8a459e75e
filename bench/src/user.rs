//! One user: a connection to the gateway and the session that it was given.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    HeaderMap, Uri,
    client::conn::http1::{self, SendRequest},
    header::{ACCEPT, ACCEPT_ENCODING, COOKIE, HOST, HeaderValue, SET_COOKIE, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The host name that users ask for.
pub(crate) const HOSTNAME: &str = mooring_tests::HOSTNAME;
/// The application's own cookies.
const COOKIES: &str = "theme=dark; lang=en";

/// What a user asks for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) host: &'static str,
    pub(crate) path: String,
}

/// See the module.
pub(crate) struct User {
    connection: SendRequest<Empty<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    /// The body of the first answer, if it has to be that of all.
    pod: Option<Bytes>,
}

impl User {
    /// A user with a connection of its own.
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self {
            connection: sender,
            uri: Uri::default(),
            headers: HeaderMap::new(),
            pod: None,
        })
    }

    /// Prepares the requests of this user. `keep`: the first answer gives the cookies and the pod of all later ones.
    pub(crate) async fn begin(&mut self, request: &Request, keep: bool) -> Result<()> {
        self.uri = request.path.parse()?;
        self.headers = HeaderMap::new();
        for (name, value) in [
            (HOST, request.host),
            (USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
            (ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8"),
            (ACCEPT_ENCODING, "gzip, deflate, br, zstd"),
            (COOKIE, COOKIES),
        ] {
            self.headers.insert(name, HeaderValue::from_static(value));
        }
        let (headers, body) = self.exchange().await?;
        if let Some(cookie) = headers.get(SET_COOKIE).filter(|_| keep) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            let line = format!("{COOKIES}; {pair}");
            self.headers.insert(COOKIE, HeaderValue::from_str(&line)?);
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
        self.connection.ready().await?;
        let response = self.connection.send_request(message).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        ensure!(head.status == 200, "{} instead of 200", head.status);
        Ok((head.headers, body))
    }
}
