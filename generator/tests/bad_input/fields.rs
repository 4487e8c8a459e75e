//! Fields and values that Gateway API has not.

use snapbox::str;

use crate::common::{generate, refused, shop_with};

#[test]
fn an_unknown_field() {
    refused(
        generate(&shop_with("sessionName: shop", "sesionName: shop")),
        str![[r#"
error[Invalid]: unknown field `sesionName`; allowed here: absoluteTimeout, cookie, cookieConfig, header, idleTimeout, sessionName, type
  --> <stdin>:58:5
   |
58 |     sesionName: shop
   |     ^^^^^^^^^^
   |
   = help: did you mean `sessionName`?


"#]],
    );
}

#[test]
fn an_unknown_field_on_a_rule() {
    refused(
        generate(&shop_with(
            "  - backendRefs:",
            "  - sessionPersistance: {}\n    backendRefs:",
        )),
        str![[r#"
error[Invalid]: unknown field `sessionPersistance`; allowed here: backendRefs, filters, matches, name, retry, sessionPersistence, timeouts
  --> <stdin>:20:5
   |
20 |   - sessionPersistance: {}
   |     ^^^^^^^^^^^^^^^^^^
   |
   = help: did you mean `sessionPersistence`?


"#]],
    );
}

#[test]
fn a_single_target_ref() {
    refused(
        generate(&shop_with(
            "  targetRefs:\n  - group: \"\"\n    kind: Service\n    name: web",
            "  targetRef:\n    group: \"\"\n    kind: Service\n    name: web",
        )),
        str![[r#"
error[Invalid]: unknown field `targetRef`; allowed here: sessionPersistence, targetRefs
  --> <stdin>:53:3
   |
53 |   targetRef:
   |   ^^^^^^^^^
   |
   = help: write `targetRefs` with a list: one policy can have several targets


"#]],
    );
}

#[test]
fn a_duplicate_key() {
    refused(
        generate(&shop_with(
            "sessionName: shop",
            "sessionName: shop\n    sessionName: shop2",
        )),
        str![[r#"
error[Duplicate]: duplicate key `sessionName`
  --> <stdin>:59:5
   |
59 |     sessionName: shop2
   |     ^^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_missing_field() {
    refused(
        generate(&shop_with("    port: 80\n    protocol: HTTP", "    port: 80")),
        str![[r#"
error[Invalid]: the field `protocol` is missing
 --> <stdin>:9:5
  |
9 |     port: 80
  |     ^^^^


"#]],
    );
}

#[test]
fn a_word_that_is_not_allowed() {
    refused(
        generate(&shop_with("lifetimeType: Permanent", "lifetimeType: permanent")),
        str![[r#"
error[Invalid]: `permanent` is not allowed here; allowed: Permanent, Session
  --> <stdin>:62:21
   |
62 |       lifetimeType: permanent
   |                     ^^^^^^^^^
   |
   = help: did you mean `Permanent`?


"#]],
    );
}

#[test]
fn a_list_where_a_mapping_is_needed() {
    refused(
        generate(&shop_with(
            "    cookieConfig:\n      lifetimeType: Permanent",
            "    cookieConfig: [Permanent]",
        )),
        str![[r#"
error[Syntax]: expected a mapping: lines of the form `field: value`
  --> <stdin>:61:19
   |
61 |     cookieConfig: [Permanent]
   |                   ^


"#]],
    );
}

#[test]
fn a_string_that_yaml_takes_for_a_number() {
    refused(
        generate(&shop_with("sessionName: shop", "sessionName: 0x1")),
        str![[r#"
error[Invalid]: expected a string, but `0x1` without quotes is not one
  --> <stdin>:58:18
   |
58 |     sessionName: 0x1
   |                  ^^^
   |
   = help: write "0x1"


"#]],
    );
}

#[test]
fn a_port_out_of_range() {
    refused(
        generate(&shop_with("port: 80\n    protocol", "port: 0\n    protocol")),
        str![[r#"
error[Invalid]: expected a port: a number from 1 to 65535
 --> <stdin>:9:5
  |
9 |     port: 0
  |     ^^^^


"#]],
    );
}

#[test]
fn a_hostname_that_is_none() {
    refused(
        generate(&shop_with(
            "  parentRefs:",
            "  hostnames: [\"example.com:80\"]\n  parentRefs:",
        )),
        str![[r#"
error[Invalid]: `example.com:80` is not a valid hostname: use lower-case labels separated by dots, optionally after `*.`, without a port; an IP address is not allowed
  --> <stdin>:17:15
   |
17 |   hostnames: ["example.com:80"]
   |               ^^^^^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_weight_that_is_too_large() {
    refused(
        generate(&shop_with(
            "      port: 80\n---",
            "      port: 80\n      weight: 1000001\n---",
        )),
        str![[r#"
error[Invalid]: the weight is 1000001, and at most 1000000 is allowed
  --> <stdin>:23:15
   |
23 |       weight: 1000001
   |               ^^^^^^^


"#]],
    );
}

#[test]
fn a_negative_weight() {
    refused(
        generate(&shop_with(
            "      port: 80\n---",
            "      port: 80\n      weight: -1\n---",
        )),
        str![[r#"
error[Invalid]: expected a weight: a whole number from 0 to 1000000
  --> <stdin>:23:15
   |
23 |       weight: -1
   |               ^^


"#]],
    );
}

#[test]
fn a_path_that_is_none() {
    refused(
        generate(&shop_with(
            "  - backendRefs:",
            "  - matches:\n    - path: {value: shop}\n    backendRefs:",
        )),
        str![[r#"
error[Invalid]: `shop` is not a valid path: a path begins with / and has no empty, `.` or `..` element, no query, no fragment and no escaped /
  --> <stdin>:21:21
   |
21 |     - path: {value: shop}
   |                     ^^^^


"#]],
    );
}

#[test]
fn a_rule_name_that_is_none() {
    refused(
        generate(&shop_with("  - backendRefs:", "  - name: Test Users\n    backendRefs:")),
        str![[r#"
error[Invalid]: `Test Users` is not a name: it has at most 253 lower-case letters, digits, `-` and `.`, and a letter or digit at both ends
  --> <stdin>:20:11
   |
20 |   - name: Test Users
   |           ^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_header_name_that_is_none() {
    refused(
        generate(&shop_with(
            "  - backendRefs:",
            "  - matches:\n    - headers: [{name: \"end user\", value: vijay}]\n      queryParams: [{name: \"\", value: a}]\n    backendRefs:",
        )),
        str![[r#"
error[Invalid]: `end user` is not the name of a header: 1 to 256 letters, digits and !#$%&'*+-.^_`|~ are
  --> <stdin>:21:24
   |
21 |     - headers: [{name: "end user", value: vijay}]
   |                        ^^^^^^^^^^

error[Invalid]: `` is not the name of a query parameter: 1 to 256 letters, digits and !#$%&'*+-.^_`|~ are
  --> <stdin>:22:28
   |
22 |       queryParams: [{name: "", value: a}]
   |                            ^^


"#]],
    );
}

#[test]
fn a_method_that_is_none() {
    refused(
        generate(&shop_with(
            "  - backendRefs:",
            "  - matches:\n    - method: get\n    backendRefs:",
        )),
        str![[r#"
error[Invalid]: `get` is not allowed here; allowed: CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE
  --> <stdin>:21:15
   |
21 |     - method: get
   |               ^^^
   |
   = help: did you mean `GET`?


"#]],
    );
}
