//! A `CanaryPolicy`, as a user would write it.

use serde_json::{Map, Value, json};

use super::object::{object, yaml};

/// A policy on one `HTTPRoute`.
#[derive(Clone, Debug)]
pub struct Canary {
    route: String,
    rules: Vec<Value>,
    spec: Map<String, Value>,
}

/// Where a request says something: in a header or in a cookie.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// In the header of this name.
    Header(&'a str),
    /// In the cookie of this name.
    Cookie(&'a str),
}

/// One condition of a rule.
#[derive(Clone, Debug)]
pub struct Match(Value);

impl Source<'_> {
    /// The value is this one.
    pub fn is(self, value: &str) -> Match {
        self.matches("Exact", value)
    }

    /// The value compares so with another: `Exact`, `Prefix`, `Suffix`, `Contains` or `RegularExpression`.
    pub fn matches(self, kind: &str, value: &str) -> Match {
        self.condition(kind, json!({"value": value}))
    }

    /// It is there.
    pub fn present(self) -> Match {
        self.condition("Present", json!({}))
    }

    /// It is not there.
    pub fn absent(self) -> Match {
        self.condition("Absent", json!({}))
    }

    fn condition(self, comparison: &str, mut condition: Value) -> Match {
        let (kind, name) = self.parts();
        if let Some(fields) = condition.as_object_mut() {
            fields.insert("name".to_owned(), json!(name));
            fields.insert("type".to_owned(), json!(comparison));
        }
        Match(json!({kind: condition}))
    }

    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Header(name) => ("header", name),
            Self::Cookie(name) => ("cookie", name),
        }
    }

    fn json(self) -> Value {
        let (kind, name) = self.parts();
        json!({kind: name})
    }
}

impl Canary {
    /// A policy on all rules of an `HTTPRoute` that says nothing yet.
    pub fn on(route: &str) -> Self {
        Self {
            route: route.to_owned(),
            rules: Vec::new(),
            spec: Map::new(),
        }
    }

    /// With a rule that sends who meets all these conditions to a Service.
    pub fn force(mut self, rule: &str, service: &str, matches: &[Match]) -> Self {
        let matches: Vec<&Value> = matches.iter().map(|one| &one.0).collect();
        self.rules
            .push(json!({"name": rule, "matches": matches, "backendRef": {"name": service}}));
        self
    }

    /// With a rule that sends who says `always` to a Service, and keeps who says `never` from it.
    pub fn opt_in(mut self, rule: &str, service: &str, source: Source<'_>) -> Self {
        self.rules
            .push(json!({"name": rule, "optIn": source.json(), "backendRef": {"name": service}}));
        self
    }

    /// With a split by who the client is.
    pub fn hash_on(self, source: Source<'_>) -> Self {
        self.field("split", json!({"hashOn": source.json()}))
    }

    /// The same, drawn with a seed.
    pub fn hash_on_with_seed(self, source: Source<'_>, seed: &str) -> Self {
        self.field("split", json!({"hashOn": source.json(), "seed": seed}))
    }

    /// With sessions in a cookie that bind to the Service alone.
    pub fn sticky(self, cookie: &str) -> Self {
        self.field("sticky", json!({"cookie": {"name": cookie}}))
    }

    /// The same, in a header.
    pub fn sticky_header(self, header: &str) -> Self {
        self.field("sticky", json!({"type": "Header", "header": {"name": header}}))
    }

    /// With sessions that leave a Service of weight 0, or that stay: `Release` or `Keep`.
    pub fn when_weight_zero(self, what: &str) -> Self {
        self.field("whenWeightZero", json!(what))
    }

    /// With sessions that follow the weights when another Service gets more, or that stay: `OnWeightIncrease` or `Never`.
    pub fn rebalance(self, when: &str) -> Self {
        self.field("rebalance", json!(when))
    }

    /// With sessions that follow the version of their Service, which is the value of this label.
    pub fn version_label(self, label: &str) -> Self {
        self.field("versionLabel", json!(label))
    }

    /// With live sessions that no rule beats.
    pub fn sessions_first(self) -> Self {
        self.field("override", json!("Never"))
    }

    fn field(mut self, name: &str, value: Value) -> Self {
        self.spec.insert(name.to_owned(), value);
        self
    }

    pub(super) fn yaml(&self) -> String {
        let mut spec = self.spec.clone();
        spec.insert(
            "targetRef".to_owned(),
            json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": self.route}),
        );
        if !self.rules.is_empty() {
            spec.insert("rules".to_owned(), json!(self.rules));
        }
        let name = format!("{}-canary", self.route);
        yaml(&object(
            "mooring.dev/v1alpha1",
            "CanaryPolicy",
            &name,
            json!({"spec": spec}),
        ))
    }
}
