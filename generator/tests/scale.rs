//! Many routes on one gateway: objects stay as small as can be stored, and what cannot is an early error.

#![expect(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::{collections::BTreeMap, fmt::Write as _};

use common::{Generated, SHOP, generate, without_policy};
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

/// The names of the `EnvoyFilter`s, with their JSON and the Envoy routes that they patch.
fn parts(run: &Generated) -> BTreeMap<String, (String, Vec<String>)> {
    let items = run.at("/items").as_array().unwrap().iter();
    let filters = items.filter(|item| item["kind"] == "EnvoyFilter");
    filters
        .map(|item| {
            let patches = item.pointer("/spec/configPatches").unwrap().as_array().unwrap().iter();
            let routes = patches.filter_map(|patch| {
                let name = patch.pointer("/match/routeConfiguration/vhost/route/name")?;
                name.as_str().map(str::to_owned)
            });
            let name = item.pointer("/metadata/name").unwrap().as_str().unwrap().to_owned();
            (name, (item.to_string(), routes.collect()))
        })
        .collect()
}

#[test]
fn a_large_gateway_gets_several_envoy_filters_that_add_up() {
    let (small, large) = (parts(&Generated::istio(&shop(160))), Generated::istio(&shop(1_600)));
    assert_eq!(small.keys().collect::<Vec<_>>(), ["mooring-front"]);
    let parts = parts(&large);
    let names: Vec<&str> = parts.keys().map(String::as_str).collect();
    let numbered = (1..names.len()).map(|number| format!("mooring-front-routes-{number}"));
    let mut expected: Vec<String> = numbered.chain(["mooring-front".to_owned()]).collect();
    expected.sort();
    assert_eq!(names, expected);
    assert!(names.len() > 1);
    for (name, (json, _)) in &parts {
        assert!(json.len() < COMFORTABLE, "{name} has {} bytes", json.len());
    }
    let mut routes: Vec<&String> = parts.values().flat_map(|(_, routes)| routes).collect();
    routes.sort();
    let count = routes.len();
    routes.dedup();
    assert_eq!((count, routes.len()), (1_600, 1_600));
    // The patches on filters are there once.
    let guards = parts
        .values()
        .filter(|(json, _)| json.contains("early_header_mutation_extensions"));
    assert_eq!(guards.count(), 1);
}

#[test]
fn one_more_rule_changes_one_part() {
    let input = shop(1_600);
    let (rules, rest) = input
        .split_once("---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: route-0050}")
        .unwrap();
    let fewer = format!(
        "{rules}{}",
        rest.split_once("\n---")
            .map_or(String::new(), |(_, rest)| format!("---{rest}"))
    );
    let (before, after) = (parts(&Generated::istio(&fewer)), parts(&Generated::istio(&input)));
    assert_eq!(before.len(), after.len());
    // No rule that was there before is in another part now.
    for (name, (_, routes)) in &before {
        let (_, now) = &after[name];
        assert!(routes.iter().all(|route| now.contains(route)), "{name}");
    }
}

#[test]
fn rules_for_which_a_plugin_has_no_room_are_left_out_and_it_is_said_what_to_do() {
    let long = shop(3_200).replace("name: route-", &format!("name: route-{}-", "x".repeat(200)));
    let run = generate(&long).code(3);
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    let message = "error[TooLarge]: the rules of the namespace default would take 1803 KiB of the WasmPlugin of Gateway \
                   default/front, and its share of the 1520 KiB that Kubernetes stores in an object is 1504 KiB: 530 of its \
                   3200 rules, from HTTPRoute/default/route-xxx";
    assert!(stderr.contains(message), "{message}");
    assert!(stderr.contains("spread the routes over several Gateways"));
    assert!(stderr.contains("left out because of errors: 530 rules ("));
    let plugin: String = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let plugin = plugin.split("---\n").next().map(serde_saphyr::from_str::<Value>);
    let plugin = plugin
        .unwrap_or_else(|| panic!("there is no object"))
        .unwrap_or_default();
    assert_eq!(
        plugin
            .pointer("/spec/pluginConfig/rules")
            .and_then(Value::as_array)
            .map(Vec::len),
        Some(2_670)
    );
    assert!(plugin.to_string().len() < 1_520 * 1_024);
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
    assert_eq!(Generated::istio(&shop(160)).findings, Vec::<String>::new());
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
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert_eq!(
        stderr.matches("warning[Invalid]: a weight is needed here").count(),
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
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
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

/// How many of so many rules on one host name have a relay: for Istio, and for a local Envoy.
fn relayed(rules: usize, rule: &str) -> (usize, usize) {
    let mut input = without_policy(SHOP);
    input += "---\napiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {ports: [{port: 80}]}\n";
    for number in 0..rules {
        write!(
            input,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: crowd-{number:04}}}\nspec:\n  \
             parentRefs: [{{name: front}}]\n  hostnames: [crowd.example.com]\n  rules:\n  - {{matches: [{{path: {{value: \
             /{number}}}}}], {rule}}}\n"
        )
        .unwrap();
    }
    let count = |patches: &[Value], filters: &str| {
        let relays = patches.iter().filter_map(|patch| {
            let filters = patch.pointer(filters)?;
            let marks = filters.pointer("/mooring.guard/mutations/request_mutations").is_some();
            let relay = filters.get("mooring.relay").is_some();
            assert_eq!(marks, relay, "{patch}");
            relay.then_some(())
        });
        relays.count()
    };
    let istio = Generated::istio(&input);
    let objects = istio.at("/items").as_array().unwrap().iter();
    let patches = objects.filter_map(|object| object.pointer("/spec/configPatches")?.as_array());
    let patches: Vec<Value> = patches.flatten().cloned().collect();
    let in_chain = |patch: &&Value| {
        patch
            .pointer("/patch/value/name")
            .is_some_and(|name| name == "mooring.relay")
    };
    assert_eq!(
        patches.iter().filter(in_chain).count(),
        1,
        "also where no route has one"
    );

    let envoy = Generated::envoy(&input);
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let hosts = envoy.at(&format!("{manager}/route_config/virtual_hosts"));
    let crowd = hosts
        .as_array()
        .unwrap()
        .iter()
        .find(|host| host["name"] == "crowd.example.com:80");
    let routes = crowd.unwrap()["routes"].as_array().unwrap();
    (
        count(&patches, "/patch/value/typed_per_filter_config"),
        count(routes, "/typed_per_filter_config"),
    )
}

#[test]
fn a_host_with_very_many_routes_has_a_relay_on_each() {
    let rule = "sessionPersistence: {}, backendRefs: [{name: web, port: 80}]";
    assert_eq!(relayed(200, rule), (0, 0));
    assert_eq!(relayed(201, rule), (201, 201));
}

#[test]
fn rules_for_which_envoy_looks_twice_anyway_have_no_relay() {
    let backend = "{name: web, port: 80}";
    let split = format!("sessionPersistence: {{}}, backendRefs: [{backend}, {{name: other, port: 80}}]");
    let by_header = format!("sessionPersistence: {{type: Header}}, backendRefs: [{backend}]");
    for rule in [split, by_header] {
        assert_eq!(relayed(201, &rule), (0, 0), "{rule}");
    }
}
