//! The HTTP server for the kubelet and for Prometheus: `/livez`, `/readyz`, `/metrics`.
//!
//! That the server answers says nothing about the controller. `/livez` asks whether each part of it has made progress lately, and
//! `/readyz` whether it knows the cluster. A replica that does not lead is ready, too.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, time::Instant};

use crate::{
    health::Health,
    metrics::Metrics,
    watch::{KindState, WatchStates},
};

/// Binds the address, so that a port in use ends the process at its start. `[::]` takes connections by IPv4 too, and is all of IPv4 where
/// the kernel has no IPv6.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, health: Health, states: WatchStates, metrics: Metrics) -> io::Result<()> {
    let routes = Router::new()
        .merge(Router::new().route("/livez", get(livez)).with_state(health))
        .merge(Router::new().route("/readyz", get(readyz)).with_state(states))
        .merge(Router::new().route("/metrics", get(exposition)).with_state(metrics));
    axum::serve(listener, routes).await
}

async fn livez(State(health): State<Health>) -> impl IntoResponse {
    answer(&health.stalled(Instant::now()))
}

async fn readyz(State(states): State<WatchStates>) -> impl IntoResponse {
    let unlisted = states.unlisted().into_iter().map(|(kind, state)| match state {
        KindState::Forbidden(reason) => format!("{}: not allowed to list it: {reason}", kind.name),
        KindState::Unlisted(reason) => format!("{}: cannot list it: {reason}", kind.name),
        _ => format!("{}: not listed yet", kind.name),
    });
    answer(&unlisted.collect::<Vec<_>>())
}

fn answer(problems: &[String]) -> (StatusCode, String) {
    if problems.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n")
    }
}

async fn exposition(State(metrics): State<Metrics>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, OPEN_METRICS)], metrics.text())
}
