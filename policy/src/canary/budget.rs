//! What one request may cost.

/// The steps that all conditions of one request share. A step is what a gateway's worker does in about a nanosecond, so this
/// is about a millisecond.
pub const STEPS: u32 = 1_000_000;

/// The steps that finding a client's place takes at most, beside the conditions: by `hashOn`, a client is to be placed the same
/// whatever the conditions cost.
pub const HASH_STEPS: u32 = 250_000;

/// Steps that are left. Whatever takes time in the size of a request is paid for before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    steps: u32,
    left: u32,
    exhausted: bool,
}

/// There are not enough steps left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Budget {
    /// So many steps.
    #[must_use]
    pub fn new(steps: u32) -> Self {
        Self {
            steps,
            left: steps,
            exhausted: false,
        }
    }

    /// Those of the conditions of one request.
    #[must_use]
    pub fn of_request() -> Self {
        Self::new(STEPS)
    }

    /// Pays for so many steps. What is refused once stays refused, however little is asked for then.
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

    /// Whether more was asked for than there was.
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
