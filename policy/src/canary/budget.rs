//! The limit on the work for one request.

/// The maximum number of steps for all conditions of one request. A worker of a gateway takes about a nanosecond for a step, so
/// this is about a millisecond.
pub const MAX_STEPS: u32 = 1_000_000;

/// The maximum number of steps for `hashOn`. It is separate from that of the conditions, so that the split of a client does not
/// depend on what the conditions cost.
pub const MAX_HASH_STEPS: u32 = 250_000;

/// The remaining steps of a request. Work that grows with the size of the request is paid for before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    steps: u32,
    left: u32,
    exhausted: bool,
}

/// Not enough steps remain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Budget {
    /// A budget of this many steps.
    #[must_use]
    pub fn new(steps: u32) -> Self {
        Self {
            steps,
            left: steps,
            exhausted: false,
        }
    }

    /// The budget for the conditions of one request.
    #[must_use]
    pub fn for_request() -> Self {
        Self::new(MAX_STEPS)
    }

    /// Pays for this many steps. After one refusal, every payment is refused.
    pub(super) fn pay(&mut self, steps: usize) -> Result<(), Exhausted> {
        match u32::try_from(steps).ok().and_then(|steps| self.left.checked_sub(steps)) {
            Some(left) if !self.exhausted => {
                self.left = left;
                Ok(())
            }
            _ => {
                self.exhausted = true;
                Err(Exhausted)
            }
        }
    }

    /// Whether a payment was refused.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// The steps that were paid for.
    #[must_use]
    pub fn spent(&self) -> u32 {
        self.steps.saturating_sub(self.left)
    }
}
