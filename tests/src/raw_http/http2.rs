//! HTTP/2 (RFC 9113) as far as a raw client needs it: one stream at a time.

use std::io;

use bytes::Bytes;
use hyper::{HeaderMap, header::HeaderName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::reply::Reply;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// What a peer must accept in one frame (section 4.2).
const MAX_FRAME: usize = 16_384;
/// More than all answers of a test together, so that the window never closes.
const WINDOW: u32 = 1 << 30;

pub(super) struct Connection {
    stream: TcpStream,
    decoder: loona_hpack::Decoder<'static>,
    next_stream: u32,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(mut stream: TcpStream) -> io::Result<Self> {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        let initial_window = [[0, 4].as_slice(), &WINDOW.to_be_bytes()].concat();
        stream.write_all(&frame(SETTINGS, 0, 0, &initial_window)).await?;
        stream
            .write_all(&frame(WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes()))
            .await?;
        Ok(Self {
            stream,
            decoder: loona_hpack::Decoder::new(),
            next_stream: 1,
        })
    }

    /// Sends a request; the answer comes back with whether the connection can be used again.
    pub(super) async fn get(
        &mut self,
        target: &str,
        host: &str,
        lines: &[(String, Vec<u8>)],
    ) -> io::Result<(Reply, bool)> {
        let stream = self.next_stream;
        self.next_stream += 2;
        let mut block = Vec::new();
        for (name, value) in [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", host),
            (":path", target),
        ] {
            literal(&mut block, name.as_bytes(), value.as_bytes());
        }
        for (name, value) in lines {
            literal(&mut block, name.as_bytes(), value);
        }
        let fragments = block.chunks(MAX_FRAME).enumerate();
        let last = block.len().div_ceil(MAX_FRAME).saturating_sub(1);
        let mut request = Vec::new();
        for (number, fragment) in fragments {
            let (kind, first) = if number == 0 {
                (HEADERS, END_STREAM)
            } else {
                (CONTINUATION, 0)
            };
            let end = if number == last { END_HEADERS } else { 0 };
            request.extend(frame(kind, first | end, stream, fragment));
        }
        // The other side may answer and close before it has read all.
        let _written = self.stream.write_all(&request).await;
        self.answer(stream).await
    }

    async fn answer(&mut self, stream: u32) -> io::Result<(Reply, bool)> {
        let (mut block, mut body) = (Vec::new(), Vec::new());
        let (mut head, mut reusable) = (None, true);
        loop {
            let frame = self.read().await?;
            let mine = frame.stream == stream;
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.acknowledge(SETTINGS, &[]).await?,
                PING if frame.flags & ACK == 0 => self.acknowledge(PING, &frame.payload).await?,
                // After an error Envoy answers nothing more, but closes only a second later.
                GOAWAY if frame.payload.get(4..8) != Some(&[0; 4]) => {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                GOAWAY => reusable = false,
                RST_STREAM if mine => return Err(io::ErrorKind::ConnectionReset.into()),
                HEADERS | CONTINUATION if mine => {
                    block.extend_from_slice(frame.content());
                    if frame.flags & END_HEADERS != 0 {
                        head = Some(self.decode(&block)?);
                    }
                }
                DATA if mine => body.extend_from_slice(frame.content()),
                _ => {}
            }
            let ends = mine && (frame.kind == HEADERS || frame.kind == DATA) && frame.flags & END_STREAM != 0;
            if ends {
                let (status, headers) = head.take().ok_or(io::ErrorKind::InvalidData)?;
                let body = Bytes::from(body);
                return Ok((Reply { status, headers, body }, reusable));
            }
        }
    }

    fn decode(&mut self, block: &[u8]) -> io::Result<(u16, HeaderMap)> {
        let fields = self.decoder.decode(block).map_err(|_| io::ErrorKind::InvalidData)?;
        let (mut status, mut headers) = (0, HeaderMap::new());
        for (name, value) in fields {
            if *name == *b":status" {
                status = String::from_utf8_lossy(&value).parse().expect("a status is a number");
            } else {
                let name = HeaderName::from_bytes(&name).expect("a header name");
                headers.append(name, value.as_slice().try_into().expect("a header value"));
            }
        }
        Ok((status, headers))
    }

    async fn acknowledge(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame(kind, ACK, 0, payload)).await
    }

    async fn read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await?;
        let [high, middle, low, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        let mut payload = vec![0; usize::try_from(length).expect("a length of 24 bits")];
        self.stream.read_exact(&mut payload).await?;
        Ok(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
            payload,
        })
    }
}

impl Frame {
    /// The payload without padding and priority, which Envoy does not send.
    fn content(&self) -> &[u8] {
        assert_eq!(self.flags & (PADDED | PRIORITY) & !END_STREAM, 0, "a plain frame");
        &self.payload
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A literal header field without indexing and without Huffman coding.
fn literal(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    for text in [name, value] {
        integer(block, text.len());
        block.extend_from_slice(text);
    }
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn integer(block: &mut Vec<u8>, value: usize) {
    let byte = |value: usize| u8::try_from(value).expect("seven bits");
    if value < 0x7f {
        block.push(byte(value));
        return;
    }
    block.push(0x7f);
    let mut rest = value - 0x7f;
    while rest >= 0x80 {
        block.push(byte(rest & 0x7f) | 0x80);
        rest >>= 7;
    }
    block.push(byte(rest));
}
