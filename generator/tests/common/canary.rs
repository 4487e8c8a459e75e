//! A route over three backends and a policy that says everything that a policy can say. Tests change a line of it.

/// The objects.
pub const CANARY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: bookinfo}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: bookinfo}
spec:
  parentRefs: [{name: front}]
  rules:
  - name: everyone
    backendRefs:
    - {name: reviews-v1, port: 9080, weight: 90}
    - {name: reviews-v2, port: 9080, weight: 0}
    - {name: reviews-v3, port: 9080, weight: 10}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v1, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
spec: {ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v2, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
spec: {ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v3, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
spec: {ports: [{name: http, port: 9080}]}
---
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata:
  name: canary
  namespace: bookinfo
  annotations: {mooring.dev/cookie-same-site: Strict}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews, sectionName: everyone}
  rules:
  - name: testers
    matches:
    - header: {name: end-user, value: vijay}
    - cookie: {name: beta, type: Present}
    backendRef: {name: reviews-v2, port: 9080}
  - name: by-choice
    optIn: {header: x-canary}
    backendRef: {name: reviews-v3, port: 9080}
  split:
    hashOn: {header: user}
    seed: 2026-03
  sticky:
    absoluteTimeout: 1h
    idleTimeout: 10m
    cookie: {name: version, path: /, lifetimeType: Permanent}
  override: Never
";

/// The same with one text in place of another, which must be there.
#[must_use]
pub fn canary_with(old: &str, new: &str) -> String {
    assert!(CANARY.contains(old), "there is no {old:?}");
    CANARY.replacen(old, new, 1)
}
