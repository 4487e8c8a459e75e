//! What the decisions of one worker share: the rules and keys of its configuration, and what its requests have taught it.

use std::rc::Rc;

use crate::{
    chosen::Chosen,
    host::Host,
    keys::KeyRing,
    outage::Outages,
    rule::{RouteTable, Rule},
    watch::Watch,
};

/// A configuration at work. By default it has no rules.
#[derive(Debug, Default)]
pub struct Gateway {
    /// The rules.
    pub routes: RouteTable,
    /// The keys that seal and open tokens. None: sessions are off.
    pub keys: Option<KeyRing>,
    /// The backends that their sessions cannot reach.
    pub outages: Outages,
    /// The backends that routes have chosen lately.
    pub chosen: Chosen,
    /// When there was a close look at a request.
    pub watch: Watch,
}

/// The rule of a request.
#[derive(Debug)]
pub enum Found<'a> {
    /// This one.
    Rule(&'a Rc<Rule>),
    /// The route of the request has no rule.
    None,
    /// The route has the name of this rule's route, but leads to a cluster that is none of its backends.
    OtherRoute,
}

impl Gateway {
    /// The rule for the route that Envoy has chosen.
    pub fn find_rule<H: Host>(&self, host: &H) -> Result<Found<'_>, H::Error> {
        let Some(route) = host.route_name()? else {
            return Ok(Found::None);
        };
        let Some(rule) = self.routes.find(&route, || host.virtual_host_name())? else {
            return Ok(Found::None);
        };
        // Another rule may have taken the position of one without a name. A session of the old one must not be sent to a session
        // route then, so the route has to lead to one of its backends.
        if rule.is_unnamed() && rule.has_session_routes() {
            let cluster = host.cluster_name()?;
            if cluster.and_then(|cluster| rule.backend_of_cluster(&cluster)).is_none() {
                return Ok(Found::OtherRoute);
            }
        }
        Ok(Found::Rule(rule))
    }
}
