//! Istio's own objects: bookinfo behind a Gateway with a selector, whose pod is there, in three subsets. Tests change a line of it.

/// The objects.
pub const ISTIO_API: &str = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: bookinfo}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: bookinfo}
spec:
  hosts: [reviews.example.com]
  gateways: [front]
  http:
  - name: home
    match:
    - uri: {exact: /}
    route:
    - destination: {host: reviews, subset: v1}
  - name: everyone
    match:
    - uri: {prefix: /reviews}
      method: {exact: GET}
    - name: bee
      headers: {end-user: {exact: bee}, x-any: {}}
      queryParams: {q: {regex: a+}}
    route:
    - {destination: {host: reviews, subset: v1}, weight: 60}
    - {destination: {host: reviews.bookinfo.svc.cluster.local, subset: v2, port: {number: 9080}}, weight: 30}
    - {destination: {host: reviews, subset: v3}, weight: 10}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: bookinfo}
spec:
  host: reviews
  trafficPolicy: {loadBalancer: {simple: RANDOM}}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
  - {name: v3, labels: {version: v3}}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
spec: {ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-1, namespace: bookinfo, labels: {app: reviews, version: v1}}
spec: {}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-2, namespace: bookinfo, labels: {app: reviews, version: v2}}
spec: {}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-3, namespace: bookinfo, labels: {app: reviews, version: v3}}
spec: {}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: bookinfo, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 9080}]
endpoints:
- {addresses: [127.0.9.1], targetRef: {kind: Pod, name: reviews-1}}
- {addresses: [127.0.9.2], targetRef: {kind: Pod, name: reviews-2}}
- {addresses: [127.0.9.3], targetRef: {kind: Pod, name: reviews-3}}
---
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: canary, namespace: bookinfo}
spec:
  targetRef: {group: networking.istio.io, kind: VirtualService, name: reviews, sectionName: everyone}
  rules:
  - name: testers
    matches: [{cookie: {name: usertype, value: tester}}]
    destination: {host: reviews, subset: v2}
  sticky: {cookie: {name: version}}
---
apiVersion: v1
kind: Pod
metadata: {name: front-1, namespace: bookinfo, labels: {istio: ingressgateway}}
spec: {}
";

/// The same with one text in place of another, which must be there.
#[must_use]
pub fn istio_api_with(old: &str, new: &str) -> String {
    assert!(ISTIO_API.contains(old), "there is no {old:?}");
    ISTIO_API.replacen(old, new, 1)
}
