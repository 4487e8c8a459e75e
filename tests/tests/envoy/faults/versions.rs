//! Gateways with different modules side by side, as in every upgrade.
//!
//! A format of tokens that is newer than the module's is stood in for by a token whose version byte is higher, as the first byte
//! of every format is its version. That the module reads the format before its own is for `policy/src/token.rs` and for the
//! migration in `tests/mesh`.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use mooring_tests::{Bootstrap, Clients, Envoy, Pod, Traffic, settings};

use super::{many_clients, no_token_rejected};
use crate::shop::{COOKIE, cart, persistence};

#[tokio::test]
async fn a_token_of_a_newer_format_is_a_new_session_and_counted() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = crate::malformed_requests::fail_closed(&cart(&pods, persistence())).await;
    let traffic = Traffic::start(&[envoy.address()], Clients::steady(50), COOKIE).await;
    let client = envoy.client();
    let token = client.get("/").await.ok().set_cookie(COOKIE).unwrap();
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.value()).unwrap();
    let mut sent = 0;
    for version in 5..=u8::MAX {
        let mut newer = bytes.clone();
        newer[0] = version;
        // Of any length.
        newer.extend(vec![version; usize::from(version % 40)]);
        let cookie = format!("{COOKIE}={}", BASE64_URL_SAFE_NO_PAD.encode(newer));
        let reply = client.request("/").cookie(&cookie).send().await.ok();
        assert!(reply.set_cookie(COOKIE).is_some(), "version {version}: {reply:?}");
        sent += 1;
    }
    let stats = envoy.stats().await;
    assert_eq!(stats.mooring("mooring_token_rejected_version_total"), sent);
    let tally = traffic.stop().await;
    println!("{sent} tokens of newer formats; beside them {tally:?}");
    tally.unharmed(50);
}

#[tokio::test]
async fn two_builds_of_the_module_share_their_sessions() {
    let pods = Pod::start_several("cart", 4).await;
    let manifests = cart(&pods, persistence().idle("1m").annotation("refresh-interval", "1s"));
    let other = |bootstrap: &mut Bootstrap| {
        bootstrap.module().file(&settings::trapping_wasm());
    };
    let gateways = [
        Envoy::serve(&manifests).await,
        Envoy::builder().edit(other).start(&manifests).await,
    ];
    let traffic = many_clients(&gateways.each_ref()).await;
    traffic.goes_on(25).await;
    for gateway in &gateways {
        let stats = gateway.stats().await;
        no_token_rejected(&stats);
        assert!(stats.mooring("mooring_session_refreshed_total") > 0);
    }
    let tally = traffic.stop().await;
    println!("two builds of the module: {tally:?}");
    tally.unharmed(1_000);
}
