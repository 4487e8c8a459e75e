//! HTTP/1.1 (RFC 9112) as far as a raw client needs it.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{client::parse, reply::Reply};

pub(super) struct Connection {
    stream: TcpStream,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream }
    }

    /// Sends a request; the answer comes back with whether the connection can be used again.
    pub(super) async fn get(
        &mut self,
        target: &str,
        host: &str,
        lines: &[(String, Vec<u8>)],
    ) -> io::Result<(Reply, bool)> {
        let mut request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
        for (name, value) in lines {
            request.extend_from_slice(name.as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        // The other side may answer and close before it has read all.
        let written = self.stream.write_all(&request).await;
        let mut answer = Vec::new();
        let head = loop {
            if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if self.stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let reply = parse(&answer);
        let length = reply.header("content-length").map(<[u8]>::to_vec);
        let length = length.and_then(|length| String::from_utf8_lossy(&length).parse::<usize>().ok());
        let length = length.expect("an answer that says its length");
        while answer.len() < head + length {
            if self.stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let closes = reply.header("connection") == Some(b"close");
        Ok((parse(&answer), written.is_ok() && !closes))
    }
}
