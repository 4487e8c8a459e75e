//! Finds the backend of an Envoy cluster by the name that istiod gives the cluster: `outbound|PORT|SUBSET|HOST`, or in a waypoint,
//! for the Services that it serves, `inbound-vip|PORT|PROTOCOL|HOST` or `inbound-vip|PORT|PROTOCOL/SUBSET|HOST`, where the protocol
//! is `http` or `tcp`.
//!
//! A Service is recognised by its name and namespace in any domain, because the module does not know the domain of the mesh.

/// The parts of a cluster name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClusterName<'a> {
    port: &'a str,
    subset: &'a str,
    host: &'a str,
}

impl<'a> ClusterName<'a> {
    /// Parses a name. None if it is not the name of a cluster that routes lead to.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        let mut parts = name.split('|');
        let (direction, port, subset, host) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let subset = match direction {
            "outbound" => subset,
            "inbound-vip" => waypoint_subset(subset)?,
            _ => return None,
        };
        parts.next().is_none().then_some(Self { port, subset, host })
    }

    /// The position of the key of its backend. A key with the whole host takes precedence over the key of a Service: the Service
    /// `web.shop` and the `ServiceEntry` host `web.shop.svc.clusterset.local` have different clusters.
    pub(super) fn find_in<'k>(self, keys: &(impl Iterator<Item = &'k str> + Clone)) -> Option<usize> {
        let of_host = |host: &str| keys.clone().position(|key| self.is_of(key, host));
        of_host(self.host).or_else(|| of_host(self.service()?))
    }

    /// Whether the key consists of this host and the port and subset of the cluster.
    fn is_of(self, key: &str, wanted: &str) -> bool {
        let (key, subset) = key.split_once('/').unwrap_or((key, ""));
        let Some((host, port)) = key.rsplit_once(':') else {
            return false;
        };
        port == self.port && subset == self.subset && host == wanted
    }

    /// The name and namespace of the Service. None if the host is not a Service.
    fn service(self) -> Option<&'a str> {
        let (position, _) = self.host.match_indices('.').nth(1)?;
        let (service, domain) = self.host.split_at_checked(position)?;
        domain.starts_with(".svc.").then_some(service)
    }
}

/// The subset in the third field of a waypoint's cluster, `PROTOCOL[/SUBSET]`. Empty without one. None if it has no protocol.
fn waypoint_subset(field: &str) -> Option<&str> {
    let (protocol, subset) = field.split_once('/').unwrap_or((field, ""));
    ["http", "tcp"].contains(&protocol).then_some(subset)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn is(cluster: &str, key: &str) -> bool {
        ClusterName::parse(cluster).is_some_and(|cluster| cluster.find_in(&std::iter::once(key)).is_some())
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_service_is_recognised_in_any_domain() {
        assert!(is("outbound|80||web.shop.svc.cluster.local", "web.shop:80"));
        assert!(is("outbound|80||web.shop.svc.corp.example", "web.shop:80"));
        assert!(is("outbound|80|v1|web.shop.svc.cluster.local", "web.shop:80/v1"));
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_cluster_of_a_waypoint_is_recognised() {
        assert!(is("inbound-vip|80|http|web.shop.svc.cluster.local", "web.shop:80"));
        assert!(is("inbound-vip|80|tcp|web.shop.svc.corp.example", "web.shop:80"));
        assert!(is(
            "inbound-vip|80|http/v1|web.shop.svc.cluster.local",
            "web.shop:80/v1"
        ));
        assert!(is("inbound-vip|443|http|api.example.com", "api.example.com:443"));
        for cluster in [
            "inbound-vip|80|http/v1|web.shop.svc.cluster.local",
            "inbound-vip|80||web.shop.svc.cluster.local",
            "inbound-vip|80|v1|web.shop.svc.cluster.local",
            "inbound-vip|80|http2|web.shop.svc.cluster.local",
            "inbound-vip|81|http|web.shop.svc.cluster.local",
            "inbound-vip|80|http|web.mall.svc.cluster.local",
            "inbound-vip|80|http|web.shop.svc.cluster.local|x",
            "inbound|80|http|web.shop.svc.cluster.local",
            "outbound|80|http|web.shop.svc.cluster.local",
        ] {
            assert!(!is(cluster, "web.shop:80"), "{cluster}");
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_host_of_a_service_entry_is_recognised() {
        assert!(is("outbound|443||api.example.com", "api.example.com:443"));
        assert!(is("outbound|443|v2|api.example.com", "api.example.com:443/v2"));
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_host_that_looks_like_a_service_in_another_domain_is_its_own_backend() {
        let keys = ["web.shop:80", "web.shop.svc.clusterset.local:80"];
        let find = |cluster| ClusterName::parse(cluster).unwrap().find_in(&keys.into_iter());
        assert_eq!(find("outbound|80||web.shop.svc.cluster.local"), Some(0));
        assert_eq!(find("outbound|80||web.shop.svc.clusterset.local"), Some(1));
    }

    #[test]
    #[wasm_bindgen_test]
    fn another_cluster_is_another_backend() {
        for cluster in [
            "outbound|81||web.shop.svc.cluster.local",
            "outbound|80|v1|web.shop.svc.cluster.local",
            "outbound|80||web.mall.svc.cluster.local",
            "outbound|80||web2.shop.svc.cluster.local",
            "outbound|80||web.shop.example.com",
            "outbound|80||web.shop.svc",
            "inbound|80||web.shop.svc.cluster.local",
            "outbound|80||web.shop.svc.cluster.local|x",
            "web.shop:80",
            "BlackHoleCluster",
            "",
        ] {
            assert!(!is(cluster, "web.shop:80"), "{cluster}");
        }
        for key in ["", "web.shop", ":", "/", "web.shop:80/v1"] {
            assert!(!is("outbound|80||web.shop.svc.cluster.local", key), "{key}");
        }
    }
}
