//! How clients are split by who they are: the same client gets the same backend each time, on every gateway.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

use super::{
    InvalidCanary,
    budget::{Budget, Exhausted},
};
use crate::rule::Backend;

/// What it takes to hash for one backend, besides the bytes of the client.
const BACKEND: usize = 120;

/// The longest seed, in characters.
pub const MAX_SEED_LENGTH: usize = 64;

/// What a split hashes its clients with. Two seeds draw their clients independently of each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seed(SipHasher24);

impl Seed {
    /// Checks a seed. Without one, the key of the hash is 0.
    pub(super) fn new(raw: Option<&str>) -> Result<Self, InvalidCanary> {
        let Some(raw) = raw else {
            return Ok(Self::default());
        };
        let length = raw.chars().count();
        if !(1..=MAX_SEED_LENGTH).contains(&length) {
            return Err(InvalidCanary::Seed(length));
        }
        let half = |mark: &[u8]| SipHasher24::new().hash(&[mark, raw.as_bytes()].concat());
        Ok(Self(SipHasher24::new_with_keys(half(b"0"), half(b"1"))))
    }

    /// This client, if the budget allows it to be hashed for each of so many backends.
    pub(super) fn client<'a>(
        self,
        client: &'a [u8],
        backends: usize,
        budget: &mut Budget,
    ) -> Result<ClientHash<'a>, Exhausted> {
        budget.pay(client.len().saturating_add(BACKEND).saturating_mul(backends))?;
        Ok(ClientHash { seed: self, client })
    }
}

/// Who a client is, for a split that is the same each time.
#[derive(Clone, Copy, Debug)]
pub struct ClientHash<'a> {
    seed: Seed,
    client: &'a [u8],
}

impl ClientHash<'_> {
    /// The position of this client's backend: weighted rendezvous hashing (Schindelhauer and Schomaker, 2005). Each
    /// backend scores by its weight and the hash of itself with the client, and the highest score wins. So a change of
    /// weights moves only clients of backends that lose, to backends that gain. None where no backend has a weight.
    #[must_use]
    pub fn place(self, backends: &[Backend]) -> Option<usize> {
        self.place_among(backends, |_| true)
    }

    /// The same among the backends that will `do`.
    #[must_use]
    pub fn place_among(self, backends: &[Backend], will_do: impl Fn(usize) -> bool) -> Option<usize> {
        let weighted = (0..).zip(backends).filter(|(_, backend)| backend.weight() > 0);
        let weighted = weighted.filter(|(position, _)| will_do(*position));
        let scores = weighted.map(|(position, backend)| (position, self.score(backend)));
        scores
            .max_by(|(_, a), (_, b)| f64::total_cmp(a, b))
            .map(|(position, _)| position)
    }

    fn score(self, backend: &Backend) -> f64 {
        let Seed(mut hasher) = self.seed;
        hasher.write(backend.key().as_bytes());
        hasher.write(b"\0");
        hasher.write(self.client);
        let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
        // Strictly between 0 and 1, so that the logarithm is finite and below 0.
        let uniform = (f64::from(u32::from_be_bytes([a, b, c, d])) + 0.5) / 4_294_967_296.0;
        -f64::from(backend.weight()) / uniform.ln()
    }
}
