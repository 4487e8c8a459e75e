//! Decisions about the requests and responses of a client: any configuration, several requests with any headers, at any time.
//! Their tokens may be the client's own, those of another rule, or not tokens at all. Each decision is compared with the
//! configuration, read in the simplest way.

#![no_main]

use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use mooring_fuzz::{ring, shape};
use mooring_policy::{config, gateway::Gateway, routes::RouteTable};

#[path = "decision/check_request.rs"]
mod check_request;
#[path = "decision/check_response.rs"]
mod check_response;
#[path = "decision/client.rs"]
mod client;
#[path = "decision/input.rs"]
mod input;

use self::{
    client::Client,
    input::{Input, Keys},
};

fuzz_target!(|input: Input| {
    let shape::Rule { rule: mut raw, canary } = input.rule;
    // Property tests of the policy cover released and rebalanced sessions, and those with a version.
    raw.rebalance = false;
    for backend in &mut raw.backends {
        backend.released = false;
        backend.version = None;
        backend.weight_zero = false;
    }
    let session_routes = input.lacks_sanitizer.then(|| "session-route".to_owned());
    let config = config::Config {
        version: config::VERSION,
        session_routes: session_routes.into_iter().collect(),
        access_log: false,
        weight_metric: false,
        canaries: canary.iter().cloned().collect(),
        rules: vec![raw.clone()],
    };
    let Ok(table) = RouteTable::new(&config) else {
        return;
    };
    let keys = match input.keys {
        Keys::None => None,
        Keys::One => Some(ring(&[1])),
        Keys::Two => Some(ring(&[1, 2])),
    };
    let rule = Rc::clone(table.rules().next().expect("there is one"));
    let mut client = Client {
        rule: &rule,
        raw: &raw,
        canary: canary.as_ref(),
        gateway: Gateway {
            routes: table,
            keys,
            ..Gateway::default()
        },
        now: input.start.into(),
        own: None,
        out: Vec::new(),
        chosen: Vec::new(),
    };
    for request in input.requests.iter().take(8) {
        client.send(request);
    }
});
