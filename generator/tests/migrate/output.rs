//! The text of the output.

use snapbox::{IntoData as _, assert_data_eq, str};

use super::{all, canary, ingress};
use crate::common::{WASM, directory, mooring, write};

#[test]
fn each_object_names_its_origin() {
    let input = all(&[
        &ingress(&[
            ("affinity", "cookie"),
            ("session-cookie-samesite", "Lax"),
            ("affinity-mode", "persistent"),
        ]),
        &canary(&[("canary-by-cookie", "tester"), ("canary-weight", "10")]),
    ]);
    let run = mooring()
        .args(["migrate", "-f", "-", "--gateway", "infra/front"])
        .stdin(&input)
        .assert()
        .code(0);
    let stdout = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    assert_data_eq!(
        stdout.replace(env!("CARGO_PKG_VERSION"), "VERSION"),
        str![[r#"
# Written by mooring VERSION migrate. It is yours: check it, and change it as you like.
# From Ingress shop/web (<stdin>:4)
# From Ingress shop/canary (<stdin>:23)
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  annotations:
    mooring.dev/cookie-same-site: Lax
  name: web
  namespace: shop
spec:
  hostnames:
  - shop.example.com
  parentRefs:
  - name: front
    namespace: infra
  rules:
  - backendRefs:
    - name: web
      port: 80
      weight: 90
    - name: web-v2
      port: 80
      weight: 10
    matches:
    - path:
        type: PathPrefix
        value: /
    sessionPersistence:
      sessionName: INGRESSCOOKIE
      type: Cookie
---
# Written by mooring VERSION migrate. It is yours: check it, and change it as you like.
# From Ingress shop/web (<stdin>:4)
# From Ingress shop/canary (<stdin>:23)
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata:
  name: canary
  namespace: shop
spec:
  override: Never
  rules:
  - backendRef:
      name: web-v2
      port: 80
    name: by-cookie
    optIn:
      cookie: tester
  targetRef:
    group: gateway.networking.k8s.io
    kind: HTTPRoute
    name: web

"#]]
        .raw()
    );
}

#[test]
fn the_output_is_the_same_in_each_run_and_for_each_order_of_the_files() {
    let directory = directory("migrate-order");
    write(&directory, "a/a.yaml", ingress(&[("affinity", "cookie")]));
    write(&directory, "b/b.yaml", canary(&[("canary-by-cookie", "tester")]));
    let run = |files: [&str; 2]| {
        let mut command = mooring().args(["migrate", "-q", "--gateway", "infra/front", "-f"]);
        for file in files {
            command = command.arg(file);
        }
        let run = command.current_dir(&directory).assert().code(0);
        String::from_utf8_lossy(&run.get_output().stdout).into_owned()
    };
    assert_eq!(run(["a", "b"]), run(["b", "a"]));
}

#[test]
fn the_output_is_input_for_generate() {
    let input = all(&[
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: shop}\nspec: {gatewayClassName: \
         istio, listeners: [{name: http, port: 80, protocol: HTTP}]}\n",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {ports: [{name: http, port: 80}]}\n",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web-v2, namespace: shop}\nspec: {ports: [{name: http, port: 80}]}\n",
        &ingress(&[("affinity", "cookie")]),
        &canary(&[("canary-by-cookie", "tester"), ("canary-weight", "10")]),
    ]);
    let run = mooring()
        .args(["migrate", "-q", "-f", "-", "--gateway", "shop/front"])
        .stdin(&input)
        .assert()
        .code(0);
    let routes = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let all = all(&[&input, &routes]);
    mooring().args(["validate", "-f", "-"]).stdin(&all).assert().code(0);
    mooring()
        .args(["generate", "-f", "-", "--wasm", WASM])
        .stdin(&all)
        .assert()
        .code(0);
}
