//! One request for one object, and its result.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    decide::Reason,
    failure::Failure,
    preview::diff,
    server::{Server, Target},
    wanted::Wanted,
};

/// A request.
#[derive(Clone, Debug)]
pub enum Job {
    /// Asks whether the object exists.
    Look,
    /// Writes the object.
    Apply {
        /// What is planned.
        wanted: Arc<Wanted>,
        /// Why.
        reason: Reason,
    },
    /// Deletes the object.
    Remove {
        /// Its unique id.
        uid: String,
        /// Its resource version.
        version: String,
    },
    /// Finds out what a write would change.
    Preview {
        /// What is planned.
        wanted: Arc<Wanted>,
    },
}

/// What a request returned.
#[derive(Debug)]
pub enum Done {
    /// What the API server knows about the object.
    Looked(Option<Box<ObjectMeta>>),
    /// The object is written; its new metadata.
    Written(Box<ObjectMeta>),
    /// The object is gone.
    Removed,
    /// What a write would change.
    Previewed(String),
    /// The request failed.
    Failed(Failure),
}

impl Job {
    /// The hash of what is written.
    #[must_use]
    pub fn hash(&self) -> Option<Arc<str>> {
        match self {
            Self::Apply { wanted, .. } | Self::Preview { wanted } => Some(Arc::clone(&wanted.hash)),
            Self::Look | Self::Remove { .. } => None,
        }
    }

    /// Sends the request.
    pub async fn run<S: Server>(self, server: S, target: Target) -> Done {
        let result = match &self {
            Self::Look => server
                .look(&target)
                .await
                .map(|found| Done::Looked(found.map(Box::new))),
            Self::Apply { wanted, reason } => {
                let body = wanted.body();
                let written = server.apply(&target, &body, reason.is_forced()).await;
                written.map(|metadata| Done::Written(Box::new(metadata)))
            }
            Self::Remove { uid, version } => server.remove(&target, uid, version).await.map(|()| Done::Removed),
            Self::Preview { wanted } => {
                let preview = server.preview(&target, &wanted.body()).await;
                preview.map(|(old, new)| Done::Previewed(diff(&target.key.to_string(), old.as_ref(), Some(&new))))
            }
        };
        result.unwrap_or_else(Done::Failed)
    }
}
