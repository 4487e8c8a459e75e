//! `mooring-demo --serve`: a page on which a person changes a running gateway and sees what its sessions do.
//!
//! The gateway is a stock Envoy with the configuration that `mooring generate` makes. The visitors of the page are clients with
//! their own cookies, and each request of theirs goes through that Envoy.

mod board;
mod crowd;
mod decisions;
mod shop;
mod tally;
mod visit;
mod visitor;
mod web;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use tokio::net::TcpListener;

pub use self::board::Timeouts;
use self::shop::Shop;
use crate::show::{Ink, Screen};

/// How often the page's figures are read from Envoy and the pods.
const REFRESH: Duration = Duration::from_millis(250);

/// Serves until it is stopped.
pub async fn serve(port: u16, timeouts: Timeouts) -> ExitCode {
    let screen = Screen::new();
    println!(
        "{}",
        screen.ink(Ink::Bold, "Mooring: session persistence on a stock Envoy")
    );
    let listener = match listen(port).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("mooring-demo: cannot listen on 127.0.0.1: {error}");
            return ExitCode::FAILURE;
        }
    };
    let address = listener.local_addr().expect("a listener has an address");
    if port != 0 && address.port() != port {
        screen.say(format!("Port {port} is in use. The page is on another one."));
    }
    screen.say("Starting Envoy and five pods ...");
    let shop = Arc::new(Shop::open(timeouts).await);
    instructions(&screen, address, &shop);
    // Each of them runs until the program is stopped.
    tokio::join!(
        web::serve(listener, Arc::clone(&shop)),
        refresh(&shop),
        crowd::visit(&shop)
    );
    ExitCode::SUCCESS
}

/// Listens on this port, or on a free one if another program has it.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    let on = |port| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)));
    match on(port).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => on(0).await,
        outcome => outcome,
    }
}

async fn refresh(shop: &Shop) {
    loop {
        shop.refresh().await;
        tokio::time::sleep(REFRESH).await;
    }
}

fn instructions(screen: &Screen, page: SocketAddr, shop: &Shop) {
    screen.say(format!(
        "The page:     {}",
        screen.ink(Ink::Green, format!("http://{page}/"))
    ));
    screen.say(format!("The gateway:  curl -v http://{}/", shop.gateway()));
    screen.say(format!("Envoy:        http://{}/", shop.admin()));
    screen.say("Ctrl-C stops the page, the gateway and the pods.");
}
