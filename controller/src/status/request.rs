//! The requests to the API server.

use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};

use crate::key::Key;

/// The field manager of status and events.
const FIELD_MANAGER: &str = "mooring";

/// What became of a status.
#[derive(Debug)]
pub enum Outcome {
    /// It is written. This is the object after that.
    Written(Box<DynamicObject>),
    /// The policy is gone.
    Gone,
    /// The object has changed meanwhile.
    Conflict,
    /// The definition of the kind has no status subresource.
    NoStatus,
    /// Another error.
    Failed(kube::Error),
}

/// The policies of the kind of an object, in its namespace and version.
pub fn api(client: &Client, policy: &Key, object: &DynamicObject) -> Api<DynamicObject> {
    let version = object.types.as_ref().map_or("", |types| types.api_version.as_str());
    let version = version.split_once('/').map_or(version, |(_, version)| version);
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(policy.kind.group, version, policy.kind.name));
    Api::namespaced_with(client.clone(), policy.namespace().unwrap_or_default(), &resource)
}

/// Replaces fields of the status, unless the object has changed since this version of it.
pub async fn write(client: &Client, policy: &Key, object: &DynamicObject, status: &Value) -> Outcome {
    let body = json!({ "metadata": { "resourceVersion": object.metadata.resource_version }, "status": status });
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let api = api(client, policy, object);
    match api.patch_status(policy.name(), &params, &Patch::Merge(&body)).await {
        Ok(written) => Outcome::Written(Box::new(written)),
        Err(kube::Error::Api(error)) if error.code == 409 => Outcome::Conflict,
        // The API server answers the same if the definition of the kind has no status subresource.
        Err(kube::Error::Api(error)) if error.code == 404 => match api.get_opt(policy.name()).await {
            Ok(Some(_)) => Outcome::NoStatus,
            Ok(None) => Outcome::Gone,
            Err(error) => Outcome::Failed(error),
        },
        Err(error) => Outcome::Failed(error),
    }
}

/// Writes an event. If there is one that says the same, notes that it was seen again.
pub async fn tell(
    client: &Client,
    event: &Event,
    again: &k8s_openapi::api::events::v1::EventSeries,
) -> Result<(), kube::Error> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match api.create(&params, event).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(error)) if error.code == 409 => {
            let name = event.metadata.name.as_deref().unwrap_or_default();
            let body = json!({ "series": again });
            let patched = api.patch(name, &PatchParams::default(), &Patch::Merge(&body)).await;
            patched.map(|_| ())
        }
        Err(error) => Err(error),
    }
}
