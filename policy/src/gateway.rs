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
    /// The route has the same name as the route of a rule, but its cluster is not a backend of that rule.
    OtherBackend,
    /// The route is a session route, which the client selected with a header: the module has not set one yet.
    SessionRoute,
}

impl Gateway {
    /// The rule for the route that Envoy selected.
    pub fn find_rule<H: Host>(&self, host: &H) -> Result<RuleLookup<'_>, H::Error> {
        let Some(route) = host.route_name()? else {
            return Ok(RuleLookup::NoRule);
        };
        if self.routes.is_session_route(&route) {
            return Ok(RuleLookup::SessionRoute);
        }
        let Some(rule) = self.routes.find(&route, || host.virtual_host_name())? else {
            return Ok(RuleLookup::NoRule);
        };
        // Another rule may have taken the position of an unnamed rule. A session of the old rule must not be sent to a session
        // route then, so the route has to lead to one of the old rule's backends.
        if rule.is_unnamed() && rule.has_session_routes() {
            let cluster = host.cluster_name()?;
            if cluster.and_then(|cluster| rule.backend_of_cluster(&cluster)).is_none() {
                return Ok(RuleLookup::OtherBackend);
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
}
