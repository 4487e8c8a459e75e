//! `--from-cluster`: the objects as the API server has them, as texts for the same reader that reads files.
//!
//! Each kind is read in the first of its versions that the server has; a kind that the server does not have is left out.
//! Nothing is ever written, and no Secret is read.

use std::path::PathBuf;

use kube::{
    Client, Config,
    api::{GetParams, ListParams},
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
    core::{Request, Status},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json};

use crate::{
    dns::ClusterDomain,
    document::WASM_PLUGIN,
    kind::{Kind, KnownKind},
    labels::MANAGED_BY,
    source::{Coverage, Home, Sources},
};

/// What holds the rules of a gateway. Those of earlier runs are read, and they are no input.
const PLUGINS: KnownKind = KnownKind {
    name: WASM_PLUGIN,
    group: "extensions.istio.io",
    versions: &["v1alpha1"],
};

/// How many objects are asked for at a time.
const PAGE: u32 = 500;

/// Namespace and name of the `ConfigMap` with the configuration of `CoreDNS`.
const COREDNS: (&str, &str) = ("kube-system", "coredns");

/// Which cluster to read, and what of it.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// The kubeconfig. None: where kubectl looks for it.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it. None: its current one.
    pub context: Option<String>,
    /// The namespaces to read. Empty: all.
    pub namespaces: Vec<String>,
}

/// Why a cluster cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// There is no connection to ask for.
    #[error("no usable kubeconfig: {0}; name one with --kubeconfig or KUBECONFIG, and its context with --context")]
    Config(String),
    /// The API server does not answer.
    #[error("cannot reach the API server at {server}: {reason}; is the context the right one?")]
    Unreachable {
        /// Its address.
        server: String,
        /// What went wrong.
        reason: String,
    },
    /// It does not know who asks.
    #[error("the API server at {server} does not accept the credentials of the kubeconfig: {reason}")]
    Unauthorized {
        /// Its address.
        server: String,
        /// What it says.
        reason: String,
    },
    /// It does not let us read.
    #[error("not allowed to list {resource} in {scope}: {reason}; {}", advice(.scope))]
    Forbidden {
        /// The kind, as roles name it.
        resource: String,
        /// In which namespace.
        scope: String,
        /// What it says.
        reason: String,
    },
    /// It has no such namespace.
    #[error("the API server at {server} has no namespace `{namespace}`")]
    NoNamespace {
        /// Its address.
        server: String,
        /// The namespace.
        namespace: String,
    },
    /// It says something else.
    #[error("the API server at {server} cannot list {resource}: {reason}")]
    Refused {
        /// Its address.
        server: String,
        /// The kind.
        resource: String,
        /// What it says.
        reason: String,
    },
    /// The runtime cannot be started.
    #[error("cannot start: {0}")]
    Runtime(#[from] std::io::Error),
}

/// Where all objects of a cluster are.
const EVERYWHERE: &str = "all namespaces";

fn advice(scope: &str) -> &'static str {
    if scope == EVERYWHERE {
        "ask for a ClusterRole that may list it, or read single namespaces with --namespace"
    } else {
        "ask for a Role that may list it"
    }
}

impl Cluster {
    /// Reads everything that concerns us, and in which domain the cluster's DNS has Services, if that can be read.
    pub fn read(&self, sources: &mut Sources) -> Result<Option<ClusterDomain>, Unreadable> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let reader = Reader::connect(self).await?;
            for namespace in &self.namespaces {
                reader.check_namespace(namespace).await?;
            }
            for kind in KnownKind::all() {
                reader.kind(&kind, sources).await?;
            }
            sources.coverage = if self.namespaces.is_empty() {
                Coverage::Everything
            } else {
                Coverage::Namespaces(self.namespaces.iter().cloned().collect())
            };
            reader.earlier(sources).await?;
            Ok(reader.dns_domain().await)
        })
    }

    async fn config(&self) -> Result<Config, KubeconfigError> {
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

/// A connection.
struct Reader<'a> {
    client: Client,
    server: String,
    namespaces: &'a [String],
}

/// A page of objects.
#[derive(Debug, Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    items: Vec<Map<String, Value>>,
}

#[derive(Debug, Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue")]
    token: Option<String>,
}

/// What the server calls a kind, in one of its versions.
struct Served {
    api_version: String,
    plural: String,
}

impl<'a> Reader<'a> {
    async fn connect(cluster: &'a Cluster) -> Result<Self, Unreadable> {
        let config = match cluster.config().await {
            Ok(config) => config,
            // A pod has no kubeconfig, and its service account instead.
            Err(error) if cluster.kubeconfig.is_none() && cluster.context.is_none() => {
                Config::incluster().map_err(|_| Unreadable::Config(chain(&error)))?
            }
            Err(error) => return Err(Unreadable::Config(chain(&error))),
        };
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| Unreadable::Config(chain(&error)))?;
        Ok(Self {
            client,
            server: server.trim_end_matches('/').to_owned(),
            namespaces: &cluster.namespaces,
        })
    }

    /// Makes sure that a namespace is there: the server lists nothing for one that is not, without an error. Those who may not
    /// look at the namespace itself may still be allowed to list what is in it.
    async fn check_namespace(&self, namespace: &str) -> Result<(), Unreadable> {
        let request = Request::new("/api/v1/namespaces");
        let built = request.get(namespace, &GetParams::default());
        let unreadable = |error| self.unreadable(error, "namespaces", namespace);
        let built = built.map_err(|error| unreadable(kube::Error::BuildRequest(error)))?;
        match self.client.request::<IgnoredAny>(built).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Err(Unreadable::NoNamespace {
                server: self.server.clone(),
                namespace: namespace.to_owned(),
            }),
            Err(error) => Err(unreadable(error)),
        }
    }

    async fn kind(&self, kind: &KnownKind, sources: &mut Sources) -> Result<(), Unreadable> {
        let Some(served) = self.served(kind).await? else {
            return Ok(());
        };
        // Where they are needed and not there, that is told.
        let known = kind.kind();
        let may_be_forbidden = known.is_some_and(|kind| kind.is_cluster_wide() || kind.only_helps());
        let may = |result| match result {
            Err(Unreadable::Forbidden { .. }) if may_be_forbidden => Ok(()),
            result => result,
        };
        if self.namespaces.is_empty() || known == Some(Kind::GatewayClass) {
            return may(self.list(kind, &served, None, sources).await);
        }
        if known.is_some_and(Kind::is_cluster_wide) {
            return Ok(());
        }
        for namespace in self.namespaces {
            may(self.list(kind, &served, Some(namespace), sources).await)?;
        }
        Ok(())
    }

    /// What earlier runs have generated and this one would replace, wherever it may be listed. It only tells what this run lacks,
    /// so it is no fault where it may not.
    async fn earlier(&self, sources: &mut Sources) -> Result<(), Unreadable> {
        let Some(served) = self.served(&PLUGINS).await? else {
            return Ok(());
        };
        let mut scopes = vec![None];
        scopes.extend(self.namespaces.iter().map(|namespace| Some(namespace.as_str())));
        for namespace in scopes {
            match self.list(&PLUGINS, &served, namespace, sources).await {
                Ok(()) if namespace.is_none() => return Ok(()),
                Ok(()) | Err(Unreadable::Forbidden { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The domain for which `CoreDNS` answers, where its configuration is in the usual place and may be read.
    async fn dns_domain(&self) -> Option<ClusterDomain> {
        let (namespace, name) = COREDNS;
        let request = Request::new(format!("/api/v1/namespaces/{namespace}/configmaps"));
        let request = request.get(name, &GetParams::default()).ok()?;
        let config: Value = self.client.request(request).await.ok()?;
        dns_domain_in(config.pointer("/data/Corefile")?.as_str()?)
    }

    /// The first version of a kind that the server has.
    async fn served(&self, kind: &KnownKind) -> Result<Option<Served>, Unreadable> {
        for version in kind.versions {
            let api_version = kind.api_version(version);
            let found = if kind.group.is_empty() {
                self.client.list_core_api_resources(version).await
            } else {
                self.client.list_api_group_resources(&api_version).await
            };
            let resources = match found {
                Ok(list) => list.resources,
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                Err(error) => return Err(self.unreadable(error, kind.name, "")),
            };
            let resource = resources
                .into_iter()
                .find(|resource| resource.kind == kind.name && !resource.name.contains('/'));
            if let Some(resource) = resource {
                return Ok(Some(Served {
                    api_version,
                    plural: resource.name,
                }));
            }
        }
        Ok(None)
    }

    async fn list(
        &self,
        kind: &KnownKind,
        served: &Served,
        namespace: Option<&str>,
        sources: &mut Sources,
    ) -> Result<(), Unreadable> {
        let Served { api_version, plural } = served;
        let root = if kind.group.is_empty() { "api" } else { "apis" };
        let (path, scope) = match namespace {
            Some(namespace) => (
                format!("namespaces/{namespace}/{plural}"),
                format!("the namespace {namespace}"),
            ),
            None => (plural.clone(), EVERYWHERE.to_owned()),
        };
        let resource = if kind.group.is_empty() {
            plural.clone()
        } else {
            format!("{plural}.{}", kind.group)
        };
        let request = Request::new(format!("/{root}/{api_version}/{path}"));
        let mut params = ListParams::default().limit(PAGE);
        if kind.name == WASM_PLUGIN {
            let (label, value) = MANAGED_BY;
            params = params.labels(&format!("{label}={value}"));
        }
        loop {
            let unreadable = |error| self.unreadable(error, &resource, &scope);
            let built = request.list(&params);
            let built = built.map_err(|error| unreadable(kube::Error::BuildRequest(error)))?;
            let page: Page = self.client.request(built).await.map_err(unreadable)?;
            for object in page.items {
                add(kind, api_version, object, sources);
            }
            match page.metadata.token.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    fn unreadable(&self, error: kube::Error, resource: &str, scope: &str) -> Unreadable {
        let server = self.server.clone();
        match error {
            kube::Error::Api(status) => self.refused(&status, resource, scope),
            kube::Error::SerdeError(error) => Unreadable::Refused {
                server,
                resource: resource.to_owned(),
                reason: format!("its answer cannot be read: {error}"),
            },
            other => Unreadable::Unreachable {
                server,
                reason: chain(&other),
            },
        }
    }

    fn refused(&self, status: &Status, resource: &str, scope: &str) -> Unreadable {
        let reason = status.message.clone();
        let server = self.server.clone();
        let resource = resource.to_owned();
        match status.code {
            401 => Unreadable::Unauthorized { server, reason },
            403 => Unreadable::Forbidden {
                resource,
                scope: scope.to_owned(),
                reason,
            },
            _ => Unreadable::Refused {
                server,
                resource,
                reason,
            },
        }
    }
}

/// The first zone of the plugin `kubernetes` that is no zone of addresses.
fn dns_domain_in(corefile: &str) -> Option<ClusterDomain> {
    let zones = corefile.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("kubernetes")).then_some(words)
    })?;
    zones
        .take_while(|zone| !zone.starts_with(['{', '#']))
        .map(|zone| zone.trim_end_matches('.'))
        .filter(|zone| zone.rsplit('.').next() != Some("arpa"))
        .find_map(|zone| zone.parse().ok())
}

/// Adds an object as a text of its own.
fn add(kind: &KnownKind, api_version: &str, mut object: Map<String, Value>, sources: &mut Sources) {
    // The items of a list of a built-in kind do not say what they are.
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.name.into());
    let status = object.remove("status");
    if kind.name == "Gateway" {
        object.extend(
            status
                .and_then(attached_routes)
                .map(|status| ("status".to_owned(), status)),
        );
    }
    if kind.group == "apps" {
        keep_pods(&mut object);
    }
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    let mut names = Vec::new();
    if let Some(metadata) = metadata {
        metadata.remove("managedFields");
        let name = |field: &str| metadata.get(field).and_then(Value::as_str).map(str::to_owned);
        names.extend(["namespace", "name"].into_iter().filter_map(name));
    }
    let name = format!("cluster: {} {}", kind.name, names.join("/"));
    let text = format!("{:#}\n", Value::Object(object));
    if kind.name == WASM_PLUGIN {
        sources.add_earlier(&name, text, Home::Cluster);
    } else {
        sources.add(&name, text);
    }
}

/// The numbers of routes in the status of a Gateway.
fn attached_routes(mut status: Value) -> Option<Value> {
    let listeners = status.get_mut("listeners").map(Value::take)?;
    let counted = listeners.as_array()?.iter().map(|listener| {
        let field = |name: &str| listener.get(name).cloned().unwrap_or_default();
        json!({ "name": field("name"), "attachedRoutes": field("attachedRoutes") })
    });
    Some(json!({ "listeners": counted.collect::<Vec<Value>>() }))
}

/// Leaves nothing of a `Deployment` or the like but what its pods are: the rest is long, and not looked at.
fn keep_pods(object: &mut Map<String, Value>) {
    let spec = object.remove("spec").unwrap_or_default();
    let labels = spec.pointer("/template/metadata/labels");
    let containers = spec.pointer("/template/spec/containers").and_then(Value::as_array);
    let arguments = containers
        .into_iter()
        .flatten()
        .map(|one| json!({ "args": one.get("args") }));
    let template = json!({
        "metadata": { "labels": labels },
        "spec": { "containers": arguments.collect::<Vec<_>>() },
    });
    object.insert("spec".to_owned(), json!({ "template": template }));
}

/// An error and what it comes from, without what is said twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let message = inner.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        source = inner.source();
    }
    text
}
