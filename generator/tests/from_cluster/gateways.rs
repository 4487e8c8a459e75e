//! `--from-cluster`: what a cluster says about its gateways and its domain.

use super::api_server::{Answers, ApiServer, answers, status};
use crate::common::{SHOP, WASM, istio_api::ISTIO_API, said, shop_with};
use serde_json::{Value, json};
use snapbox::cmd::OutputAssert;

const GENERATE: [&str; 5] = ["generate", "--wasm", WASM, "-o", "json"];

/// A Deployment whose pods have these labels and arguments, and much else.
fn deployment(namespace: &str, labels: &str, arguments: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: some, namespace: {namespace}}}\nspec:\n  selector: \
         {{matchLabels: {labels}}}\n  template:\n    metadata: {{labels: {labels}}}\n    spec: {{containers: [{{name: a, image: b, args: \
         {arguments}, env: [{{name: A, value: '1'}}]}}]}}\n"
    )
}

/// The same where nothing may be listed at this path.
fn forbidding(mut answers: Answers, path: &str) -> Answers {
    assert!(answers.contains_key(path), "{path}");
    answers.insert(path.to_owned(), (403, status(403, "no")));
    answers
}

/// With the configuration of `CoreDNS`.
fn with_coredns(mut answers: Answers, corefile: &str) -> Answers {
    let config = json!({ "metadata": { "name": "coredns" }, "data": { "Corefile": corefile } });
    answers.insert(
        "/api/v1/namespaces/kube-system/configmaps/coredns".to_owned(),
        (200, config),
    );
    answers
}

fn corefile(zones: &str) -> String {
    format!(
        ".:53 {{\n    errors\n    health {{\n       lameduck 5s\n    }}\n    kubernetes {zones} {{\n       pods insecure\n    }}\n}}\n"
    )
}

fn objects(run: &OutputAssert) -> Value {
    serde_json::from_slice(&run.get_output().stdout).unwrap()
}

#[test]
fn classes_are_read() {
    let class = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: edge}\nspec: {controllerName: \
                 istio.io/gateway-controller}\n";
    let input = shop_with("gatewayClassName: istio", "gatewayClassName: edge") + class;
    let server = ApiServer::new("classes", answers(&input));
    for flags in [&[][..], &["--namespace", "default"]] {
        let run = server.run(&[&GENERATE, flags].concat()).code(0);
        let text = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
        assert!(text.contains("\"WasmPlugin\""), "{flags:?}: {}", said(&run));
    }
    // Without the right to list them, the flag says it.
    let path = "/apis/gateway.networking.k8s.io/v1/gatewayclasses";
    let server = ApiServer::new("no-classes", forbidding(answers(&input), path));
    let run = server.run(&GENERATE).code(0);
    assert!(said(&run).contains("say that it is Istio's with --gateway-class edge"));
    let run = server
        .run(&[&GENERATE[..], &["--gateway-class", "edge"]].concat())
        .code(0);
    assert!(!said(&run).contains("no sessions"));
}

#[test]
fn the_pods_of_gateways_are_found_by_their_deployments() {
    let (rest, _) = ISTIO_API.rsplit_once("---\napiVersion: v1\nkind: Pod").unwrap();
    let input = format!(
        "{rest}{}",
        deployment("edge", "{istio: ingressgateway}", "[proxy, router]")
    );
    let server = ApiServer::new("deployments", answers(&input));
    let run = server.run(&GENERATE).code(0);
    let made = objects(&run);
    let plugin = made["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["kind"] == "WasmPlugin");
    assert_eq!(plugin.unwrap()["metadata"]["namespace"], "edge");
    assert!(!said(&run).contains("no pod of Gateway"));
    // They only help.
    let server = ApiServer::new(
        "no-deployments",
        forbidding(answers(&input), "/apis/apps/v1/deployments"),
    );
    let run = server.run(&GENERATE).code(0);
    assert!(said(&run).contains("warning[NoEffect]: no pod of Gateway bookinfo/front"));
}

#[test]
fn the_domain_is_that_of_istiod_then_that_of_the_cluster_s_dns() {
    let input = ISTIO_API.replace("svc.cluster.local", "svc.corp.example");
    let istiod = deployment("istio-system", "{app: istiod}", "[discovery, --domain, corp.example]");
    let from_istiod = with_coredns(
        answers(&format!("{input}{istiod}")),
        &corefile("other.example in-addr.arpa ip6.arpa"),
    );
    let from_dns = with_coredns(answers(&input), &corefile("corp.example. in-addr.arpa ip6.arpa"));
    let reversed = with_coredns(answers(&input), &corefile("in-addr.arpa ip6.arpa corp.example"));
    for (name, answers) in [("istiod", from_istiod), ("dns", from_dns), ("dns-last", reversed)] {
        let run = ApiServer::new(name, answers).run(&GENERATE).code(0);
        let text = objects(&run).to_string();
        assert!(
            text.contains("svc.corp.example") && !text.contains("cluster.local"),
            "{name}"
        );
        assert!(!said(&run).contains("cluster domain"), "{name}");
    }
}

#[test]
fn a_domain_that_is_assumed_is_told_where_it_counts() {
    for (name, answers) in [
        ("unknown", answers(ISTIO_API)),
        (
            "unreadable",
            with_coredns(answers(ISTIO_API), ".:53 {\n  forward . 8.8.8.8\n}\n"),
        ),
        ("server-block", with_coredns(answers(ISTIO_API), &corefile(""))),
    ] {
        let server = ApiServer::new(name, answers);
        let run = server.run(&GENERATE).code(0);
        assert!(
            said(&run).contains(
                "note[Accepted]: assuming the cluster domain `cluster.local`: neither a pod or Deployment of istiod nor the \
                 ConfigMap of CoreDNS could be read"
            ),
            "{name}: {}",
            said(&run)
        );
        let run = server
            .run(&[&GENERATE[..], &["--cluster-domain", "cluster.local"]].concat())
            .code(0);
        assert!(!said(&run).contains("cluster domain"), "{name}");
    }
    let run = ApiServer::new("no-need", answers(SHOP)).run(&GENERATE).code(0);
    assert!(!said(&run).contains("cluster domain"));
}
