//! Whether the controller makes progress.
//!
//! Each part says when it did something last. A part that is stuck says nothing, and so is found, whatever the reason.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// How often a part that waits for work says so.
const IDLE: Duration = Duration::from_secs(5);

/// When each part made progress last, and after which silence it counts as stalled. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, (Instant, Duration)>>>);

impl Health {
    // A part that panicked leaves the map as it was.
    fn parts(&self) -> MutexGuard<'_, BTreeMap<String, (Instant, Duration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part that must make progress at least once in this time, from now on until the process ends. That it ends is no progress.
    #[must_use]
    pub fn part(&self, name: &str, limit: Duration) -> Pulse {
        self.parts().insert(name.to_owned(), (Instant::now(), limit));
        Pulse {
            health: self.clone(),
            name: Arc::from(name),
        }
    }

    /// The parts without progress at this time.
    #[must_use]
    pub fn stalled(&self, now: Instant) -> Vec<String> {
        let parts = self.parts();
        let silent = parts.iter().filter_map(|(name, (last, limit))| {
            let silence = now.saturating_duration_since(*last);
            (silence > *limit).then(|| format!("{name}: no progress for {} s", silence.as_secs()))
        });
        silent.collect()
    }
}

/// The progress of one part.
#[derive(Clone, Debug)]
pub struct Pulse {
    health: Health,
    name: Arc<str>,
}

impl Pulse {
    /// The part has made progress. An error that is handled is progress, too.
    pub fn beat(&self) {
        if let Some((last, _)) = self.health.parts().get_mut(&*self.name) {
            *last = Instant::now();
        }
    }

    /// Waits for work. A part that waits is not stuck, as long as it is asked whether there is any.
    pub async fn idle<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            self.beat();
            tokio::select! {
                done = &mut work => {
                    self.beat();
                    return done;
                }
                () = sleep(IDLE) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn a_part_without_progress_is_named_once_its_time_is_over() {
        let health = Health::default();
        let (pulse, _other) = (
            health.part("plan", LIMIT),
            health.part("watch of HTTPRoute", LIMIT * 10),
        );
        let start = Instant::now();
        assert_eq!(health.stalled(start), Vec::<String>::new());
        let late = start + Duration::from_secs(61);
        assert_eq!(health.stalled(late), ["plan: no progress for 61 s"]);
        pulse.beat();
        assert_eq!(health.stalled(start + LIMIT), Vec::<String>::new());
    }

    #[test]
    fn a_part_that_ended_has_stalled() {
        let health = Health::default();
        drop(health.part("watch of HTTPRoute", LIMIT));
        assert_eq!(health.stalled(Instant::now() + LIMIT * 2).len(), 1);
    }
}
