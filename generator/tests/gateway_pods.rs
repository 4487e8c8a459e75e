//! Which pods a gateway is, and where they are: what is generated selects them, in their namespace.

use crate::common::{
    Generated, SHOP, WASM, generate, istio_api::ISTIO_API, istio_api::istio_api_with, mooring, passed_over, refused,
    said, shop_with,
};
use serde_json::{Value, json};
use snapbox::str;

/// The shop, whose Gateway is deployed by hand as the Service of this address.
fn by_hand(address: &str) -> String {
    let addresses = format!("  gatewayClassName: istio\n  addresses: [{{type: Hostname, value: {address}}}]\n");
    shop_with("  gatewayClassName: istio\n", &addresses)
}

/// A Service of gateways.
fn service(namespace: &str, selector: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: gw, namespace: {namespace}}}\nspec: {{selector: {selector}, ports: \
         [{{name: http, port: 80}}]}}\n"
    )
}

/// A pod with the labels of Istio's usual gateway.
fn pod(name: &str, namespace: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{istio: ingressgateway, app: \
         gw}}}}\n"
    )
}

/// An object whose pods have those labels.
fn controller(kind: &str, namespace: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: gw, namespace: {namespace}}}\nspec:\n  replicas: 2\n  template:\n    \
         metadata: {{labels: {{istio: ingressgateway, app: gw}}}}\n    spec: {{containers: [{{name: istio-proxy, image: auto}}]}}\n"
    )
}

/// Istio's own objects without the pod of the gateway.
fn without_pod() -> String {
    let (rest, _) = ISTIO_API.rsplit_once("---\napiVersion: v1\nkind: Pod").unwrap();
    rest.to_owned()
}

/// Namespaces and selectors of what is generated for gateways: of each `EnvoyFilter`, and of each `WasmPlugin`.
fn places(made: &Generated) -> Vec<(String, Value)> {
    let namespace = |object: &Value| object["metadata"]["namespace"].as_str().unwrap().to_owned();
    let filters = made.objects("EnvoyFilter").into_iter();
    let filters: Vec<_> = filters
        .map(|filter| (namespace(filter), filter["spec"]["workloadSelector"]["labels"].clone()))
        .collect();
    let plugins = made.objects("WasmPlugin").into_iter();
    let plugins: Vec<_> = plugins
        .map(|plugin| match &plugin["spec"]["targetRefs"] {
            Value::Null => (namespace(plugin), plugin["spec"]["selector"]["matchLabels"].clone()),
            targets => {
                let label = json!({ "gateway.networking.k8s.io/gateway-name": targets[0]["name"] });
                (namespace(plugin), label)
            }
        })
        .collect();
    assert_eq!(filters, plugins, "they reach different pods");
    filters
}

fn of_label(name: &str) -> Value {
    json!({ "gateway.networking.k8s.io/gateway-name": name })
}

#[test]
fn a_gateway_deployed_by_hand_is_the_pods_of_its_service() {
    for address in ["gw", "gw.default.svc.cluster.local"] {
        let input = format!(
            "{}{}",
            by_hand(address),
            service("default", "{istio: ingress, app: gw}")
        );
        let made = Generated::istio(&input);
        assert_eq!(made.findings, [""; 0], "{address}");
        let selector = json!({ "istio": "ingress", "app": "gw" });
        assert_eq!(places(&made), [("default".to_owned(), selector)]);
        assert_eq!(made.first("WasmPlugin")["metadata"]["name"], "mooring-gw-ingress");
    }
}

#[test]
fn a_service_that_selects_by_the_gateway_s_name_is_like_istiod_s_own() {
    let selector = "{gateway.networking.k8s.io/gateway-name: front}";
    let made = Generated::istio(&format!("{}{}", by_hand("gw"), service("default", selector)));
    assert_eq!(made.value, Generated::istio(SHOP).value);
    assert_eq!(places(&made), [("default".to_owned(), of_label("front"))]);
    // The pods of another Gateway have another label.
    let other = selector.replace("front", "other");
    let made = Generated::istio(&format!("{}{}", by_hand("gw"), service("default", &other)));
    assert_eq!(places(&made), [("default".to_owned(), of_label("other"))]);
}

#[test]
fn one_address_that_is_no_host_name_is_left_to_istiod() {
    for address in ["{type: IPAddress, value: 10.0.0.1}", "{value: 10.0.0.1}", "{}"] {
        let addresses = format!("  gatewayClassName: istio\n  addresses: [{address}]\n");
        let made = Generated::istio(&shop_with("  gatewayClassName: istio\n", &addresses));
        assert_eq!(made.findings, [""; 0], "{address}");
        assert_eq!(places(&made), [("default".to_owned(), of_label("front"))]);
    }
}

#[test]
fn a_service_that_is_not_there_is_warned_of_with_the_label_that_pods_need() {
    passed_over(
        generate(&by_hand("gw")),
        str![[r#"
warning[NoEffect]: Gateway default/front is deployed by hand, and the Service `gw.default.svc.cluster.local` is not in the input: what is generated reaches only pods with the label `gateway.networking.k8s.io/gateway-name: front`
 --> <stdin>:7:39
  |
7 |   addresses: [{type: Hostname, value: gw}]
  |                                       ^^
  |
  = help: add the Service to the input, or give its pods that label


"#]],
    );
    let without_selector = format!("{}{}", by_hand("gw"), service("default", "null"));
    let run = generate(&without_selector).code(0);
    let said = said(&run);
    assert!(
        said.contains("the Service default/gw has no selector") && said.contains("gateway-name: front`"),
        "{said}"
    );
    assert!(String::from_utf8_lossy(&run.get_output().stdout).contains("gateway-name: front\n"));
    // Some other host may stand for pods too, by a ServiceEntry.
    let message = generate(&by_hand("gw.example.com")).code(0);
    assert!(crate::common::said(&message).contains("the Service `gw.example.com` is not in the input"));
}

#[test]
fn a_service_of_another_namespace_has_no_pods_for_the_gateway() {
    refused(
        generate(&format!(
            "{}{}",
            by_hand("gw.edge.svc.cluster.local"),
            service("edge", "{app: gw}")
        )),
        str![[r#"
error[Invalid]: Gateway default/front names the Service edge/gw, but Istio finds its pods only by Services in its own namespace
 --> <stdin>:7:39
  |
7 |   addresses: [{type: Hostname, value: gw.edge.svc.cluster.local}]
  |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^


"#]],
    );
}

#[test]
fn several_addresses_are_several_groups_of_pods() {
    let addresses = "  gatewayClassName: istio\n  addresses:\n  - {type: Hostname, value: gw}\n  - {type: IPAddress, value: 10.0.0.1}\n  \
                     - {type: Hostname, value: gw-2}\n";
    let shop = shop_with("  gatewayClassName: istio\n", addresses);
    let second = service("default", "{app: other}").replacen("name: gw,", "name: gw-2,", 1);
    let made = Generated::istio(&format!("{shop}{}{second}", service("default", "{app: gw}")));
    assert_eq!(made.findings, [""; 0]);
    let of = |app: &str| ("default".to_owned(), json!({ "app": app }));
    assert_eq!(places(&made), [of("gw"), of("other")]);
    let only_ips = "  gatewayClassName: istio\n  addresses: [{type: IPAddress, value: 10.0.0.1}, {value: 10.0.0.2}]\n";
    let run = generate(&shop_with("  gatewayClassName: istio\n", only_ips)).code(3);
    assert!(said(&run).contains("error[Unsupported]: Gateway default/front has no address of the type Hostname"));
}

#[test]
fn gateways_of_one_service_share_what_is_generated() {
    let (gateway, rest) = by_hand("gw")
        .split_once("---\n")
        .map(|(gateway, rest)| (gateway.to_owned(), rest.to_owned()))
        .unwrap();
    let twin = gateway
        .replacen("name: front", "name: twin", 1)
        .replacen("port: 80", "port: 8080", 1);
    let rest = rest.replacen("  - name: front\n", "  - name: front\n  - name: twin\n", 1);
    let istio_gateway = "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: old}\nspec:\n  selector: {app: gw}\n  servers: \
                   [{port: {number: 81, name: http, protocol: HTTP}, hosts: ['*']}]\n";
    let pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: gw-1, labels: {app: gw}}\n";
    let input = format!(
        "{gateway}---\n{twin}---\n{rest}{}{istio_gateway}{pod}",
        service("default", "{app: gw}")
    );
    let made = Generated::istio(&input);
    assert_eq!(made.findings, [""; 0]);
    assert_eq!(places(&made), [("default".to_owned(), json!({ "app": "gw" }))]);
    assert_eq!(made.virtual_hosts(), ["*:80", "*:8080"]);
    // Another run would overwrite them, so they belong together.
    let one = Generated::istio_with(&["--gateway", "default/twin"], &input);
    assert_eq!(one.virtual_hosts(), ["*:80", "*:8080"]);
}

#[test]
fn a_local_envoy_asks_for_no_pods() {
    let made = Generated::envoy(&by_hand("gw"));
    assert_eq!(made.findings, [""; 0]);
    let made = Generated::envoy(&without_pod());
    assert_eq!(made.findings, [""; 0]);
}

#[test]
fn gateways_of_istio_are_where_their_pods_are() {
    for object in [
        pod("gw-1", "edge"),
        controller("Deployment", "edge"),
        controller("DaemonSet", "edge"),
        controller("StatefulSet", "edge"),
    ] {
        let made = Generated::istio(&format!("{}{object}", without_pod()));
        assert_eq!(made.findings, [""; 0], "{object}");
        assert_eq!(
            places(&made),
            [("edge".to_owned(), json!({ "istio": "ingressgateway" }))]
        );
    }
    // Pods of several namespaces are the gateway, and objects of istio-system hold for the pods of all.
    let two = format!(
        "{}{}{}",
        without_pod(),
        pod("gw-1", "edge"),
        controller("Deployment", "inner")
    );
    let namespaces = |input: &str| {
        places(&Generated::istio(input))
            .into_iter()
            .map(|(namespace, _)| namespace)
            .collect::<Vec<_>>()
    };
    assert_eq!(namespaces(&two), ["edge", "inner"]);
    assert_eq!(
        namespaces(&format!("{two}{}", pod("gw-2", "istio-system"))),
        ["istio-system"]
    );
    // validate names the gateway once.
    let validation = mooring()
        .args(["validate", "-f", "-", "-o", "json"])
        .stdin(&two)
        .assert()
        .code(0);
    let validation: Value = serde_json::from_slice(&validation.get_output().stdout).unwrap();
    assert_eq!(
        validation["rules"][0]["gateways"],
        json!([{ "namespace": "bookinfo", "name": "front" }])
    );
}

#[test]
fn without_pods_the_own_namespace_is_taken_with_a_warning() {
    let other = pod("a-1", "edge").replacen("istio: ingressgateway", "istio: egressgateway", 1);
    passed_over(
        generate(&format!("{}{other}", without_pod())),
        str![[r#"
warning[NoEffect]: no pod of Gateway bookinfo/front is in the input, so what is generated for it goes to its own namespace `bookinfo`, where it does not reach pods of another namespace
 --> <stdin>:3:18
  |
3 | metadata: {name: front, namespace: bookinfo}
  |                  ^^^^^
  |
  = help: `kubectl get pods -A -l istio=ingressgateway` says where they are: name that namespace with --gateway-namespace bookinfo/front=NAMESPACE, or add their Deployment to the input


"#]],
    );
    // What is in istio-system reaches them everywhere.
    let root = without_pod()
        .replacen(
            "name: front, namespace: bookinfo",
            "name: front, namespace: istio-system",
            1,
        )
        .replacen("gateways: [front]", "gateways: [istio-system/front]", 1);
    let made = Generated::istio(&root);
    assert_eq!(made.findings, [""; 0]);
    assert_eq!(places(&made)[0].0, "istio-system");
    // Nothing is generated for a gateway without sessions, so nothing can go wrong.
    let (without_policy, _) = root.split_once("---\napiVersion: mooring.dev").unwrap();
    let quiet = without_policy.replacen("istio-system", "edge", 2);
    assert!(!said(&generate(&quiet)).contains("no pod of Gateway"));
}

#[test]
fn the_namespace_can_be_named_for_one_gateway_or_for_all() {
    let input = format!("{}{}", without_pod(), pod("gw-1", "edge"));
    let namespaces = |flags: &[&str]| {
        let made = Generated::istio_with(flags, &input);
        assert_eq!(made.findings, [""; 0]);
        places(&made)
            .into_iter()
            .map(|(namespace, _)| namespace)
            .collect::<Vec<_>>()
    };
    let flag = "--gateway-namespace";
    assert_eq!(namespaces(&[]), ["edge"]);
    assert_eq!(namespaces(&[flag, "istio-system"]), ["istio-system"]);
    assert_eq!(namespaces(&[flag, "bookinfo/front=own"]), ["own"]);
    assert_eq!(namespaces(&[flag, "istio-system", flag, "bookinfo/front=own"]), ["own"]);
    assert_eq!(
        namespaces(&[flag, "bookinfo/front=b", flag, "bookinfo/front=a"]),
        ["a", "b"]
    );
}

#[test]
fn a_named_gateway_that_is_not_there_is_an_error() {
    let run = mooring()
        .args([
            "generate",
            "-f",
            "-",
            "--wasm",
            WASM,
            "--gateway-namespace",
            "shop/front=edge",
        ])
        .stdin(ISTIO_API)
        .assert()
        .code(3);
    let said = said(&run);
    assert!(
        said.starts_with(
            "error[NoMatchingParent]: --gateway-namespace names the Gateway of networking.istio.io shop/front, which is not in the \
             input\n |\n = help: there is one in the namespace `bookinfo`\n"
        ),
        "{said}"
    );
    for wrong in ["a/b", "front=edge", "a/b=", "a/b=c.d", "A"] {
        let command = mooring().args(["generate", "-f", "-", "--wasm", WASM, "--gateway-namespace", wrong]);
        command.stdin(ISTIO_API).assert().code(2);
    }
}

#[test]
fn a_name_that_is_too_long_for_a_label_costs_that_gateway_only() {
    let long = "g".repeat(64);
    let input = SHOP.replace("name: front", &format!("name: {long}"));
    refused(
        generate(&input),
        str![[r#"
error[Invalid]: the name of this Gateway has 64 characters: its pods have it as the value of the label `gateway.networking.k8s.io/gateway-name`, which may have at most 63
 --> <stdin>:4:9
  |
4 |   name: gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^


"#]],
    );
    let both = SHOP.replacen("  - name: front\n", &format!("  - name: front\n  - name: {long}\n"), 1);
    let second = SHOP.split("---\n").next().unwrap().replacen("front", &long, 1);
    let run = generate(&format!("{both}---\n{second}")).code(3);
    let stdout = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    assert!(stdout.contains("name: mooring-front\n") && !stdout.contains(&long));
    // 63 are enough, and pods that are found by other labels do not have the name.
    let (just, long) = ("g".repeat(63), "g".repeat(253));
    assert_eq!(
        Generated::istio(&SHOP.replace("name: front", &format!("name: {just}"))).findings,
        [""; 0]
    );
    let by_hand = by_hand("gw").replace("name: front", &format!("name: {long}"));
    let made = Generated::istio(&format!("{by_hand}{}", service("default", "{app: gw}")));
    assert_eq!(made.first("WasmPlugin")["metadata"]["name"], "mooring-gw");
    // Where nothing is generated for it, it is no error.
    let quiet = crate::common::without_policy(&input);
    assert!(said(&generate(&quiet).code(0)).contains("warning[Invalid]: the name of this Gateway has 64"));
}

#[test]
fn a_huge_name_is_shown_by_its_ends() {
    let huge = "g".repeat(1 << 17);
    for input in [
        SHOP.replace("name: front", &format!("name: {huge}")),
        shop_with("name: web\n      port", &format!("name: {huge}\n      port")),
        shop_with("sessionName: shop", &format!("sessionName: \"{huge} {huge}\"")),
        shop_with("protocol: HTTP", &format!("protocol: HTTP\n    {huge}: 1")),
        shop_with("kind: BackendLBPolicy", &format!("kind: {huge}")),
        shop_with("gatewayClassName: istio", &format!("gatewayClassName: {huge}")),
    ] {
        for command in ["generate", "validate"] {
            let wasm: &[&str] = if command == "generate" { &["--wasm", WASM] } else { &[] };
            let run = mooring().args([command, "-f", "-"]).args(wasm).stdin(&input).assert();
            let output = run.get_output();
            let length = output.stderr.len() + if command == "validate" { output.stdout.len() } else { 0 };
            assert!(length < 8_000, "{length} bytes");
        }
    }
}

#[test]
fn a_gateway_with_the_pod_of_another_one_in_its_namespace() {
    // The selector of a Gateway decides, not the name of a pod.
    let made = Generated::istio(&istio_api_with(
        "labels: {istio: ingressgateway}",
        "labels: {istio: ingressgateway, extra: x}",
    ));
    assert_eq!(
        places(&made),
        [("bookinfo".to_owned(), json!({ "istio": "ingressgateway" }))]
    );
}
