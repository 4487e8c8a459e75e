//! Istio's own objects: the exact message with its location.

use crate::common::{
    Generated, generate, generate_envoy,
    istio_api::{ISTIO_API, istio_api_with},
    passed_over, refused, said,
};
use serde_json::json;
use snapbox::str;

fn with_session_policy(input: &str) -> String {
    let (rest, policy) = input.split_once("---\napiVersion: mooring.dev").unwrap();
    let (_, pod) = policy.split_once("---\n").unwrap();
    format!(
        "{rest}---\n{pod}---\napiVersion: gateway.networking.k8s.io/v1alpha2\nkind: BackendLBPolicy\nmetadata: {{name: pods, namespace: \
         bookinfo}}\nspec:\n  targetRefs: [{{group: \"\", kind: Service, name: reviews}}]\n  sessionPersistence: {{type: Cookie}}\n"
    )
}

/// These objects, and a second `VirtualService` like that of `ISTIO_API`.
fn with_namesake(input: &str) -> String {
    let mut documents = ISTIO_API.split("---\n");
    let other = documents
        .find(|document| document.contains("kind: VirtualService\n"))
        .unwrap();
    format!("{input}---\n{}", other.replace("{name: reviews, n", "{name: others, n"))
}

#[test]
fn two_routes_without_names_that_a_session_policy_reaches() {
    refused(
        generate(
            &with_session_policy(&istio_api_with("  - name: everyone\n    match:", "  - match:"))
                .replace("  - name: home\n    match:", "  - match:"),
        ),
        str![[r#"
error[Invalid]: VirtualService bookinfo/reviews, http route 0: neither it nor http route 1 has a name, so Envoy cannot tell them apart
  --> <stdin>:17:5
   |
17 |   - match:
   |     ^
...
21 |   - match:
   |     - the other one
   |
   = help: give them names that no other route on the gateway has, such as `- name: reviews`

error[Invalid]: VirtualService bookinfo/reviews, http route 1: neither it nor http route 0 has a name, so Envoy cannot tell them apart
  --> <stdin>:21:5
   |
17 |   - match:
   |     - the other one
...
21 |   - match:
   |     ^
   |
   = help: give them names that no other route on the gateway has, such as `- name: reviews`


"#]],
    );
}

#[test]
fn a_virtual_service_without_any_name() {
    refused(
        generate(
            &istio_api_with("  - name: everyone\n    match:", "  - match:")
                .replace("  - name: home\n    match:", "  - match:")
                .replace(", sectionName: everyone}", "}"),
        ),
        str![[r#"
note[NoEffect]: CanaryPolicy bookinfo/canary targets the whole VirtualService bookinfo/reviews but skips the rule VirtualService/bookinfo/reviews#0, which has no destination reviews.bookinfo.svc.cluster.local with the subset v2; it has `reviews.bookinfo:9080/v1`, with the canary rule `testers`
  --> <stdin>:17:5
   |
17 |   - match:
   |     ^
...
77 |   targetRef: {group: networking.istio.io, kind: VirtualService, name: reviews}
   |                                                                       ------- the policy
   |
   = help: to target one rule of the route, name it in the sectionName of targetRef

error[Invalid]: VirtualService bookinfo/reviews, http route 0: neither it nor http route 1 has a name, so Envoy cannot tell them apart
  --> <stdin>:17:5
   |
17 |   - match:
   |     ^
...
21 |   - match:
   |     - the other one
   |
   = help: give them names that no other route on the gateway has, such as `- name: reviews`

error[Invalid]: VirtualService bookinfo/reviews, http route 1: neither it nor http route 0 has a name, so Envoy cannot tell them apart
  --> <stdin>:21:5
   |
17 |   - match:
   |     - the other one
...
21 |   - match:
   |     ^
   |
   = help: give them names that no other route on the gateway has, such as `- name: reviews`


"#]],
    );
}

#[test]
fn a_section_that_is_not_there() {
    refused(
        generate(&istio_api_with("sectionName: everyone", "sectionName: everyon")),
        str![[r#"
error[TargetNotFound]: VirtualService bookinfo/reviews has no rule with the name `everyon`; its rules are called `everyone`, `home`
  --> <stdin>:79:93
   |
79 |   targetRef: {group: networking.istio.io, kind: VirtualService, name: reviews, sectionName: everyon}
   |                                                                                             ^^^^^^^
   |
   = help: did you mean `everyone`?


"#]],
    );
}

#[test]
fn a_virtual_service_that_is_not_there() {
    refused(
        generate(&istio_api_with(
            "name: reviews, sectionName",
            "name: review, sectionName",
        )),
        str![[r#"
error[TargetNotFound]: CanaryPolicy bookinfo/canary targets the VirtualService bookinfo/review, which is not in the input
  --> <stdin>:79:71
   |
79 |   targetRef: {group: networking.istio.io, kind: VirtualService, name: review, sectionName: everyone}
   |                                                                       ^^^^^^
   |
   = help: did you mean `reviews`?


"#]],
    );
}

#[test]
fn a_subset_that_is_not_there() {
    refused(
        generate(&istio_api_with("  - {name: v3, labels: {version: v3}}\n", "")),
        str![[r#"
error[BackendNotFound]: the host `reviews.bookinfo.svc.cluster.local` has no subset `v3`; there are v1, v2
  --> <stdin>:32:45
   |
32 |     - {destination: {host: reviews, subset: v3}, weight: 10}
   |                                             ^^
...
36 | metadata: {name: reviews, namespace: bookinfo}
   |                  ------- the DestinationRule
   |
   = help: did you mean `v1`?


"#]],
    );
}

#[test]
fn a_subset_without_a_destination_rule() {
    refused(
        generate(&istio_api_with("  host: reviews\n", "  host: ratings\n")),
        str![[r#"
warning[BackendNotFound]: the host `reviews.bookinfo.svc.cluster.local` has no subset `v1`; the input has no DestinationRule for this host
  --> <stdin>:21:44
   |
21 |     - destination: {host: reviews, subset: v1}
   |                                            ^^

error[BackendNotFound]: the host `reviews.bookinfo.svc.cluster.local` has no subset `v1`; the input has no DestinationRule for this host
  --> <stdin>:30:45
   |
30 |     - {destination: {host: reviews, subset: v1}, weight: 60}
   |                                             ^^

error[BackendNotFound]: the host `reviews.bookinfo.svc.cluster.local` has no subset `v2`; the input has no DestinationRule for this host
  --> <stdin>:31:72
   |
31 |     - {destination: {host: reviews.bookinfo.svc.cluster.local, subset: v2, port: {number: 9080}}, weight: 30}
   |                                                                        ^^

error[BackendNotFound]: the host `reviews.bookinfo.svc.cluster.local` has no subset `v3`; the input has no DestinationRule for this host
  --> <stdin>:32:45
   |
32 |     - {destination: {host: reviews, subset: v3}, weight: 10}
   |                                             ^^


"#]],
    );
}

#[test]
fn a_host_that_is_not_there() {
    refused(
        generate(&istio_api_with("{host: reviews, subset: v3}", "{host: review}")),
        str![[r#"
error[BackendNotFound]: no Service and no ServiceEntry of the input has the host `review.bookinfo.svc.cluster.local`
  --> <stdin>:32:28
   |
32 |     - {destination: {host: review}, weight: 10}
   |                            ^^^^^^
   |
   = help: did you mean `reviews`?


"#]],
    );
}

#[test]
fn a_short_name_with_its_namespace() {
    refused(
        generate(&istio_api_with(
            "{host: reviews, subset: v3}",
            "{host: reviews.bookinfo}",
        )),
        str![[r#"
error[BackendNotFound]: no Service and no ServiceEntry of the input has the host `reviews.bookinfo`
  --> <stdin>:32:28
   |
32 |     - {destination: {host: reviews.bookinfo}, weight: 10}
   |                            ^^^^^^^^^^^^^^^^
   |
   = help: a Service in another namespace is named in full: `reviews.bookinfo.svc.cluster.local`


"#]],
    );
}

#[test]
fn a_port_that_is_not_there() {
    refused(
        generate(&istio_api_with("port: {number: 9080}", "port: {number: 80}")),
        str![[r#"
error[BackendNotFound]: the Service bookinfo/reviews has no port 80; it has 9080
  --> <stdin>:31:91
   |
31 |     - {destination: {host: reviews.bookinfo.svc.cluster.local, subset: v2, port: {number: 80}}, weight: 30}
   |                                                                                           ^^
...
47 | metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
   |                  ------- the Service

error[BackendNotFound]: the rule VirtualService/bookinfo/reviews/everyone has no destination reviews.bookinfo.svc.cluster.local with the subset v2; it has `reviews.bookinfo:9080/v1`, `reviews.bookinfo:9080/v3`
  --> <stdin>:83:42
   |
22 |   - name: everyone
   |     - the rule
...
83 |     destination: {host: reviews, subset: v2}
   |                                          ^^


"#]],
    );
}

#[test]
fn a_port_that_must_be_named() {
    refused(
        generate(&istio_api_with(
            "ports: [{name: http, port: 9080}]}\n---\napiVersion: v1\nkind: Pod",
            "ports: [{name: http, port: 9080}, {name: metrics, port: 9090}]}\n---\napiVersion: v1\nkind: Pod",
        )),
        str![[r#"
warning[BackendNotFound]: the Service bookinfo/reviews does not have exactly one port, so the destination must name one; it has 9080, 9090
  --> <stdin>:21:27
   |
21 |     - destination: {host: reviews, subset: v1}
   |                           ^^^^^^^
...
47 | metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
   |                  ------- the Service

error[BackendNotFound]: the Service bookinfo/reviews does not have exactly one port, so the destination must name one; it has 9080, 9090
  --> <stdin>:30:28
   |
30 |     - {destination: {host: reviews, subset: v1}, weight: 60}
   |                            ^^^^^^^
...
47 | metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
   |                  ------- the Service

error[BackendNotFound]: the Service bookinfo/reviews does not have exactly one port, so the destination must name one; it has 9080, 9090
  --> <stdin>:32:28
   |
32 |     - {destination: {host: reviews, subset: v3}, weight: 10}
   |                            ^^^^^^^
...
47 | metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
   |                  ------- the Service


"#]],
    );
}

#[test]
fn a_canary_to_a_destination_that_the_route_does_not_have() {
    refused(
        generate(&istio_api_with(
            "destination: {host: reviews, subset: v2}\n",
            "destination: {host: reviews, subset: v4}\n",
        )),
        str![[r#"
error[BackendNotFound]: the rule VirtualService/bookinfo/reviews/everyone has no destination reviews.bookinfo.svc.cluster.local with the subset v4; it has `reviews.bookinfo:9080/v1`, `reviews.bookinfo:9080/v2`, `reviews.bookinfo:9080/v3`
  --> <stdin>:83:42
   |
22 |   - name: everyone
   |     - the rule
...
83 |     destination: {host: reviews, subset: v4}
   |                                          ^^


"#]],
    );
}

#[test]
fn a_backend_ref_for_a_virtual_service() {
    refused(
        generate(&istio_api_with(
            "    destination: {host: reviews, subset: v2}\n",
            "    backendRef: {name: reviews}\n",
        )),
        str![[r#"
error[Invalid]: a canary rule names its backend in destination where the target is of the kind VirtualService
  --> <stdin>:83:17
   |
83 |     backendRef: {name: reviews}
   |                 ^


"#]],
    );
}

#[test]
fn a_gateway_that_is_not_there() {
    refused(
        generate(&istio_api_with("gateways: [front]", "gateways: [fronts]")),
        str![[r#"
error[NoMatchingParent]: the Gateway bookinfo/fronts of networking.istio.io is not in the input
  --> <stdin>:15:14
   |
15 |   gateways: [fronts]
   |              ^^^^^^
   |
   = help: did you mean `front`?


"#]],
    );
}

#[test]
fn weights_that_are_all_0() {
    passed_over(
        generate(
            &ISTIO_API
                .replace("weight: 60", "weight: 0")
                .replace("weight: 30", "weight: 0")
                .replace("weight: 10", "weight: 0"),
        ),
        str![[r#"
warning[NoEffect]: the weights of all backends of this rule are 0: requests without a live session are answered with 500
  --> <stdin>:22:5
   |
22 |   - name: everyone
   |     ^


"#]],
    );
}

#[test]
fn headers_of_one_destination_are_in_its_session_route() {
    let input = istio_api_with("weight: 60}", "weight: 60, headers: {request: {set: {a: b}}}}");
    let run = Generated::istio(&input);
    assert_eq!(run.findings, [""; 0]);
    let headers = json!([{ "append_action": "OVERWRITE_IF_EXISTS_OR_ADD", "header": { "key": "a", "value": "b" } }]);
    let routes = run.patches("HTTP_ROUTE");
    assert!(!routes.is_empty(), "{:#}", run.value);
    for route in routes.into_iter().map(|patch| &patch["patch"]["value"]) {
        let name = route["name"].as_str().unwrap();
        let expected = name.ends_with("/v1").then_some(&headers);
        assert_eq!(route.get("request_headers_to_add"), expected, "{route:#}");
    }
}

#[test]
fn an_unknown_field() {
    refused(
        generate(&istio_api_with(
            "  - name: everyone\n",
            "  - name: everyone\n    retry: {}\n",
        )),
        str![[r#"
error[Invalid]: unknown field `retry`; allowed here: corsPolicy, delegate, directResponse, fault, headers, match, mirror, mirrorPercent, mirrorPercentage, mirror_percent, mirrors, name, redirect, retries, rewrite, route, timeout
  --> <stdin>:23:5
   |
23 |     retry: {}
   |     ^^^^^


"#]],
    );
}

#[test]
fn a_gateway_for_every_pod() {
    refused(
        generate(&istio_api_with("  selector: {istio: ingressgateway}\n", "")),
        str![[r#"
error[Unsupported]: Gateway bookinfo/front has no selector, so it would apply to every gateway of the mesh
 --> <stdin>:3:18
  |
3 | metadata: {name: front, namespace: bookinfo}
  |                  ^^^^^
  |
  = help: select its pods by their labels, such as `selector: {istio: ingressgateway}`


"#]],
    );
}

#[test]
fn a_route_without_sessions_that_is_called_like_one_with_sessions() {
    refused(
        generate(&with_namesake(ISTIO_API)),
        str![[r#"
error[Duplicate]: two rules with the name `everyone` are in the virtual host `reviews.example.com:80`, and Envoy cannot tell them apart: VirtualService/bookinfo/others/everyone and VirtualService/bookinfo/reviews/everyone
   --> <stdin>:22:11
    |
 22 |   - name: everyone
    |           ^^^^^^^^
...
103 |   - name: everyone
    |           -------- the other one
    |
    = help: give one of them another name

error[Duplicate]: two rules with the name `everyone.bee` are in the virtual host `reviews.example.com:80`, and Envoy cannot tell them apart: VirtualService/bookinfo/others/everyone and VirtualService/bookinfo/reviews/everyone
   --> <stdin>:22:11
    |
 22 |   - name: everyone
    |           ^^^^^^^^
...
103 |   - name: everyone
    |           -------- the other one
    |
    = help: give one of them another name


"#]],
    );
}

#[test]
fn routes_with_sessions_of_one_name_in_one_virtual_host() {
    refused(
        generate(&with_namesake(&with_session_policy(ISTIO_API))),
        str![[r#"
error[Duplicate]: two rules with the name `home` are in the virtual host `reviews.example.com:80`, and Envoy cannot tell them apart: VirtualService/bookinfo/others/home and VirtualService/bookinfo/reviews/home
  --> <stdin>:17:11
   |
17 |   - name: home
   |           ^^^^
...
94 |   - name: home
   |           ---- the other one
   |
   = help: give one of them another name

error[Duplicate]: two rules with the name `everyone` are in the virtual host `reviews.example.com:80`, and Envoy cannot tell them apart: VirtualService/bookinfo/others/everyone and VirtualService/bookinfo/reviews/everyone
  --> <stdin>:22:11
   |
22 |   - name: everyone
   |           ^^^^^^^^
...
99 |   - name: everyone
   |           -------- the other one
   |
   = help: give one of them another name

error[Duplicate]: two rules with the name `everyone.bee` are in the virtual host `reviews.example.com:80`, and Envoy cannot tell them apart: VirtualService/bookinfo/others/everyone and VirtualService/bookinfo/reviews/everyone
  --> <stdin>:22:11
   |
22 |   - name: everyone
   |           ^^^^^^^^
...
99 |   - name: everyone
   |           -------- the other one
   |
   = help: give one of them another name

note[Draining]: sessions leave a pod of a subset as soon as it terminates: Istio lets only those of whole Services stay
  --> <stdin>:47:18
   |
47 | metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
   |                  ^^^^^^^
   |
   = help: to let them stay, use a Service for each version instead of subsets


"#]],
    );
}

#[test]
fn a_local_envoy_without_the_pods() {
    refused(
        generate_envoy(&istio_api_with(
            "metadata: {name: reviews-3, namespace: bookinfo, labels: {app: reviews, version: v3}}",
            "metadata: {name: other, namespace: bookinfo}",
        )),
        str![[r#"
error[BackendNotFound]: cannot tell whether this endpoint is in the subset `v1`: subsets select pods by their labels, and the Pod bookinfo/reviews-3 is not in the input
  --> <stdin>:73:16
   |
47 | metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
   |                  ------- the Service
...
73 | - {addresses: [127.0.9.3], targetRef: {kind: Pod, name: reviews-3}}
   |                ^^^^^^^^^
   |
   = help: add the Pods to the input, with their labels, and refer to them in the targetRef of each endpoint

error[BackendNotFound]: cannot tell whether this endpoint is in the subset `v2`: subsets select pods by their labels, and the Pod bookinfo/reviews-3 is not in the input
  --> <stdin>:73:16
   |
47 | metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
   |                  ------- the Service
...
73 | - {addresses: [127.0.9.3], targetRef: {kind: Pod, name: reviews-3}}
   |                ^^^^^^^^^
   |
   = help: add the Pods to the input, with their labels, and refer to them in the targetRef of each endpoint

error[BackendNotFound]: cannot tell whether this endpoint is in the subset `v3`: subsets select pods by their labels, and the Pod bookinfo/reviews-3 is not in the input
  --> <stdin>:73:16
   |
47 | metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
   |                  ------- the Service
...
73 | - {addresses: [127.0.9.3], targetRef: {kind: Pod, name: reviews-3}}
   |                ^^^^^^^^^
   |
   = help: add the Pods to the input, with their labels, and refer to them in the targetRef of each endpoint


"#]],
    );
}

#[test]
fn a_local_envoy_with_endpoints_of_no_pod() {
    refused(
        generate_envoy(&istio_api_with(", targetRef: {kind: Pod, name: reviews-1}", "")),
        str![[r#"
error[BackendNotFound]: cannot tell whether this endpoint is in the subset `v1`: subsets select pods by their labels, and this endpoint has no targetRef to a Pod
  --> <stdin>:71:16
   |
47 | metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
   |                  ------- the Service
...
71 | - {addresses: [127.0.9.1]}
   |                ^^^^^^^^^
   |
   = help: add the Pods to the input, with their labels, and refer to them in the targetRef of each endpoint

error[BackendNotFound]: cannot tell whether this endpoint is in the subset `v2`: subsets select pods by their labels, and this endpoint has no targetRef to a Pod
  --> <stdin>:71:16
   |
47 | metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
   |                  ------- the Service
...
71 | - {addresses: [127.0.9.1]}
   |                ^^^^^^^^^
   |
   = help: add the Pods to the input, with their labels, and refer to them in the targetRef of each endpoint

error[BackendNotFound]: cannot tell whether this endpoint is in the subset `v3`: subsets select pods by their labels, and this endpoint has no targetRef to a Pod
  --> <stdin>:71:16
   |
47 | metadata: {name: reviews, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
   |                  ------- the Service
...
71 | - {addresses: [127.0.9.1]}
   |                ^^^^^^^^^
   |
   = help: add the Pods to the input, with their labels, and refer to them in the targetRef of each endpoint


"#]],
    );
}

#[test]
fn an_http_route_that_envoy_would_refuse() {
    let input = istio_api_with("  - name: everyone\n", "  - name: everyone\n    timeout: soon\n");
    refused(
        generate_envoy(&input.replace("{exact: GET}", "{regex: '('}")),
        str![[r#"
error[Invalid]: `soon` is not a duration, such as 10s, 500ms or 1h30m: --target envoy answers the requests of this rule with 500
  --> <stdin>:22:5
   |
22 |   - name: everyone
   |     ^

error[Invalid]: `(` is not a regular expression that Envoy accepts: unclosed group: with --target envoy, this match never applies
  --> <stdin>:25:7
   |
25 |     - uri: {prefix: /reviews}
   |       ^


"#]],
    );
}

#[test]
fn a_selector_of_which_no_name_can_be_made() {
    for value in ["../../../etc/x", "a/b", "..", "-a", "\"\"", &"a".repeat(64)] {
        let input = istio_api_with(
            "  selector: {istio: ingressgateway}\n",
            &format!("  selector: {{istio: {value}}}\n"),
        );
        let run = generate(&input).code(3);
        let stderr = said(&run);
        assert!(
            stderr.starts_with("error[Invalid]: the selector of Gateway bookinfo/front: "),
            "{stderr}"
        );
    }
    refused(
        generate(&istio_api_with(
            "  selector: {istio: ingressgateway}\n",
            "  selector: {istio: ../x}\n",
        )),
        str![[r#"
error[Invalid]: the selector of Gateway bookinfo/front: `../x` of `istio` is not a valid label value: use at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends
 --> <stdin>:3:18
  |
3 | metadata: {name: front, namespace: bookinfo}
  |                  ^^^^^


"#]],
    );
    let labels: Vec<String> = (0..4).map(|number| format!("l{number}: {}", "a".repeat(60))).collect();
    let long = format!("  selector: {{{}}}\n", labels.join(", "));
    let run = generate(&istio_api_with("  selector: {istio: ingressgateway}\n", &long)).code(3);
    let stderr = said(&run);
    assert!(stderr.contains("243 characters: 1 to 200 are allowed"), "{stderr}");
}
