//! Objects that are not where they are looked for, and are in another namespace.

use snapbox::str;

use crate::common::{SHOP, generate, generate_envoy, refused, shop_with};

#[test]
fn a_gateway_in_another_namespace() {
    // The route and all that it needs are in a namespace, and the gateway is not.
    let input = shop_with(
        "  name: web\nspec:\n  parentRefs:\n  - name: front\n",
        "  name: web\nspec:\n  parentRefs:\n  - {name: front, namespace: infra}\n",
    );
    for run in [generate(&input), generate_envoy(&input)] {
        refused(
            run,
            str![[r#"
error[NoMatchingParent]: the Gateway infra/front is not in the input
  --> <stdin>:18:12
   |
 4 |   name: front
   |         ----- this one: it has no `namespace`, so it is in `default`
...
18 |   - {name: front, namespace: infra}
   |            ^^^^^
   |
   = help: there is one in the namespace `default`


"#]],
        );
    }
    let named = input.replace("  name: front\n", "  name: front\n  namespace: gateways\n");
    refused(
        generate(&named),
        str![[r#"
error[NoMatchingParent]: the Gateway infra/front is not in the input
  --> <stdin>:19:12
   |
 4 |   name: front
   |         ----- this one
...
19 |   - {name: front, namespace: infra}
   |            ^^^^^
   |
   = help: there is one in the namespace `gateways`


"#]],
    );
    // Of two, neither is shown.
    let two = format!("{named}---\n{}", SHOP.split("---\n").next().unwrap());
    refused(
        generate(&two),
        str![[r#"
error[NoMatchingParent]: the Gateway infra/front is not in the input
  --> <stdin>:19:12
   |
19 |   - {name: front, namespace: infra}
   |            ^^^^^
   |
   = help: there are some in the namespaces `default`, `gateways`


"#]],
    );
}

#[test]
fn a_service_in_another_namespace() {
    let moved = "  name: web\n  namespace: shop\n  labels:\n    istio.io/persistent-session";
    let input = shop_with("  name: web\n  labels:\n    istio.io/persistent-session", moved);
    refused(
        generate(&input),
        str![[r#"
error[BackendNotFound]: the Service default/web is not in the input
  --> <stdin>:21:13
   |
21 |     - name: web
   |             ^^^
...
27 |   name: web
   |         --- this one
   |
   = help: there is one in the namespace `shop`

error[TargetNotFound]: BackendLBPolicy default/sticky targets the Service default/web, which is not in the input
  --> <stdin>:57:11
   |
27 |   name: web
   |         --- this one
...
57 |     name: web
   |           ^^^
   |
   = help: there is one in the namespace `shop`


"#]],
    );
}

#[test]
fn a_route_of_a_canary_policy_in_another_namespace() {
    let policy = "---\napiVersion: mooring.dev/v1alpha1\nkind: CanaryPolicy\nmetadata: {name: testers, namespace: shop}\nspec:\n  \
                  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: web}\n  rules: []\n";
    refused(
        generate(&format!("{SHOP}{policy}")),
        str![[r#"
error[Invalid]: shop/testers says nothing: it needs at least one of rules, split, sticky, whenWeightZero, rebalance and versionLabel
  --> <stdin>:66:18
   |
66 | metadata: {name: testers, namespace: shop}
   |                  ^^^^^^^

error[TargetNotFound]: CanaryPolicy shop/testers targets the HTTPRoute shop/web, which is not in the input
  --> <stdin>:68:72
   |
15 |   name: web
   |         --- this one: it has no `namespace`, so it is in `default`
...
68 |   targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: web}
   |                                                                        ^^^
   |
   = help: there is one in the namespace `default`


"#]],
    );
}

#[test]
fn a_grant_in_another_namespace() {
    let input = shop_with(
        "    - name: web\n      port: 80\n",
        "    - {name: web, namespace: shop, port: 80}\n",
    );
    let input = input.replace(
        "  name: web\n  labels:\n    istio",
        "  name: web\n  namespace: shop\n  labels:\n    istio",
    );
    let input = input.replace("  name: sticky\n", "  name: sticky\n  namespace: shop\n");
    let grant = "---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: web}\nspec:\n  \
                 from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]\n  to: [{group: '', kind: Service}]\n";
    refused(
        generate(&format!("{input}{grant}")),
        str![[r#"
error[RefNotPermitted]: HTTPRoute default/web must not refer to the Service shop/web: it is in another namespace, and no ReferenceGrant there permits it
  --> <stdin>:21:14
   |
21 |     - {name: web, namespace: shop, port: 80}
   |              ^^^
...
67 | metadata: {name: web}
   |                  --- this one permits it in the namespace default only
   |
   = help: add a ReferenceGrant in the namespace shop from HTTPRoute in default to Service


"#]],
    );
    // Another grant says nothing about it.
    let other = grant.replace("kind: Service", "kind: Secret");
    let run = generate(&format!("{input}{other}")).code(3);
    assert!(!crate::common::said(&run).contains("permits it in"));
}

/// A `VirtualService` with a session on the Service `web` of the namespace shop.
const ISTIO_API: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web-route, namespace: shop}
spec:
  hosts: [shop.example.com]
  gateways: [front]
  http:
  - name: web
    route:
    - destination: {host: web, port: {number: 80}, subset: stable}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {istio.io/persistent-session: mooring}}
spec: {ports: [{port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, subsets: [{name: stable, labels: {version: '1'}}]}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: BackendLBPolicy
metadata: {name: sticky, namespace: shop}
spec: {targetRefs: [{group: '', kind: Service, name: web}], sessionPersistence: {}}
";

#[test]
fn what_a_virtual_service_names_is_in_another_namespace() {
    generate(ISTIO_API).code(0);
    let gateway = ISTIO_API.replace("{name: front, namespace: shop}", "{name: front, namespace: infra}");
    refused(
        generate(&gateway),
        str![[r#"
error[NoMatchingParent]: the Gateway shop/front of networking.istio.io is not in the input
  --> <stdin>:6:14
   |
 6 |   gateways: [front]
   |              ^^^^^
...
19 | metadata: {name: front, namespace: infra}
   |                  ----- this one
   |
   = help: there is one in the namespace `infra`


"#]],
    );
    let service = ISTIO_API.replace("{name: web, namespace: shop, labels", "{name: web, labels");
    refused(
        generate(&service),
        str![[r#"
error[BackendNotFound]: no Service and no ServiceEntry of the input has the host `web.shop.svc.cluster.local`
  --> <stdin>:10:27
   |
10 |     - destination: {host: web, port: {number: 80}, subset: stable}
   |                           ^^^
...
14 | metadata: {name: web, labels: {istio.io/persistent-session: mooring}}
   |                  --- this one: it has no `namespace`, so it is in `default`
   |
   = help: a Service in another namespace is named in full: `web.default.svc.cluster.local`

error[TargetNotFound]: BackendLBPolicy shop/sticky targets the Service shop/web, which is not in the input
  --> <stdin>:32:54
   |
14 | metadata: {name: web, labels: {istio.io/persistent-session: mooring}}
   |                  --- this one: it has no `namespace`, so it is in `default`
...
32 | spec: {targetRefs: [{group: '', kind: Service, name: web}], sessionPersistence: {}}
   |                                                      ^^^
   |
   = help: there is one in the namespace `default`


"#]],
    );
    let rule = ISTIO_API.replace("{name: web, namespace: shop}", "{name: web}");
    refused(
        generate(&rule),
        str![[r#"
error[BackendNotFound]: the host `web.shop.svc.cluster.local` has no subset `stable`; the input has no DestinationRule for this host
  --> <stdin>:10:60
   |
10 |     - destination: {host: web, port: {number: 80}, subset: stable}
   |                                                            ^^^^^^
...
27 | spec: {host: web, subsets: [{name: stable, labels: {version: '1'}}]}
   |              --- this one is for the host `web.default.svc.cluster.local`


"#]],
    );
}
