//! What a user sees who made a mistake: the exact message with its place, exit status 1, and nothing on the standard
//! output.
//!
//! `SNAPSHOTS=overwrite cargo test -p mooring-generator --test bad_input` writes the messages anew.

#![expect(clippy::needless_raw_string_hashes, reason = "snapbox writes them")]

mod common;

use common::{SHOP, generate, generate_envoy, mooring, shop_with};
use snapbox::{IntoData as _, cmd::OutputAssert, data::Inline, str};

#[track_caller]
fn refused(run: OutputAssert, message: Inline) {
    run.code(1).stdout_eq("").stderr_eq(message.raw());
}

#[test]
fn the_shop_itself_is_sound() {
    generate(SHOP).success().stderr_eq("");
    generate_envoy(SHOP).success().stderr_eq("");
}

#[test]
fn not_yaml_at_all() {
    refused(
        generate("Dear team,\nplease make sessions sticky.\n"),
        str![[r#"
error[Syntax]: this is no Kubernetes object: it has no fields such as `apiVersion` and `kind`
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
    refused(
        generate(""),
        str![[r#"
error[Syntax]: `<stdin>` is empty: it has no YAML document


"#]],
    );
}

#[test]
fn a_file_of_comments() {
    refused(
        generate("# nothing yet\n---\n# still nothing\n"),
        str![[r#"
error[Syntax]: `<stdin>` is empty: it has no YAML document


"#]],
    );
}

#[test]
fn an_object_without_kind() {
    refused(
        generate("apiVersion: v1\nmetadata:\n  name: x\n"),
        str![[r#"
error[Syntax]: this is no Kubernetes object: it has no `kind`
 --> <stdin>:1:13
  |
1 | apiVersion: v1
  |             ^^


"#]],
    );
}

#[test]
fn an_object_without_api_version() {
    refused(
        generate("kind: Service\nmetadata:\n  name: x\n"),
        str![[r#"
error[Syntax]: this is no Kubernetes object: it has no `apiVersion`
 --> <stdin>:1:7
  |
1 | kind: Service
  |       ^^^^^^^


"#]],
    );
}

#[test]
fn bytes_that_are_no_text() {
    refused(
        mooring()
            .args(["generate", "-f", "-", "--wasm", "oci://x"])
            .stdin(b"name: \xff".as_slice())
            .assert(),
        str![[r#"
error[Syntax]: `<stdin>` is not YAML: the byte at offset 6 is not UTF-8


"#]],
    );
}

#[test]
fn a_file_that_is_not_there() {
    refused(
        mooring()
            .args(["generate", "-f", "missing.yaml", "--wasm", "oci://x"])
            .assert(),
        str![[r#"
error[Unreadable]: cannot read `missing.yaml`: No such file or directory (os error 2)


"#]],
    );
}

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
error[Duplicate]: the key `sessionName` stands here for the second time
  --> <stdin>:59:5
   |
59 |     sessionName: shop2
   |     ^^^^^^^^^^^


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
error[Duplicate]: Service default/web stands in two documents
  --> <stdin>:67:9
   |
27 |   name: web
   |         --- it stands here already
...
67 |   name: web
   |         ^^^


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
error[Syntax]: a mapping is needed here: lines of the form `field: value`
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
error[Invalid]: a string is needed here, and `0x1` without quotes is not one
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
error[Invalid]: a port is needed here: a number from 1 to 65535
 --> <stdin>:9:5
  |
9 |     port: 0
  |     ^^^^


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
error[Unsupported]: BackendLBPolicy is not read in `gateway.networking.k8s.io/v1`; its apiVersion must be `gateway.networking.k8s.io/v1alpha2`
  --> <stdin>:48:13
   |
48 | apiVersion: gateway.networking.k8s.io/v1
   |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn permanent_without_absolute_timeout() {
    refused(
        generate(&shop_with("    absoluteTimeout: 1h\n", "")),
        str![[r#"
error[Invalid]: absoluteTimeout must be specified when cookie lifetimeType is Permanent
  --> <stdin>:61:21
   |
61 |       lifetimeType: Permanent
   |                     ^^^^^^^^^


"#]],
    );
}

#[test]
fn a_duration_in_days() {
    refused(
        generate(&shop_with("1h", "1d")),
        str![[r#"
error[Invalid]: `1d` is not a duration: a unit is unknown; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms
  --> <stdin>:59:22
   |
59 |     absoluteTimeout: 1d
   |                      ^^


"#]],
    );
}

#[test]
fn a_duration_without_unit() {
    refused(
        generate(&shop_with("1h", "0")),
        str![[r#"
error[Invalid]: `0` is not a duration: a number has no unit; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms
  --> <stdin>:59:22
   |
59 |     absoluteTimeout: 0
   |                      ^


"#]],
    );
}

#[test]
fn an_empty_duration() {
    refused(
        generate(&shop_with("1h", "\"\"")),
        str![[r#"
error[Invalid]: `` is not a duration: it is empty; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms
  --> <stdin>:59:22
   |
59 |     absoluteTimeout: ""
   |                      ^^


"#]],
    );
}

#[test]
fn a_duration_of_five_parts() {
    refused(
        generate(&shop_with("1h", "1h30m10s20ms50h")),
        str![[r#"
error[Invalid]: `1h30m10s20ms50h` is not a duration: it has more than four components; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms
  --> <stdin>:59:22
   |
59 |     absoluteTimeout: 1h30m10s20ms50h
   |                      ^^^^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_timeout_of_nothing() {
    refused(
        generate(&shop_with("10m", "0s")),
        str![[r#"
error[Invalid]: idleTimeout is 0s, but sessions count whole seconds: at least 1s, and no fraction of a second
  --> <stdin>:60:18
   |
60 |     idleTimeout: 0s
   |                  ^^


"#]],
    );
}

#[test]
fn a_fraction_of_a_second() {
    refused(
        generate(&shop_with("10m", "1500ms")),
        str![[r#"
error[Invalid]: idleTimeout is 1s500ms, but sessions count whole seconds: at least 1s, and no fraction of a second
  --> <stdin>:60:18
   |
60 |     idleTimeout: 1500ms
   |                  ^^^^^^


"#]],
    );
}

#[test]
fn a_session_name_that_is_no_token() {
    refused(
        generate(&shop_with("sessionName: shop", "sessionName: the shop")),
        str![[r#"
error[Invalid]: `the shop` is not a session name: ' ' is not allowed; letters, digits and !#$%&'*+-.^_`|~ are
  --> <stdin>:58:18
   |
58 |     sessionName: the shop
   |                  ^^^^^^^^


"#]],
    );
}

#[test]
fn a_session_name_that_is_too_long() {
    refused(
        generate(&shop_with(
            "sessionName: shop",
            &format!("sessionName: {}", "a".repeat(129)),
        )),
        str![[r#"
error[Invalid]: sessionName has 129 characters, and at most 128 are allowed
  --> <stdin>:58:18
   |
58 | ...e: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_header_with_a_meaning_of_its_own() {
    refused(
        generate(&shop_with(
            "    sessionName: shop\n    absoluteTimeout: 1h\n    idleTimeout: 10m\n    cookieConfig:\n      lifetimeType: Permanent",
            "    type: Header\n    sessionName: Cookie",
        )),
        str![[r#"
error[Invalid]: `Cookie` cannot carry a session: this header has a meaning of its own; choose another name
  --> <stdin>:59:18
   |
59 |     sessionName: Cookie
   |                  ^^^^^^


"#]],
    );
}

#[test]
fn cookie_config_with_a_header() {
    refused(
        generate(&shop_with("sessionName: shop", "sessionName: shop\n    type: Header")),
        str![[r#"
error[Invalid]: cookieConfig can only be set with type Cookie
  --> <stdin>:63:7
   |
63 |       lifetimeType: Permanent
   |       ^


"#]],
    );
}

#[test]
fn two_versions_of_the_shape() {
    refused(
        generate(&shop_with(
            "    cookieConfig:\n      lifetimeType: Permanent",
            "    cookie:\n      name: shop",
        )),
        str![[r#"
error[Invalid]: `sessionName` and `cookie` are of two versions of Gateway API: sessionName is gone where cookie exists
  --> <stdin>:62:7
   |
58 |     sessionName: shop
   |                  ---- this field is of Gateway API 1.6 or earlier
...
62 |       name: shop
   |       ^


"#]],
    );
}

#[test]
fn an_idle_timeout_beside_the_new_shape() {
    refused(
        generate(&shop_with(
            "    sessionName: shop\n    absoluteTimeout: 1h\n    idleTimeout: 10m\n    cookieConfig:\n      lifetimeType: Permanent",
            "    idleTimeout: 10m\n    cookie:\n      name: shop",
        )),
        str![[r#"
error[Invalid]: `idleTimeout` and `cookie` are of two versions of Gateway API: idleTimeout is gone where cookie exists
  --> <stdin>:60:7
   |
58 |     idleTimeout: 10m
   |                  --- this field is of Gateway API 1.6 or earlier
59 |     cookie:
60 |       name: shop
   |       ^
   |
   = help: write the idle timeout as the annotation `mooring.dev/idle-timeout`


"#]],
    );
}

#[test]
fn new_shape_header_with_type_cookie() {
    refused(
        generate(&shop_with(
            "    sessionName: shop\n    absoluteTimeout: 1h\n    idleTimeout: 10m\n    cookieConfig:\n      lifetimeType: Permanent",
            "    header:\n      name: x-shop",
        )),
        str![[r#"
error[Invalid]: header must be nil if type is not Header
  --> <stdin>:58:5
   |
58 |     header:
   |     ^

error[Invalid]: cookie must be specified for Cookie type
  --> <stdin>:58:5
   |
58 |     header:
   |     ^


"#]],
    );
}

#[test]
fn new_shape_cookie_with_type_header() {
    refused(
        generate(&shop_with(
            "    sessionName: shop\n    absoluteTimeout: 1h\n    idleTimeout: 10m\n    cookieConfig:\n      lifetimeType: Permanent",
            "    type: Header\n    cookie:\n      name: shop",
        )),
        str![[r#"
error[Invalid]: cookie must be nil if type is not Cookie
  --> <stdin>:58:11
   |
58 |     type: Header
   |           ^^^^^^

error[Invalid]: header must be specified for Header type
  --> <stdin>:58:11
   |
58 |     type: Header
   |           ^^^^^^


"#]],
    );
}

#[test]
fn new_shape_empty_cookie_name() {
    refused(
        generate(&shop_with(
            "    sessionName: shop\n    absoluteTimeout: 1h\n    idleTimeout: 10m\n    cookieConfig:\n      lifetimeType: Permanent",
            "    cookie:\n      name: \"\"",
        )),
        str![[r#"
error[Invalid]: a session name is empty; a name has 1 to 256 characters
  --> <stdin>:59:13
   |
59 |       name: ""
   |             ^^


"#]],
    );
}

#[test]
fn new_shape_permanent_without_absolute_timeout() {
    refused(
        generate(&shop_with(
            "    sessionName: shop\n    absoluteTimeout: 1h\n    idleTimeout: 10m\n    cookieConfig:\n      lifetimeType: Permanent",
            "    cookie:\n      lifetimeType: Permanent",
        )),
        str![[r#"
error[Invalid]: absoluteTimeout must be specified when cookie lifetimeType is Permanent
  --> <stdin>:59:21
   |
59 |       lifetimeType: Permanent
   |                     ^^^^^^^^^


"#]],
    );
}

#[test]
fn an_unknown_annotation() {
    refused(
        generate(&shop_with(
            "  name: sticky\n",
            "  name: sticky\n  annotations:\n    mooring.dev/idle-timeot: 1h\n",
        )),
        str![[r#"
error[Invalid]: unknown annotation `mooring.dev/idle-timeot`; allowed: mooring.dev/cookie-domain, mooring.dev/cookie-http-only, mooring.dev/cookie-partitioned, mooring.dev/cookie-path, mooring.dev/cookie-same-site, mooring.dev/cookie-secure, mooring.dev/forward-token, mooring.dev/idle-timeout, mooring.dev/private-cache, mooring.dev/refresh-interval, mooring.dev/strict
  --> <stdin>:53:5
   |
53 |     mooring.dev/idle-timeot: 1h
   |     ^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: did you mean `mooring.dev/idle-timeout`?


"#]],
    );
}

#[test]
fn an_annotation_with_a_wrong_word() {
    refused(
        generate(&shop_with(
            "  name: sticky\n",
            "  name: sticky\n  annotations:\n    mooring.dev/strict: \"yes\"\n    mooring.dev/cookie-same-site: lax\n",
        )),
        str![[r#"
error[Invalid]: `mooring.dev/strict` is "yes"; allowed: "true", "false"
  --> <stdin>:53:25
   |
53 |     mooring.dev/strict: "yes"
   |                         ^^^^^

error[Invalid]: `mooring.dev/cookie-same-site` is "lax"; allowed: "Strict", "Lax", "None"
  --> <stdin>:54:35
   |
54 |     mooring.dev/cookie-same-site: lax
   |                                   ^^^


"#]],
    );
}

#[test]
fn an_annotation_beside_its_field() {
    refused(
        generate(&shop_with(
            "  name: sticky\n",
            "  name: sticky\n  annotations:\n    mooring.dev/idle-timeout: 5m\n",
        )),
        str![[r#"
error[Duplicate]: idleTimeout is set twice: by the annotation and by the field
  --> <stdin>:53:31
   |
53 |     mooring.dev/idle-timeout: 5m
   |                               ^^
...
62 |     idleTimeout: 10m
   |                  --- the field


"#]],
    );
}

#[test]
fn same_site_none_without_secure() {
    refused(
        generate(&shop_with(
            "  name: sticky\n",
            "  name: sticky\n  annotations:\n    mooring.dev/cookie-same-site: None\n    mooring.dev/cookie-secure: Never\n",
        )),
        str![[r#"
error[Invalid]: SameSite=None needs the Secure attribute, so secure cannot be Never
  --> <stdin>:54:32
   |
54 |     mooring.dev/cookie-secure: Never
   |                                ^^^^^


"#]],
    );
}

#[test]
fn partitioned_without_secure() {
    refused(
        generate(&shop_with(
            "  name: sticky\n",
            "  name: sticky\n  annotations:\n    mooring.dev/cookie-partitioned: \"true\"\n    mooring.dev/cookie-secure: Never\n",
        )),
        str![[r#"
error[Invalid]: Partitioned needs the Secure attribute, so secure cannot be Never
  --> <stdin>:54:32
   |
54 |     mooring.dev/cookie-secure: Never
   |                                ^^^^^


"#]],
    );
}

#[test]
fn a_path_that_ends_the_attribute() {
    refused(
        generate(&shop_with(
            "  name: sticky\n",
            "  name: sticky\n  annotations:\n    mooring.dev/cookie-path: /;x\n",
        )),
        str![[r#"
error[Invalid]: `/;x` is not a cookie Path: it begins with / and has printable ASCII characters other than ; only
  --> <stdin>:53:30
   |
53 |     mooring.dev/cookie-path: /;x
   |                              ^^^


"#]],
    );
}

#[test]
fn a_domain_that_is_none() {
    refused(
        generate(&shop_with(
            "  name: sticky\n",
            "  name: sticky\n  annotations:\n    mooring.dev/cookie-domain: shop example\n",
        )),
        str![[r#"
error[Invalid]: `shop example` is not a cookie Domain: a host name is, such as example.com
  --> <stdin>:53:32
   |
53 |     mooring.dev/cookie-domain: shop example
   |                                ^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_refresh_interval_as_long_as_the_idle_timeout() {
    refused(
        generate(&shop_with(
            "  name: sticky\n",
            "  name: sticky\n  annotations:\n    mooring.dev/refresh-interval: 10m\n",
        )),
        str![[r#"
error[Invalid]: the refresh interval is 10m, and it must be shorter than the idle timeout of 10m: else every session ends before it is renewed
  --> <stdin>:53:35
   |
53 |     mooring.dev/refresh-interval: 10m
   |                                   ^^^


"#]],
    );
}

#[test]
fn a_refresh_interval_without_idle_timeout() {
    refused(
        generate(
            &shop_with(
                "  name: sticky\n",
                "  name: sticky\n  annotations:\n    mooring.dev/refresh-interval: 1m\n",
            )
            .replace("    idleTimeout: 10m\n", ""),
        ),
        str![[r#"
error[Invalid]: refreshInterval is only used with an idleTimeout
  --> <stdin>:53:35
   |
53 |     mooring.dev/refresh-interval: 1m
   |                                   ^^


"#]],
    );
}

#[test]
fn a_host_prefix_with_a_path() {
    refused(
        generate(
            &shop_with(
                "  name: sticky\n",
                "  name: sticky\n  annotations:\n    mooring.dev/cookie-path: /shop\n",
            )
            .replace("sessionName: shop", "sessionName: __Host-shop"),
        ),
        str![[r#"
error[Invalid]: a cookie whose name begins with __Host- must have the Path / and no Domain
  --> <stdin>:60:18
   |
60 |     sessionName: __Host-shop
   |                  ^^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_secure_prefix_without_secure() {
    refused(
        generate(
            &shop_with(
                "  name: sticky\n",
                "  name: sticky\n  annotations:\n    mooring.dev/cookie-secure: Never\n",
            )
            .replace("sessionName: shop", "sessionName: __Secure-shop"),
        ),
        str![[r#"
error[Invalid]: a cookie whose name begins with __Secure- needs the Secure attribute, so secure cannot be Never
  --> <stdin>:53:32
   |
53 |     mooring.dev/cookie-secure: Never
   |                                ^^^^^


"#]],
    );
}

#[test]
fn a_cookie_annotation_for_a_header() {
    refused(
        generate(
            &shop_with(
                "  name: sticky\n",
                "  name: sticky\n  annotations:\n    mooring.dev/cookie-path: /shop\n",
            )
            .replace("    cookieConfig:\n      lifetimeType: Permanent", "    type: Header"),
        ),
        str![[r#"
error[Invalid]: `mooring.dev/cookie-path` can only be set with type Cookie
  --> <stdin>:53:30
   |
53 |     mooring.dev/cookie-path: /shop
   |                              ^^^^^


"#]],
    );
}

#[test]
fn a_backend_that_is_not_there() {
    refused(
        generate(&shop_with(
            "    - name: web\n      port: 80",
            "    - name: wbe\n      port: 80",
        )),
        str![[r#"
error[BackendNotFound]: the Service default/wbe is not in the input
  --> <stdin>:21:13
   |
21 |     - name: wbe
   |             ^^^
   |
   = help: did you mean `web`?


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
    refused(
        generate(&shop_with(
            "    - name: web\n      port: 80",
            "    - name: web\n      kind: ServiceImport\n      group: multicluster.x-k8s.io\n      port: 80",
        )),
        str![[r#"
error[Unsupported]: a backend can be a Service of the core group, and this is a ServiceImport of the group multicluster.x-k8s.io
  --> <stdin>:22:13
   |
22 |       kind: ServiceImport
   |             ^^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn a_backend_in_another_namespace() {
    refused(
        generate(&format!(
            "{}---\n{}",
            shop_with("    - name: web\n", "    - name: web\n      namespace: other\n"),
            "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: other}\nspec: {ports: [{port: 80}]}\n"
        )),
        str![[r#"
error[RefNotPermitted]: HTTPRoute default/web must not refer to the Service other/web: it is in another namespace, and no ReferenceGrant there permits it
  --> <stdin>:21:13
   |
21 |     - name: web
   |             ^^^
   |
   = help: add a ReferenceGrant in the namespace other from HTTPRoute in default to Service


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
error[NoMatchingParent]: Gateway default/front does not take HTTPRoute default/web: it has no listener of this sectionName or port
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
error[NoMatchingParent]: Gateway infra/front does not take HTTPRoute default/web: the allowedRoutes of its listeners exclude it
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
error[NoMatchingParent]: Gateway default/front does not take HTTPRoute default/web: they have no hostname in common
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
fn a_hostname_that_is_none() {
    refused(
        generate(&shop_with(
            "  parentRefs:",
            "  hostnames: [\"example.com:80\"]\n  parentRefs:",
        )),
        str![[r#"
error[Invalid]: `example.com:80` is not a hostname: it has lower-case labels between dots, no address and no port, and may begin with `*.`
  --> <stdin>:17:15
   |
17 |   hostnames: ["example.com:80"]
   |               ^^^^^^^^^^^^^^^^


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
error[Invalid]: a policy can target Services of the core group, and this is a Gateway of the group core
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
error[Invalid]: default/sticky has no targetRefs: it is about nothing
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
fn weights_that_sum_to_nothing() {
    refused(
        generate(&shop_with(
            "      port: 80\n---",
            "      port: 80\n      weight: 0\n---",
        )),
        str![[r#"
error[Invalid]: the weights of all backends of this rule are 0, so that no new session could be placed
  --> <stdin>:20:5
   |
20 |   - backendRefs:
   |     ^


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
error[Invalid]: a whole number is needed here, and not a negative one
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
error[Invalid]: `shop` is not a path: it begins with / and has no empty, `.` or `..` element, no query, no fragment and no escaped /
  --> <stdin>:21:21
   |
21 |     - path: {value: shop}
   |                     ^^^^


"#]],
    );
}

#[test]
fn sessions_without_backends() {
    refused(
        generate(&shop_with(
            "  - backendRefs:\n    - name: web\n      port: 80",
            "  - sessionPersistence: {}",
        )),
        str![[r#"
error[Invalid]: this rule has no backendRefs, so there is nothing to keep a session on
  --> <stdin>:20:5
   |
20 |   - sessionPersistence: {}
   |     ^


"#]],
    );
}

#[test]
fn two_rules_of_one_name_in_one_virtual_host() {
    refused(
        generate(&shop_with(
            "  - backendRefs:\n    - name: web\n      port: 80\n",
            "  - name: shop\n    backendRefs:\n    - name: web\n      port: 80\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: other\nspec:\n  parentRefs:\n  - name: front\n  rules:\n  - name: shop\n    matches: [{path: {value: /other}}]\n    backendRefs:\n    - name: web\n      port: 80\n",
        )),
        str![[r#"
warning[Conflicted]: the rules HTTPRoute/default/other/shop and HTTPRoute/default/web/shop have the session name `shop` on the same host: they do not share sessions, and each replaces the other's cookie
  --> <stdin>:20:5
   |
20 |   - name: shop
   |     ^
...
33 |   - name: shop
   |     - the other rule
   |
   = help: give them different session names, or none: then each rule gets a name of its own

error[Duplicate]: two rules with the name `shop` are in the virtual host `*:80`, and Envoy cannot tell them apart: HTTPRoute/default/other/shop and HTTPRoute/default/web/shop
  --> <stdin>:20:11
   |
20 |   - name: shop
   |           ^^^^
...
33 |   - name: shop
   |           ---- the other one
   |
   = help: give one of them another name


"#]],
    );
}

#[test]
fn two_rules_of_one_name_in_one_route() {
    refused(
        generate(&shop_with(
            "  - backendRefs:\n    - name: web\n      port: 80\n",
            "  - name: shop\n    backendRefs:\n    - name: web\n      port: 80\n  - name: shop\n",
        )),
        str![[r#"
error[Duplicate]: two rules of HTTPRoute default/web have the name `shop`
  --> <stdin>:24:11
   |
20 |   - name: shop
   |           ---- the first one
...
24 |   - name: shop
   |           ^^^^


"#]],
    );
}

#[test]
fn filters_of_one_backend_of_several() {
    refused(
        generate(&shop_with("      port: 80\n---", "      port: 80\n    - name: web\n      port: 81\n      filters:\n      - type: RequestHeaderModifier\n        requestHeaderModifier: {remove: [x]}\n---").replace("  - name: http\n    port: 80\n---", "  - name: http\n    port: 80\n  - name: more\n    port: 81\n---")),
        str![[r#"
error[Unsupported]: filters of one backend are not supported in a rule with sessions and several backends: the choice of the backend moves from Envoy's weighted clusters, which would carry them, to the session
  --> <stdin>:26:9
   |
26 |       - type: RequestHeaderModifier
   |         ^


"#]],
    );
}

#[test]
fn a_grpc_route_with_sessions() {
    refused(
        generate(&format!(
            "{SHOP}---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata:\n  name: api\nspec:\n  rules:\n  - sessionPersistence: {{}}\n"
        )),
        str![[r#"
error[Unsupported]: sessionPersistence on a GRPCRoute is not supported yet
  --> <stdin>:70:25
   |
70 |   - sessionPersistence: {}
   |                         ^


"#]],
    );
}

#[test]
fn an_https_listener_for_a_local_envoy() {
    refused(
        generate_envoy(&shop_with("protocol: HTTP", "protocol: HTTPS")),
        str![[r#"
error[Unsupported]: a listener with the protocol HTTPS is not supported by --target envoy
  --> <stdin>:10:15
   |
10 |     protocol: HTTPS
   |               ^^^^^
   |
   = help: a local Envoy serves listeners with the protocol HTTP


"#]],
    );
}

#[test]
fn what_a_local_envoy_cannot_do() {
    refused(
        generate_envoy(&shop_with(
            "  - backendRefs:",
            "  - filters:\n    - type: URLRewrite\n      urlRewrite: {hostname: a.example}\n    timeouts: {request: 5s}\n    retry: {attempts: 3}\n    backendRefs:",
        )),
        str![[r#"
error[Unsupported]: a filter of a rule is not supported by --target envoy
  --> <stdin>:21:7
   |
21 |     - type: URLRewrite
   |       ^

error[Unsupported]: `timeouts` of a rule is not supported by --target envoy
  --> <stdin>:23:15
   |
23 |     timeouts: {request: 5s}
   |               ^

error[Unsupported]: `retry` of a rule is not supported by --target envoy
  --> <stdin>:24:12
   |
24 |     retry: {attempts: 3}
   |            ^


"#]],
    );
}

#[test]
fn a_grpc_route_for_a_local_envoy() {
    refused(
        generate_envoy(&format!(
            "{SHOP}---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata:\n  name: api\nspec: {{}}\n"
        )),
        str![[r#"
error[Unsupported]: GRPCRoute is not supported by --target envoy
  --> <stdin>:67:9
   |
67 |   name: api
   |         ^^^


"#]],
    );
}

#[test]
fn endpoints_that_are_names() {
    refused(
        generate_envoy(&shop_with("addressType: IPv4", "addressType: FQDN")),
        str![[r#"
error[Unsupported]: an EndpointSlice with the addressType FQDN is not supported by --target envoy
  --> <stdin>:41:14
   |
41 | addressType: FQDN
   |              ^^^^


"#]],
    );
}

#[test]
fn an_endpoint_that_is_no_address() {
    refused(
        generate_envoy(&shop_with("127.0.9.1", "\"::1\"")),
        str![[r#"
error[Invalid]: `::1` is not an IPv4 address
  --> <stdin>:46:15
   |
46 | - addresses: ["::1"]
   |               ^^^^^


"#]],
    );
}

#[test]
fn two_gateways_on_one_port() {
    refused(
        generate_envoy(&format!(
            "{SHOP}---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: side\nspec:\n  gatewayClassName: istio\n  listeners:\n  - name: http\n    port: 80\n    protocol: HTTP\n"
        )),
        str![[r#"
error[Unsupported]: port 80 of Gateway default/side and port 80 of Gateway default/front would both listen on 127.0.0.1:10080
  --> <stdin>:72:11
   |
72 |     port: 80
   |           ^^
   |
   = help: move one of them, with --listen 80=ADDRESS:PORT or --admin ADDRESS:PORT; of two Gateways with one port, leave one out


"#]],
    );
}

#[test]
fn no_gateway_for_a_local_envoy() {
    refused(
        generate_envoy("apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec: {}\n"),
        str![[r#"
error[NoMatchingParent]: there is no Gateway in the input, so Envoy would listen nowhere


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
error[BackendNotFound]: the Service default/wbe is not in the input
  --> <stdin>:21:13
   |
21 |     - name: wbe
   |             ^^^
   |
   = help: did you mean `web`?

error[Invalid]: the weight is 2000000, and at most 1000000 is allowed
  --> <stdin>:23:15
   |
23 |       weight: 2000000
   |               ^^^^^^^

error[Invalid]: `a b` is not a session name: ' ' is not allowed; letters, digits and !#$%&'*+-.^_`|~ are
  --> <stdin>:59:18
   |
59 |     sessionName: a b
   |                  ^^^

error[Invalid]: `1d` is not a duration: a unit is unknown; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms
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
error[Invalid]: a port is needed here: a number from 1 to 65535
  --> <stdin>:33:5
   |
33 |     port: 0
   |     ^^^^

error[Invalid]: `1d` is not a duration: a unit is unknown; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms
  --> <stdin>:59:22
   |
59 |     absoluteTimeout: 1d
   |                      ^^


"#]],
    );
}

#[test]
fn an_item_of_a_list() {
    refused(
        generate(
            "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n\t{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"data\": {\"on\": 1}},\n\t{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"HTTPRoute\", \"metadata\": {\"name\": \"web\"}, \"spec\": {\"rulez\": []}},\n\t{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": \"HTTPRoute\", \"metadata\": {\"name\": \"web2\"}, \"spec\": {\"hostname\": []}}\n]}",
        ),
        str![[r#"
error[Invalid]: unknown field `rulez`; allowed here: hostnames, parentRefs, rules, useDefaultGateways
 --> <stdin>:3:108
  |
3 |     {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"}, "spec": {"rulez": []}},
  |                                                                                                               ^^^^^^^
  |
  = help: did you mean `rules`?

error[Invalid]: unknown field `hostname`; allowed here: hostnames, parentRefs, rules, useDefaultGateways
 --> <stdin>:4:109
  |
4 |     {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web2"}, "spec": {"hostname": []}}
  |                                                                                                                ^^^^^^^^^^
  |
  = help: did you mean `hostnames`?


"#]],
    );
}
