//! The names of counters with labels.
//!
//! A module defines a metric by its name, without labels. Istio's proxy extracts a label from each `tag=.=value;.;` in a name,
//! and so does the configuration that is generated for a local Envoy. Therefore no value may contain these separators: it could
//! add a label or change another one.

use std::fmt::Write as _;

/// The labels of the request counter, in the order of their values in its name.
pub const LABELS: [&str; 3] = ["mooring_route", "mooring_backend", "mooring_reason"];

/// The name of the counter for the requests of a rule to one of its backends, for one reason.
#[must_use]
pub fn backend_requests(rule_id: &str, backend: &str, reason: &str) -> String {
    let mut name = "mooring_backend_requests_total.".to_owned();
    for (tag, value) in LABELS.into_iter().zip([rule_id, backend, reason]) {
        name.push_str(tag);
        name.push_str("=.=");
        push_escaped(&mut name, value);
        name.push_str(";.;");
    }
    name
}

/// Appends a value. Characters that the generator does not use in names of rules, backends and reasons are percent-encoded.
fn push_escaped(name: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/#:%".contains(&byte) {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[test]
    #[wasm_bindgen_test]
    fn names_of_the_generator_stay_as_they_are() {
        assert_eq!(
            backend_requests(
                "VirtualService/shop/web/a%20b~c",
                "web.shop:80/v1",
                "canary:beta-testers"
            ),
            "mooring_backend_requests_total.mooring_route=.=VirtualService/shop/web/a%20b~c;.;\
             mooring_backend=.=web.shop:80/v1;.;mooring_reason=.=canary:beta-testers;.;"
        );
        assert!(backend_requests("HTTPRoute/shop/web#0", "", "").contains("=.=HTTPRoute/shop/web#0;.;"));
    }

    #[test]
    #[wasm_bindgen_test]
    fn no_value_makes_a_label() {
        let forged = "a;.;mooring_reason=.=session;.;x";
        let name = backend_requests(forged, "a|c\n=\"\\\u{fc}", forged);
        assert_eq!(
            (name.matches(";.;").count(), name.matches("=.=").count()),
            (3, 3),
            "{name}"
        );
        assert!(
            name.contains("=.=a%3B.%3Bmooring_reason%3D.%3Dsession%3B.%3Bx;.;"),
            "{name}"
        );
        assert!(name.contains("=.=a%7Cc%0A%3D%22%5C%C3%BC;.;"), "{name}");
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        const LABEL: &str = "[a;=.%:]{0,12}|\\PC{0,20}";

        proptest! {
            #[test]
            fn each_label_is_what_it_was_given(values in [LABEL, LABEL, LABEL]) {
                let [rule, backend, reason] = &values;
                let name = backend_requests(rule, backend, reason);
                let tags: Vec<&str> = name.split(";.;").collect();
                let tags: Vec<_> = tags.iter().filter_map(|tag| tag.split_once("=.=")).collect();
                prop_assert_eq!(tags.len(), 3);
                for ((_, found), given) in tags.iter().zip(&values) {
                    prop_assert!(found.bytes().all(|byte| byte.is_ascii_graphic() && !b";=|".contains(&byte)));
                    // What needs no escape stays as it is.
                    if given.chars().all(|character| character.is_ascii_alphanumeric()) {
                        prop_assert_eq!(found, given);
                    }
                }
            }
        }
    }
}
