//! An `HTTPRoute`.

use serde_json::{Map, Value, json};

use super::{
    object::{annotate, object, yaml},
    persistence::Persistence,
};

/// An `HTTPRoute` on the Gateway, or of the mesh.
#[derive(Clone, Debug)]
pub struct Route {
    name: String,
    parent: Value,
    annotations: Vec<(String, String)>,
    hosts: Vec<String>,
    rules: Vec<Rule>,
}

/// A rule of a route.
#[derive(Clone, Debug)]
pub struct Rule {
    prefix: String,
    backends: Vec<(String, u32)>,
    persistence: Option<Persistence>,
}

impl Route {
    /// A route without rules.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            parent: json!({"name": "web"}),
            annotations: Vec::new(),
            hosts: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// With a Service as its parent instead of the Gateway.
    pub fn of_service(mut self, service: &str) -> Self {
        self.parent = json!({"group": "", "kind": "Service", "name": service});
        self
    }

    /// Only for this host name.
    pub fn host(mut self, host: &str) -> Self {
        self.hosts.push(host.to_owned());
        self
    }

    /// A route that sends everything to one Service.
    pub fn to(service: &str) -> Self {
        Self::new(service).rule(Rule::to(service))
    }

    /// With one more rule.
    pub fn rule(mut self, rule: Rule) -> Self {
        // Inline persistence has no field for Mooring's annotations, so the route carries them.
        if let Some(persistence) = &rule.persistence {
            self.annotations.extend_from_slice(persistence.annotations());
        }
        self.rules.push(rule);
        self
    }

    pub(super) fn yaml(&self) -> String {
        let mut spec = Map::new();
        spec.insert("parentRefs".to_owned(), json!([self.parent]));
        if !self.hosts.is_empty() {
            spec.insert("hostnames".to_owned(), json!(self.hosts));
        }
        let rules: Vec<Value> = self.rules.iter().map(Rule::json).collect();
        spec.insert("rules".to_owned(), Value::Array(rules));
        let mut route = object(
            "gateway.networking.k8s.io/v1",
            "HTTPRoute",
            &self.name,
            json!({"spec": spec}),
        );
        annotate(&mut route, "annotations", &self.annotations);
        yaml(&route)
    }
}

impl Rule {
    /// Everything goes to one Service.
    pub fn to(service: &str) -> Self {
        Self::split(&[(service, 1)])
    }

    /// Services by weight.
    pub fn split(backends: &[(&str, u32)]) -> Self {
        let backends = backends
            .iter()
            .map(|(service, weight)| ((*service).to_owned(), *weight));
        Self {
            prefix: "/".to_owned(),
            backends: backends.collect(),
            persistence: None,
        }
    }

    /// Only below a path.
    pub fn below(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// With persistence written into the rule.
    pub fn persistence(mut self, persistence: Persistence) -> Self {
        self.persistence = Some(persistence);
        self
    }

    fn json(&self) -> Value {
        let backend = |(service, weight): &(String, u32)| json!({"name": service, "port": 80, "weight": weight});
        let backends: Vec<Value> = self.backends.iter().map(backend).collect();
        let mut rule = Map::new();
        rule.insert(
            "matches".to_owned(),
            json!([{"path": {"type": "PathPrefix", "value": self.prefix}}]),
        );
        rule.insert("backendRefs".to_owned(), Value::Array(backends));
        if let Some(persistence) = &self.persistence {
            rule.insert("sessionPersistence".to_owned(), persistence.json());
        }
        Value::Object(rule)
    }
}
