//! Splits clients by a hash: the same client gets the same backend every time, on every gateway.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

use super::{
    budget::{Budget, Exhausted},
    limits::MAX_SEED_LENGTH,
};
use crate::backend::Backend;

/// The cost of the hash for one backend besides the bytes of the client, in steps.
const BACKEND_STEPS: usize = 120;

/// The seed of a split. Splits with different seeds are independent of each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seed(SipHasher24);

/// A seed is empty or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seed of a split has 1 to {MAX_SEED_LENGTH} characters, and this one has {0}")]
pub struct InvalidSeed(usize);

impl Seed {
    /// Checks a seed. Without a seed, the key of the hash is 0.
    pub fn new(seed: &str) -> Result<Self, InvalidSeed> {
        let length = seed.chars().count();
        if !(1..=MAX_SEED_LENGTH).contains(&length) {
            return Err(InvalidSeed(length));
        }
        let half = |prefix: &[u8]| SipHasher24::new().hash(&[prefix, seed.as_bytes()].concat());
        Ok(Self(SipHasher24::new_with_keys(half(b"0"), half(b"1"))))
    }

    /// The hash of this client, if the budget suffices for this many backends.
    pub(super) fn client<'a>(
        self,
        client: &'a [u8],
        backends: usize,
        budget: &mut Budget,
    ) -> Result<ClientHash<'a>, Exhausted> {
        budget.pay(client.len().saturating_add(BACKEND_STEPS).saturating_mul(backends))?;
        Ok(ClientHash { seed: self, client })
    }
}

/// The identity of a client in a split.
#[derive(Clone, Copy, Debug)]
pub struct ClientHash<'a> {
    seed: Seed,
    client: &'a [u8],
}

impl ClientHash<'_> {
    /// The position of the backend for this client, by weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): each
    /// backend gets a score from its weight and the hash of its key with the client, and the highest score wins. Therefore a
    /// change of weights moves only clients of backends whose share shrinks, to backends whose share grows. Backends that are
    /// not `preferred` are only selected if no other backend has a weight. None if no backend has a weight.
    #[must_use]
    pub fn select(self, backends: &[Backend], preferred: impl Fn(usize) -> bool) -> Option<usize> {
        let weighted = (0..).zip(backends).filter(|(_, backend)| backend.weight() > 0);
        let rated = weighted.map(|(position, backend)| (position, preferred(position), self.score(backend)));
        let best = rated.max_by(|(_, a_preferred, a), (_, b_preferred, b)| {
            a_preferred.cmp(b_preferred).then_with(|| f64::total_cmp(a, b))
        });
        best.map(|(position, _, _)| position)
    }

    fn score(self, backend: &Backend) -> f64 {
        let Seed(mut hasher) = self.seed;
        hasher.write(backend.key().as_bytes());
        hasher.write(b"\0");
        hasher.write(self.client);
        let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
        // Strictly between 0 and 1, so that the logarithm is finite and negative.
        let uniform = (f64::from(u32::from_be_bytes([a, b, c, d])) + 0.5) / 4_294_967_296.0;
        -f64::from(backend.weight()) / uniform.ln()
    }
}
