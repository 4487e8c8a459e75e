//! A connection to an API server that lists objects.

use std::sync::Arc;

use kube::{
    Api, Client, Config,
    api::ListParams,
    core::{ApiResource, DynamicObject, GroupVersionKind},
    discovery::pinned_kind,
};
use serde_json::Value;

use super::{
    error::{ALL_NAMESPACES, ClusterError, chain},
    progress::Progress,
    stale::Reference,
};
use crate::{
    dns::ClusterDomain,
    document::{ENVOY_FILTER, WASM_PLUGIN},
    kind::{Kind, KnownKind},
    labels::MANAGED_BY,
    object_text::add,
    source::Sources,
};

/// The kind that holds the rules of a gateway. Objects of earlier runs are read, but they are not input.
pub const PLUGINS: KnownKind = KnownKind {
    name: WASM_PLUGIN,
    group: "extensions.istio.io",
    versions: &["v1alpha1"],
};

/// The kind that enables the module in virtual hosts.
pub const FILTERS: KnownKind = KnownKind {
    name: ENVOY_FILTER,
    group: "networking.istio.io",
    versions: &["v1alpha3"],
};

/// The number of objects in a page of a list.
const PAGE: u32 = 500;

/// The namespace and name of the `ConfigMap` that configures `CoreDNS`.
const COREDNS: (&str, &str) = ("kube-system", "coredns");

/// A connection to an API server.
pub struct Reader<'a> {
    client: Client,
    server: String,
    namespaces: &'a [String],
    progress: Arc<Progress>,
}

impl<'a> Reader<'a> {
    /// Connects. Empty `namespaces` mean all.
    pub fn connect(config: Config, namespaces: &'a [String]) -> Result<Self, ClusterError> {
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| ClusterError::Config(chain(&error)))?;
        Ok(Self {
            client,
            server: server.trim_end_matches('/').to_owned(),
            namespaces,
            progress: Arc::default(),
        })
    }

    /// Counts what is read.
    pub fn watched(self, progress: Arc<Progress>) -> Self {
        Self { progress, ..self }
    }

    /// Fails for a namespace that does not exist: a list of its objects would be empty, without an error. A user who may not read the
    /// namespace itself may still list its objects.
    pub async fn check_namespace(&self, namespace: &str) -> Result<(), ClusterError> {
        match self.core("Namespace", "namespaces", None).get(namespace).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Err(ClusterError::NoNamespace {
                server: self.server.clone(),
                namespace: namespace.to_owned(),
            }),
            Err(error) => Err(self.error(&error, "namespaces", namespace)),
        }
    }

    /// Reads the objects of a kind. A kind that the server does not have is skipped.
    pub async fn read(&self, kind: &KnownKind, sources: &mut Sources) -> Result<(), ClusterError> {
        let Some(resource) = self.resource(kind).await? else {
            return Ok(());
        };
        // What needs these kinds reports that they are missing.
        let known = kind.kind();
        let may_be_forbidden = known.is_some_and(|kind| kind.is_cluster_wide() || kind.only_helps());
        let allowed = |result| match result {
            Err(ClusterError::Forbidden { .. }) if may_be_forbidden => Ok(()),
            result => result,
        };
        if self.namespaces.is_empty() || known == Some(Kind::GatewayClass) {
            return allowed(self.list(kind, &resource, None, sources).await);
        }
        if known.is_some_and(Kind::is_cluster_wide) {
            return Ok(());
        }
        for namespace in self.namespaces {
            allowed(self.list(kind, &resource, Some(namespace), sources).await)?;
        }
        Ok(())
    }

    /// Reads the `WasmPlugin`s of earlier runs and, if `filters` is true, their `EnvoyFilter`s. A user who may not list them gets no
    /// error: they only help to find missing input, and to say what proxies run.
    pub async fn read_earlier(&self, filters: bool, sources: &mut Sources) -> Result<(), ClusterError> {
        self.read_earlier_kind(&PLUGINS, sources).await?;
        if filters {
            self.read_earlier_kind(&FILTERS, sources).await?;
        }
        Ok(())
    }

    async fn read_earlier_kind(&self, kind: &KnownKind, sources: &mut Sources) -> Result<(), ClusterError> {
        let Some(resource) = self.resource(kind).await? else {
            return Ok(());
        };
        let mut scopes = vec![None];
        scopes.extend(self.namespaces.iter().map(|namespace| Some(namespace.as_str())));
        for namespace in scopes {
            match self.list(kind, &resource, namespace, sources).await {
                Ok(()) if namespace.is_none() => return Ok(()),
                Ok(()) | Err(ClusterError::Forbidden { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The objects of a kind that earlier runs have generated. A kind that the server does not have has none.
    pub async fn generated(&self, kind: &KnownKind) -> Result<Vec<Reference>, ClusterError> {
        let Some(resource) = self.resource(kind).await? else {
            return Ok(Vec::new());
        };
        let mut scopes: Vec<Option<&str>> = self.namespaces.iter().map(|name| Some(name.as_str())).collect();
        if scopes.is_empty() {
            scopes.push(None);
        }
        let mut found = Vec::new();
        for namespace in scopes {
            let objects = self.pages(kind, &resource, namespace, true).await?;
            found.extend(
                objects
                    .into_iter()
                    .filter_map(|object| Reference::of_generated(&resource, object)),
            );
        }
        Ok(found)
    }

    /// The domain for which `CoreDNS` answers. None: its configuration is not in the usual `ConfigMap`, or may not be read.
    pub async fn dns_domain(&self) -> Option<ClusterDomain> {
        dns_domain(&self.client).await
    }

    /// The resource of a kind, in the first of its versions that the server has.
    async fn resource(&self, kind: &KnownKind) -> Result<Option<ApiResource>, ClusterError> {
        self.progress.begin(kind.name);
        for version in kind.versions {
            let kind_of_version = GroupVersionKind::gvk(kind.group, version, kind.name);
            match pinned_kind(&self.client, &kind_of_version).await {
                Ok((resource, _)) => return Ok(Some(resource)),
                Err(kube::Error::Discovery(_)) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(self.error(&error, kind.name, "")),
            }
        }
        Ok(None)
    }

    async fn list(
        &self,
        kind: &KnownKind,
        resource: &ApiResource,
        namespace: Option<&str>,
        sources: &mut Sources,
    ) -> Result<(), ClusterError> {
        let only_generated = [WASM_PLUGIN, ENVOY_FILTER].contains(&kind.name);
        for object in self.pages(kind, resource, namespace, only_generated).await? {
            if let Ok(Value::Object(object)) = serde_json::to_value(object) {
                add(kind, &resource.api_version, object, sources);
            }
        }
        Ok(())
    }

    /// All objects of a kind, or those that Mooring has generated.
    async fn pages(
        &self,
        kind: &KnownKind,
        resource: &ApiResource,
        namespace: Option<&str>,
        only_generated: bool,
    ) -> Result<Vec<DynamicObject>, ClusterError> {
        let scope = namespace.map_or(ALL_NAMESPACES.to_owned(), |name| format!("the namespace {name}"));
        let name = match kind.group {
            "" => resource.plural.clone(),
            group => format!("{}.{group}", resource.plural),
        };
        let api = self.api(resource, namespace);
        let mut params = ListParams::default().limit(PAGE);
        if only_generated {
            let (label, value) = MANAGED_BY;
            params = params.labels(&format!("{label}={value}"));
        }
        let mut objects = Vec::new();
        self.progress.begin(kind.name);
        loop {
            let page = api.list(&params).await;
            let page = page.map_err(|error| self.error(&error, &name, &scope))?;
            self.progress.add(page.items.len());
            objects.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(objects),
            }
        }
    }

    fn core(&self, kind: &str, plural: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        core(&self.client, kind, plural, namespace)
    }

    fn api(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        api(&self.client, resource, namespace)
    }

    fn error(&self, error: &kube::Error, resource: &str, scope: &str) -> ClusterError {
        ClusterError::new(error, &self.server, resource, scope)
    }
}

/// The domain for which `CoreDNS` answers. None: its configuration is not in the usual `ConfigMap`, or may not be read.
pub async fn dns_domain(client: &Client) -> Option<ClusterDomain> {
    let (namespace, name) = COREDNS;
    let config = core(client, "ConfigMap", "configmaps", Some(namespace)).get(name).await;
    dns_domain_in(config.ok()?.data.pointer("/data/Corefile")?.as_str()?)
}

fn core(client: &Client, kind: &str, plural: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("", "v1", kind);
    api(client, &ApiResource::from_gvk_with_plural(&kind, plural), namespace)
}

fn api(client: &Client, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// The first zone of the plugin `kubernetes` that is not a reverse zone.
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
