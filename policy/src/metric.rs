//! The names of metrics with labels, and the values of gauges.
//!
//! A module defines a metric by its name, without labels. Istio's proxy extracts a label from each `tag=.=value;.;` in a name,
//! and so does the configuration that is generated for a local Envoy. Therefore no value may contain these separators: it could
//! add a label or change another one.

use std::fmt::Write as _;

use crate::routes::RouteTable;

mod numbers;
mod weights;

pub use self::{numbers::Numbers, weights::WeightGauges};

/// The label with the id of a rule.
const ROUTE: &str = "mooring_route";
/// The label with the key of a backend.
const BACKEND: &str = "mooring_backend";
/// The label with the reason for a backend.
const REASON: &str = "mooring_reason";
/// The label with an event.
const EVENT: &str = "mooring_event";

/// All labels.
pub const LABELS: [&str; 4] = [ROUTE, BACKEND, REASON, EVENT];

/// The name of the counter for the requests of a rule to one of its backends, for one reason.
#[must_use]
pub fn backend_requests(rule_id: &str, backend: &str, reason: &str) -> String {
    let labels = [(ROUTE, rule_id), (BACKEND, backend), (REASON, reason)];
    labelled("mooring_backend_requests_total", &labels)
}

/// The name of the counter for an event of a rule.
#[must_use]
pub fn rule_events(rule_id: &str, event: &str) -> String {
    labelled("mooring_rule_events_total", &[(ROUTE, rule_id), (EVENT, event)])
}

/// The values of the gauges for the weights of all backends. Empty unless the configuration asks for them.
#[must_use]
pub fn weights(routes: &RouteTable) -> Numbers {
    let mut weights = Numbers::default();
    for rule in routes.rules().filter(|_| routes.weight_metric()) {
        for backend in rule.backends() {
            weights.set(backend_weight(rule.id(), backend.key()), backend.weight());
        }
    }
    weights
}

fn backend_weight(rule_id: &str, backend: &str) -> String {
    labelled("mooring_backend_weight", &[(ROUTE, rule_id), (BACKEND, backend)])
}

fn labelled(metric: &str, labels: &[(&str, &str)]) -> String {
    let mut name = format!("{metric}.");
    for (label, value) in labels {
        name.push_str(label);
        name.push_str("=.=");
        push_escaped(&mut name, value);
        name.push_str(";.;");
    }
    name
}

/// Appends a value. Characters that the generator does not use in names of rules, backends and reasons are percent-encoded.
pub(crate) fn push_escaped(name: &mut String, value: &str) {
    // Nearly all values are, and access logs show them in each request.
    if value.bytes().all(is_plain) {
        name.push_str(value);
        return;
    }
    for byte in value.bytes() {
        if is_plain(byte) {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
}

/// Whether a character of a value is not percent-encoded.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/' | b'#' | b':' | b'%')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;
    use crate::decision::Event;

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
    fn an_event_has_the_rule_and_the_event() {
        assert_eq!(
            rule_events("HTTPRoute/shop/web#0", Event::ExpiredIdle.label()),
            "mooring_rule_events_total.mooring_route=.=HTTPRoute/shop/web#0;.;mooring_event=.=expired_idle;.;"
        );
        let names: BTreeSet<String> = Event::ALL.iter().map(|event| rule_events("a", event.label())).collect();
        assert_eq!(names.len(), Event::ALL.len());
    }

    #[test]
    #[wasm_bindgen_test]
    fn weights_are_gauges_only_if_the_configuration_says_so() {
        let routes = |weight_metric: bool| {
            let rule = |route: &str| {
                json!({
                    "route": route,
                    "virtualHosts": ["shop.example:80"],
                    "id": "VirtualService/shop/web/main",
                    "backends": [{"key": "web.shop:80/v1", "weight": 90}, {"key": "web.shop:80/v2"}],
                })
            };
            // Two Envoy routes of one rule.
            let rules = [rule("main"), rule("main.beta")];
            let config = json!({"version": 3, "weightMetric": weight_metric, "rules": rules});
            RouteTable::parse(config.to_string().as_bytes()).unwrap()
        };
        assert_eq!(weights(&routes(false)), Numbers::default());
        let name =
            "mooring_backend_weight.mooring_route=.=VirtualService/shop/web/main;.;mooring_backend=.=web.shop:80/";
        let found: Vec<(String, u32)> = weights(&routes(true)).into_iter().collect();
        assert_eq!(found, [(format!("{name}v1;.;"), 90), (format!("{name}v2;.;"), 0)]);
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
