//! What a local Envoy serves besides sessions, as Istio serves it: each test looks at what arrives.

mod backends;
mod bootstraps;
mod filters;
mod listeners;
mod precedence;
mod virtual_services;

use mooring_tests::{Client, Envoy, Manifests, NAMESPACE, Pod, Reply, Request, Service};

/// A Gateway, a Service `a` and a Service `b` with a pod each, and what a test adds.
pub struct Local {
    pub envoy: Envoy,
    client: Client,
    pub a: Pod,
    pub b: Pod,
}

impl Local {
    /// With further documents, whose namespace is that of everything else.
    pub async fn serve(documents: &str) -> Self {
        Self::on(Manifests::new(), documents).await
    }

    /// The same with other Gateways.
    pub async fn on(manifests: Manifests, documents: &str) -> Self {
        let (a, b) = (Pod::start("a").await, Pod::start("b").await);
        let services = manifests
            .service(&Service::new("a", [&a]))
            .service(&Service::new("b", [&b]));
        let envoy = Envoy::serve(&services.yaml(documents)).await;
        Self {
            client: envoy.client(),
            envoy,
            a,
            b,
        }
    }

    /// With these rules on one `HTTPRoute`.
    pub async fn rules(rules: &str) -> Self {
        Self::serve(&http_route("web", "", rules)).await
    }

    /// Asks for a path.
    pub async fn get(&self, target: &str) -> Reply {
        self.request(target).send().await
    }

    /// A request for a path, to which more can be added.
    pub fn request(&self, target: &str) -> Request<'_> {
        self.client.request(target)
    }
}

/// An `HTTPRoute` on the Gateway. `more` are further fields of its spec.
pub fn http_route(name: &str, more: &str, rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  parentRefs: [{{name: web}}]
{more}  rules:
{rules}"
    )
}

/// A `VirtualService` on Istio's Gateway, for every host. `metadata` are further fields of its metadata.
pub fn virtual_service(name: &str, metadata: &str, http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {NAMESPACE}{metadata}}}
spec:
  hosts: ['*']
  gateways: [web]
  http:
{http}"
    )
}

/// The value of a header as a text.
pub fn header(reply: &Reply, name: &str) -> Option<String> {
    reply
        .header(name)
        .map(|value| String::from_utf8_lossy(value).into_owned())
}

/// The values of a header that a pod was sent, as texts.
pub fn sent(reply: &Reply, name: &str) -> Vec<String> {
    let values = reply.echo().header(name).into_iter();
    values
        .map(|value| String::from_utf8_lossy(&value).into_owned())
        .collect()
}
