//! The kinds of objects that are read, and in which versions.

/// The API group of Gateway API.
pub const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// The API group of its experiments.
pub const GATEWAY_API_X: &str = "gateway.networking.x-k8s.io";

/// The API group of Istio's routing.
pub const NETWORKING_ISTIO: &str = "networking.istio.io";

/// Our own API group.
pub const MOORING: &str = "mooring.dev";

/// A kind that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `BackendLBPolicy`.
    BackendLbPolicy,
    /// `XBackendTrafficPolicy`.
    XBackendTrafficPolicy,
    /// `CanaryPolicy`.
    CanaryPolicy,
    /// `Gateway` of Gateway API.
    Gateway,
    /// `HTTPRoute`.
    HttpRoute,
    /// `GRPCRoute`.
    GrpcRoute,
    /// `Service`.
    Service,
    /// `EndpointSlice`.
    EndpointSlice,
    /// `ReferenceGrant`.
    ReferenceGrant,
}

/// A kind, its group, and the versions of it that are read.
type Row = (Kind, &'static str, &'static str, &'static [&'static str]);

const KINDS: [Row; 9] = [
    (Kind::BackendLbPolicy, "BackendLBPolicy", GATEWAY_API, &["v1alpha2"]),
    (
        Kind::XBackendTrafficPolicy,
        "XBackendTrafficPolicy",
        GATEWAY_API_X,
        &["v1alpha1"],
    ),
    (Kind::CanaryPolicy, "CanaryPolicy", MOORING, &["v1alpha1"]),
    (Kind::Gateway, "Gateway", GATEWAY_API, &["v1", "v1beta1"]),
    (Kind::HttpRoute, "HTTPRoute", GATEWAY_API, &["v1", "v1beta1"]),
    (Kind::GrpcRoute, "GRPCRoute", GATEWAY_API, &["v1", "v1alpha2"]),
    (Kind::Service, "Service", "", &["v1"]),
    (Kind::EndpointSlice, "EndpointSlice", "discovery.k8s.io", &["v1"]),
    (Kind::ReferenceGrant, "ReferenceGrant", GATEWAY_API, &["v1", "v1beta1"]),
];

/// What is to be done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognized {
    /// It is read.
    Known(Kind),
    /// Its items are.
    List,
    /// It is skipped.
    Unrelated,
}

/// A kind that is read, in a group or version in which it is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} is not read in `{found}`; its apiVersion must be {}",
    allowed(group, versions)
)]
pub struct InvalidVersion {
    kind: &'static str,
    found: String,
    group: &'static str,
    versions: &'static [&'static str],
}

fn allowed(group: &str, versions: &[&str]) -> String {
    let prefix = if group.is_empty() {
        String::new()
    } else {
        format!("{group}/")
    };
    let full: Vec<String> = versions.iter().map(|version| format!("`{prefix}{version}`")).collect();
    full.join(" or ")
}

impl Recognized {
    /// What an object with this `apiVersion` and `kind` is to us.
    pub fn new(api_version: &str, kind: &str) -> Result<Self, InvalidVersion> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if (group, kind) == ("", "List") {
            return Ok(Self::List);
        }
        let Some((known, name, known_group, versions)) = KINDS.into_iter().find(|(_, name, ..)| *name == kind) else {
            return Ok(Self::Unrelated);
        };
        if group == known_group && versions.contains(&version) {
            return Ok(Self::Known(known));
        }
        // Other APIs have a Gateway or a Service of their own. The names of the policies are nobody else's.
        let ours = matches!(
            known,
            Kind::BackendLbPolicy | Kind::XBackendTrafficPolicy | Kind::CanaryPolicy
        );
        if group == known_group || ours {
            return Err(InvalidVersion {
                kind: name,
                found: api_version.to_owned(),
                group: known_group,
                versions,
            });
        }
        Ok(Self::Unrelated)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = KINDS
            .into_iter()
            .find(|(kind, ..)| kind == self)
            .map_or("", |(_, name, ..)| name);
        f.write_str(name)
    }
}
