//! `--from-cluster`: the objects of an API server, as texts for the reader that also reads files.
//!
//! Each kind is read in the first of its versions that the server has. Nothing is written, and no Secret is read.

use std::{path::PathBuf, sync::Arc};

use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use crate::{
    dns::ClusterDomain,
    kind::{KnownKind, Reads},
    source::{Coverage, Sources},
};

mod error;
mod progress;
mod reader;
mod stale;

use reader::Reader;

pub use error::{ClusterError, chain};
pub use progress::Progress;
pub use reader::{FILTERS, PLUGINS, dns_domain};
pub use stale::{Reference, deletion_list};

/// The cluster to read.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// The kubeconfig. None: the one that kubectl uses.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it. None: the current one.
    pub context: Option<String>,
    /// The namespaces to read. Empty: all.
    pub namespaces: Vec<String>,
    /// The kinds to read.
    pub reads: Reads,
    /// Whether the `EnvoyFilter`s of earlier runs are read too. Their `WasmPlugin`s always are.
    pub reads_filters: bool,
    /// How far [`Cluster::read`] is.
    pub progress: Arc<Progress>,
}

impl Cluster {
    /// Reads all objects of the known kinds, and returns the domain of the cluster's DNS if that can be read.
    pub fn read(&self, sources: &mut Sources) -> Result<Option<ClusterDomain>, ClusterError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let reader = Reader::connect(self.config().await?, &self.namespaces)?.watched(Arc::clone(&self.progress));
            for namespace in &self.namespaces {
                reader.check_namespace(namespace).await?;
            }
            for kind in KnownKind::all(self.reads) {
                reader.read(&kind, sources).await?;
            }
            sources.coverage = if self.namespaces.is_empty() {
                Coverage::Everything
            } else {
                Coverage::Namespaces(self.namespaces.iter().cloned().collect())
            };
            reader.read_earlier(self.reads_filters, sources).await?;
            Ok(reader.dns_domain().await)
        })
    }

    /// The objects in the cluster that earlier runs have generated, in the order in which they are to be deleted.
    pub fn generated(&self) -> Result<Vec<Reference>, ClusterError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let reader = Reader::connect(self.config().await?, &self.namespaces)?;
            let mut found = Vec::new();
            for kind in stale::GENERATED_KINDS {
                found.extend(reader.generated(&kind).await?);
            }
            Ok(found)
        })
    }

    /// How to connect to the cluster.
    pub async fn config(&self) -> Result<Config, ClusterError> {
        match self.kubeconfig().await {
            Ok(config) => Ok(config),
            // A pod has a service account instead of a kubeconfig.
            Err(error) if self.kubeconfig.is_none() && self.context.is_none() => {
                Config::incluster().map_err(|_| ClusterError::Config(chain(&error)))
            }
            Err(error) => Err(ClusterError::Config(chain(&error))),
        }
    }

    async fn kubeconfig(&self) -> Result<Config, KubeconfigError> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        match &self.kubeconfig {
            Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await,
            None => Config::from_kubeconfig(&options).await,
        }
    }
}
