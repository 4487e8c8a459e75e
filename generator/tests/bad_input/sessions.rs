//! Wrong `sessionPersistence`, in both shapes.

use snapbox::str;

use crate::common::{generate, passed_over, refused, shop_with};

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
error[Invalid]: `1d` is not a duration: there is no unit d: write 24h; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms
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
fn new_shape_path_that_is_too_long() {
    let cookie = format!("    cookie:\n      path: /{}\n", "a".repeat(1024));
    let run = generate(&shop_with(
        "    sessionName: shop\n    absoluteTimeout: 1h\n    idleTimeout: 10m\n    cookieConfig:\n      lifetimeType: Permanent\n",
        &cookie,
    ));
    let run = run.code(3).stdout_eq("");
    let stderr = crate::common::said(&run);
    let message = "error[Invalid]: path has 1025 characters, and at most 1024 are allowed\n  --> <stdin>:59:13\n";
    assert!(stderr.starts_with(message), "{stderr}");
}

#[test]
fn headers_of_http_proxies_and_tracing_carry_no_session() {
    for name in [
        "x-forwarded-for",
        "ETag",
        "traceparent",
        "grpc-status",
        "x-request-id",
        "Date",
        "x-frame-options",
    ] {
        let header = shop_with(
            "    sessionName: shop\n    absoluteTimeout: 1h\n    idleTimeout: 10m\n    cookieConfig:\n      lifetimeType: Permanent\n",
            &format!("    sessionName: {name}\n    type: Header\n"),
        );
        let run = generate(&header).code(3);
        let stderr = crate::common::said(&run);
        let expected = format!("error[Invalid]: `{name}` cannot carry a session: this header has a meaning of its own");
        assert!(stderr.starts_with(&expected), "{stderr}");
    }
}

#[test]
fn an_idle_timeout_that_comes_after_the_end() {
    passed_over(
        generate(&shop_with("idleTimeout: 10m", "idleTimeout: 2h")),
        str![[r#"
warning[NoEffect]: an idleTimeout of 2h has no effect: the absoluteTimeout of 1h ends each session before
  --> <stdin>:60:18
   |
59 |     absoluteTimeout: 1h
   |                      -- the absoluteTimeout
60 |     idleTimeout: 2h
   |                  ^^


"#]],
    );
    // As long as the session itself: it says the same twice.
    passed_over(generate(&shop_with("idleTimeout: 10m", "idleTimeout: 60m")), str![""]);
}
