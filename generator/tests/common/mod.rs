//! A small shop as input, and the command to run on it.

use snapbox::cmd::{Command, OutputAssert, cargo_bin};

/// A gateway, a route, a Service with a pod, and a policy. Tests change a line of it.
pub const SHOP: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: front
spec:
  gatewayClassName: istio
  listeners:
  - name: http
    port: 80
    protocol: HTTP
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
spec:
  parentRefs:
  - name: front
  rules:
  - backendRefs:
    - name: web
      port: 80
---
apiVersion: v1
kind: Service
metadata:
  name: web
  labels:
    istio.io/persistent-session: mooring
spec:
  ports:
  - name: http
    port: 80
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  labels:
    kubernetes.io/service-name: web
addressType: IPv4
ports:
- name: http
  port: 8080
endpoints:
- addresses: [127.0.9.1]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: BackendLBPolicy
metadata:
  name: sticky
spec:
  targetRefs:
  - group: \"\"
    kind: Service
    name: web
  sessionPersistence:
    sessionName: shop
    absoluteTimeout: 1h
    idleTimeout: 10m
    cookieConfig:
      lifetimeType: Permanent
";

/// The shop with one text in place of another, which must be there.
#[must_use]
pub fn shop_with(old: &str, new: &str) -> String {
    assert!(SHOP.contains(old), "the shop has no {old:?}");
    SHOP.replacen(old, new, 1)
}

/// The command, without arguments.
#[must_use]
pub fn mooring() -> Command {
    Command::new(cargo_bin("mooring"))
}

/// `mooring generate` for Istio on a text.
pub fn generate(input: &str) -> OutputAssert {
    mooring()
        .args(["generate", "-f", "-", "--wasm", "oci://registry.example/mooring:1"])
        .stdin(input)
        .assert()
}

/// `mooring generate` for a local Envoy on a text.
pub fn generate_envoy(input: &str) -> OutputAssert {
    mooring()
        .args(["generate", "-f", "-", "--target", "envoy", "--wasm", "mooring.wasm"])
        .stdin(input)
        .assert()
}
