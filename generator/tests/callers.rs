//! Sessions in the sidecars of callers: `--callers`, routes whose parent is a Service or a `ServiceEntry`, and
//! `VirtualService`s of the gateway `mesh`.

use crate::common::{self, Generated, generate_envoy, ids, mooring, said, texts};
use serde_json::json;

/// `reviews` with two versions, and the parent of its route in place of `PARENT`.
const ROUTE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: bookinfo}
spec: {ports: [{name: http, port: 9080}, {name: admin, port: 9081}, {name: tcp-debug, port: 9082}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v1, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
spec: {ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v2, namespace: bookinfo, labels: {istio.io/persistent-session: a}}
spec: {ports: [{name: http, port: 9080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: NAMESPACE}
spec:
  parentRefs: [PARENT]
  rules:
  - name: main
    sessionPersistence: {sessionName: reviews-session}
    backendRefs:
    - {name: reviews-v1, namespace: bookinfo, port: 9080}
    - {name: reviews-v2, namespace: bookinfo, port: 9080}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: routes, namespace: bookinfo}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: client}]
  to: [{group: \"\", kind: Service}]
";

/// A `VirtualService` of the mesh with two subsets, and the fields in place of `FIELDS`.
const VIRTUAL_SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: bookinfo}
spec: {ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: bookinfo}
spec: {host: reviews, subsets: [{name: v1}, {name: v2}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: bookinfo}
spec:
  hosts: [reviews]
  FIELDS
  http:
  - name: all
    timeout: 3s
    route:
    - {destination: {host: reviews, subset: v1}, weight: 90}
    - {destination: {host: reviews, subset: v2}, weight: 10}
---
apiVersion: mooring.dev/v1alpha1
kind: CanaryPolicy
metadata: {name: reviews, namespace: bookinfo}
spec:
  targetRef: {group: networking.istio.io, kind: VirtualService, name: reviews}
  sticky: {type: Header, header: {name: x-reviews}}
";

const PARENT: &str = "{group: \"\", kind: Service, name: reviews, namespace: bookinfo}";

fn route_in(namespace: &str, parent: &str) -> String {
    ROUTE.replace("NAMESPACE", namespace).replace("PARENT", parent)
}

fn virtual_service(fields: &str) -> String {
    VIRTUAL_SERVICE.replace("FIELDS", fields)
}

/// What a run with these callers says, and its exit status.
fn findings(callers: &[&str], input: &str) -> (Option<i32>, String) {
    let flags: Vec<&str> = callers.iter().flat_map(|callers| ["--callers", callers]).collect();
    common::findings(&flags, input)
}

#[test]
fn callers_get_objects_in_their_namespace_that_select_them() {
    let made = Generated::istio_with(
        &["--callers", "bookinfo/app=productpage"],
        &route_in("bookinfo", PARENT),
    );
    assert_eq!(made.findings, [""; 0]);
    assert_eq!(
        ids(&made.objects("EnvoyFilter")),
        ["bookinfo/mooring-callers-productpage-http"]
    );
    assert_eq!(
        ids(&made.objects("WasmPlugin")),
        ["bookinfo/mooring-callers-productpage"]
    );
    let plugin = &made.first("WasmPlugin")["spec"];
    assert_eq!(plugin["selector"], json!({ "matchLabels": { "app": "productpage" } }));
    assert_eq!(plugin["match"], json!([{ "mode": "CLIENT" }]));
    let filter = &made.first("EnvoyFilter")["spec"];
    assert_eq!(
        filter["workloadSelector"],
        json!({ "labels": { "app": "productpage" } })
    );
    let contexts = made.patches("VIRTUAL_HOST");
    assert_eq!(texts(&contexts, "/match/context"), ["SIDECAR_OUTBOUND"; 2]);
}

#[test]
fn the_module_is_disabled_on_gateways_that_callers_select() {
    let made = Generated::istio_with(&["--callers", "bookinfo"], &route_in("bookinfo", PARENT));
    let patches = made.patches("ROUTE_CONFIGURATION");
    assert_eq!(texts(&patches, "/match/context"), ["SIDECAR_OUTBOUND", "GATEWAY"]);
    assert_eq!(patches[0]["patch"], patches[1]["patch"]);
}

#[test]
fn a_namespace_without_labels_selects_all_its_pods() {
    for (callers, name) in [
        ("bookinfo", "bookinfo/mooring-callers"),
        ("istio-system", "istio-system/mooring-callers"),
    ] {
        let made = Generated::istio_with(&["--callers", callers], &route_in("bookinfo", PARENT));
        assert_eq!(ids(&made.objects("WasmPlugin")), [name]);
        assert_eq!(made.first("WasmPlugin")["spec"].get("selector"), None);
        assert_eq!(made.first("EnvoyFilter")["spec"].get("workloadSelector"), None);
    }
}

#[test]
fn a_route_applies_on_each_http_port_of_its_service_or_on_the_port_that_it_names() {
    let hosts = |parent: &str| {
        let made = Generated::istio_with(&["--callers", "bookinfo"], &route_in("bookinfo", parent));
        let hosts = made.virtual_hosts();
        hosts.into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let on = |port: u16| format!("reviews.bookinfo.svc.cluster.local:{port}");
    assert_eq!(hosts(PARENT), [on(9080), on(9081)]);
    assert_eq!(hosts(&PARENT.replace('}', ", port: 9081}")), [on(9081)]);
    let (status, said) = findings(
        &["bookinfo"],
        &route_in("bookinfo", &PARENT.replace('}', ", port: 9082}")),
    );
    assert_eq!(status, Some(3));
    assert!(
        said.contains("error[NoMatchingParent]: the Service bookinfo/reviews has no HTTP port 9082"),
        "{said}"
    );
}

#[test]
fn session_routes_have_the_service_as_their_parent() {
    let gateway = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: bookinfo}\n\
                   spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}\n";
    let input = format!(
        "{}{gateway}",
        route_in("bookinfo", &format!("{PARENT}, {{name: front}}"))
    );
    let parents =
        |flags: &[&str]| Generated::istio_with(flags, &input).first("HTTPRoute")["spec"]["parentRefs"].clone();
    let service = json!({ "group": "", "kind": "Service", "name": "reviews", "namespace": "bookinfo" });
    assert_eq!(
        parents(&["--callers", "bookinfo"]),
        json!([service, { "name": "front" }])
    );
    // Without callers nothing removes the header of a client.
    assert_eq!(parents(&[]), json!([{ "name": "front" }]));
}

#[test]
fn a_route_of_another_namespace_applies_to_callers_there() {
    let input = route_in("client", PARENT);
    let plugins = |callers: &[&str]| {
        let flags: Vec<&str> = callers.iter().flat_map(|callers| ["--callers", callers]).collect();
        ids(&Generated::istio_with(&flags, &input).objects("WasmPlugin"))
    };
    assert_eq!(plugins(&["client"]), ["client/mooring-callers"]);
    assert_eq!(plugins(&["istio-system"]), ["istio-system/mooring-callers"]);
    let (status, said) = findings(&["bookinfo", "client/app=a"], &input);
    assert_eq!(status, Some(0));
    assert!(
        said.contains("warning[NoEffect]: --callers bookinfo has no effect"),
        "{said}"
    );
    let (_, said) = findings(&["bookinfo"], &input);
    let expected =
        "HTTPRoute client/reviews is in another namespace, so it applies only to callers in the namespace client";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_route_of_another_namespace_needs_a_grant() {
    let input = route_in("client", PARENT).replace("namespace: client}]", "namespace: other}]");
    let (status, said) = findings(&["client"], &input);
    assert_eq!(status, Some(3));
    assert!(
        said.contains(
            "error[RefNotPermitted]: HTTPRoute client/reviews must not refer to the Service bookinfo/reviews-v1"
        ),
        "{said}"
    );
}

#[test]
fn without_callers_no_sidecar_is_changed() {
    for input in [
        route_in("bookinfo", PARENT),
        virtual_service("gateways: [mesh]"),
        virtual_service(""),
    ] {
        let (status, said) = findings(&[], &input);
        assert_eq!(status, Some(0));
        assert!(said.contains("warning[NoEffect]: no sessions are kept"), "{said}");
        assert!(said.contains("--callers NAMESPACE"), "{said}");
    }
    // Without a policy there is nothing to say.
    let plain = virtual_service("")
        .split("---\napiVersion: mooring.dev")
        .next()
        .unwrap()
        .to_owned();
    assert!(!findings(&[], &plain).1.contains("--callers"));
}

#[test]
fn a_virtual_service_of_the_mesh_has_inserted_routes_and_no_other_object() {
    for fields in ["", "gateways: [mesh]", "gateways: [mesh, front]"] {
        let (status, _) = findings(&["bookinfo"], &virtual_service(fields));
        assert_eq!(status, Some(0), "{fields}");
    }
    let made = Generated::istio_with(&["--callers", "bookinfo"], &virtual_service(""));
    assert!(made.objects("VirtualService").is_empty());
    assert!(made.objects("HTTPRoute").is_empty());
    let inserted = made.patches("HTTP_ROUTE");
    assert_eq!(inserted.len(), 2);
    for (patch, subset) in inserted.iter().zip(["v1", "v2"]) {
        assert_eq!(patch["match"]["context"], "SIDECAR_OUTBOUND");
        let host = &patch["match"]["routeConfiguration"]["vhost"];
        assert_eq!(host["name"], "reviews.bookinfo.svc.cluster.local:9080");
        assert_eq!(host["route"]["name"], "all");
        assert_eq!(patch["patch"]["operation"], "INSERT_BEFORE");
        let cluster = &patch["patch"]["value"]["route"]["cluster"];
        assert_eq!(
            cluster,
            &format!("outbound|9080|{subset}|reviews.bookinfo.svc.cluster.local")
        );
    }
    assert_eq!(
        made.rule(0)["virtualHosts"],
        json!(["reviews.bookinfo.svc.cluster.local:9080"])
    );
}

/// istiod: `buildSidecarOutboundVirtualHosts` knows only the port of the listener of each Service.
#[test]
fn a_destination_without_a_port_leads_to_the_port_that_was_called() {
    let other = "---\napiVersion: v1\nkind: Service\nmetadata: {name: other, namespace: bookinfo}\nspec: {ports: [{name: http, port: 80}]}\n";
    let to_other = virtual_service("").replace("{host: reviews, subset: v2}, weight", "{host: other}, weight") + other;
    let (status, said) = findings(&["bookinfo"], &to_other);
    assert_eq!(status, Some(3));
    let message = "error[BackendNotFound]: the Service bookinfo/other is called on port 9080, where sidecars send requests for a \
                   destination without a port, so the destination must name one; it has 80";
    assert!(said.contains(message), "{said}");
    let named = to_other.replace("{host: other}", "{host: other, port: {number: 80}}");
    assert_eq!(findings(&["bookinfo"], &named).0, Some(0));

    let mirrored = virtual_service("").replace("    timeout: 3s\n", "    mirror: {host: other}\n") + other;
    let made = Generated::istio_with(&["--callers", "bookinfo"], &mirrored);
    let mirrors = &made.patches("HTTP_ROUTE")[0]["patch"]["value"]["route"]["request_mirror_policies"];
    assert_eq!(mirrors[0]["cluster"], "outbound|9080||other.bookinfo.svc.cluster.local");
}

#[test]
fn a_virtual_service_for_gateways_only_does_not_apply_to_callers() {
    let (_, said) = findings(&["bookinfo"], &virtual_service("gateways: [front]"));
    assert!(said.contains("--callers bookinfo has no effect"), "{said}");
    let (_, said) = findings(&["mall"], &virtual_service("exportTo: [\".\"]"));
    assert!(
        said.contains("it is not exported to the namespace of any of the --callers"),
        "{said}"
    );
}

#[test]
fn an_http_route_replaces_a_virtual_service_of_the_same_host() {
    let route = route_in("bookinfo", PARENT);
    let of_reviews = "apiVersion: v1\nkind: Service\nmetadata: {name: reviews, namespace: bookinfo}\nspec: {ports: [{name: http, port: \
                      9080}]}\n---\n";
    let (_, rest) = route.split_once("---\n").unwrap();
    let input = format!("{}---\n{rest}", virtual_service(""));
    assert!(input.contains(of_reviews.trim_end_matches("---\n")), "{input}");
    let (status, said) = findings(&["bookinfo"], &input);
    assert_eq!(status, Some(3));
    let expected = "error[Conflicted]: HTTPRoute bookinfo/reviews has the host of \
                    `reviews.bookinfo.svc.cluster.local:9080` as its parent, so Istio ignores VirtualService bookinfo/reviews there";
    assert!(said.contains(expected), "{said}");
    assert!(
        said.contains("left out because of errors: 1 rule (VirtualService/bookinfo/reviews/all on callers/bookinfo)"),
        "{said}"
    );
}

#[test]
fn a_service_entry_is_a_parent_and_its_hosts_are_backends() {
    let input = "\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.ext.test, api-2.ext.test]
  ports: [{number: 80, name: web, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]
  resolution: STATIC
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api, namespace: shop}
spec:
  parentRefs: [{group: networking.istio.io, kind: ServiceEntry, name: api}]
  rules:
  - sessionPersistence: {}
    backendRefs:
    - {group: networking.istio.io, kind: Hostname, name: api.ext.test, port: 80}
    - {group: networking.istio.io, kind: Hostname, name: api-2.ext.test, port: 80}
";
    let made = Generated::istio_with(&["--callers", "shop"], input);
    assert_eq!(made.virtual_hosts(), ["api-2.ext.test:80", "api.ext.test:80"]);
    assert_eq!(made.rule(0)["backends"][0]["key"], "api.ext.test:80");
    assert_eq!(made.first("HTTPRoute")["spec"]["parentRefs"][0]["kind"], "ServiceEntry");
    let (status, said) = findings(
        &["shop"],
        &input.replace("name: api-2.ext.test, port", "name: none.ext.test, port"),
    );
    assert_eq!(status, Some(3));
    assert!(
        said.contains("no Service and no ServiceEntry of the input has the host `none.ext.test`"),
        "{said}"
    );
}

#[test]
fn callers_that_select_no_pods_are_reported() {
    let pods = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: productpage, namespace: bookinfo}\nspec:\n  template: \
                {metadata: {labels: {app: productpage}}}\n";
    let input = format!("{}{pods}", route_in("bookinfo", PARENT));
    let nothing = "selects nothing";
    assert!(!findings(&["bookinfo/app=productpage"], &input).1.contains(nothing));
    let (status, said) = findings(&["bookinfo/app=product"], &input);
    assert_eq!(status, Some(0));
    assert!(
        said.contains("warning[NoEffect]: --callers bookinfo/app=product selects nothing"),
        "{said}"
    );
    // The input has no pods of that namespace, so they may be elsewhere.
    assert!(!findings(&["mall/app=web"], &input).1.contains(nothing));
}

#[test]
fn callers_that_contain_each_other_are_refused() {
    for (one, other) in [
        ("bookinfo", "bookinfo/app=a"),
        ("istio-system", "bookinfo"),
        ("shop", "shop"),
    ] {
        let (status, said) = findings(&[one, other], &route_in("bookinfo", PARENT));
        assert_eq!(status, Some(2));
        assert!(said.contains("select the same pods: keep one of them"), "{said}");
    }
}

#[test]
fn a_missing_parent_leaves_out_its_route_only() {
    let input = format!(
        "{}---\n{}",
        route_in("bookinfo", "{group: \"\", kind: Service, name: review}"),
        virtual_service("")
    );
    let (status, said) = findings(&["bookinfo"], &input);
    assert_eq!(status, Some(3));
    assert!(
        said.contains("error[NoMatchingParent]: the Service bookinfo/review is not in the input"),
        "{said}"
    );
    assert!(
        said.contains("left out because of errors: 1 route (HTTPRoute/bookinfo/reviews)"),
        "{said}"
    );
}

#[test]
fn a_local_envoy_plays_the_sidecar_of_a_caller() {
    let run = |namespace: &str| {
        let flags = [
            "generate",
            "-f",
            "-",
            "-o",
            "json",
            "--target",
            "envoy",
            "--wasm",
            "m.wasm",
            "--as-sidecar",
            namespace,
        ];
        let run = mooring()
            .args(flags)
            .stdin(route_in("bookinfo", PARENT))
            .assert()
            .success();
        let value: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
        value
    };
    let listeners = |value: &serde_json::Value| -> Vec<u64> {
        let listeners = value["static_resources"]["listeners"].as_array().unwrap();
        let port = |listener: &serde_json::Value| listener["address"]["socket_address"]["port_value"].as_u64().unwrap();
        listeners.iter().map(port).collect()
    };
    let domains = |value: &serde_json::Value| {
        let manager = &value["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        manager["route_config"]["virtual_hosts"][0]["domains"].clone()
    };
    let own = run("bookinfo");
    assert_eq!(listeners(&own), [9080, 9081]);
    let full = "reviews.bookinfo.svc.cluster.local";
    assert_eq!(
        domains(&own),
        json!([full, "reviews.bookinfo.svc", "reviews.bookinfo", "reviews"])
    );
    assert_eq!(
        domains(&run("mall")),
        json!([full, "reviews.bookinfo.svc", "reviews.bookinfo"])
    );
}

#[test]
fn flags_of_sidecars_are_for_one_target() {
    let run = |flags: &[&str]| {
        let run = mooring()
            .args(["generate", "-f", "-"])
            .args(flags)
            .stdin(route_in("bookinfo", PARENT))
            .assert();
        (run.get_output().status.code(), said(&run))
    };
    let (status, message) = run(&["--target", "envoy", "--wasm", "m.wasm", "--callers", "bookinfo"]);
    assert_eq!(status, Some(2));
    assert!(
        message.contains("--callers can only be used with --target istio"),
        "{message}"
    );
    let (status, message) = run(&["--wasm", common::WASM, "--as-sidecar", "bookinfo"]);
    assert_eq!(status, Some(2));
    assert!(
        message.contains("--as-sidecar can only be used with --target envoy"),
        "{message}"
    );
    // Without the flag, a local Envoy is a gateway.
    let gateways = said(&generate_envoy(&route_in("bookinfo", PARENT)));
    assert!(gateways.contains("there is no Gateway in the input"), "{gateways}");
}
