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
    /// `VirtualService`.
    VirtualService,
    /// `Gateway` of Istio.
    IstioGateway,
    /// `DestinationRule`.
    DestinationRule,
    /// `ServiceEntry`.
    ServiceEntry,
    /// `Service`.
    Service,
    /// `Pod`.
    Pod,
    /// `Namespace`.
    Namespace,
    /// `EndpointSlice`.
    EndpointSlice,
    /// `ReferenceGrant`.
    ReferenceGrant,
}

/// A kind, its group, and the versions of it that are read.
type Row = (Kind, &'static str, &'static str, &'static [&'static str]);

const ISTIO_VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha3"];

const KINDS: [Row; 15] = [
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
    (
        Kind::VirtualService,
        "VirtualService",
        NETWORKING_ISTIO,
        &ISTIO_VERSIONS,
    ),
    (Kind::IstioGateway, "Gateway", NETWORKING_ISTIO, &ISTIO_VERSIONS),
    (
        Kind::DestinationRule,
        "DestinationRule",
        NETWORKING_ISTIO,
        &ISTIO_VERSIONS,
    ),
    (Kind::ServiceEntry, "ServiceEntry", NETWORKING_ISTIO, &ISTIO_VERSIONS),
    (Kind::Service, "Service", "", &["v1"]),
    (Kind::Pod, "Pod", "", &["v1"]),
    (Kind::Namespace, "Namespace", "", &["v1"]),
    (Kind::EndpointSlice, "EndpointSlice", "discovery.k8s.io", &["v1"]),
    (
        Kind::ReferenceGrant,
        "ReferenceGrant",
        GATEWAY_API,
        &["v1", "v1beta1", "v1alpha2"],
    ),
];

/// A kind that is read, by its names.
#[derive(Clone, Copy, Debug)]
pub struct KnownKind {
    /// The kind.
    pub name: &'static str,
    /// Its group; empty: the core group.
    pub group: &'static str,
    /// Its versions, the best one first.
    pub versions: &'static [&'static str],
}

impl KnownKind {
    /// Every kind that is read.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS
            .into_iter()
            .map(|(_, name, group, versions)| Self { name, group, versions })
    }

    /// Whether its objects are in no namespace.
    #[must_use]
    pub fn is_cluster_wide(&self) -> bool {
        self.name == "Namespace"
    }

    /// `apiVersion` of an object in one of its versions.
    #[must_use]
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", self.group)
        }
    }
}

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

/// An object that looks like one of ours and is not read as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    /// The group or version is not one that is read.
    #[error(
        "{kind} is not read in `{found}`; its apiVersion must be {}",
        allowed(group, versions)
    )]
    Version {
        /// The kind.
        kind: &'static str,
        /// The `apiVersion` that was found.
        found: String,
        /// The group in which the kind is read.
        group: &'static str,
        /// The versions in which it is read.
        versions: &'static [&'static str],
    },
    /// A list with a kind of its own.
    #[error("{0}List is not read; put the objects into a List (apiVersion v1), as `kubectl get --output yaml` does")]
    TypedList(&'static str),
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
    pub fn new(api_version: &str, kind: &str) -> Result<Self, NotRead> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if (group, kind) == ("", "List") {
            return Ok(Self::List);
        }
        let item = kind.strip_suffix("List").unwrap_or(kind);
        let named = || KINDS.into_iter().filter(|(_, name, ..)| *name == item);
        let in_group = named().find(|(_, _, other, _)| *other == group);
        let Some((known, name, known_group, versions)) = in_group.or_else(|| named().next()) else {
            return Ok(Self::Unrelated);
        };
        // Other APIs have a Gateway or a Service of their own. The names of the policies are nobody else's.
        match group == known_group {
            false if !known.is_policy() => Ok(Self::Unrelated),
            _ if kind != name => Err(NotRead::TypedList(name)),
            true if versions.contains(&version) => Ok(Self::Known(known)),
            _ => Err(NotRead::Version {
                kind: name,
                found: api_version.to_owned(),
                group: known_group,
                versions,
            }),
        }
    }
}

impl Kind {
    /// The kind of this name, if only one kind that is read has it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut named = KINDS.into_iter().filter(|(_, other, ..)| *other == name);
        let (kind, ..) = named.next()?;
        named.next().is_none().then_some(kind)
    }

    /// Whether it is one of the routes.
    #[must_use]
    pub fn is_route(self) -> bool {
        matches!(self, Self::HttpRoute | Self::GrpcRoute | Self::VirtualService)
    }

    /// Whether it is one of the policies.
    #[must_use]
    pub fn is_policy(self) -> bool {
        matches!(
            self,
            Self::BackendLbPolicy | Self::XBackendTrafficPolicy | Self::CanaryPolicy
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_group_and_name() {
        let read = |api_version, kind| Recognized::new(api_version, kind).ok();
        let known = |kind| Some(Recognized::Known(kind));
        assert_eq!(read("v1", "Service"), known(Kind::Service));
        assert_eq!(
            read("gateway.networking.k8s.io/v1beta1", "HTTPRoute"),
            known(Kind::HttpRoute)
        );
        assert_eq!(read("v1", "List"), Some(Recognized::List));
        for (api_version, kind) in [
            ("serving.knative.dev/v1", "Service"),
            ("example.com/v1", "Gateway"),
            ("v1", "ConfigMap"),
            ("gateway.networking.k8s.io/v1", "TLSRoute"),
        ] {
            assert_eq!(
                read(api_version, kind),
                Some(Recognized::Unrelated),
                "{api_version} {kind}"
            );
        }
        for (api_version, kind) in [
            ("gateway.networking.k8s.io/v1alpha1", "HTTPRoute"),
            ("gateway.networking.k8s.io/v1alpha1", "XBackendTrafficPolicy"),
            ("gateway.networking.x-k8s.io/v1alpha1", "BackendLBPolicy"),
            ("gateway.networking.k8s.io/v1", "HTTPRouteList"),
            ("v1", "ServiceList"),
        ] {
            assert_eq!(read(api_version, kind), None, "{api_version} {kind}");
        }
    }
}
