//! Texts that are not what they should be as a whole.

use snapbox::str;

use crate::common::{
    SHOP, SHOP_IS_READ, generate, generate_envoy, mooring, nothing_written, passed_over, refused, shop_with,
};

#[test]
fn the_shop_itself_is_sound() {
    generate(SHOP).success().stderr_eq(SHOP_IS_READ);
    generate_envoy(SHOP).success().stderr_eq(SHOP_IS_READ);
}

#[test]
fn not_yaml_at_all() {
    nothing_written(
        generate("Dear team,\nplease make sessions sticky.\n"),
        str![[r#"
error[Syntax]: this is not a Kubernetes object: it has no fields such as `apiVersion` and `kind`
 --> <stdin>:1:1
  |
1 | Dear team,
  | ^^^^^^^^^^


"#]],
    );
}

#[test]
fn yaml_that_breaks_off() {
    refused(
        generate(&shop_with("addresses: [127.0.9.1]", "addresses: [127.0.9.1")),
        str![[r#"
error[Syntax]: this is not YAML: unclosed bracket '['
  --> <stdin>:46:14
   |
46 | - addresses: [127.0.9.1
   |              ^


"#]],
    );
}

#[test]
fn an_empty_file() {
    nothing_written(
        generate(""),
        str![[r#"
error[Syntax]: `<stdin>` is empty: it has no YAML document


"#]],
    );
}

#[test]
fn a_file_of_comments() {
    nothing_written(
        generate("# nothing yet\n---\n# still nothing\n"),
        str![[r#"
error[Syntax]: `<stdin>` is empty: it has no YAML document


"#]],
    );
}

#[test]
fn an_object_without_kind() {
    nothing_written(
        generate("apiVersion: v1\nmetadata:\n  name: x\n"),
        str![[r#"
error[Syntax]: this is not a Kubernetes object: it has no `kind`
 --> <stdin>:1:13
  |
1 | apiVersion: v1
  |             ^^


"#]],
    );
}

#[test]
fn an_object_without_api_version() {
    nothing_written(
        generate("kind: Service\nmetadata:\n  name: x\n"),
        str![[r#"
error[Syntax]: this is not a Kubernetes object: it has no `apiVersion`
 --> <stdin>:1:7
  |
1 | kind: Service
  |       ^^^^^^^


"#]],
    );
}

#[test]
fn bytes_that_are_no_text() {
    nothing_written(
        mooring()
            .args(["generate", "-f", "-", "--wasm", "https://x"])
            .stdin(b"name: \xff".as_slice())
            .assert(),
        str![[r#"
error[Syntax]: `<stdin>` is not YAML: the byte at offset 6 is not UTF-8


"#]],
    );
}

#[test]
fn a_file_that_is_not_there() {
    nothing_written(
        mooring()
            .args(["generate", "-f", "missing.yaml", "--wasm", "https://x"])
            .assert(),
        str![[r#"
error[Unreadable]: cannot read `missing.yaml`: No such file or directory (os error 2)


"#]],
    );
}

#[test]
fn two_documents_for_one_object() {
    refused(
        generate(&format!(
            "{SHOP}---\n{}",
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: default\nspec: {}\n"
        )),
        str![[r#"
error[Duplicate]: Service default/web is defined in two documents
  --> <stdin>:67:9
   |
27 |   name: web
   |         --- first defined here
...
67 |   name: web
   |         ^^^


"#]],
    );
}

#[test]
fn a_version_that_is_not_read() {
    refused(
        generate(&shop_with(
            "gateway.networking.k8s.io/v1alpha2",
            "gateway.networking.k8s.io/v1",
        )),
        str![[r#"
error[Unsupported]: BackendLBPolicy is not supported in `gateway.networking.k8s.io/v1`; its apiVersion must be `gateway.networking.k8s.io/v1alpha2`
  --> <stdin>:48:13
   |
48 | apiVersion: gateway.networking.k8s.io/v1
   |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn every_mistake_is_shown_in_the_order_of_the_text() {
    refused(
        generate(
            &shop_with("1h", "1d")
                .replace("idleTimeout: 10m", "idleTimeout: 10")
                .replace("      port: 80\n---", "      port: 80\n      weight: 2000000\n---")
                .replace("    - name: web\n", "    - name: wbe\n")
                .replace("sessionName: shop", "sessionName: a b"),
        ),
        str![[r#"
warning[BackendNotFound]: the Service default/wbe is not in the input
  --> <stdin>:21:13
   |
21 |     - name: wbe
   |             ^^^
   |
   = help: did you mean `web`?

warning[Invalid]: the weight is 2000000, and at most 1000000 is allowed
  --> <stdin>:23:15
   |
23 |       weight: 2000000
   |               ^^^^^^^

error[Invalid]: `a b` is not a session name: ' ' is not allowed; letters, digits and !#$%&'*+-.^_`|~ are
  --> <stdin>:59:18
   |
59 |     sessionName: a b
   |                  ^^^

error[Invalid]: `1d` is not a duration: there is no unit d: write 24h; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms
  --> <stdin>:60:22
   |
60 |     absoluteTimeout: 1d
   |                      ^^

error[Invalid]: `10` is not a duration: a number has no unit; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms
  --> <stdin>:61:18
   |
61 |     idleTimeout: 10
   |                  ^^


"#]],
    );
}

#[test]
fn a_broken_document_does_not_hide_the_others() {
    refused(
        generate(
            &shop_with("  - name: http\n    port: 80\n---", "  - nam: http\n    port: 0\n---").replace("1h", "1d"),
        ),
        str![[r#"
error[Invalid]: expected a port: a number from 1 to 65535
  --> <stdin>:33:5
   |
33 |     port: 0
   |     ^^^^

error[Invalid]: `1d` is not a duration: there is no unit d: write 24h; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms
  --> <stdin>:59:22
   |
59 |     absoluteTimeout: 1d
   |                      ^^


"#]],
    );
}

#[test]
fn an_item_of_a_list() {
    passed_over(
        generate(
            "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n\t{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"data\": {\"on\": 1}},\n\t{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"HTTPRoute\", \"metadata\": {\"name\": \"web\"}, \"spec\": {\"rulez\": []}},\n\t{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"HTTPRoute\", \"metadata\": {\"name\": \"web2\"}, \"spec\": {\"hostname\": []}}\n]}",
        ),
        str![[r#"
warning[NoEffect]: nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries

warning[Invalid]: unknown field `rulez`; allowed here: hostnames, parentRefs, rules, useDefaultGateways
 --> <stdin>:3:108
  |
3 |     {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"}, "spec": {"rulez": []}},
  |                                                                                                               ^^^^^^^
  |
  = help: did you mean `rules`?

warning[Invalid]: unknown field `hostname`; allowed here: hostnames, parentRefs, rules, useDefaultGateways
 --> <stdin>:4:109
  |
4 |     {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web2"}, "spec": {"hostname": []}}
  |                                                                                                                ^^^^^^^^^^
  |
  = help: did you mean `hostnames`?


"#]],
    );
}

#[test]
fn a_name_that_is_none() {
    refused(
        generate(
            &shop_with("  name: front\n", "  name: ../../front\n")
                .replace("  - name: front\n", "  - name: ../../front\n"),
        ),
        str![[r#"
error[Invalid]: `../../front` is not a name: it has at most 253 lower-case letters, digits, `-` and `.`, and a letter or digit at both ends
 --> <stdin>:4:9
  |
4 |   name: ../../front
  |         ^^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_list_of_a_kind_of_its_own() {
    nothing_written(
        generate("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRouteList\nitems: []\n"),
        str![[r#"
error[Unsupported]: HTTPRouteList is not supported; put the objects into a List (apiVersion v1), as `kubectl get --output yaml` does
 --> <stdin>:1:13
  |
1 | apiVersion: gateway.networking.k8s.io/v1
  |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_list_in_a_list() {
    nothing_written(
        generate("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items: []\n"),
        str![[r#"
error[Unsupported]: a List inside a List is not supported
 --> <stdin>:4:3
  |
4 | - apiVersion: v1
  |   ^


"#]],
    );
}
