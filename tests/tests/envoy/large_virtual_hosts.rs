//! Host names with very many routes, where a filter sets the headers of the session from filter state.

use mooring_tests::{Bootstrap, Envoy, Pod, Update};

use crate::{
    faults::many_clients,
    shop::{COOKIE, cart, large, nothing_internal, persistence},
};

/// With one more, the filter is enabled.
const MOST_WITHOUT_RELAY: usize = 80;

/// The number of virtual hosts with the filter enabled.
fn relays(bootstrap: &Bootstrap) -> usize {
    let per_host = "\"mooring.filter_state_headers\":{";
    bootstrap.json().to_string().matches(per_host).count()
}

#[tokio::test]
async fn sessions_stay_and_nothing_internal_is_seen() {
    let pods = Pod::start_several("cart", 3).await;
    let manifests = large(&pods, MOST_WITHOUT_RELAY);
    let envoy = Envoy::serve(&manifests).await;
    assert_eq!(relays(&envoy.generate(&manifests)), 1);
    for client in [envoy.client(), envoy.client_http2()] {
        for pod in &pods {
            // Until the newcomer is on that pod.
            let session = loop {
                let first = client.get("/other-0070/x").await.ok();
                nothing_internal(&first);
                if first.pod() == pod.name() {
                    break first.set_cookie(COOKIE).unwrap().stripped().to_string();
                }
            };
            for (lines, left) in [
                (vec![session.clone()], None),
                (
                    vec![format!("theme=dark; {session}; lang=de")],
                    Some("theme=dark; lang=de"),
                ),
                (vec!["theme=dark".to_owned(), session.clone()], Some("theme=dark")),
            ] {
                for _ in 0..3 {
                    let request = client.request("/other-0070/x").header("x-mooring-host", "filter-state");
                    let request = lines
                        .iter()
                        .fold(request, |request, line| request.header("cookie", line));
                    let reply = request.send().await.ok();
                    assert_eq!(reply.pod(), pod.name(), "{lines:?}");
                    assert!(reply.set_cookies().is_empty(), "{reply:?}");
                    assert_eq!(reply.echo().cookie(), left.map(|left| left.as_bytes().to_vec()));
                    nothing_internal(&reply);
                }
            }
        }
    }
    assert_eq!(envoy.stats().await.mooring("mooring_error_total"), 0);
}

#[tokio::test]
async fn where_there_is_no_relay_a_client_cannot_pretend_one() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();
    for _ in 0..10 {
        let request = envoy.client();
        let request = request.request("/").cookie(browser.cookie_header().unwrap());
        let reply = request.header("x-mooring-host", "filter-state").send().await.ok();
        assert_eq!(reply.pod(), first.pod());
        assert_eq!(reply.echo().cookie(), None);
        nothing_internal(&reply);
    }
}

#[tokio::test]
async fn routes_come_and_go_and_sessions_stay() {
    let pods = Pod::start_several("cart", 4).await;
    let (few, many) = (large(&pods, MOST_WITHOUT_RELAY - 1), large(&pods, MOST_WITHOUT_RELAY));
    let mut envoy = Envoy::builder().dynamic().start(&few).await;
    assert_eq!(relays(&envoy.generate(&few)), 0);
    let traffic = many_clients(&[&envoy]).await;
    for _ in 0..3 {
        for manifests in [&many, &few] {
            assert_eq!(envoy.apply(manifests).await, Update::Taken);
            traffic.goes_on(2).await;
        }
    }
    traffic.stop().await.unharmed(500);
    assert_eq!(envoy.stats().await.mooring("mooring_error_total"), 0);
}

#[tokio::test]
async fn a_module_that_is_off_lets_everything_pass() {
    let pods = Pod::start_several("cart", 3).await;
    let edit = |bootstrap: &mut Bootstrap| {
        bootstrap.module().configuration("no JSON");
    };
    let envoy = Envoy::builder()
        .edit(edit)
        .start(&large(&pods, MOST_WITHOUT_RELAY))
        .await;
    for _ in 0..10 {
        let reply = envoy.client().request("/").cookie("a=1").send().await.ok();
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
        assert_eq!(reply.echo().cookie(), Some(b"a=1".to_vec()));
        nothing_internal(&reply);
    }
}
