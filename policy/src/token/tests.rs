use wasm_bindgen_test::wasm_bindgen_test;

use super::*;
use crate::keys::{Entry, test_secret};

const NONCE: [u8; NONCE_LENGTH] = [3; NONCE_LENGTH];

fn ring(ids: &[u8]) -> KeyRing {
    let entries: Vec<String> = ids
        .iter()
        .map(|&id| Entry::new(id, test_secret(id)).reveal().to_string())
        .collect();
    KeyRing::parse(&entries.join(",")).unwrap()
}

fn binding() -> Binding {
    Binding::new("HTTPRoute/shop/store#0", "cart")
}

fn token() -> Token {
    Token {
        issued: 1_700_000_000,
        seen: 1_700_000_100,
        secure: true,
        backend: b"store.shop:80".as_slice().into(),
        version: Box::default(),
        share: None,
        host: b"10.244.0.11:8080".as_slice().into(),
    }
}

#[test]
#[wasm_bindgen_test]
fn opens_what_it_sealed() {
    let text = token().seal(&ring(&[1]), &binding(), NONCE).unwrap();
    assert_eq!(Token::open(text.as_bytes(), &ring(&[1]), &binding()), Ok(token()));
    assert!(text.len() < 160, "{}", text.len());
}

#[test]
#[wasm_bindgen_test]
fn no_token_is_sealed_that_is_too_long_to_be_opened() {
    let with_host = |length: usize| Token {
        host: vec![b'1'; length].into(),
        ..token()
    };
    let longest = with_host(693);
    let text = longest.seal(&ring(&[1]), &binding(), NONCE).unwrap();
    assert_eq!(text.len(), MAX_LENGTH);
    assert_eq!(Token::open(text.as_bytes(), &ring(&[1]), &binding()), Ok(longest));
    assert_eq!(with_host(694).seal(&ring(&[1]), &binding(), NONCE), Err(SealError));
}

#[test]
#[wasm_bindgen_test]
fn shows_nothing_of_what_it_holds() {
    let text = token().seal(&ring(&[1]), &binding(), NONCE).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(!holds(b"10.244") && !holds(b"store"));
}

#[test]
#[wasm_bindgen_test]
fn every_key_of_the_ring_opens() {
    let text = token().seal(&ring(&[1]), &binding(), NONCE).unwrap();
    assert_eq!(Token::open(text.as_bytes(), &ring(&[2, 1]), &binding()), Ok(token()));
    assert_eq!(
        Token::open(text.as_bytes(), &ring(&[2]), &binding()),
        Err(Rejection::UnknownKey)
    );
}

#[test]
#[wasm_bindgen_test]
fn another_secret_under_the_same_id_does_not_open() {
    let text = token().seal(&ring(&[1]), &binding(), NONCE).unwrap();
    let other = KeyRing::parse(&Entry::new(1, test_secret(9)).reveal()).unwrap();
    assert_eq!(
        Token::open(text.as_bytes(), &other, &binding()),
        Err(Rejection::Foreign)
    );
    // And not for want of a hint: the seal itself holds.
    let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
    bytes[2..4].copy_from_slice(&binding().hint(VERSION, other.sealing()));
    let with_hint = URL_SAFE_NO_PAD.encode(bytes);
    assert_eq!(
        Token::open(with_hint.as_bytes(), &other, &binding()),
        Err(Rejection::Tampered)
    );
}

#[test]
#[wasm_bindgen_test]
fn opens_under_no_other_route_or_name() {
    let text = token().seal(&ring(&[1]), &binding(), NONCE).unwrap();
    for (route, name) in [
        ("HTTPRoute/shop/store#1", "cart"),
        ("HTTPRoute/shop/store#0", "cart2"),
        ("HTTPRoute/shop/store#0c", "art"),
    ] {
        let other = Binding::new(route, name);
        assert_eq!(
            Token::open(text.as_bytes(), &ring(&[1]), &other),
            Err(Rejection::Foreign)
        );
        // And not for want of a hint: the seal itself holds.
        let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        bytes[2..4].copy_from_slice(&ring(&[1]).sealing().hint(&other.context));
        let with_hint = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(
            Token::open(with_hint.as_bytes(), &ring(&[1]), &other),
            Err(Rejection::Tampered)
        );
    }
}

#[test]
#[wasm_bindgen_test]
fn every_flipped_bit_is_noticed() {
    let keys = ring(&[1]);
    let text = token().seal(&keys, &binding(), NONCE).unwrap().into_bytes();
    for (position, bit) in (0..text.len()).flat_map(|position| (0..8).map(move |bit| (position, bit))) {
        let mut flipped = text.clone();
        flipped[position] ^= 1 << bit;
        assert!(
            Token::open(&flipped, &keys, &binding()).is_err(),
            "bit {bit} of character {position}"
        );
    }
    let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
    for (position, bit) in (0..bytes.len()).flat_map(|position| (0..8).map(move |bit| (position, bit))) {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1 << bit;
        let flipped = URL_SAFE_NO_PAD.encode(flipped);
        assert!(
            Token::open(flipped.as_bytes(), &keys, &binding()).is_err(),
            "bit {bit} of byte {position}"
        );
    }
}

#[test]
#[wasm_bindgen_test]
fn garbage_is_malformed() {
    let keys = ring(&[1]);
    let open = |text: &[u8]| Token::open(text, &keys, &binding()).unwrap_err();
    assert_eq!(open(b""), Rejection::Malformed);
    assert_eq!(open(b"AQ"), Rejection::Malformed);
    assert_eq!(open(b"\xff\xfe\x00"), Rejection::Malformed);
    assert_eq!(open(&[b'A'; 4096]), Rejection::Malformed);
    assert_eq!(open(b"AAEAAAAA"), Rejection::Version);
    assert_eq!(open(b"BQEAAAAA"), Rejection::Version);
    assert_eq!(open(b"AgIAAAAA"), Rejection::UnknownKey);
    let text = token().seal(&keys, &binding(), NONCE).unwrap();
    assert_eq!(open(&text.as_bytes()[..7]), Rejection::Malformed);
    assert_eq!(open(&text.as_bytes()[..MIN_LENGTH - 1]), Rejection::Malformed);
    assert_eq!(open(&text.as_bytes()[..MIN_LENGTH]), Rejection::Tampered);
    assert_eq!(open(&text.as_bytes()[..100]), Rejection::Tampered);
    assert_eq!(open(format!("{text}=").as_bytes()), Rejection::Malformed);
}

#[test]
#[wasm_bindgen_test]
fn what_is_no_token_of_the_rule_is_told_by_its_first_bytes() {
    let (keys, binding) = (ring(&[1, 2]), binding());
    let mut opener = Opener::new(&keys, &binding);
    let sealed = |ids: &[u8], binding: &Binding| token().seal(&ring(ids), binding, NONCE).unwrap();
    let other = Binding::new("HTTPRoute/shop/store#1", "cart");
    for (text, expected) in [
        (sealed(&[3], &binding), Err(Rejection::UnknownKey)),
        (sealed(&[1], &other), Err(Rejection::Foreign)),
        (sealed(&[2], &other), Err(Rejection::Foreign)),
        (sealed(&[1], &binding), Ok(())),
        (sealed(&[2], &binding), Ok(())),
        (sealed(&[1], &binding), Ok(())),
    ] {
        // Whatever follows the prefix, so it has not been looked at.
        let mut rest = text.into_bytes();
        rest[SCREENED_LENGTH..].fill(b'!');
        assert_eq!(opener.screen(&rest).map(|_| ()), expected);
    }
}

#[test]
#[wasm_bindgen_test]
fn a_token_of_the_version_before_opens() {
    let (keys, binding) = (ring(&[1, 2]), binding());
    let sealed = token().seal_as(OLD_VERSION, &keys, &binding, NONCE).unwrap();
    assert_eq!(Token::open(sealed.as_bytes(), &keys, &binding), Ok(token()));
    // What gateways of that version made of it.
    for (route, name, hint) in [
        ("HTTPRoute/migration/web/shop", "shop-session", [0x48, 0xed]),
        ("HTTPRoute/migration/web/beta", "beta-version", [0x71, 0x10]),
    ] {
        assert_eq!(Binding::new(route, name).hint(OLD_VERSION, keys.sealing()), hint);
    }
    // Versions do not stand in for each other: the seal holds the version too.
    let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
    bytes[0] = VERSION;
    bytes[2..4].copy_from_slice(&binding.hint(VERSION, keys.sealing()));
    let as_new = URL_SAFE_NO_PAD.encode(bytes);
    assert_eq!(
        Token::open(as_new.as_bytes(), &keys, &binding),
        Err(Rejection::Tampered)
    );
}

#[test]
#[wasm_bindgen_test]
fn only_a_token_with_the_version_of_a_backend_has_the_newest_format() {
    let (keys, binding) = (ring(&[1]), binding());
    let format = |token: &Token| {
        let text = token.seal(&keys, &binding, NONCE).unwrap();
        assert_eq!(Token::open(text.as_bytes(), &keys, &binding).as_ref(), Ok(token));
        prefix(text.as_bytes()).unwrap()[0]
    };
    let versioned = Token {
        version: b"6c5f9b7d4".as_slice().into(),
        ..token()
    };
    // Gateways with an older module keep the sessions of policies without a version label.
    assert_eq!((format(&token()), format(&versioned)), (2, 3));
    // The formats do not stand in for each other.
    let text = versioned.seal(&keys, &binding, NONCE).unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
    bytes[0] = VERSION;
    let as_old = URL_SAFE_NO_PAD.encode(bytes);
    assert_eq!(
        Token::open(as_old.as_bytes(), &keys, &binding),
        Err(Rejection::Tampered)
    );
    let long = Token {
        version: vec![b'1'; 256].into(),
        ..token()
    };
    assert_eq!(long.seal(&keys, &binding, NONCE), Err(SealError));
}

#[test]
#[wasm_bindgen_test]
fn only_a_token_with_a_share_has_format_4_with_and_without_a_version() {
    let (keys, binding) = (ring(&[1]), binding());
    for version in ["", "6c5f9b7d4"] {
        let shared = Token {
            version: version.as_bytes().into(),
            share: Some(Share::new(3, 4)),
            ..token()
        };
        let text = shared.seal(&keys, &binding, NONCE).unwrap();
        assert_eq!(prefix(text.as_bytes()).unwrap()[0], 4);
        assert_eq!(Token::open(text.as_bytes(), &keys, &binding), Ok(shared));
        // The formats do not stand in for each other.
        for format in [VERSION, VERSION_WITH_BACKEND_VERSION] {
            let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            bytes[0] = format;
            let as_old = URL_SAFE_NO_PAD.encode(bytes);
            let opened = Token::open(as_old.as_bytes(), &keys, &binding);
            assert_eq!(opened, Err(Rejection::Tampered));
        }
    }
    // Every shorter content of this format is refused, and every other one has its share before the host.
    let plain = [&[0; 16], &[0, 1][..], b"a", &[1], b"v", &[0xbf, 0xff], b"h"].concat();
    let parsed = Token::read(VERSION_WITH_SHARE, &plain).unwrap();
    assert_eq!(
        (parsed.share.map(Share::to_be_bytes), &*parsed.version, &*parsed.host),
        (Some([0xbf, 0xff]), b"v".as_slice(), b"h".as_slice())
    );
    for length in 0..plain.len() - 1 {
        assert_eq!(Token::read(VERSION_WITH_SHARE, &plain[..length]), None, "{length}");
    }
}

#[test]
#[wasm_bindgen_test]
fn each_key_has_a_hint_of_its_own_for_a_rule() {
    let hint = |id: u8| {
        let text = token().seal(&ring(&[id]), &binding(), NONCE).unwrap();
        let [_, key, hint @ ..] = prefix(text.as_bytes()).unwrap();
        assert_eq!(key, id);
        hint
    };
    let hints: std::collections::BTreeSet<[u8; 2]> = (1..=64).map(hint).collect();
    // Without a key in it, all would be the same.
    assert!(hints.len() > 60, "{}", hints.len());
}

#[test]
#[wasm_bindgen_test]
fn a_backend_key_that_does_not_fit_is_refused() {
    let long = Token {
        backend: vec![b'a'; 256].into(),
        ..token()
    };
    assert_eq!(long.seal(&ring(&[1]), &binding(), NONCE), Err(SealError));
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn any_token() -> impl Strategy<Value = Token> {
        let bytes = |most: usize| proptest::collection::vec(any::<u8>(), 0..=most).prop_map(Vec::into_boxed_slice);
        (
            any::<u64>(),
            any::<u64>(),
            any::<bool>(),
            bytes(255),
            bytes(63),
            proptest::option::of(any::<[u8; 2]>()),
            bytes(64),
        )
            .prop_map(|(issued, seen, secure, backend, version, share, host)| Token {
                issued,
                seen,
                secure,
                backend,
                version,
                share: share.map(Share::from_be_bytes),
                host,
            })
    }

    proptest! {
        #[test]
        fn seal_then_open_gives_back_what_went_in(token in any_token(), nonce in any::<[u8; NONCE_LENGTH]>()) {
            let keys = ring(&[1]);
            let text = token.seal(&keys, &binding(), nonce).unwrap();
            prop_assert_eq!(Token::open(text.as_bytes(), &keys, &binding()), Ok(token));
        }

        #[test]
        fn any_bytes_are_refused_or_opened_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Token::open(&text, &ring(&[1]), &binding()).is_err());
        }

        #[test]
        fn any_change_of_route_name_or_key_is_noticed(
            route in "[a-zA-Z0-9/#.-]{1,40}", name in "[a-z-]{1,20}", other in "[a-z-]{1,20}", id in 2..=255_u8
        ) {
            let made_for = Binding::new(&route, &name);
            let text = token().seal(&ring(&[1]), &made_for, NONCE).unwrap();
            prop_assert!(Token::open(text.as_bytes(), &ring(&[id]), &made_for).is_err());
            if other != name {
                prop_assert!(Token::open(text.as_bytes(), &ring(&[1]), &Binding::new(&route, &other)).is_err());
            }
            if other != route {
                prop_assert!(Token::open(text.as_bytes(), &ring(&[1]), &Binding::new(&other, &name)).is_err());
            }
        }
    }
}
