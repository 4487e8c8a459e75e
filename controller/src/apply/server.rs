//! The requests to the API server.

use std::{fmt, future::Future, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    failure::{Cause, Failure},
    marks::MANAGER,
    ownership::intruder,
};
use crate::key::Key;

/// How long one request may take. A webhook may take 30 s, but the controller does not wait for a slow one: it asks again.
const LIMIT: Duration = Duration::from_secs(15);

/// An object of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its identity.
    pub key: Key,
    /// Its version, such as `gateway.networking.k8s.io/v1`.
    pub api_version: String,
}

/// What an API server does for the controller.
pub trait Server: Clone + Send + Sync + 'static {
    /// The metadata of an object. None: it does not exist.
    fn look(&self, target: &Target) -> impl Future<Output = Result<Option<ObjectMeta>, Failure>> + Send;

    /// Writes an object. With `force`, fields of other field managers are overridden; without, the server refuses to change them.
    fn apply(
        &self,
        target: &Target,
        body: &Value,
        force: bool,
    ) -> impl Future<Output = Result<ObjectMeta, Failure>> + Send;

    /// Deletes an object that still has this unique id and resource version. An object that is gone is no failure.
    fn remove(&self, target: &Target, uid: &str, version: &str) -> impl Future<Output = Result<(), Failure>> + Send;

    /// An object as it is, and as it would be after this write. None as the former: it does not exist.
    fn preview(
        &self,
        target: &Target,
        body: &Value,
    ) -> impl Future<Output = Result<(Option<Value>, Value), Failure>> + Send;
}

/// A real API server.
#[derive(Clone)]
pub struct KubeServer {
    client: Client,
}

impl fmt::Debug for KubeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KubeServer")
    }
}

impl KubeServer {
    /// The API server of a client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    fn api(&self, target: &Target) -> Api<DynamicObject> {
        let Target { key, api_version } = target;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = GroupVersionKind::gvk(group, version, key.kind.name);
        // The plurals of all generated kinds are regular.
        let resource = ApiResource::from_gvk(&kind);
        Api::namespaced_with(self.client.clone(), key.namespace().unwrap_or_default(), &resource)
    }

    /// Removes the fields of the `spec` that somebody else has added. A server-side apply leaves them there. Everything else is as the
    /// apply left it, so this write takes over no field.
    async fn restore(&self, target: &Target, body: &Value) -> Result<ObjectMeta, Failure> {
        let api = self.api(target);
        let mut object = answer(api.get(target.key.name())).await?;
        object.data = serde_json::json!({ "spec": body.get("spec") });
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        Ok(answer(api.replace(target.key.name(), &params, &object)).await?.metadata)
    }
}

/// The answer to a request, within the limit.
async fn answer<T>(request: impl Future<Output = Result<T, kube::Error>> + Send) -> Result<T, Failure> {
    match timeout(LIMIT, request).await {
        Ok(result) => result.map_err(|error| Failure::new(&error)),
        Err(_) => Err(Failure::timeout(LIMIT)),
    }
}

impl Server for KubeServer {
    async fn look(&self, target: &Target) -> Result<Option<ObjectMeta>, Failure> {
        let api = self.api(target);
        let found = answer(api.get_metadata_opt(target.key.name())).await?;
        Ok(found.map(|object| object.metadata))
    }

    async fn apply(&self, target: &Target, body: &Value, force: bool) -> Result<ObjectMeta, Failure> {
        let api = self.api(target);
        let params = PatchParams {
            force,
            ..PatchParams::apply(MANAGER)
        };
        let patch = Patch::Apply(body);
        let written = answer(api.patch_metadata(target.key.name(), &params, &patch))
            .await?
            .metadata;
        if force && intruder(&written).is_some() {
            return self.restore(target, body).await;
        }
        Ok(written)
    }

    async fn remove(&self, target: &Target, uid: &str, version: &str) -> Result<(), Failure> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                resource_version: Some(version.to_owned()),
                uid: Some(uid.to_owned()),
            }),
            ..DeleteParams::background()
        };
        let api = self.api(target);
        match timeout(LIMIT, api.delete(target.key.name(), &params)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(()),
            Ok(Err(error)) => Err(Failure::new(&error)),
            Err(_) => Err(Failure::timeout(LIMIT)),
        }
    }

    async fn preview(&self, target: &Target, body: &Value) -> Result<(Option<Value>, Value), Failure> {
        let api = self.api(target);
        let there = answer(api.get_opt(target.key.name())).await?;
        let params = PatchParams::apply(MANAGER).force().dry_run();
        let written = answer(api.patch(target.key.name(), &params, &Patch::Apply(body))).await?;
        let value = |object: &DynamicObject| serde_json::to_value(object).map_err(|error| unreadable(&error));
        Ok((there.as_ref().map(value).transpose()?, value(&written)?))
    }
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure {
        cause: Cause::Refused,
        message: format!("the object cannot be read: {error}"),
    }
}
