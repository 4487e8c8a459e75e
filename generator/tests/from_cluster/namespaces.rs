//! `--from-cluster` with `--namespace`: what other namespaces have on the Gateway is noticed, although it is not read.

use super::api_server::{ApiServer, answers, status};
use crate::common::{
    WASM, generate, said,
    teams::{gateway, teams},
};
use serde_json::Value;

const GENERATE: [&str; 3] = ["generate", "--wasm", WASM];

/// What is said of partial input when these namespaces are read, by each command.
fn partial(server: &ApiServer, namespaces: &[&str]) -> Vec<String> {
    let flags: Vec<&str> = namespaces.iter().flat_map(|namespace| ["-n", namespace]).collect();
    let run = server.run(&[&["validate", "-o", "json"], &flags[..]].concat()).code(0);
    let value: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    let findings = value["findings"].as_array().unwrap().iter();
    let findings: Vec<&Value> = findings.filter(|finding| finding["code"] == "PartialInput").collect();
    let messages: Vec<String> = findings
        .iter()
        .map(|one| one["message"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        findings
            .iter()
            .all(|one| one["severity"] == "warning" && !one["location"].is_null()),
        "{findings:?}"
    );
    let generated = said(&server.run(&[&GENERATE, &flags[..]].concat()).code(0));
    assert_eq!(generated.matches("PartialInput").count(), messages.len(), "{generated}");
    assert!(
        messages.iter().all(|message| generated.contains(message)),
        "{generated}"
    );
    messages
}

/// The objects, with this number of routes in the status of the Gateway.
fn attached(count: u32, objects: &str) -> String {
    let status = format!("All}}}}\nstatus: {{listeners: [{{name: http, attachedRoutes: {count}}}], addresses: []}}");
    assert!(objects.contains("All}}"));
    objects.replacen("All}}", &status, 1)
}

#[test]
fn the_status_of_the_gateway_counts_what_was_not_read() {
    let server = ApiServer::new("partial-status", answers(&attached(2, &teams(&["a", "b"]))));
    assert_eq!(
        partial(&server, &["infra", "team-b"]),
        ["the status of Gateway infra/front counts 2 routes on the listener `http`, and the input has 1 of them"]
    );
    assert_eq!(partial(&server, &["infra", "team-a", "team-b"]), [""; 0]);
    assert_eq!(partial(&server, &[]), [""; 0]);
    // Where everything is read, the input is right and the status late.
    let server = ApiServer::new("partial-late", answers(&attached(5, &teams(&["a", "b"]))));
    assert_eq!(partial(&server, &[]), [""; 0]);
}

#[test]
fn without_a_status_the_listeners_say_who_may_have_routes() {
    let objects = teams(&["a", "b"]);
    let from = |from: &str| objects.replace("{from: All}", from);
    let warning = "Gateway infra/front takes routes from namespaces that were not read: only infra, team-a were";
    for (number, open) in [
        "{from: All}",
        "{from: Selector, selector: {matchLabels: {tier: web}}}",
        "{from: Selector, selector: {}}",
        "{from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: team-a}}}",
        "{from: Selector, selector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [team-a, \
         infra]}]}}",
        "{from: Selector, selector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [team-a, \
         team-b]}]}}",
        "{from: Selector, selector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [infra]}]}}",
    ]
    .into_iter()
    .enumerate()
    {
        let server = ApiServer::new(&format!("partial-open-{number}"), answers(&from(open)));
        let closed = [3, 4].contains(&number);
        let expected: &[&str] = if closed { &[] } else { &[warning] };
        assert_eq!(partial(&server, &["infra", "team-a"]), expected, "{open}");
    }
    // Everything that there is.
    let server = ApiServer::new("partial-all", answers(&objects));
    assert_eq!(partial(&server, &[]), [""; 0]);
}

#[test]
fn a_gateway_for_its_own_namespace_has_no_other_routes() {
    let objects = teams(&["a"])
        .replace("team-a", "infra")
        .replace("from: All", "from: Same");
    let server = ApiServer::new("partial-same", answers(&objects));
    assert_eq!(partial(&server, &["infra"]), [""; 0]);
    // Nor has one without sessions anything to lose.
    let objects = gateway()
        + "---\napiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: infra}\nspec: {ports: [{port: 1}]}\n";
    let server = ApiServer::new("partial-nothing", answers(&attached(3, &objects)));
    let run = server.run(&["validate", "-n", "infra"]).code(0);
    assert!(!String::from_utf8_lossy(&run.get_output().stdout).contains("PartialInput"));
}

/// What two teams have in a cluster, after both have been generated.
fn deployed() -> String {
    let objects = attached(1, &teams(&["a", "b"]));
    let generated = String::from_utf8(generate(&objects).get_output().stdout.clone()).unwrap();
    let plugin = generated
        .split("---\n")
        .find(|object| object.contains("kind: WasmPlugin"));
    format!("{objects}---\n{}", plugin.unwrap())
}

const LOST: &str = "the WasmPlugin infra/mooring-front of an earlier run holds rules of HTTPRoute team-a/web, which is not in the \
                    input: they lose their sessions and canaries";

#[test]
fn the_plugin_in_the_cluster_tells_whose_sessions_would_go() {
    let server = ApiServer::new("partial-plugin", answers(&deployed()));
    assert_eq!(partial(&server, &["infra", "team-b"]), [LOST]);
    assert_eq!(partial(&server, &["infra", "team-a", "team-b"]), [""; 0]);
    assert_eq!(partial(&server, &[]), [""; 0]);
    // A route that is gone from a namespace that was read is gone.
    let gone = deployed().replace(
        "kind: HTTPRoute\nmetadata:\n  namespace: team-a\n",
        "kind: Service\nmetadata:\n  namespace: other\n",
    );
    let gone = gone.replacen("parentRefs:\n  - name: front\n    namespace: infra\n  hostnames: [a.example.com]\n  rules:\n  - backendRefs:\n    - name: web\n      port: 80", "ports: [{port: 80}]", 1);
    let gone = gone.replacen(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Service",
        "apiVersion: v1\nkind: Service",
        1,
    );
    let server = ApiServer::new("partial-gone", answers(&gone));
    assert_eq!(partial(&server, &["infra", "team-a", "team-b"]), [""; 0]);
    assert_eq!(partial(&server, &["infra", "team-b"]), [LOST]);
}

#[test]
fn plugins_of_others_are_not_read() {
    let others = deployed().replace(
        "app.kubernetes.io/managed-by: mooring",
        "app.kubernetes.io/managed-by: me",
    );
    let server = ApiServer::new("partial-others", answers(&others));
    assert_eq!(partial(&server, &["infra", "team-b"]), [""; 0]);
}

#[test]
fn who_may_not_list_plugins_is_not_stopped() {
    let mut answers = answers(&deployed());
    let all = "/apis/extensions.istio.io/v1alpha1/wasmplugins";
    let of_infra = "/apis/extensions.istio.io/v1alpha1/namespaces/infra/wasmplugins";
    answers.insert(all.to_owned(), (403, status(403, "no")));
    let server = ApiServer::new("partial-namespaces-only", answers.clone());
    assert_eq!(partial(&server, &["infra", "team-b"]), [LOST]);
    answers.insert(of_infra.to_owned(), (403, status(403, "no")));
    let server = ApiServer::new("partial-forbidden", answers);
    assert_eq!(partial(&server, &["infra", "team-b"]), [""; 0]);
}
