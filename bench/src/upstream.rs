//! The pods: they answer as fast as anything can that speaks HTTP/1.1 with Envoy, so that they are never what is measured.

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The port of all pods.
const PORT: u16 = 8080;

/// Starts pods in a thread of their own, on the processor where this thread is, and gives their addresses. The body of
/// a pod's answer is its number.
pub(crate) fn start(count: usize) -> Result<Vec<Ipv4Addr>> {
    let mut listeners = Vec::new();
    let mut addresses = Vec::new();
    for _ in 0..count {
        let address = mooring_tests::address::fresh();
        let listener = std::net::TcpListener::bind(SocketAddr::from((address, PORT)))?;
        listener.set_nonblocking(true)?;
        listeners.push(listener);
        addresses.push(address);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::Builder::new().name("upstream".to_owned()).spawn(move || {
        runtime.block_on(async {
            for (number, listener) in listeners.into_iter().enumerate() {
                tokio::spawn(accept(number, TcpListener::from_std(listener)?));
            }
            std::future::pending::<std::io::Result<()>>().await
        })
    })?;
    Ok(addresses)
}

async fn accept(number: usize, listener: TcpListener) {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\n{number:02}");
    let answer: &'static [u8] = answer.into_bytes().leak();
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, answer));
    }
}

/// Answers each request. Envoy sends one at a time, and these have no bodies: one ends with an empty line.
async fn serve(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 32 * 1024];
    let mut filled = 0;
    loop {
        let room = buffer.get_mut(filled..).unwrap_or_default();
        let read = stream.read(room).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        if buffer
            .get(..filled)
            .is_some_and(|request| request.ends_with(b"\r\n\r\n"))
        {
            filled = 0;
            stream.write_all(answer).await?;
        }
    }
}
