//! What istiod makes of the user's objects, which the generator must reproduce: the names of virtual hosts and routes, and the
//! gateways that each is on.

/// The sample objects of these tests, and what a run makes of them. No tests.
mod shop;

/// A `CanaryPolicy` for a whole route of which some rules cannot split.
mod canaries;
/// `VirtualService`s that delegate routes to others.
mod delegates;
/// The `DestinationRule` that counts for a host.
mod destination_rules;
/// `exportTo` of `VirtualService`s and Services.
mod export_to;
/// Services of the type `ExternalName`.
mod external_names;
/// Matches for sidecars, another gateway, other pods or another port.
mod gateways_of_matches;
/// The core group, whose name is empty.
mod groups;
/// Hosts of a `VirtualService` in the names of virtual hosts.
mod hosts;
/// Routes on `ListenerSet` and `XListenerSet`.
mod listener_sets;
/// The port of a destination that does not name one.
mod ports;
/// The names of the http routes of a `VirtualService`.
mod route_names;
/// The protocols of servers that are HTTP to Istio.
mod servers;
/// Http routes of a `VirtualService` without a name.
mod unnamed_http_routes;
