//! A waypoint and one of the Services that it serves.

use super::{service_host, virtual_host::VirtualHost};
use crate::{
    dns::ClusterDomain,
    id::Id,
    labels::NAME_PREFIX,
    model::{gateway::GatewaySpec, service::ServiceSpec},
    name_hash::name_hash,
    resources::Item,
};

/// The key of the hash in the names of objects. It must never change, because objects of earlier runs would then stay in the
/// cluster.
const NAME_KEY: [u8; 16] = *b"mooring waypoint";

/// A waypoint, for one of the Services that it serves. The proxies of a waypoint have a filter chain for each port of each
/// Service, so the module has one configuration for each Service.
#[derive(Debug)]
pub struct Waypoint<'a> {
    /// The Gateway object.
    pub item: &'a Item<GatewaySpec>,
    /// The Service.
    pub service: &'a Item<ServiceSpec>,
    /// The domain of the cluster.
    pub domain: &'a ClusterDomain,
}

impl Waypoint<'_> {
    /// The namespace and name of the generated `WasmPlugin`. It is in the namespace of the Service. The hash keeps the names
    /// of several waypoints and Services apart.
    #[must_use]
    pub fn object_id(&self) -> Id {
        let (waypoint, service) = (&self.item.id, &self.service.id);
        let hash = name_hash(NAME_KEY, &format!("{waypoint} {service}"));
        let name = format!("{NAME_PREFIX}{}-{}-{hash}", waypoint.name, service.name);
        Id::new(&service.namespace, &name)
    }

    /// The name of the filter chain for requests to a port of the Service, which is also the name of the cluster
    /// (istiod: `buildWaypointInternal`).
    #[must_use]
    pub fn filter_chain(&self, port: u16) -> String {
        format!(
            "inbound-vip|{port}|http|{}",
            service_host::host(self.service, self.domain)
        )
    }
}

/// The name of a virtual host in a waypoint (istiod: `buildWaypointInboundHTTPRouteConfig`).
#[must_use]
pub fn virtual_host_name(host: &VirtualHost) -> String {
    format!("inbound|http|{}", host.port)
}
