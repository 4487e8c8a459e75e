//! The gateway for a browser.

use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mooring_tests::{Bootstrap, Envoy, Manifests, Persistence, Pod, Policy, Route, Service, Site, Stats};
use tokio::sync::mpsc;

use crate::{
    page,
    show::{Ink, Screen},
};

/// Where the browser looks.
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);

/// Serves until it is stopped.
pub async fn serve() -> ExitCode {
    let mut screen = Screen::new();
    let address = SocketAddr::from(ADDRESS);
    if std::net::TcpListener::bind(address).is_err() {
        eprintln!("mooring-demo: {address} is in use by another program");
        return ExitCode::FAILURE;
    }
    let mut pods = Pod::start_several("store", 3).await;
    let policy = Policy::on(
        "store",
        Persistence::cookie("store-session")
            .absolute("2m")
            .idle("20s")
            .permanent(),
    );
    let manifests = Manifests::new()
        .service(&Service::new("store", &pods))
        .route(&Route::to("store"))
        .policy(&policy);
    let site = Site {
        listen: address,
        ..Site::fresh()
    };
    let mut bootstrap = manifests.generate(site).bootstrap();
    // So that Envoy notices a pod that ends without Kubernetes to tell it.
    Bootstrap::check_health(&mut bootstrap);
    let envoy = Envoy::builder().start_on(site, bootstrap).await;

    let stats = Arc::new(Mutex::new(Stats::default()));
    for pod in &pods {
        let stats = Arc::clone(&stats);
        pod.show(Arc::new(move |echo| {
            page::page(echo, &stats.lock().unwrap_or_else(PoisonError::into_inner))
        }));
    }
    instructions(&mut screen, &envoy, &policy);
    let mut typed = keyboard();
    loop {
        tokio::select! {
            line = typed.recv() => match line {
                Some(line) => toggle(&screen, &mut pods, line.trim()).await,
                None => std::future::pending().await,
            },
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                let now = envoy.stats().await;
                *stats.lock().unwrap_or_else(PoisonError::into_inner) = now;
            }
        }
    }
}

fn instructions(screen: &mut Screen, envoy: &Envoy, policy: &Policy) {
    println!(
        "{}",
        screen.ink(Ink::Bold, "Mooring: session persistence on a stock Envoy")
    );
    screen.act("The policy");
    screen.quote(&policy.yaml());
    screen.act("The gateway is running");
    screen.say(format!(
        "shop   {}",
        screen.ink(Ink::Green, format!("http://{}/", envoy.address()))
    ));
    screen.say(format!("Envoy  http://{}/stats?filter=mooring", envoy.admin()));
    screen.act("What to try");
    for line in [
        "Reload the page: the same pod answers, and the pod does not see the session cookie.",
        "Open a private window: another client, perhaps another pod.",
        "Wait 25 seconds and reload: the session was idle for longer than 20 s, and a new one begins.",
        "Turn on the visits every second: the session lives, but not longer than 2 minutes.",
        "Type 1, 2 or 3 and Enter: that pod ends, or comes back. Envoy notices within a tenth of a second, and\n     sessions move on.",
        "curl -v http://127.0.0.1:8080/ shows the cookie, and what the pod was sent.",
        "Ctrl-C ends it.",
    ] {
        screen.say(format!("- {line}"));
    }
    println!();
}

/// The lines that a person types. The thread ends with the program.
fn keyboard() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Ends the pod with this number, or lets it come back.
async fn toggle(screen: &Screen, pods: &mut [Pod], number: &str) {
    let named = format!("store-{number}");
    let Some(pod) = pods.iter_mut().find(|pod| pod.name() == named) else {
        screen.say("there are pods 1, 2 and 3");
        return;
    };
    let what = if pod.is_running() {
        pod.stop().await;
        "has ended"
    } else {
        pod.resume().await;
        "is back"
    };
    screen.say(format!("pod {} {what}", screen.pod(&named)));
}
