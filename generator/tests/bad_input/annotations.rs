//! Wrong annotations, and attributes that contradict each other.

use snapbox::str;

use crate::common::{Generated, generate, refused, shop_with};

#[test]
fn an_unknown_annotation() {
    refused(
        generate(&shop_with(
            "  name: sticky\n",
            "  name: sticky\n  annotations:\n    mooring.dev/idle-timeot: 1h\n",
        )),
        str![[r#"
error[Invalid]: unknown annotation `mooring.dev/idle-timeot`; allowed: mooring.dev/cookie-domain, mooring.dev/cookie-http-only, mooring.dev/cookie-partitioned, mooring.dev/cookie-path, mooring.dev/cookie-same-site, mooring.dev/cookie-secure, mooring.dev/forward-token, mooring.dev/idle-timeout, mooring.dev/private-cache, mooring.dev/refresh-interval, mooring.dev/strict, mooring.dev/version-label
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
error[Invalid]: `/;x` is not a cookie Path: it must begin with / and have only printable ASCII characters other than ;
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
error[Invalid]: `shop example` is not a cookie Domain: a host name is, such as example.com, and no address
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
error[Invalid]: the refresh interval is 10m, and it must be shorter than the idle timeout of 10m: otherwise every session expires before it is renewed
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
fn an_idle_timeout_that_is_no_duration() {
    refused(
        generate(
            &shop_with(
                "  name: sticky\n",
                "  name: sticky\n  annotations:\n    mooring.dev/idle-timeout: \"10\"\n    mooring.dev/refresh-interval: 1m\n",
            )
            .replace("    idleTimeout: 10m\n", ""),
        ),
        str![[r#"
error[Invalid]: `10` is not a duration: a number has no unit; write one to four numbers of up to five digits, each with its unit h, m, s or ms, such as 30s, 1h30m or 500ms
  --> <stdin>:53:31
   |
53 |     mooring.dev/idle-timeout: "10"
   |                               ^^^^


"#]],
    );
}

/// The shop with a cookie domain, on a route with this line for its host names.
fn with_domain(domain: &str, hostnames: &str) -> String {
    let shop = shop_with(
        "  name: sticky\n",
        &format!("  name: sticky\n  annotations:\n    mooring.dev/cookie-domain: \"{domain}\"\n"),
    );
    shop.replace(
        "  - name: front\n  rules:",
        &format!("  - name: front\n{hostnames}  rules:"),
    )
}

#[test]
fn a_domain_of_others() {
    refused(
        generate(&with_domain(
            "other.org",
            "  hostnames: [shop.example.com, www.example.com]\n",
        )),
        str![[r#"
error[Invalid]: the cookie Domain `other.org` is neither shop.example.com, www.example.com nor a parent domain, so browsers reject the session cookie of the rule HTTPRoute/default/web#0
  --> <stdin>:54:32
   |
21 |   - backendRefs:
   |     - the rule
...
54 |     mooring.dev/cookie-domain: "other.org"
   |                                ^^^^^^^^^^^
   |
   = help: set a domain that contains all host names of the rule, or none


"#]],
    );
}

#[test]
fn a_public_suffix_as_domain() {
    refused(
        generate(&with_domain("co.uk", "  hostnames: [shop.co.uk]\n")),
        str![[r#"
error[Invalid]: `co.uk` is not a cookie Domain: it is a public suffix, under which domains belong to different owners, and browsers refuse such a cookie; name a domain below it, or none
  --> <stdin>:54:32
   |
54 |     mooring.dev/cookie-domain: "co.uk"
   |                                ^^^^^^^


"#]],
    );
}

#[test]
fn a_domain_that_no_host_has() {
    for domain in ["..", "127.0.0.1", "127.1", "", "example..com", "*.example.com"] {
        let run = generate(&with_domain(domain, "")).code(3);
        let stderr = crate::common::said(&run);
        let expected = format!("error[Invalid]: `{domain}` is not a cookie Domain: a host name is");
        assert!(stderr.starts_with(&expected), "{stderr}");
    }
}

#[test]
fn a_domain_belongs_to_every_host_name_of_the_rule() {
    let hosts = |hosts: &str| format!("  hostnames: [{hosts}]\n");
    for (domain, hostnames) in [
        ("example.com", hosts("example.com, shop.example.com")),
        (".example.com", hosts("shop.example.com")),
        ("example.com", hosts("\"*.example.com\"")),
        ("shop.example.com", hosts("shop.example.com")),
    ] {
        assert_eq!(
            Generated::istio(&with_domain(domain, &hostnames)).findings,
            [""; 0],
            "{domain}"
        );
    }
    for (domain, hostnames) in [
        ("shop.example.com", hosts("shop.example.com, www.example.com")),
        ("a.example.com", hosts("\"*.example.com\"")),
    ] {
        let run = generate(&with_domain(domain, &hostnames)).code(3);
        let stderr = crate::common::said(&run);
        assert!(stderr.contains("nor a parent domain"), "{stderr}");
    }
    // The listener's host name counts where the route has none.
    let listener = with_domain("other.org", "").replace(
        "    port: 80\n    protocol",
        "    port: 80\n    hostname: shop.example.com\n    protocol",
    );
    let run = generate(&listener).code(3);
    let stderr = crate::common::said(&run);
    let left_out = "left out because of errors: 1 rule (HTTPRoute/default/web#0 on Gateway/default/front)\n";
    assert!(stderr.ends_with(left_out), "{stderr}");
}

#[test]
fn a_domain_of_a_rule_without_host_names_cannot_be_checked() {
    let findings = Generated::istio(&with_domain("example.com", "")).findings;
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].starts_with("warning[Accepted]: it is unknown whether the cookie Domain `example.com` contains")
    );
}
