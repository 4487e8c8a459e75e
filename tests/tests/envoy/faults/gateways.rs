//! Two gateways behind one name: keys that change under them, and one that dies.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use mooring_tests::{Envoy, Pod, Seen, keys, wait};

use super::{CLIENTS, many_clients, no_token_rejected};
use crate::shop::{COOKIE, cart, persistence};

/// The id of the key that sealed a client's token.
fn sealed_by(seen: &Seen) -> u8 {
    let cookie = seen.cookie.as_ref().unwrap();
    let token = cookie.strip_prefix(&format!("{COOKIE}=")).unwrap();
    BASE64_URL_SAFE_NO_PAD.decode(token).unwrap()[1]
}

#[tokio::test]
async fn a_key_is_replaced_in_three_steps_on_two_gateways_and_no_session_is_lost() {
    let pods = Pod::start_several("cart", 4).await;
    // Sessions that last, and whose tokens are sealed again once a second.
    let manifests = cart(&pods, persistence().idle("1m").annotation("refresh-interval", "1s"));
    let mut gateways = [Envoy::serve(&manifests).await, Envoy::serve(&manifests).await];
    let addresses = gateways.each_ref().map(Envoy::address);
    let traffic = many_clients(&gateways.each_ref()).await;
    for ring in [[1, 2].as_slice(), &[2, 1], &[2]] {
        for (turn, gateway) in gateways.iter_mut().enumerate() {
            // The load balancer takes it out, and back in when it is ready.
            traffic.route_to(&[addresses[1 - turn]]);
            traffic.goes_on(2).await;
            gateway.restart_with_keys(&keys::ring(ring)).await;
            traffic.route_to(&addresses);
            traffic.goes_on(2).await;
        }
        // The next step waits until the tokens are sealed by the first key of this one.
        wait::until("every token is sealed by the first key", || async {
            traffic
                .seen()
                .iter()
                .all(|seen| sealed_by(seen) == ring[0])
                .then_some(())
        })
        .await;
    }
    assert_eq!(traffic.seen().len(), CLIENTS);
    for gateway in &gateways {
        no_token_rejected(&gateway.stats().await);
    }
    let tally = traffic.stop().await;
    println!("a key replaced on two gateways: {tally:?}");
    tally.unharmed(1_000);
}

#[tokio::test]
async fn a_gateway_that_is_killed_and_comes_back_costs_no_session() {
    let pods = Pod::start_several("cart", 4).await;
    let manifests = cart(&pods, persistence());
    let mut gateways = [Envoy::serve(&manifests).await, Envoy::serve(&manifests).await];
    let traffic = many_clients(&gateways.each_ref()).await;
    for gateway in &mut gateways {
        traffic.goes_on(3).await;
        gateway.kill().await;
        // The clients do not know.
        traffic.goes_on(10).await;
        gateway.restart().await;
        traffic.goes_on(3).await;
        assert!(gateway.stats().await.mooring("mooring_session_resumed_total") > 0);
    }
    let tally = traffic.stop().await;
    println!("two gateways killed, one after the other: {tally:?}");
    tally.unharmed(1_000);
    assert!(tally.repeated > 0, "no client noticed: {tally:?}");
}
