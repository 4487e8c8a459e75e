//! The share of a backend: which part of the new sessions of its rule it gets, by the weights of the route.
//!
//! A token carries the share that the backend of its session had when the session was last drawn. If the share has fallen since,
//! so many sessions leave the backend that the sessions follow the weights.

/// A share of 100%.
const ALL: u16 = u16::MAX;

/// The share of a backend among all backends of its rule, in steps of 1/65535.
///
/// Shares are compared exactly: equal weights give equal shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u16);

impl Share {
    /// The share of a backend with this weight. `total` is the sum of the weights of all backends. A backend with a weight has a
    /// share greater than 0.
    #[must_use]
    pub fn new(weight: u32, total: u64) -> Self {
        let half = total.checked_div(2).unwrap_or(0);
        let steps = u64::from(weight).saturating_mul(ALL.into()).saturating_add(half);
        let rounded = steps.checked_div(total).unwrap_or(0).max(u64::from(weight > 0));
        Self(u16::try_from(rounded).unwrap_or(ALL))
    }

    /// The share with these bytes in a token.
    #[must_use]
    pub fn from_be_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(bytes))
    }

    /// The bytes of the share in a token.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// The share in percent.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / f64::from(ALL) * 100.0
    }

    /// Whether the backend has no weight.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// The share of a session's backend has fallen since the session was last drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fall {
    before: u64,
    now: u64,
}

impl Fall {
    /// The fall from one share to a lower one. None if the share did not fall, or fell to 0: then the sessions of the backend are
    /// not drawn again.
    #[must_use]
    pub fn new(before: Share, now: Share) -> Option<Self> {
        (now < before && !now.is_zero()).then(|| Self {
            before: before.0.into(),
            now: now.0.into(),
        })
    }

    /// Whether a session is drawn again, by the weights of all backends. `random` is evenly distributed.
    ///
    /// A part of (before - now) / before must leave the backend. A session that is drawn again gets the same backend with the
    /// probability `now`, so it is drawn with the probability (before - now) / (before * (1 - now)).
    #[must_use]
    pub fn draws(self, random: u64) -> bool {
        let all = u64::from(ALL);
        let drawn = self.before.saturating_sub(self.now).saturating_mul(all);
        let of = self.before.saturating_mul(all.saturating_sub(self.now));
        // `of` is less than 2^32, so the product does not overflow.
        (random >> 32).saturating_mul(of) >> 32 < drawn
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    /// The part of the sessions that is drawn again, from evenly spread numbers.
    fn drawn(before: Share, now: Share) -> f64 {
        let fall = Fall::new(before, now).unwrap();
        let drawn = (0..=u16::MAX)
            .filter(|number| fall.draws(u64::from(*number) << 48))
            .count();
        f64::from(u32::try_from(drawn).unwrap()) / 65_536.0
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_share_is_the_part_of_the_weights() {
        let share = |weight, total| Share::new(weight, total).0;
        assert_eq!(
            [share(1, 1), share(100, 100), share(u32::MAX, u32::MAX.into())],
            [65_535; 3]
        );
        assert_eq!(
            [share(0, 1), share(0, 0), share(50, 100), share(1, 2)],
            [0, 0, 32_768, 32_768]
        );
        // A backend with a weight is never taken for one without.
        assert_eq!([share(1, 1_000_000), share(999_999, 1_000_000)], [1, 65_535]);
        assert_eq!(share(7, 0), 1);
    }

    #[test]
    #[wasm_bindgen_test]
    fn only_a_fall_to_a_weight_draws_again() {
        let share = |weight| Share::new(weight, 100);
        for (before, now, falls) in [
            (50, 49, true),
            (100, 1, true),
            (50, 50, false),
            (50, 51, false),
            (50, 0, false),
            (0, 0, false),
        ] {
            assert_eq!(Fall::new(share(before), share(now)).is_some(), falls, "{before} {now}");
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn as_many_are_drawn_again_as_the_weights_need() {
        let share = |weight| Share::new(weight, 100);
        for (before, now, expected) in [(100, 75, 1.0), (75, 50, 2.0 / 3.0), (50, 20, 0.75), (50, 25, 2.0 / 3.0)] {
            let found = drawn(share(before), share(now));
            assert!((found - expected).abs() < 0.000_1, "{before} {now}: {found}");
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn a_probability_is_at_most_one(before in any::<u16>(), now in any::<u16>(), random in any::<u64>()) {
                let Some(fall) = Fall::new(Share(before), Share(now)) else { return Ok(()) };
                let (drawn, of) = ((fall.before - fall.now) * 65_535, fall.before * (65_535 - fall.now));
                prop_assert!(0 < drawn && drawn <= of);
                // The lowest numbers draw, and the highest only if all do.
                prop_assert!(fall.draws(0) && fall.draws(u64::MAX) == (drawn == of));
                prop_assert!(!fall.draws(random) || fall.draws(random / 2));
            }

            #[test]
            fn the_bytes_of_a_token_give_it_back(share in any::<u16>()) {
                prop_assert_eq!(Share::from_be_bytes(Share(share).to_be_bytes()), Share(share));
            }
        }
    }
}
