//! The kinds of objects that Mooring reads, and their versions.

use crate::suggest;

/// The common name of the API group of Services. The group itself has an empty name.
pub const CORE_GROUP: &str = "core";

/// The advice for an object that names the group `core`.
pub const CORE_GROUP_HELP: &str = "write the core group as \"\"";

/// The name of a group in messages.
#[must_use]
pub fn shown_group(group: &str) -> &str {
    if group.is_empty() { CORE_GROUP } else { group }
}

/// The API group of Gateway API.
pub const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// The API group of experimental kinds of Gateway API.
pub const GATEWAY_API_X: &str = "gateway.networking.x-k8s.io";

/// The API group of Istio's routing kinds.
pub const NETWORKING_ISTIO: &str = "networking.istio.io";

/// The API group of Ingress.
pub const INGRESS_API: &str = "networking.k8s.io";

/// The kind of a parent of a route of the mesh: a Service or a `ServiceEntry`. `None` for other kinds.
#[must_use]
pub fn mesh_parent(group: &str, kind: &str) -> Option<Kind> {
    match (group, kind) {
        ("", "Service") => Some(Kind::Service),
        (NETWORKING_ISTIO, "ServiceEntry") => Some(Kind::ServiceEntry),
        _ => None,
    }
}

/// The API group of Mooring.
pub const MOORING: &str = "mooring.dev";

/// The scope of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Its objects belong to namespaces.
    Namespaced,
    /// Its objects belong to the cluster.
    Cluster,
}

/// Which kinds a run reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// Those of routing. Ingresses are skipped.
    #[default]
    Routing,
    /// Those of routing, and Ingresses.
    Ingresses,
}

impl Reads {
    fn includes(self, kind: Kind) -> bool {
        self == Self::Ingresses || !matches!(kind, Kind::Ingress | Kind::IngressClass)
    }

    /// The rows of the kinds that are read.
    fn rows(self) -> impl Iterator<Item = Row> {
        KINDS.into_iter().filter(move |(kind, ..)| self.includes(*kind))
    }
}

/// The kinds that Mooring reads, one on each line: the variant of [`Kind`], the name, the group, the versions with the
/// preferred one first, the scope, and the type in `crate::api`. The macro calls `$callback` with this table. Messages
/// list kinds in this order.
macro_rules! for_each_kind {
    ($callback:ident) => {
        $callback! {
            BackendLbPolicy, "BackendLBPolicy", GATEWAY_API, ["v1alpha2"], Namespaced, Object<policy::BackendLbPolicySpec>;
            XBackendTrafficPolicy, "XBackendTrafficPolicy", GATEWAY_API_X, ["v1alpha1"], Namespaced, Object<policy::XBackendTrafficPolicySpec>;
            CanaryPolicy, "CanaryPolicy", MOORING, ["v1alpha1"], Namespaced, Box<Object<canary::CanaryPolicySpec>>;
            Gateway, "Gateway", GATEWAY_API, ["v1", "v1beta1"], Namespaced, Object<gateway::GatewaySpec, gateway::GatewayStatus>;
            ListenerSet, "ListenerSet", GATEWAY_API, ["v1"], Namespaced, Object<gateway::ListenerSetSpec>;
            XListenerSet, "XListenerSet", GATEWAY_API_X, ["v1alpha1"], Namespaced, Object<gateway::ListenerSetSpec>;
            HttpRoute, "HTTPRoute", GATEWAY_API, ["v1", "v1beta1"], Namespaced, Object<route::HttpRouteSpec>;
            GrpcRoute, "GRPCRoute", GATEWAY_API, ["v1", "v1alpha2"], Namespaced, Object<grpc::GrpcRouteSpec>;
            VirtualService, "VirtualService", NETWORKING_ISTIO, ["v1", "v1beta1", "v1alpha3"], Namespaced, Object<virtual_service::VirtualServiceSpec>;
            IstioGateway, "Gateway", NETWORKING_ISTIO, ["v1", "v1beta1", "v1alpha3"], Namespaced, Object<istio::IstioGatewaySpec>;
            DestinationRule, "DestinationRule", NETWORKING_ISTIO, ["v1", "v1beta1", "v1alpha3"], Namespaced, Object<istio::DestinationRuleSpec>;
            ServiceEntry, "ServiceEntry", NETWORKING_ISTIO, ["v1", "v1beta1", "v1alpha3"], Namespaced, Object<istio::ServiceEntrySpec>;
            Service, "Service", "", ["v1"], Namespaced, Object<service::ServiceSpec>;
            Pod, "Pod", "", ["v1"], Namespaced, service::Pod;
            Namespace, "Namespace", "", ["v1"], Cluster, service::Namespace;
            EndpointSlice, "EndpointSlice", "discovery.k8s.io", ["v1"], Namespaced, service::EndpointSlice;
            ReferenceGrant, "ReferenceGrant", GATEWAY_API, ["v1", "v1beta1", "v1alpha2"], Namespaced, Object<grant::ReferenceGrantSpec>;
            GatewayClass, "GatewayClass", GATEWAY_API, ["v1", "v1beta1"], Cluster, Object<gateway::GatewayClassSpec>;
            Deployment, "Deployment", "apps", ["v1"], Namespaced, service::PodController;
            DaemonSet, "DaemonSet", "apps", ["v1"], Namespaced, service::PodController;
            StatefulSet, "StatefulSet", "apps", ["v1"], Namespaced, service::PodController;
            Ingress, "Ingress", INGRESS_API, ["v1"], Namespaced, Object<ingress::IngressSpec>;
            IngressClass, "IngressClass", INGRESS_API, ["v1"], Cluster, Object<ingress::IngressClassSpec>;
        }
    };
}

pub(crate) use for_each_kind;

/// A kind, its name, its group, and its versions.
type Row = (Kind, &'static str, &'static str, &'static [&'static str]);

macro_rules! kinds {
    ($($kind:ident, $name:literal, $group:expr, $versions:expr, $scope:ident, $type:ty;)*) => {
        /// A kind that Mooring reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = concat!("`", $name, "`.")] $kind,)*
        }

        const KINDS: [Row; [$(Kind::$kind),*].len()] = [$((Kind::$kind, $name, $group, &$versions)),*];

        impl Kind {
            /// All kinds.
            pub const ALL: [Self; KINDS.len()] = [$(Self::$kind),*];

            /// The scope of its objects.
            #[must_use]
            pub fn scope(self) -> Scope {
                match self {
                    $(Self::$kind => Scope::$scope,)*
                }
            }
        }
    };
}

for_each_kind!(kinds);

/// The names of a kind that Mooring reads.
#[derive(Clone, Copy, Debug)]
pub struct KnownKind {
    /// Its name.
    pub name: &'static str,
    /// Its group; empty for the core group.
    pub group: &'static str,
    /// Its versions, the preferred one first.
    pub versions: &'static [&'static str],
}

impl KnownKind {
    /// Every kind that a run reads.
    pub fn all(reads: Reads) -> impl Iterator<Item = Self> {
        reads
            .rows()
            .map(|(_, name, group, versions)| Self { name, group, versions })
    }

    /// The kind, if objects of this kind are input.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let mut rows = KINDS.into_iter();
        rows.find_map(|(kind, name, group, _)| ((name, group) == (self.name, self.group)).then_some(kind))
    }

    /// The `apiVersion` of an object in one of its versions.
    #[must_use]
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", self.group)
        }
    }
}

/// How Mooring handles an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognized {
    /// Mooring reads it.
    Known(Kind),
    /// Mooring reads its items.
    List,
    /// Mooring skips it.
    Unrelated,
}

/// Why an object that resembles a supported one is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedKind {
    /// The version is not supported.
    #[error("{kind} is not supported in `{found}`; its apiVersion must be {allowed}")]
    Version {
        /// The kind.
        kind: Kind,
        /// The `apiVersion` that was found.
        found: String,
        /// The supported values.
        allowed: String,
    },
    /// The kind belongs to another group.
    #[error("`{found}` is not the apiVersion of {kind}, which is {allowed}")]
    Group {
        /// The kind.
        kind: Kind,
        /// The `apiVersion` that was found.
        found: String,
        /// The supported values.
        allowed: String,
    },
    /// The group does not have this kind, but has one with a similar name.
    #[error("`{found}` is not a kind of {}", group_name(group))]
    Name {
        /// The `kind` that was found.
        found: String,
        /// The group.
        group: &'static str,
        /// The kind that the user probably meant.
        meant: Kind,
    },
    /// A list of a specific kind.
    #[error(
        "{0}List is not supported; put the objects into a List (apiVersion v1), as `kubectl get --output yaml` does"
    )]
    TypedList(&'static str),
}

impl UnsupportedKind {
    /// The kind of the object, or the kind that the user probably meant.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Version { kind, .. } | Self::Group { kind, .. } => Some(*kind),
            Self::Name { meant, .. } => Some(*meant),
            Self::TypedList(_) => None,
        }
    }
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

fn group_name(group: &str) -> &str {
    if group.is_empty() { "the core group" } else { group }
}

impl Recognized {
    /// How a run handles an object with this `apiVersion` and `kind`.
    pub fn new(api_version: &str, kind: &str, reads: Reads) -> Result<Self, UnsupportedKind> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if (group, kind) == ("", "List") {
            return Ok(Self::List);
        }
        // The files of `mooring fn` and `mooring test` may be among the objects.
        if [FUNCTION_CONFIG, TEST_FILE].contains(&(api_version, kind)) {
            return Ok(Self::Unrelated);
        }
        let item = kind.strip_suffix("List").unwrap_or(kind);
        let named = || reads.rows().filter(|(_, name, ..)| *name == item);
        let in_group = named().find(|(_, _, other, _)| *other == group);
        // Other APIs also have kinds named Gateway and Service. The names of the policies are unique.
        if let Some((known, name, _, versions)) = in_group
            && known.only_helps()
        {
            let is_read = kind == name && versions.contains(&version);
            return Ok(if is_read { Self::Known(known) } else { Self::Unrelated });
        }
        let meant = || {
            named().find(|(known, _, other, _)| {
                !known.only_helps() && (known.is_policy() || is_meant(group, other, reads))
            })
        };
        let Some((known, name, known_group, versions)) = in_group.or_else(meant) else {
            return mistyped(group, kind, reads).map_or(Ok(Self::Unrelated), Err);
        };
        if kind != name {
            return Err(UnsupportedKind::TypedList(name));
        }
        if group == known_group && versions.contains(&version) {
            return Ok(Self::Known(known));
        }
        let (kind, found, allowed) = (known, api_version.to_owned(), allowed(known_group, versions));
        Err(if group == known_group {
            UnsupportedKind::Version { kind, found, allowed }
        } else {
            UnsupportedKind::Group { kind, found, allowed }
        })
    }
}

/// The `apiVersion` and `kind` of the configuration of `mooring fn`, which is no object of a cluster.
pub const FUNCTION_CONFIG: (&str, &str) = ("mooring.dev/v1alpha1", "MooringGenerate");

/// The `apiVersion` and `kind` of a file of `mooring test`, which is no object of a cluster.
pub const TEST_FILE: (&str, &str) = ("mooring.dev/v1alpha1", "PolicyTest");

/// How many characters of a kind or group may be wrong for a suggestion.
const MAX_TYPOS: usize = 2;

/// The maximum length of a kind: the API server requires a DNS label.
const MAX_NAME: usize = 63;

/// Kinds that have a name similar to a supported one, but are not typing errors.
const SIMILAR: [&str; 2] = ["BackendTLSPolicy", "TCPRoute"];

/// Whether an object of this group may be meant for the group `ours`: the group is another supported one, has the same
/// owner, or has nearly the same name. Groups without a dot and below `k8s.io` belong to Kubernetes.
fn is_meant(found: &str, ours: &str, reads: Reads) -> bool {
    let of_kubernetes = |group: &str| !group.contains('.') || group.ends_with("k8s.io");
    let of_istio = |group: &str| group.ends_with("istio.io");
    reads.rows().any(|(_, _, group, _)| found == group)
        || (of_kubernetes(ours) && of_kubernetes(found))
        || (of_istio(ours) && of_istio(found))
        || (found.len() <= MAX_NAME && suggest::is_typo(found, ours, MAX_TYPOS))
}

/// The supported kind that is most similar to an unknown one. Mooring's own group has only one kind.
fn mistyped(group: &str, kind: &str, reads: Reads) -> Option<UnsupportedKind> {
    if kind.len() > MAX_NAME || SIMILAR.contains(&kind) {
        return None;
    }
    let is_close = |name: &str| suggest::is_typo(kind, name, MAX_TYPOS.min(name.len() / 3));
    let mut rows = reads
        .rows()
        .filter(|(known, _, other, _)| !known.only_helps() && is_meant(group, other, reads));
    let (meant, _, group, _) = rows.find(|(_, name, other, _)| {
        let own = *other == MOORING && group == MOORING;
        own || is_close(name)
    })?;
    Some(UnsupportedKind::Name {
        found: kind.to_owned(),
        group,
        meant,
    })
}

impl Kind {
    /// Whether a kind that a run reads, or a list of objects, has this name.
    #[must_use]
    pub fn any_is_called(name: &str, reads: Reads) -> bool {
        name == "List" || reads.rows().any(|(_, other, ..)| other == name)
    }

    /// Whether it is a route kind.
    #[must_use]
    pub fn is_route(self) -> bool {
        matches!(self, Self::HttpRoute | Self::GrpcRoute | Self::VirtualService)
    }

    /// Whether its objects are cluster-scoped.
    #[must_use]
    pub fn is_cluster_wide(self) -> bool {
        self.scope() == Scope::Cluster
    }

    /// Whether its objects only add details about gateways. If they are missing, Mooring uses a default and reports
    /// that.
    #[must_use]
    pub fn only_helps(self) -> bool {
        matches!(
            self,
            Self::GatewayClass | Self::Deployment | Self::DaemonSet | Self::StatefulSet | Self::IngressClass
        )
    }

    /// Whether it is a policy kind.
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
        let read = |api_version, kind| Recognized::new(api_version, kind, Reads::Routing).ok();
        let known = |kind| Some(Recognized::Known(kind));
        assert_eq!(read("v1", "Service"), known(Kind::Service));
        assert_eq!(
            read("gateway.networking.k8s.io/v1beta1", "HTTPRoute"),
            known(Kind::HttpRoute)
        );
        assert_eq!(read("apps/v1", "Deployment"), known(Kind::Deployment));
        assert_eq!(read("v1", "List"), Some(Recognized::List));
        for (api_version, kind) in [
            ("serving.knative.dev/v1", "Service"),
            ("example.com/v1", "Gateway"),
            ("v1", "ConfigMap"),
            ("gateway.networking.k8s.io/v1", "TLSRoute"),
            ("gateway.networking.k8s.io/v1", "TCPRoute"),
            ("gateway.networking.k8s.io/v1alpha3", "BackendTLSPolicy"),
            ("networking.istio.io/v1", "WorkloadEntry"),
            ("networking.istio.io/v1", "Sidecar"),
            ("gateway.solo.io/v1", "VirtualService"),
            ("multicluster.x-k8s.io/v1alpha1", "ServiceImport"),
            ("networking.k8s.io/v1", "Ingress"),
            ("networking.k8s.io/v1beta1", "ServiceCIDR"),
            ("metrics.k8s.io/v1beta1", "PodMetrics"),
            ("batch/v1", "Job"),
            ("v1", "Node"),
            ("v1", "Endpoints"),
            ("apps/v1beta1", "Deployment"),
            ("apps/v1", "DeploymentList"),
            ("gateway.networking.k8s.io/v1alpha2", "GatewayClass"),
            ("extensions/v1beta1", "Deployment"),
            ("apps/v1", "Deploymnt"),
            ("mooring.dev/v1alpha1", "MooringGenerate"),
            ("mooring.dev/v1alpha1", "PolicyTest"),
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

    #[test]
    fn ingresses_are_read_where_they_are_translated() {
        let read = |api_version, kind| Recognized::new(api_version, kind, Reads::Ingresses);
        assert_eq!(
            read("networking.k8s.io/v1", "Ingress"),
            Ok(Recognized::Known(Kind::Ingress))
        );
        assert_eq!(
            read("networking.k8s.io/v1", "IngressClass"),
            Ok(Recognized::Known(Kind::IngressClass))
        );
        assert_eq!(read("networking.k8s.io/v1", "NetworkPolicy"), Ok(Recognized::Unrelated));
        for old in ["networking.k8s.io/v1beta1", "extensions/v1beta1"] {
            let error = read(old, "Ingress").map_err(|error| error.to_string()).unwrap_err();
            assert!(error.contains("`networking.k8s.io/v1`"), "{error}");
        }
    }

    #[test]
    fn a_typing_error_is_no_other_kind() {
        let meant = |api_version, kind| {
            Recognized::new(api_version, kind, Reads::Routing)
                .err()
                .and_then(|unsupported| unsupported.kind())
        };
        for (api_version, kind, expected) in [
            (
                "gateway.networking.k8s.io/v1alpha2",
                "BackendLbPolicy",
                Kind::BackendLbPolicy,
            ),
            ("gateway.networking.k8s.io/v1", "HttpRoute", Kind::HttpRoute),
            ("gateway.networking.k8s.io/v1", "HTTPRoutes", Kind::HttpRoute),
            ("gateway.networking.k8s.io/v1", "GRPCRotue", Kind::GrpcRoute),
            ("gateway.networking.k8s.io/v1beta2", "Gateway", Kind::Gateway),
            ("gateway.networking.k8s.io", "HTTPRoute", Kind::HttpRoute),
            ("gateway.networking.k8s.oi/v1", "HTTPRoute", Kind::HttpRoute),
            ("networking.k8s.io/v1", "HTTPRoute", Kind::HttpRoute),
            ("networking.x-k8s.io/v1alpha1", "Gateway", Kind::Gateway),
            (
                "gateway.networking.x-k8s.io/v1alpha1",
                "BackendTrafficPolicy",
                Kind::XBackendTrafficPolicy,
            ),
            ("gateway.networking.k8s.io/v1", "VirtualService", Kind::VirtualService),
            ("v1", "VirtualService", Kind::VirtualService),
            ("networking.istio.io/v1alpha1", "VirtualService", Kind::VirtualService),
            ("networking.istio.io/v1", "VirtualServices", Kind::VirtualService),
            ("networking.istio.io/v1", "Destinationrule", Kind::DestinationRule),
            ("network.istio.io/v1", "DestinationRule", Kind::DestinationRule),
            ("mooring.dev/v1", "CanaryPolicy", Kind::CanaryPolicy),
            ("mooring.dev/v1alpha1", "Canary", Kind::CanaryPolicy),
            ("core/v1", "Service", Kind::Service),
            ("v1", "service", Kind::Service),
            ("v1", "Pods", Kind::Pod),
            ("v2", "Service", Kind::Service),
        ] {
            assert_eq!(meant(api_version, kind), Some(expected), "{api_version} {kind}");
        }
    }
}
