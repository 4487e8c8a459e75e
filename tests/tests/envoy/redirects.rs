//! Redirects that Envoy follows itself (`internal_redirect_policy`). It starts over with the request as the filters have left it.

use mooring_tests::{Answer, Bootstrap, Envoy, Persistence, Pod};
use serde_json::{Value, json};

use crate::shop::{COOKIE, cart, persistence};

/// Has every route follow a redirect.
fn follow(bootstrap: &mut Bootstrap) {
    let hosts = bootstrap
        .json_mut()
        .pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts");
    let hosts = hosts.and_then(Value::as_array_mut).unwrap();
    let routes = hosts.iter_mut().flat_map(|host| host["routes"].as_array_mut().unwrap());
    let mut followed = 0;
    for route in routes.filter_map(|route| route.get_mut("route")) {
        route["internal_redirect_policy"] = json!({"redirect_response_codes": [302]});
        followed += 1;
    }
    assert!(followed > 0);
}

/// How many of ten requests of a session that are redirected get another token.
async fn tokens(persistence: Persistence) -> usize {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::builder().edit(follow).start(&cart(&pods, persistence)).await;
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();
    for pod in &pods {
        pod.forget();
        pod.answer(Answer::status(302).header("location", "http://shop.example.com/next"));
    }
    let mut tokens = 0;
    for _ in 0..10 {
        // The second redirect is the client's.
        let reply = browser.get("/").await;
        assert_eq!(reply.status(), 302, "{reply:?}");
        tokens += usize::from(reply.set_cookie(COOKIE).is_some());
    }
    let asked: usize = pods.iter().map(|pod| pod.echoes().len()).sum();
    assert_eq!(asked, 20, "Envoy has followed each of them");
    if tokens == 0 {
        let pod = pods.iter().find(|pod| pod.name() == first.pod()).unwrap();
        assert_eq!(
            pod.echoes().len(),
            20,
            "all of them were answered by the pod of the session"
        );
    }
    tokens
}

#[tokio::test]
async fn a_session_survives_a_redirect_that_envoy_follows_if_the_token_stays_in_the_request() {
    assert_eq!(tokens(persistence().annotation("forward-token", "true")).await, 0);
    // As documented: the token is out of the request when Envoy starts over.
    assert_eq!(tokens(persistence()).await, 10);
}
