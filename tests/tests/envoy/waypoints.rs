//! A proxy without a header sanitizer, as a waypoint without `EnvoyFilter` is: what a client's own `x-mooring-*` headers do.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mooring_tests::{Bootstrap, Envoy, Pod};
use serde_json::{Value, json};

use crate::{
    session_routes::{is_session_route, routes},
    shop::{COOKIE, client_on, nothing_internal, split, within_five_sigma},
};

const INTERNAL: [&str; 3] = ["x-mooring-backend", "x-mooring-host", "x-mooring-host-strict"];

/// Removes the header sanitizer, and removes internal headers only on session routes.
fn without_sanitizer(bootstrap: &mut Bootstrap) {
    remove(bootstrap.json_mut(), "early_header_mutation_extensions");
    remove(bootstrap.json_mut(), "request_headers_to_remove");
    for route in routes(bootstrap).into_iter().flatten() {
        if is_session_route(route, "") {
            route["request_headers_to_remove"] = json!(INTERNAL);
        }
    }
}

fn remove(value: &mut Value, field: &str) {
    match value {
        Value::Object(fields) => {
            fields.remove(field);
            fields.values_mut().for_each(|value| remove(value, field));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| remove(item, field)),
        _ => {}
    }
}

/// The same, with a module that knows the session routes.
fn as_waypoint(bootstrap: &mut Bootstrap) {
    without_sanitizer(bootstrap);
    let session_routes = routes(bootstrap)
        .into_iter()
        .flatten()
        .filter(|route| is_session_route(route, ""));
    let names: Vec<Value> = session_routes.map(|route| route["name"].clone()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let mut config: Value = serde_json::from_str(&bootstrap.module().read_configuration()).unwrap();
    config["sessionRoutes"] = json!(names);
    bootstrap.module().configuration(&config.to_string());
}

/// The value of `x-mooring-backend` that leads to this Service.
fn key(bootstrap: &mut Bootstrap, service: &str) -> String {
    let mut routes = routes(bootstrap).into_iter().flatten();
    let route = routes.find(|route| is_session_route(route, service)).unwrap();
    let headers = route["match"]["headers"].as_array().unwrap();
    let header = headers
        .iter()
        .find(|header| header["name"] == "x-mooring-backend")
        .unwrap();
    header["string_match"]["exact"].as_str().unwrap().to_owned()
}

struct Waypoint {
    envoy: Envoy,
    stable: Vec<Pod>,
    canary: Vec<Pod>,
    /// The key of the canary.
    key: String,
}

async fn start(edit: fn(&mut Bootstrap)) -> Waypoint {
    let (stable, canary) = (
        Pod::start_several("stable", 2).await,
        Pod::start_several("canary", 2).await,
    );
    let manifests = split((&stable, 90), (&canary, 10));
    let envoy = Envoy::builder().edit(edit).start(&manifests).await;
    let key = key(&mut envoy.generate(&manifests), "canary");
    Waypoint {
        envoy,
        stable,
        canary,
        key,
    }
}

#[tokio::test]
async fn a_clients_own_backend_chooses_nothing() {
    let waypoint = start(as_waypoint).await;
    let client = waypoint.envoy.client();
    let mut to_canary = 0;
    for _ in 0..300 {
        let reply = client
            .request("/")
            .header("x-mooring-backend", &waypoint.key)
            .send()
            .await
            .ok();
        assert!(reply.set_cookies().is_empty(), "no session: {reply:?}");
        nothing_internal(&reply);
        to_canary += u32::from(reply.pod().starts_with("canary"));
    }
    assert!(within_five_sigma(to_canary, 300, 0.1), "{to_canary}");
    let stats = waypoint.envoy.stats().await;
    assert_eq!(stats.mooring("mooring_session_route_refused_total"), 300);
    assert_eq!(stats.mooring("mooring_passed_through_total"), 0);
    assert_eq!(stats.mooring("mooring_error_total"), 0);
}

#[tokio::test]
async fn without_the_names_of_the_session_routes_it_would_choose_the_backend() {
    let waypoint = start(without_sanitizer).await;
    let client = waypoint.envoy.client();
    for _ in 0..20 {
        let reply = client
            .request("/")
            .header("x-mooring-backend", &waypoint.key)
            .send()
            .await
            .ok();
        assert!(reply.pod().starts_with("canary"), "{reply:?}");
    }
}

#[tokio::test]
async fn a_clients_own_headers_move_no_session_and_no_new_client() {
    let waypoint = start(as_waypoint).await;
    let pod = |pod: &Pod| BASE64_STANDARD.encode(pod.socket().to_string());
    let wanted = pod(&waypoint.canary[0]);
    // An unknown backend leads to no session route, so the user's rule gets the request.
    let mut answered = [0; 2];
    for _ in 0..60 {
        let request = waypoint.envoy.client();
        let request = request
            .request("/")
            .header("x-mooring-backend", "HTTPRoute/shop/other#0/x");
        let request = request
            .header("x-mooring-host", pod(&waypoint.stable[0]))
            .header("x-mooring-new", "1");
        let reply = request.send().await.ok();
        assert!(reply.set_cookie(COOKIE).is_some(), "a session begins: {reply:?}");
        nothing_internal(&reply);
        if let Some(pod) = waypoint.stable.iter().position(|pod| pod.name() == reply.pod()) {
            answered[pod] += 1;
        }
    }
    assert!(answered.iter().all(|count| *count > 0), "{answered:?}");

    for marker in [wanted.as_str(), "filter-state"] {
        let mut browser = client_on(&waypoint.envoy, "stable").await;
        let own = browser.get("/").await.ok().pod();
        for _ in 0..10 {
            let client = waypoint.envoy.client();
            let request = client.request("/").cookie(browser.cookie_header().unwrap());
            let reply = request
                .header("x-mooring-host", marker)
                .header("x-mooring-backend", "x")
                .send()
                .await
                .ok();
            assert_eq!(reply.pod(), own, "{marker}");
            assert!(reply.set_cookies().is_empty(), "{reply:?}");
            nothing_internal(&reply);
        }
    }
}
