//! Tokens that are not what they should be: a new session, counted by kind, and never an error.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use mooring_policy::{
    config::Config,
    keys::KeyRing,
    token::{Binding, NONCE_LENGTH, Token},
};
use mooring_tests::{Bootstrap, Client, Envoy, Pod, Reply, Site, keys};

use crate::shop::{COOKIE, cart, persistence};

/// The bytes of a token.
pub fn bytes(token: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(token).unwrap()
}

/// The token of these bytes.
pub fn text(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with one byte changed, counted from the start or, if negative, from the end.
fn changed(token: &str, position: isize) -> String {
    let mut bytes = bytes(token);
    let length = bytes.len();
    let index = position.rem_euclid(isize::try_from(length).unwrap());
    bytes[usize::try_from(index).unwrap()] ^= 1;
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

async fn send(client: &Client, token: &str) -> Reply {
    client
        .request("/")
        .cookie(format!("{COOKIE}={token}"))
        .send()
        .await
        .ok()
}

#[tokio::test]
async fn a_token_that_is_not_what_it_should_be_is_a_new_session_and_counted_by_kind() {
    let pods = Pod::start_several("cart", 2).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let client = envoy.client();
    let good = client.get("/").await.ok().set_cookie(COOKIE).unwrap();
    let good = good.value();
    let cut_off = BASE64_URL_SAFE_NO_PAD.encode(&bytes(good)[..60]);
    let mut newer = bytes(good);
    newer[0] = u8::MAX;
    let newer = BASE64_URL_SAFE_NO_PAD.encode(newer);
    let no_text = "A".repeat(2_000);
    let cases = [
        (
            "malformed",
            vec![
                String::new(),
                "garbage!".to_owned(),
                "AQ".to_owned(),
                no_text,
                format!("{good}="),
            ],
        ),
        ("version", vec![newer]),
        ("unknown_key", vec![changed(good, 1)]),
        ("foreign", vec![changed(good, 2), changed(good, 3)]),
        // In turn: the nonce, what is sealed, the tag, the end cut off.
        (
            "tampered",
            vec![changed(good, 4), changed(good, 40), changed(good, -1), cut_off],
        ),
    ];
    for (kind, tokens) in cases {
        let counter = format!("mooring_token_rejected_{kind}_total");
        for (times, token) in (1..).zip(tokens) {
            let reply = send(&client, &token).await;
            let new = reply
                .set_cookie(COOKIE)
                .unwrap_or_else(|| panic!("{kind} {token}: {reply:?}"));
            assert_ne!(new.value(), good);
            assert!(reply.echo().cookie().is_none(), "the pod does not see it either");
            let stats = envoy.stats().await;
            assert_eq!(
                stats.mooring(&counter),
                times,
                "{kind} {token}: {:?}",
                stats.of_mooring()
            );
        }
    }
    assert!(
        send(&client, good).await.set_cookies().is_empty(),
        "the good one is still good"
    );
}

#[tokio::test]
async fn a_token_from_the_future_is_a_new_session() {
    let pods = Pod::start_several("cart", 2).await;
    let manifests = cart(&pods, persistence());
    let site = Site::fresh();
    let mut bootstrap = manifests.generate(site).bootstrap();
    let forge = Forge::of(&mut bootstrap);
    let envoy = Envoy::builder().start_on(site, bootstrap).await;
    let client = envoy.client();
    let pod = &pods[1];
    let token = |ahead: i64| forge.token(pod, ahead, ahead);
    // This one shows that the token is good but for its time.
    for _ in 0..4 {
        let reply = send(&client, &token(0)).await;
        assert_eq!(reply.pod(), pod.name());
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
    assert!(send(&client, &token(3_600)).await.set_cookie(COOKIE).is_some());
    assert_eq!(envoy.stats().await.mooring("mooring_token_rejected_future_total"), 1);
}

/// Seals tokens as a gateway with the test's key would that has the one rule of a configuration.
pub struct Forge {
    binding: Binding,
}

impl Forge {
    /// For the one rule of this configuration.
    pub fn of(bootstrap: &mut Bootstrap) -> Self {
        let config: Config = serde_json::from_str(&bootstrap.module().read_configuration()).unwrap();
        let [rule] = config.rules.as_slice() else {
            panic!("one rule: {config:?}");
        };
        Self {
            binding: Binding::new(&rule.id, &rule.session.as_ref().unwrap().name),
        }
    }

    /// A token on a pod of the Service `cart`, issued and last seen so many seconds from now.
    pub fn token(&self, pod: &Pod, issued: i64, seen: i64) -> String {
        let from_now = |seconds| u64::try_from(time::UtcDateTime::now().unix_timestamp() + seconds).unwrap();
        let token = Token {
            issued: from_now(issued),
            seen: from_now(seen),
            secure: false,
            backend: b"cart.shop:80".as_slice().into(),
            version: Box::default(),
            share: None,
            host: pod.socket().to_string().into_bytes().into(),
        };
        let keys = KeyRing::parse(&keys::key(1)).unwrap();
        token.seal(&keys, &self.binding, [7; NONCE_LENGTH]).unwrap()
    }
}
