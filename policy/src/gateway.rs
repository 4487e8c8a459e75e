//! The state that all requests of one worker share: the rules and keys of the configuration, and what was learnt from earlier
//! requests.

use std::rc::Rc;

use crate::{
    host::Host, keys::KeyRing, observed_backends::ObservedBackends, reachability::ReachabilityTracker,
    routes::RouteTable, rule::Rule, sampler::Sampler,
};

/// The state of a configuration in use. By default it has no rules.
#[derive(Debug, Default)]
pub struct Gateway {
    /// The rules.
    pub routes: RouteTable,
    /// The keys that seal and open tokens. None: sessions are off.
    pub keys: Option<KeyRing>,
    /// The backends that sessions cannot reach.
    pub reachability: ReachabilityTracker,
    /// The backends that routes recently selected.
    pub observed: ObservedBackends,
    /// Which requests are sampled.
    pub sampler: Sampler,
}

/// The result of looking up the rule of a request.
#[derive(Debug)]
pub enum RuleLookup<'a> {
    /// The rule of the route.
    Found(&'a Rc<Rule>),
    /// The route has no rule.
    NoRule,
    /// The route has the same name as the route of this rule, but its cluster is not a backend of it.
    OtherBackend(&'a Rule),
    /// The route is a session route, which the client selected with a header: the module has not set one yet.
    SessionRoute,
}

impl Gateway {
    /// The rule for the route that Envoy selected.
    pub fn find_rule<H: Host>(&self, host: &H) -> Result<RuleLookup<'_>, H::Error> {
        // A route of a VirtualService may have no name.
        let route = host.route_name()?.unwrap_or_default();
        if self.routes.is_session_route(&route) {
            return Ok(RuleLookup::SessionRoute);
        }
        let found = self
            .routes
            .find(&route, || host.virtual_host_name(), || host.route_object());
        let Some(rule) = found? else {
            return Ok(RuleLookup::NoRule);
        };
        let of_virtual_service = rule.object_path().is_some();
        // Another rule may have taken the position of an unnamed rule. A session of the old rule must not be sent to a session
        // route then, so the route has to lead to one of the old rule's backends. In a VirtualService, the rule may be any other
        // without a name, also one that redirects.
        if rule.is_unnamed() && (rule.has_session_routes() || of_virtual_service) {
            let cluster = host.cluster_name()?;
            if cluster.is_none() && of_virtual_service {
                return Ok(RuleLookup::NoRule);
            }
            if cluster.and_then(|cluster| rule.backend_of_cluster(&cluster)).is_none() {
                return Ok(RuleLookup::OtherBackend(rule));
            }
        }
        Ok(RuleLookup::Found(rule))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::memory_host::MemoryHost;

    #[test]
    #[wasm_bindgen_test]
    fn a_request_that_arrives_at_a_session_route_finds_no_rule() {
        let config = json!({
            "version": 3,
            "sessionRoutes": ["shop.mooring-web.0"],
            "rules": [{
                "route": "shop.web.0",
                "virtualHosts": ["inbound|http|80"],
                "id": "HTTPRoute/shop/web#0",
                "backends": [{"key": "web.shop:80"}],
            }],
        });
        let gateway = Gateway {
            routes: RouteTable::parse(config.to_string().as_bytes()).unwrap(),
            ..Gateway::default()
        };
        let find = |route: &str| {
            let host = MemoryHost {
                route_name: Some(route.into()),
                virtual_host_name: Some(b"inbound|http|80".into()),
                ..MemoryHost::default()
            };
            format!("{:?}", gateway.find_rule(&host).unwrap())
        };
        assert_eq!(find("shop.mooring-web.0"), "SessionRoute");
        assert_eq!(find("shop.mooring-web.1"), "NoRule");
        assert!(find("shop.web.0").starts_with("Found("), "{}", find("shop.web.0"));
    }

    /// What the module finds in the virtual host `shop:80` for a route without a name, made from the `VirtualService` of this namespace and
    /// name, that leads to this cluster.
    fn find_unnamed(gateway: &Gateway, (namespace, name): (&str, &str), cluster: Option<&str>) -> String {
        let path = format!("/apis/networking.istio.io/v1/namespaces/{namespace}/virtual-service/{name}");
        let host = MemoryHost {
            virtual_host_name: Some(b"shop:80".into()),
            route_object: Some(path.into_bytes()),
            cluster_name: cluster.map(|cluster| cluster.as_bytes().into()),
            ..MemoryHost::default()
        };
        match gateway.find_rule(&host).unwrap() {
            RuleLookup::Found(rule) => rule.id().to_owned(),
            other => format!("{other:?}").split('(').next().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_route_without_a_name_is_found_by_its_virtual_service_and_its_cluster() {
        let rule = |name: &str, backends: &[&str]| {
            let backends: Vec<_> = backends.iter().map(|key| json!({ "key": key })).collect();
            json!({
                "route": "",
                "virtualHosts": ["shop:80"],
                "id": format!("VirtualService/shop/{name}#0"),
                "backends": backends,
            })
        };
        let rules = [
            rule("web", &["web.shop:80", "canary.shop:80"]),
            rule("cart", &["web.shop:80"]),
        ];
        let config = json!({ "version": 3, "rules": rules });
        let gateway = Gateway {
            routes: RouteTable::parse(config.to_string().as_bytes()).unwrap(),
            ..Gateway::default()
        };
        let find = |name, cluster| find_unnamed(&gateway, ("shop", name), cluster);
        let web = Some("outbound|80||web.shop.svc.cluster.local");
        assert_eq!(find("web", web), "VirtualService/shop/web#0");
        assert_eq!(find("cart", web), "VirtualService/shop/cart#0");
        // A route of another VirtualService, also of one whose name or namespace begins or ends alike.
        for name in ["other", "x-web", "web-x"] {
            assert_eq!(find(name, web), "NoRule", "{name}");
        }
        for namespace in ["other", "x-shop", "shop-x"] {
            assert_eq!(find_unnamed(&gateway, (namespace, "web"), web), "NoRule", "{namespace}");
        }
        // Another route of the same VirtualService: to other backends, or a redirect.
        let other = Some("outbound|80||other.shop.svc.cluster.local");
        assert_eq!(find("web", other), "OtherBackend");
        assert_eq!(find("cart", other), "OtherBackend");
        assert_eq!(find("web", None), "NoRule");
    }

    #[test]
    #[wasm_bindgen_test]
    fn a_request_without_a_route_finds_no_rule() {
        let config = json!({ "version": 3, "rules": [{
            "route": "",
            "virtualHosts": ["shop:80"],
            "id": "VirtualService/shop/web#0",
            "backends": [{ "key": "web.shop:80" }],
        }]});
        let gateway = Gateway {
            routes: RouteTable::parse(config.to_string().as_bytes()).unwrap(),
            ..Gateway::default()
        };
        let host = MemoryHost {
            virtual_host_name: Some(b"shop:80".into()),
            ..MemoryHost::default()
        };
        assert!(matches!(gateway.find_rule(&host), Ok(RuleLookup::NoRule)));
        assert!(matches!(
            gateway.find_rule(&MemoryHost::default()),
            Ok(RuleLookup::NoRule)
        ));
        // Nor does one on a route without a name and without metadata, which another EnvoyFilter has inserted.
        let inserted = MemoryHost {
            cluster_name: Some(b"outbound|80||web.shop.svc.cluster.local".into()),
            ..host
        };
        assert!(matches!(gateway.find_rule(&inserted), Ok(RuleLookup::NoRule)));
    }
}
