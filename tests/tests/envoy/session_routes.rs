//! Session routes that are not what the module takes them for: missing, old, or leading nowhere.

use mooring_tests::{Bootstrap, Envoy, Manifests, Pod};
use serde_json::{Value, json};

use crate::shop::{COOKIE, client_on, split, strangers, within_five_sigma};

/// The routes of all virtual hosts.
pub(crate) fn routes(bootstrap: &mut Bootstrap) -> Vec<&mut Vec<Value>> {
    fn collect<'a>(value: &'a mut Value, found: &mut Vec<&'a mut Vec<Value>>) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if name == "routes" {
                        found.extend(field.as_array_mut());
                    } else {
                        collect(field, found);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(bootstrap.json_mut(), &mut found);
    found
}

/// Whether it is the session route of this Service; of any, where none is named.
pub(crate) fn is_session_route(route: &Value, service: &str) -> bool {
    let name = route["name"].as_str().unwrap_or_default();
    name.starts_with("HTTPRoute/") && name.contains(service)
}

async fn pods() -> (Vec<Pod>, Vec<Pod>) {
    (
        Pod::start_several("stable", 2).await,
        Pod::start_several("canary", 2).await,
    )
}

async fn envoy_with(manifests: &Manifests, edit: impl Fn(&mut Bootstrap) + Send + Sync + 'static) -> Envoy {
    Envoy::builder().edit(edit).start(manifests).await
}

#[tokio::test]
async fn weights_of_the_route_are_in_force_without_another_configuration_of_the_module() {
    let (stable, canary) = pods().await;
    let turned = |bootstrap: &mut Bootstrap| {
        for route in routes(bootstrap).into_iter().flatten() {
            if let Some(clusters) = route.pointer_mut("/route/weighted_clusters/clusters") {
                clusters[0]["weight"] = json!(20);
                clusters[1]["weight"] = json!(80);
            }
        }
    };
    let envoy = envoy_with(&split((&stable, 90), (&canary, 10)), turned).await;
    let answered = strangers(&envoy.client(), 500).await;
    let to_canary: u32 = canary.iter().filter_map(|pod| answered.get(pod.name())).sum();
    assert!(within_five_sigma(to_canary, 500, 0.8), "{answered:?}");
}

#[tokio::test]
async fn without_session_routes_requests_go_by_weight_and_no_token_is_issued_for_each() {
    let (stable, canary) = pods().await;
    let without = |bootstrap: &mut Bootstrap| {
        for routes in routes(bootstrap) {
            routes.retain(|route| !is_session_route(route, ""));
        }
    };
    let envoy = envoy_with(&split((&stable, 50), (&canary, 50)), without).await;
    let mut browser = client_on(&envoy, "canary").await;
    let mut elsewhere = 0;
    for _ in 0..40 {
        let reply = browser.get("/").await.ok();
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
        elsewhere += u64::from(reply.pod().starts_with("stable"));
    }
    assert!(elsewhere > 0);
    let missed = envoy.stats().await.mooring("mooring_session_route_missed_total");
    assert_eq!(missed, elsewhere);
}

#[tokio::test]
async fn a_session_whose_route_leads_nowhere_goes_on_elsewhere_after_one_failure() {
    let (stable, canary) = pods().await;
    // What istiod makes of a route to a Service that does not exist.
    let nowhere = |bootstrap: &mut Bootstrap| {
        for route in routes(bootstrap).into_iter().flatten() {
            if is_session_route(route, "canary") {
                route.as_object_mut().unwrap().remove("route");
                route["direct_response"] = json!({ "status": 500 });
            }
            if let Some(clusters) = route.pointer_mut("/route/weighted_clusters/clusters") {
                clusters[1]["weight"] = json!(1);
            }
        }
    };
    let manifests = split((&stable, 50), (&canary, 50));
    let envoy = Envoy::builder().concurrency(1).edit(nowhere).start(&manifests).await;
    let mut browser = client_on(&envoy, "canary").await;
    assert_eq!(browser.get("/").await.status(), 500);
    let moved = loop {
        let reply = browser.get("/").await.ok();
        if reply.pod().starts_with("stable") {
            break reply;
        }
    };
    assert!(moved.set_cookie(COOKIE).is_some(), "{moved:?}");
    for _ in 0..20 {
        let reply = browser.get("/").await.ok();
        assert_eq!(reply.pod(), moved.pod());
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
}
