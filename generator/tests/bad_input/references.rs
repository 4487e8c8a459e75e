//! References that lead nowhere, or where they must not.

use snapbox::str;

use crate::common::{generate, passed_over, refused, shop_with};

#[test]
fn a_backend_that_is_not_there() {
    passed_over(
        generate(&shop_with(
            "    - name: web\n      port: 80",
            "    - name: wbe\n      port: 80",
        )),
        str![[r#"
warning[NoEffect]: nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries

warning[BackendNotFound]: the Service default/wbe is not in the input
  --> <stdin>:21:13
   |
21 |     - name: wbe
   |             ^^^
   |
   = help: did you mean `web`?

warning[NoEffect]: BackendLBPolicy default/sticky has no effect on the Service default/web: no route leads there
  --> <stdin>:56:11
   |
56 |     name: web
   |           ^^^


"#]],
    );
}

#[test]
fn a_backend_port_that_is_not_there() {
    refused(
        generate(&shop_with(
            "    - name: web\n      port: 80",
            "    - name: web\n      port: 8080",
        )),
        str![[r#"
error[BackendNotFound]: the Service default/web has no port 8080; it has 80
  --> <stdin>:22:13
   |
22 |       port: 8080
   |             ^^^^
...
27 |   name: web
   |         --- the Service


"#]],
    );
}

#[test]
fn a_backend_without_port() {
    refused(
        generate(&shop_with("    - name: web\n      port: 80", "    - name: web")),
        str![[r#"
error[Invalid]: the port is missing: a reference to a Service needs one (default/web has 80)
  --> <stdin>:21:13
   |
21 |     - name: web
   |             ^^^


"#]],
    );
}

#[test]
fn a_backend_of_another_kind() {
    passed_over(
        generate(&shop_with(
            "    - name: web\n      port: 80",
            "    - name: web\n      kind: ServiceImport\n      group: multicluster.x-k8s.io\n      port: 80",
        )),
        str![[r#"
warning[NoEffect]: nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries

note[Unsupported]: a backend must be a Service of the core group, but this is a ServiceImport of the group multicluster.x-k8s.io
  --> <stdin>:22:13
   |
22 |       kind: ServiceImport
   |             ^^^^^^^^^^^^^

warning[NoEffect]: BackendLBPolicy default/sticky has no effect on the Service default/web: no route leads there
  --> <stdin>:58:11
   |
58 |     name: web
   |           ^^^


"#]],
    );
}

#[test]
fn a_backend_in_another_namespace() {
    passed_over(
        generate(&format!(
            "{}---\n{}",
            shop_with("    - name: web\n", "    - name: web\n      namespace: other\n"),
            "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: other}\nspec: {ports: [{port: 80}]}\n"
        )),
        str![[r#"
warning[NoEffect]: nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries

warning[RefNotPermitted]: HTTPRoute default/web must not refer to the Service other/web: it is in another namespace, and no ReferenceGrant there permits it
  --> <stdin>:21:13
   |
21 |     - name: web
   |             ^^^
   |
   = help: add a ReferenceGrant in the namespace other from HTTPRoute in default to Service

warning[NoEffect]: BackendLBPolicy default/sticky has no effect on the Service default/web: no route leads there
  --> <stdin>:57:11
   |
57 |     name: web
   |           ^^^


"#]],
    );
}

#[test]
fn a_gateway_that_is_not_there() {
    refused(
        generate(&shop_with("  - name: front\n  rules", "  - name: frnot\n  rules")),
        str![[r#"
error[NoMatchingParent]: the Gateway default/frnot is not in the input
  --> <stdin>:18:11
   |
18 |   - name: frnot
   |           ^^^^^
   |
   = help: did you mean `front`?


"#]],
    );
}

#[test]
fn a_listener_that_is_not_there() {
    refused(
        generate(&shop_with(
            "  - name: front\n",
            "  - name: front\n    sectionName: https\n",
        )),
        str![[r#"
error[NoMatchingParent]: Gateway default/front does not accept HTTPRoute default/web: it has no listener of this sectionName or port
  --> <stdin>:18:11
   |
 4 |   name: front
   |         ----- the Gateway
...
18 |   - name: front
   |           ^^^^^


"#]],
    );
}

#[test]
fn a_gateway_that_takes_no_routes_from_there() {
    refused(
        generate(
            &shop_with("  name: front\n", "  name: front\n  namespace: infra\n").replace(
                "  - name: front\n  rules",
                "  - name: front\n    namespace: infra\n  rules",
            ),
        ),
        str![[r#"
error[NoMatchingParent]: Gateway infra/front does not accept HTTPRoute default/web: the allowedRoutes of its listeners exclude it
  --> <stdin>:19:11
   |
 4 |   name: front
   |         ----- the Gateway
...
19 |   - name: front
   |           ^^^^^


"#]],
    );
}

#[test]
fn no_hostname_in_common() {
    refused(
        generate(
            &shop_with(
                "    protocol: HTTP\n",
                "    protocol: HTTP\n    hostname: \"*.example.com\"\n",
            )
            .replace("  parentRefs:", "  hostnames: [example.org]\n  parentRefs:"),
        ),
        str![[r#"
error[NoMatchingParent]: Gateway default/front does not accept HTTPRoute default/web: they have no hostname in common
  --> <stdin>:20:11
   |
 4 |   name: front
   |         ----- the Gateway
...
20 |   - name: front
   |           ^^^^^


"#]],
    );
}

#[test]
fn a_policy_for_a_service_that_is_not_there() {
    refused(
        generate(&shop_with(
            "    name: web\n  sessionPersistence",
            "    name: webb\n  sessionPersistence",
        )),
        str![[r#"
error[TargetNotFound]: BackendLBPolicy default/sticky targets the Service default/webb, which is not in the input
  --> <stdin>:56:11
   |
56 |     name: webb
   |           ^^^^
   |
   = help: did you mean `web`?


"#]],
    );
}

#[test]
fn a_policy_for_another_kind() {
    refused(
        generate(&shop_with("    kind: Service\n", "    kind: Gateway\n")),
        str![[r#"
error[Invalid]: a policy can target Services of the core group, not a Gateway of the group core
  --> <stdin>:55:11
   |
55 |     kind: Gateway
   |           ^^^^^^^


"#]],
    );
}

#[test]
fn a_policy_without_targets() {
    refused(
        generate(&shop_with(
            "  targetRefs:\n  - group: \"\"\n    kind: Service\n    name: web\n",
            "  targetRefs: []\n",
        )),
        str![[r#"
error[Invalid]: default/sticky has no targetRefs, so it has no effect
  --> <stdin>:51:9
   |
51 |   name: sticky
   |         ^^^^^^


"#]],
    );
}

#[test]
fn a_target_twice() {
    refused(
        generate(&shop_with(
            "    name: web\n  sessionPersistence",
            "    name: web\n  - group: \"\"\n    kind: Service\n    name: web\n  sessionPersistence",
        )),
        str![[r#"
error[Duplicate]: the Service `web` is targeted twice
  --> <stdin>:59:11
   |
59 |     name: web
   |           ^^^


"#]],
    );
}

#[test]
fn more_targets_than_a_policy_may_have() {
    let target = |number: u8| format!("  - {{group: \"\", kind: Service, name: web{number}}}\n");
    let targets: Vec<String> = (0..17).map(target).collect();
    let input = shop_with(
        "  targetRefs:\n  - group: \"\"\n    kind: Service\n    name: web\n",
        &format!("  targetRefs:\n{}", targets.concat()),
    );
    let run = generate(&input).code(3).stdout_eq("");
    let stderr = crate::common::said(&run);
    let message = "error[Invalid]: a policy may have 16 targetRefs at most, and this one has 17\n  --> <stdin>:70:5\n";
    assert!(stderr.contains(message), "{stderr}");
}

#[test]
fn a_creation_time_that_is_none() {
    refused(
        generate(&shop_with(
            "  name: sticky\n",
            "  name: sticky\n  creationTimestamp: yesterday\n",
        )),
        str![[r#"
error[Invalid]: `yesterday` is not a time such as 2026-01-31T12:00:00Z
  --> <stdin>:52:22
   |
52 |   creationTimestamp: yesterday
   |                      ^^^^^^^^^


"#]],
    );
}
