//! What became of the objects that the controller wants.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::key::Key;

/// What became of a wanted object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is in the cluster as planned.
    Applied,
    /// It is not yet applied.
    Pending {
        /// What it waits for.
        why: String,
    },
    /// An object of this name belongs to somebody else and is left as it is.
    Foreign {
        /// Who wrote it.
        by: String,
    },
    /// The API server or a webhook refuses it. It is tried again, but without a change it will be refused again.
    Refused {
        /// The answer.
        message: String,
    },
    /// It could not be applied, and is tried again.
    Failed {
        /// The error.
        message: String,
    },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied => f.write_str("applied"),
            Self::Pending { why } => write!(f, "not yet applied: {why}"),
            Self::Foreign { by } => write!(f, "an object of this name was written by {by}; it is left as it is"),
            Self::Refused { message } => write!(f, "refused: {message}"),
            Self::Failed { message } => write!(f, "not applied, and tried again: {message}"),
        }
    }
}

/// The result of a pass over all wanted objects.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The objects that are not as planned, among them those that are to be removed and still exist. All others are applied.
    pub differing: Arc<BTreeMap<Key, State>>,
    /// How many changes by others the writer has put back since it started, by kind.
    pub restored: BTreeMap<String, u64>,
    /// How long to wait before the next pass if nothing changes until then.
    pub retry: Option<Duration>,
}

impl Applied {
    /// What became of a wanted object.
    #[must_use]
    pub fn state(&self, key: &Key) -> &State {
        self.differing.get(key).unwrap_or(&State::Applied)
    }
}
