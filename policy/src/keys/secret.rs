//! Whether a secret can be guessed, as far as its bytes tell.
//!
//! Each test refuses a random secret with a chance below 2^-100, so that it never refuses one in practice:
//!
//! | what is refused | chance for 32 random bytes |
//! |---|---|
//! | fewer than [`FEWEST_BYTES`] different bytes: all zero, one byte all along, a word repeated | C(256, 9) · (9/256)^32 < 2^-101 |
//! | the same bytes again after [`LONGEST_PERIOD`] bytes or fewer | below 2 · 2^-128 |
//! | from each byte to the next the same step: 00 01 02 … | 2^-240 |

/// How many bytes a secret has (XChaCha20-Poly1305).
pub const SECRET_LENGTH: usize = 32;

/// How many different bytes a secret has at least.
const FEWEST_BYTES: usize = 10;

/// After how many bytes a secret must not repeat itself: half its length.
const LONGEST_PERIOD: usize = SECRET_LENGTH / 2;

/// Whether the bytes of a secret show that it is not random. Bytes that do not may still be no good.
pub(super) fn is_guessable(secret: &[u8; SECRET_LENGTH]) -> bool {
    has_few_bytes(secret) || repeats_itself(secret) || is_a_row(secret)
}

fn has_few_bytes(secret: &[u8]) -> bool {
    let first = |position: usize, byte: &u8| !secret.iter().take(position).any(|earlier| earlier == byte);
    let different = secret
        .iter()
        .enumerate()
        .filter(|(position, byte)| first(*position, byte));
    different.count() < FEWEST_BYTES
}

fn repeats_itself(secret: &[u8]) -> bool {
    (1..=LONGEST_PERIOD).any(|period| {
        secret
            .iter()
            .skip(period)
            .eq(secret.iter().take(secret.len().saturating_sub(period)))
    })
}

fn is_a_row(secret: &[u8]) -> bool {
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

    /// A secret of which the byte at each position is this.
    fn secret(byte: impl Fn(u8) -> u8) -> [u8; SECRET_LENGTH] {
        std::array::from_fn(|position| byte(u8::try_from(position).unwrap()))
    }

    #[test]
    #[wasm_bindgen_test]
    fn what_is_not_random_is_refused() {
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
    fn the_fewest_bytes_that_are_enough() {
        // Neither a period nor a row, so that the number of different bytes alone counts.
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
            fn few_bytes_are_refused_in_any_order(
                alphabet in any::<[u8; FEWEST_BYTES - 1]>(), order in any::<[prop::sample::Index; SECRET_LENGTH]>()
            ) {
                prop_assert!(is_guessable(&order.map(|index| *index.get(&alphabet))));
            }

            #[test]
            fn what_repeats_itself_is_refused(secret in any::<[u8; SECRET_LENGTH]>(), period in 1..=LONGEST_PERIOD) {
                let repeated = std::array::from_fn(|position| secret[position % period]);
                prop_assert!(is_guessable(&repeated));
            }
        }
    }
}
