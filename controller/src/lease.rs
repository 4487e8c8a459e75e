//! Which replica writes: the holder of a Lease, as the leader election of client-go defines it.
//!
//! A replica counts the age of the holder's renewals from the local time at which it saw them, so the clocks of the replicas need not
//! agree. A holder counts from the time before it sent its last renewal, and stops earlier than others may take over. Nothing here writes
//! anything but the Lease: writers ask their [`Permit`].

mod election;

use std::{future::pending, process, sync::Arc, time::Duration};

use clap::Args;
use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
use kube::{Api, Client, api::PostParams};
use mooring_generator::cluster::chain;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use self::election::{Attempt, Election};
use crate::metrics::{Metrics, Stage};

/// How often others look at the Lease, and the holder tries again.
const RETRY: Duration = Duration::from_secs(2);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The flags of the leader election.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Options {
    /// The namespace of the Lease that the replica which writes holds. Default: that of the pod
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", hide_env = true)]
    pub lease_namespace: Option<String>,

    /// The name of the Lease
    #[arg(long, value_name = "NAME", default_value = "mooring-controller")]
    pub lease_name: String,

    /// How many seconds other replicas wait for one that does not renew the Lease
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(u16).range(3..=3_600))]
    pub lease_duration: u16,

    /// A name for this replica that no other has. Default: that of the pod, or of the host with the process ID
    #[arg(long, value_name = "NAME", env = "POD_NAME", hide_env = true)]
    pub replica: Option<String>,
}

impl Options {
    fn replica(&self) -> String {
        self.replica.clone().unwrap_or_else(|| {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            format!("{}_{}", host.trim(), process::id())
        })
    }
}

/// Why a replica no longer takes part.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// It did not renew the Lease in time, or another replica holds it.
    #[error("the Lease is lost")]
    Lost,
    /// The task that renews has panicked.
    #[error("the task that renews the Lease has ended: {0}")]
    Task(String),
    /// This replica has released the Lease.
    #[error("the Lease is released")]
    Released,
}

/// Whether this replica may write. Clones share the same term.
#[derive(Clone, Debug)]
pub enum Permit {
    /// It may not, because it only shows what it would write.
    DryRun,
    /// It may until this time.
    Term(watch::Receiver<Option<Instant>>),
}

impl Permit {
    /// Waits until this replica leads. A dry run does not wait.
    pub async fn granted(&mut self) {
        if let Self::Term(term) = self
            && term.wait_for(Option::is_some).await.is_err()
        {
            // The process is about to end.
            pending::<()>().await;
        }
    }

    /// Whether the term goes on at this moment. Ask before each write: a replica may have been suspended since the last answer.
    #[must_use]
    pub fn may_write(&self) -> bool {
        match self {
            Self::DryRun => false,
            Self::Term(term) => term.borrow().is_some_and(|deadline| Instant::now() < deadline),
        }
    }
}

/// A replica that takes part in the election. Its task renews until it is released or the Lease is lost.
#[derive(Debug)]
pub struct Campaign {
    task: JoinHandle<Ended>,
    term: watch::Receiver<Option<Instant>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Campaign {
    /// Starts to take part, in a task of its own.
    #[must_use]
    pub fn start(client: &Client, options: &Options, metrics: Metrics) -> Self {
        let (sender, term) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let namespace = options.lease_namespace.as_deref().unwrap_or(client.default_namespace());
        let lock = Lock {
            api: Api::namespaced(client.clone(), namespace),
            name: Arc::from(options.lease_name.as_str()),
            metrics,
            election: Election::new(options.replica(), Duration::from_secs(options.lease_duration.into())),
        };
        Self {
            task: tokio::spawn(lock.run(sender, stopped)),
            term,
            stop: Some(stop),
        }
    }

    /// Whether this replica may write.
    #[must_use]
    pub fn permit(&self) -> Permit {
        Permit::Term(self.term.clone())
    }

    /// Waits until this replica no longer takes part, for any reason. The process is then to exit: another replica may write.
    pub async fn ended(&mut self) -> Ended {
        (&mut self.task)
            .await
            .unwrap_or_else(|error| Ended::Task(error.to_string()))
    }

    /// Gives up the Lease, so that another replica takes over at once. Call this after the last write.
    pub async fn release(mut self) -> Ended {
        drop(self.stop.take());
        self.ended().await
    }
}

/// The Lease on the API server.
struct Lock {
    api: Api<Lease>,
    name: Arc<str>,
    election: Election,
    metrics: Metrics,
}

impl Lock {
    async fn run(mut self, term: watch::Sender<Option<Instant>>, mut stop: oneshot::Receiver<()>) -> Ended {
        let mut led = false;
        let mut told: Option<String> = None;
        loop {
            let began = Instant::now();
            let attempt = tokio::select! {
                attempt = timeout(ATTEMPT, self.attempt(began)) => attempt,
                _ = &mut stop => return self.release(&term).await,
            };
            let attempt = attempt
                .map_err(|_| format!("no answer within {} s", ATTEMPT.as_secs()))
                .and_then(|answer| answer.map_err(|error| chain(&error)));
            let renewed = attempt.as_ref().is_ok_and(|holds| *holds);
            let problem = attempt.err();
            if let Some(error) = &problem {
                self.metrics.error(Stage::Lease);
                if told != problem {
                    tracing::warn!(lease = &*self.name, error, "the Lease cannot be read or renewed");
                }
            }
            told = problem;
            let deadline = self.election.deadline();
            if led && deadline.is_none_or(|deadline| deadline <= Instant::now()) {
                self.end(&term);
                return Ended::Lost;
            }
            term.send_replace(deadline);
            if renewed && !led {
                tracing::info!(
                    lease = &*self.name,
                    replica = self.election.replica(),
                    "this replica leads"
                );
                self.metrics.leader(true);
                led = true;
            }
            let pause = if renewed {
                self.election.pause()
            } else {
                RETRY.min(self.election.pause())
            };
            tokio::select! {
                () = sleep(pause) => {}
                _ = &mut stop => return self.release(&term).await,
            }
        }
    }

    /// Whether the Lease was acquired or renewed.
    async fn attempt(&mut self, began: Instant) -> kube::Result<bool> {
        let lease = self.api.get_opt(&self.name).await?;
        // Read now, because the answer may have taken seconds.
        match self.election.attempt(lease, Instant::now(), Timestamp::now()) {
            Attempt::Wait => return Ok(false),
            Attempt::Create(mut lease) => {
                lease.metadata.name = Some(self.name.to_string());
                self.api.create(&PostParams::default(), &lease).await?;
            }
            // Its resourceVersion makes the API server refuse if another replica was faster.
            Attempt::Replace(lease) => {
                self.api.replace(&self.name, &PostParams::default(), &lease).await?;
            }
        }
        self.election.accepted(began);
        Ok(true)
    }

    /// This replica writes no longer.
    fn end(&self, term: &watch::Sender<Option<Instant>>) {
        term.send_replace(None);
        self.metrics.leader(false);
    }

    /// Gives up the Lease if this replica holds it. A failure costs the other replicas the duration of the Lease, no more.
    async fn release(self, term: &watch::Sender<Option<Instant>>) -> Ended {
        self.end(term);
        let release = async {
            // An attempt that was interrupted may have written meanwhile.
            for _ in 0..3 {
                let Some(lease) = self.api.get_opt(&self.name).await? else {
                    return Ok(());
                };
                let Some(lease) = self.election.released(lease, Timestamp::now()) else {
                    return Ok(());
                };
                match self.api.replace(&self.name, &PostParams::default(), &lease).await {
                    Err(kube::Error::Api(status)) if status.code == 409 => {}
                    result => return result.map(drop),
                }
            }
            Ok(())
        };
        match timeout(ATTEMPT, release).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(lease = &*self.name, error = chain(&error), "the Lease is not released");
            }
            Err(_) => tracing::warn!(
                lease = &*self.name,
                "the Lease is not released: the API server does not answer"
            ),
        }
        Ended::Released
    }
}

#[cfg(test)]
mod tests;
