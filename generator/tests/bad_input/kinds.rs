//! Objects whose kind, group or version is mistyped.

use snapbox::str;

use crate::common::{SHOP, WASM, generate, generate_envoy, mooring, passed_over, refused, shop_with};

const POLICY: &str = "gateway.networking.k8s.io/v1alpha2\nkind: BackendLBPolicy";

#[test]
fn a_policy_with_a_mistyped_kind() {
    let input = shop_with("kind: BackendLBPolicy", "kind: BackendLbPolicy");
    for run in [generate(&input), generate_envoy(&input)] {
        refused(
            run,
            str![[r#"
error[Invalid]: `BackendLbPolicy` is not a kind of gateway.networking.k8s.io
  --> <stdin>:49:7
   |
49 | kind: BackendLbPolicy
   |       ^^^^^^^^^^^^^^^
   |
   = help: did you mean `BackendLBPolicy`?


"#]],
        );
    }
    let strict = mooring().args(["generate", "-f", "-", "--strict", "--wasm", WASM]);
    strict.stdin(&input).assert().code(1).stdout_eq("");
    mooring().args(["validate", "-f", "-"]).stdin(&input).assert().code(1);
}

#[test]
fn what_is_mistyped_is_named_by_what_it_is_meant_to_be() {
    for (written, left_out) in [
        (
            POLICY.replace("LBP", "LbP"),
            "1 policy (BackendLBPolicy/default/sticky)",
        ),
        (
            POLICY.replace("LBP", "LPB"),
            "1 policy (BackendLBPolicy/default/sticky)",
        ),
        (
            POLICY.replace("gateway.networking", "gateway.network"),
            "1 policy (BackendLBPolicy/default/sticky)",
        ),
    ] {
        let run = generate(&shop_with(POLICY, &written)).code(3);
        let stderr = crate::common::said(&run);
        assert!(
            stderr.ends_with(&format!("left out because of errors: {left_out}\n")),
            "{stderr}"
        );
    }
    // What leads to the session goes with it.
    for (old, new, left_out) in [
        ("kind: HTTPRoute", "kind: HttpRoute", "1 object (HTTPRoute/default/web)"),
        ("kind: Gateway", "kind: Gatway", "1 object (Gateway/default/front)"),
        ("kind: Service\n", "kind: Services\n", "1 object (Service/default/web)"),
    ] {
        let run = generate(&shop_with(old, new)).code(3);
        let stderr = crate::common::said(&run);
        assert!(stderr.contains(" is not a kind of "), "{stderr}");
        assert!(stderr.contains(left_out), "{stderr}");
    }
}

#[test]
fn an_item_of_a_list_with_a_mistyped_kind() {
    let policies = "---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: mooring.dev/v1alpha1\n  kind: CanaryPolcy\n  \
                    metadata: {name: testers}\n  spec: {}\n";
    refused(
        generate(&format!("{SHOP}{policies}")),
        str![[r#"
error[Invalid]: `CanaryPolcy` is not a kind of mooring.dev
  --> <stdin>:68:9
   |
68 |   kind: CanaryPolcy
   |         ^^^^^^^^^^^
   |
   = help: did you mean `CanaryPolicy`?


"#]],
    );
}

#[test]
fn what_no_session_needs_is_a_warning() {
    let rule = "---\napiVersion: networking.istio.io/v1alpha1\nkind: DestinationRule\nmetadata: {name: other}\nspec: {host: other}\n\
                ---\napiVersion: networking.istio.io/v1\nkind: VirtualServices\nmetadata: {name: other}\nspec: {http: []}\n";
    passed_over(
        generate(&format!("{SHOP}{rule}")),
        str![[r#"
note[Unsupported]: DestinationRule is not supported in `networking.istio.io/v1alpha1`; its apiVersion must be `networking.istio.io/v1` or `networking.istio.io/v1beta1` or `networking.istio.io/v1alpha3`
  --> <stdin>:64:13
   |
64 | apiVersion: networking.istio.io/v1alpha1
   |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^

warning[Invalid]: `VirtualServices` is not a kind of networking.istio.io
  --> <stdin>:70:7
   |
70 | kind: VirtualServices
   |       ^^^^^^^^^^^^^^^
   |
   = help: did you mean `VirtualService`?


"#]],
    );
}

#[test]
fn the_group_alone_is_no_version() {
    refused(
        generate("apiVersion: gateway.networking.k8s.io\nkind: HTTPRoute\nmetadata: {name: web}\n"),
        str![[r#"
error[Invalid]: `gateway.networking.k8s.io` is not the apiVersion of HTTPRoute, which is `gateway.networking.k8s.io/v1` or `gateway.networking.k8s.io/v1beta1`
 --> <stdin>:1:13
  |
1 | apiVersion: gateway.networking.k8s.io
  |             ^^^^^^^^^^^^^^^^^^^^^^^^^


"#]],
    );
}
