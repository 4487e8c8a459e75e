//! Waiting for something to become true, never longer than a deadline.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep};

/// How long anything may take that should happen at once, on a machine that is busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(15);

/// Polls until `condition` gives a value, and panics, saying `what` was waited for, after [`PATIENCE`].
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        sleep(EVERY).await;
    }
}

/// A point in time against which a timeout under test is measured.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Lets time pass until `mark` after the start, for a timeout that is itself under test.
    pub async fn reaches(self, mark: Duration) {
        tokio::time::sleep_until(self.0 + mark).await;
    }
}
