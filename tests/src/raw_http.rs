//! A client that sends the bytes it is given over a connection that stays open, for requests that no client library sends.
//!
//! It writes HTTP/1.1 line by line and HTTP/2 frame by frame, with header fields as literals (RFC 7541, section 6.2.2), which
//! may hold any byte. It does not escape, check or repair anything.

mod http1;
mod http2;

use std::{io, net::SocketAddr};

use tokio::{net::TcpStream, time::timeout};

use crate::{
    client::{DEADLINE, HOSTNAME},
    reply::Reply,
};

/// A header line: a name and any bytes.
pub type Line = (String, Vec<u8>);

/// The protocol that a [`RawClient`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge.
    Http2,
}

/// A connection that is opened again whenever the other side has closed it.
pub struct RawClient {
    address: SocketAddr,
    protocol: Protocol,
    connection: Option<Connection>,
}

enum Connection {
    Http1(http1::Connection),
    Http2(Box<http2::Connection>),
}

impl RawClient {
    /// To one address; the connection is made with the first request.
    pub fn new(address: SocketAddr, protocol: Protocol) -> Self {
        Self {
            address,
            protocol,
            connection: None,
        }
    }

    /// Sends a GET with these header lines. None: the other side closed the connection or reset the stream instead of
    /// answering. No answer in time is a failure.
    pub async fn get(&mut self, target: &str, lines: &[Line]) -> Option<Reply> {
        let exchange = async {
            let mut connection = match self.connection.take() {
                Some(open) => open,
                None => self.connect().await.expect("a connection"),
            };
            let answer = match &mut connection {
                Connection::Http1(connection) => connection.get(target, HOSTNAME, lines).await,
                Connection::Http2(connection) => connection.get(target, HOSTNAME, lines).await,
            };
            let (reply, reusable) = answer.ok()?;
            self.connection = reusable.then_some(connection);
            Some(reply)
        };
        timeout(DEADLINE, exchange).await.expect("an answer in time")
    }

    async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(match self.protocol {
            Protocol::Http1 => Connection::Http1(http1::Connection::new(stream)),
            Protocol::Http2 => Connection::Http2(Box::new(http2::Connection::open(stream).await?)),
        })
    }
}
