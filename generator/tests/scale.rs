//! Many routes on one gateway: objects stay as small as can be stored, and what cannot is an early error.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::common::{Generated, SHOP, generate, istio_api::ISTIO_API, said, without_policy};
use serde_json::Value;

/// The largest object that a plain `kubectl apply` takes.
const COMFORTABLE: usize = 256 * 1024;

/// The shop with so many rules of its own, each with sessions, in routes of sixteen.
fn shop(rules: usize) -> String {
    let mut input = without_policy(SHOP);
    for route in 0..rules / 16 {
        write!(
            input,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: route-{route:04}}}\nspec:\n  \
             parentRefs: [{{name: front}}]\n  hostnames: [h{route}.example.com]\n  rules:\n"
        )
        .unwrap();
        for rule in 0..16 {
            writeln!(
                input,
                "  - {{matches: [{{path: {{value: /{rule}}}}}], sessionPersistence: {{}}, backendRefs: [{{name: web, port: \
                 80}}]}}"
            )
            .unwrap();
        }
    }
    input
}

/// The shop and so many routes, each with sessions and a host name of its own.
fn hosts(count: usize) -> String {
    let mut input = without_policy(SHOP);
    for route in 0..count {
        input += &host(route);
    }
    input
}

fn host(route: usize) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: route-{route:04}}}\nspec:\n  \
         parentRefs: [{{name: front}}]\n  hostnames: [h{route}.example.com]\n  rules: [{{sessionPersistence: {{}}, \
         backendRefs: [{{name: web, port: 80}}]}}]\n"
    )
}

/// The names of the `EnvoyFilter`s, with their JSON and the virtual hosts that they patch.
fn parts(run: &Generated) -> BTreeMap<String, (String, Vec<String>)> {
    let filters = run.objects("EnvoyFilter").into_iter();
    filters
        .map(|item| {
            let patches = item.pointer("/spec/configPatches").unwrap().as_array().unwrap().iter();
            let hosts = patches.filter_map(|patch| {
                let name = patch.pointer("/match/routeConfiguration/vhost/name")?;
                name.as_str().map(str::to_owned)
            });
            let name = item.pointer("/metadata/name").unwrap().as_str().unwrap().to_owned();
            (name, (item.to_string(), hosts.collect()))
        })
        .collect()
}

#[test]
fn a_large_gateway_gets_several_envoy_filters_that_add_up() {
    let (small, large) = (parts(&Generated::istio(&hosts(100))), Generated::istio(&hosts(400)));
    assert_eq!(small.keys().collect::<Vec<_>>(), ["mooring-front-http"]);
    let parts = parts(&large);
    let names: Vec<&str> = parts.keys().map(String::as_str).collect();
    let numbered = (1..names.len()).map(|number| format!("mooring-front-http-{number}"));
    let mut expected: Vec<String> = numbered.chain(["mooring-front-http".to_owned()]).collect();
    expected.sort();
    assert_eq!(names, expected);
    assert!(names.len() > 1);
    for (name, (json, _)) in &parts {
        assert!(json.len() < COMFORTABLE, "{name} has {} bytes", json.len());
    }
    let mut patched: Vec<&String> = parts.values().flat_map(|(_, hosts)| hosts).collect();
    patched.sort();
    let mut expected: Vec<String> = (0..400).map(|route| format!("h{route}.example.com:80")).collect();
    expected.sort();
    assert_eq!(patched, expected.iter().collect::<Vec<_>>());
    // The patches on filters are there once.
    let sanitizers = parts
        .values()
        .filter(|(json, _)| json.contains("early_header_mutation_extensions"));
    assert_eq!(sanitizers.count(), 1);
}

#[test]
fn one_more_host_changes_one_part() {
    let before = parts(&Generated::istio(&hosts(400)));
    let after = parts(&Generated::istio(&format!("{}{}", hosts(400), host(400))));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    let changed = before.iter().filter(|(name, part)| after.get(*name) != Some(*part));
    assert_eq!(changed.count(), 1);
}

#[test]
fn one_more_rule_of_a_host_changes_no_envoy_filter() {
    let input = hosts(10);
    let more = input.replace(
        "hostnames: [h5.example.com]\n  rules: [",
        "hostnames: [h5.example.com]\n  rules: [{name: more, matches: [{path: {value: /more}}], sessionPersistence: {}, \
         backendRefs: [{name: web, port: 80}]}, ",
    );
    let (before, after) = (Generated::istio(&input), Generated::istio(&more));
    assert_ne!(before.first("WasmPlugin"), after.first("WasmPlugin"));
    assert_eq!(parts(&before), parts(&after));
}

#[test]
fn rules_for_which_a_plugin_has_no_room_are_left_out_and_it_is_said_what_to_do() {
    let long = shop(3_200).replace("name: route-", &format!("name: route-{}-", "x".repeat(200)));
    let run = generate(&long).code(3);
    let stderr = said(&run);
    let message = "error[TooLarge]: the rules of the namespace default would take 1889 KiB of the WasmPlugin of Gateway \
                   default/front, but its share of the 1520 KiB that Kubernetes stores in an object is 1504 KiB: 651 of its \
                   3200 rules, from HTTPRoute/default/route-xxx";
    let line = stderr.lines().find(|line| line.starts_with("error")).unwrap();
    assert!(line.starts_with(message), "{line}");
    assert!(stderr.contains("spread the routes over several Gateways"));
    assert!(stderr.contains("left out because of errors: 651 rules ("));
    let plugin: String = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let plugin = plugin.split("---\n").last().map(serde_saphyr::from_str::<Value>);
    let plugin = plugin
        .unwrap_or_else(|| panic!("there is no object"))
        .unwrap_or_default();
    assert_eq!(
        plugin
            .pointer("/spec/pluginConfig/rules")
            .and_then(Value::as_array)
            .map(Vec::len),
        Some(2_549)
    );
    assert!(plugin.to_string().len() < 1_520 * 1_024);
}

#[test]
fn a_rule_whose_inserted_routes_cannot_be_stored_costs_only_itself() {
    let matches: Vec<String> = (0..1_000)
        .map(|number| format!("{{uri: {{prefix: /{}{number}}}}}", "x".repeat(800)))
        .collect();
    let split = |matches: &str| {
        format!(
            "{ISTIO_API}---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: large, namespace: \
             bookinfo}}\nspec:\n  hosts: [large.example.com]\n  gateways: [front]\n  http:\n  - name: split\n    match: \
             [{matches}]\n    rewrite: {{uri: /}}\n    route:\n    - {{destination: {{host: reviews, subset: v1}}, weight: 50}}\n    - {{destination: \
             {{host: reviews, subset: v2}}, weight: 50}}\n---\napiVersion: mooring.dev/v1alpha1\nkind: CanaryPolicy\nmetadata: \
             {{name: large, namespace: bookinfo}}\nspec:\n  targetRef: {{group: networking.istio.io, kind: VirtualService, \
             name: large}}\n  rules: [{{name: a, matches: [{{header: {{name: x, value: abc}}}}], destination: {{host: reviews, \
             subset: v2}}}}]\n  sticky: {{cookie: {{name: large}}}}\n"
        )
    };
    assert_eq!(Generated::istio(&split("{uri: {prefix: /x}}")).virtual_hosts().len(), 2);
    let run = generate(&split(&matches.join(", "))).code(3);
    let stderr = said(&run);
    let message = "error[TooLarge]: the EnvoyFilter for the rule VirtualService/bookinfo/large/split on Gateway/bookinfo/front \
                   would have 5.9 MiB, but Kubernetes stores objects of 1.5 MiB at most\n";
    assert!(stderr.contains(message), "{stderr}");
    assert!(stderr.contains(
        "left out because of errors: 1 rule (VirtualService/bookinfo/large/split on Gateway/bookinfo/front)\n"
    ));
    assert_eq!(run.get_output().stdout, generate(ISTIO_API).code(0).get_output().stdout);
}

#[test]
fn a_plugin_that_plain_apply_does_not_take_is_noted() {
    let run = Generated::istio(&shop(3_200));
    let note = "note[TooLarge]: the WasmPlugin of Gateway default/front has";
    assert!(
        run.findings.iter().any(|found| found.starts_with(note)),
        "{:?}",
        run.findings
    );
    let small = Generated::istio(&shop(160)).findings;
    assert!(
        !small.iter().any(|found| found.starts_with("note[TooLarge]")),
        "{small:?}"
    );
}

#[test]
fn wrong_items_of_a_large_list_are_each_told() {
    let item = |number: usize, weight: &str| {
        format!(
            "- apiVersion: gateway.networking.k8s.io/v1\n  kind: HTTPRoute\n  metadata: {{name: route-{number}}}\n  spec: \
             {{rules: [{{backendRefs: [{{name: web, port: 80, weight: {weight}}}]}}]}}\n"
        )
    };
    let items: String = (0..1_000)
        .map(|number| item(number, if number % 400 == 7 { "many" } else { "1" }))
        .collect();
    let run = generate(&format!("apiVersion: v1\nkind: List\nitems:\n{items}")).code(0);
    let stderr = said(&run);
    assert_eq!(
        stderr.matches("warning[Invalid]: expected a weight").count(),
        3,
        "{stderr}"
    );
}

#[test]
fn findings_far_into_a_long_file_are_shown_with_their_lines() {
    let comments = "# nothing\n".repeat(20_000);
    let shop = SHOP.replace(
        "    absoluteTimeout: 1h\n",
        &format!("{comments}    absoluteTimeout: 1x\n"),
    );
    let run = generate(&shop).code(3);
    let stderr = said(&run);
    assert!(stderr.contains("--> <stdin>:20059:22"), "{stderr}");
    assert!(stderr.contains("20059 |     absoluteTimeout: 1x"), "{stderr}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let text = |run: &Generated| Value::to_string(&run.value);
    assert_eq!(
        text(&Generated::istio(&shop(1_600))),
        text(&Generated::istio(&shop(1_600)))
    );
}

/// Whether the virtual host of this many rules sets headers from filter state: on Istio, and on a local Envoy.
fn relayed(rules: usize, rule: &str) -> (bool, bool) {
    let mut input = without_policy(SHOP);
    input += "---\napiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {ports: [{port: 80}]}\n";
    for number in 0..rules {
        write!(
            input,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: large-{number:04}}}\nspec:\n  \
             parentRefs: [{{name: front}}]\n  hostnames: [large.example.com]\n  rules:\n  - {{matches: [{{path: {{value: \
             /{number}}}}}], {rule}}}\n"
        )
        .unwrap();
    }
    let sets_from_filter_state = |host: &Value| {
        let filters = host.get("typed_per_filter_config").unwrap();
        let mark = filters.pointer("/mooring.header_sanitizer/mutations/request_mutations");
        let filter = filters.get("mooring.filter_state_headers");
        assert_eq!(mark.is_some(), filter.is_some(), "{host:#}");
        filter.is_some()
    };
    let istio = Generated::istio(&input);
    let in_chain = istio.patches("HTTP_FILTER").into_iter();
    let in_chain = in_chain.filter(|patch| patch["patch"]["value"]["name"] == "mooring.filter_state_headers");
    assert_eq!(in_chain.count(), 1, "also where no virtual host has one");
    assert_eq!(istio.virtual_hosts(), ["large.example.com:80"]);

    let envoy = Generated::envoy(&input);
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let hosts = envoy.at(&format!("{manager}/route_config/virtual_hosts"));
    let mut hosts = hosts.as_array().unwrap().iter();
    let host = hosts.find(|host| host["name"] == "large.example.com:80").unwrap();
    (
        sets_from_filter_state(istio.virtual_host("large.example.com:80")),
        sets_from_filter_state(host),
    )
}

#[test]
fn a_host_with_very_many_routes_sets_headers_from_filter_state() {
    let rule = "sessionPersistence: {}, backendRefs: [{name: web, port: 80}]";
    assert_eq!(relayed(80, rule), (false, false));
    assert_eq!(relayed(81, rule), (true, true));
}

#[test]
fn session_routes_count_as_routes() {
    let rule = "sessionPersistence: {}, backendRefs: [{name: web, port: 80}, {name: other, port: 80}]";
    assert_eq!(relayed(26, rule), (false, false));
    assert_eq!(relayed(27, rule), (true, true));
}

#[test]
fn without_host_bound_cookie_sessions_there_is_no_relay() {
    let by_header = "sessionPersistence: {type: Header}, backendRefs: [{name: web, port: 80}]";
    assert_eq!(relayed(81, by_header), (false, false));
}
