//! `mooring migrate`: what it writes, and what it says about what it does not write. What the output does is shown on an
//! Envoy: `tests/tests/envoy/migrate`.

mod annotations;
mod bad_input;
mod canaries;
mod consistent_hash;
mod existing_routes;
mod output;
mod pages;
mod routes;

use std::fmt::Write as _;

use serde_json::Value;

use crate::common::{mooring, said};

/// An Ingress `web` in `shop` for `shop.example.com/` and the Service `web`, with these annotations of ingress-nginx.
fn ingress(annotations: &[(&str, &str)]) -> String {
    named("web", "web", annotations)
}

/// A canary of it, for the Service `web-v2`.
fn canary(annotations: &[(&str, &str)]) -> String {
    named("canary", "web-v2", &[&[("canary", "true")], annotations].concat())
}

fn named(name: &str, service: &str, annotations: &[(&str, &str)]) -> String {
    let mut text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\n  namespace: shop\n  annotations:\n    a: b\n"
    );
    for (name, value) in annotations {
        let _ = writeln!(text, "    nginx.ingress.kubernetes.io/{name}: '{value}'");
    }
    text + &format!(
        "spec:\n  rules:\n  - host: shop.example.com\n    http:\n      paths:\n      - path: /\n        pathType: Prefix\n        \
         backend: {{service: {{name: {service}, port: {{number: 80}}}}}}\n"
    )
}

/// Documents as one text.
fn all(documents: &[&str]) -> String {
    documents.join("---\n")
}

/// A run of the command.
struct Run {
    code: Option<i32>,
    objects: Vec<Value>,
    said: String,
}

impl Run {
    /// For the Gateway `infra/front`.
    fn on(input: &str) -> Self {
        Self::with(&["--gateway", "infra/front"], input)
    }

    fn with(flags: &[&str], input: &str) -> Self {
        let run = mooring()
            .args(["migrate", "-f", "-", "-o", "json"])
            .args(flags)
            .stdin(input)
            .assert();
        let stdout = &run.get_output().stdout;
        let value: Value = if stdout.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(stdout).unwrap()
        };
        let objects = match value {
            Value::Null => Vec::new(),
            Value::Object(list) if list["kind"] == "List" => list["items"].as_array().unwrap().clone(),
            one => vec![one],
        };
        Self {
            code: run.get_output().status.code(),
            objects,
            said: said(&run),
        }
    }

    /// The objects of a kind.
    fn of(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// The only object of a kind.
    #[track_caller]
    fn one(&self, kind: &str) -> &Value {
        let objects = self.of(kind);
        assert_eq!(objects.len(), 1, "{:?}\n{}", self.objects, self.said);
        objects[0]
    }

    /// The only rule of the only route.
    #[track_caller]
    fn rule(&self) -> &Value {
        let rules = self.one("HTTPRoute")["spec"]["rules"].as_array().unwrap();
        assert_eq!(rules.len(), 1, "{rules:?}");
        &rules[0]
    }

    /// The first lines of the findings that are not notes.
    fn findings(&self) -> Vec<&str> {
        let lines = self.said.lines();
        lines
            .filter(|line| ["error[", "warning["].iter().any(|kind| line.starts_with(kind)))
            .collect()
    }
}
