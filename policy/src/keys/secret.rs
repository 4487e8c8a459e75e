//! Detects secrets that are not random.
//!
//! Each test refuses a random secret with a probability below 2^-100, so in practice it never does:
//!
//! | what is refused | probability for 32 random bytes |
//! |---|---|
//! | fewer than [`MIN_DISTINCT_BYTES`] different bytes: all zero, one repeated byte, a repeated word | C(256, 9) · (9/256)^32 < 2^-101 |
//! | the same bytes again after at most [`MAX_PERIOD`] bytes | below 2 · 2^-128 |
//! | the same difference between all neighbours: 00 01 02 … | 2^-240 |

/// The number of bytes of a secret (XChaCha20-Poly1305).
pub const SECRET_LENGTH: usize = 32;

/// The minimum number of different bytes of a secret.
const MIN_DISTINCT_BYTES: usize = 10;

/// The maximum period of a secret that counts as repetitive: half its length.
const MAX_PERIOD: usize = SECRET_LENGTH / 2;

/// Whether the bytes of a secret show that it is not random. A secret that passes may still be weak.
pub(super) fn is_guessable(secret: &[u8; SECRET_LENGTH]) -> bool {
    has_few_distinct_bytes(secret) || is_periodic(secret) || is_arithmetic_sequence(secret)
}

fn has_few_distinct_bytes(secret: &[u8]) -> bool {
    let first = |position: usize, byte: &u8| !secret.iter().take(position).any(|earlier| earlier == byte);
    let different = secret
        .iter()
        .enumerate()
        .filter(|(position, byte)| first(*position, byte));
    different.count() < MIN_DISTINCT_BYTES
}

fn is_periodic(secret: &[u8]) -> bool {
    (1..=MAX_PERIOD).any(|period| {
        secret
            .iter()
            .skip(period)
            .eq(secret.iter().take(secret.len().saturating_sub(period)))
    })
}

fn is_arithmetic_sequence(secret: &[u8]) -> bool {
    let mut steps = secret
        .iter()
        .zip(secret.iter().skip(1))
        .map(|(one, next)| next.wrapping_sub(*one));
    let first = steps.next();
    steps.all(|step| Some(step) == first)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    /// A secret with the given byte at each position.
    fn secret(byte: impl Fn(u8) -> u8) -> [u8; SECRET_LENGTH] {
        std::array::from_fn(|position| byte(u8::try_from(position).unwrap()))
    }

    #[test]
    #[wasm_bindgen_test]
    fn secrets_that_are_not_random_are_refused() {
        for guessable in [
            [0; SECRET_LENGTH],
            [0x5a; SECRET_LENGTH],
            *b"change-me-change-me-change-me-ch",
            *b"aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb",
            *b"01234567890123456789012345678901",
            *b"0123456789abcdef0123456789abcdef",
            secret(|position| position),
            secret(|position| 255 - position),
            secret(|position| position.wrapping_mul(37)),
            secret(|position| position % 9),
            secret(|position| if position < 24 { 0 } else { position }),
        ] {
            assert!(is_guessable(&guessable), "{guessable:?}");
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn the_minimum_number_of_distinct_bytes_is_accepted() {
        // Neither periodic nor an arithmetic sequence, so that only the number of different bytes counts.
        let of = |different: u8| secret(|position| position.saturating_sub(32 - different));
        assert!(is_guessable(&of(9)), "{:?}", of(9));
        assert!(!is_guessable(&of(10)), "{:?}", of(10));
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(5_000))]

            #[test]
            fn a_random_secret_is_never_refused(secret in any::<[u8; SECRET_LENGTH]>()) {
                prop_assert!(!is_guessable(&secret));
            }

            #[test]
            fn few_distinct_bytes_are_refused_in_any_order(
                alphabet in any::<[u8; MIN_DISTINCT_BYTES - 1]>(), order in any::<[prop::sample::Index; SECRET_LENGTH]>()
            ) {
                prop_assert!(is_guessable(&order.map(|index| *index.get(&alphabet))));
            }

            #[test]
            fn periodic_secrets_are_refused(secret in any::<[u8; SECRET_LENGTH]>(), period in 1..=MAX_PERIOD) {
                let repeated = std::array::from_fn(|position| secret[position % period]);
                prop_assert!(is_guessable(&repeated));
            }
        }
    }
}
