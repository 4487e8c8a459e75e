//! Input that does not have all routes of a Gateway: what takes sessions from others is warned of before it is applied.

use std::{fs, path::PathBuf};

use crate::common::{
    SHOP, WASM, directory, generate, generate_envoy,
    istio_api::ISTIO_API,
    mooring, said, shop_with,
    teams::{gateway, of_team, teams},
    without_policy,
};
use snapbox::{IntoData as _, assert_data_eq, cmd::OutputAssert, data::Inline, str};

/// A directory with a directory `out` in it, into which this has been generated.
struct Out(PathBuf);

impl Out {
    fn new(test: &str, input: &str) -> Self {
        let out = Self(directory(&format!("partial_input/{test}")));
        whole(&out.generate(&[], input).code(0));
        out
    }

    fn generate(&self, flags: &[&str], input: &str) -> OutputAssert {
        self.run(&[&["generate", "--output-dir", "out"], flags].concat(), input)
    }

    fn diff(&self, flags: &[&str], input: &str) -> OutputAssert {
        self.run(&[&["diff", "out"], flags].concat(), input)
    }

    fn run(&self, arguments: &[&str], input: &str) -> OutputAssert {
        let command = mooring().current_dir(&self.0).args(arguments);
        command.args(["-f", "-", "--wasm", WASM]).stdin(input).assert()
    }
}

/// The findings of a run that are about partial input.
fn partial(run: &OutputAssert) -> String {
    let said = said(run);
    let findings = said.split("\n\n");
    let partial: Vec<&str> = findings.filter(|finding| finding.contains("PartialInput")).collect();
    partial.concat()
}

/// Asserts that nothing seems to be missing.
#[track_caller]
fn whole(run: &OutputAssert) {
    assert_eq!(partial(run), "");
}

#[track_caller]
fn warns(run: &OutputAssert, message: Inline) {
    assert_data_eq!(partial(run) + "\n", message.raw());
}

#[test]
fn a_team_that_would_overwrite_another_one_is_told() {
    let out = Out::new("a_team_that_would_overwrite_another_one_is_told", &teams(&["a"]));
    let message = str![[r#"
warning[PartialInput]: the WasmPlugin infra/mooring-front of an earlier run holds rules of HTTPRoute team-a/web, which is not in the input: they lose their sessions and canaries
  --> out/wasmplugin-infra-mooring-front.yaml:21:11
   |
21 |       id: HTTPRoute/team-a/web#0
   |           ^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: give one run the routes and policies of all teams on the Gateway; if a route was deleted, no action is needed

"#]];
    warns(&out.diff(&[], &teams(&["b"])).code(1), message.clone());
    warns(&out.generate(&[], &teams(&["b"])).code(0), message);
    // What has been written is told once.
    whole(&out.generate(&[], &teams(&["b"])).code(0));
    whole(&out.generate(&[], &teams(&["b", "a"])).code(0));
    whole(&out.diff(&[], &teams(&["a", "b"])).code(0));
}

#[test]
fn a_route_that_stays_may_lose_its_sessions() {
    let out = Out::new("a_route_that_stays_may_lose_its_sessions", &teams(&["a", "b"]));
    // Its owner has taken the policy, or the rule, from it.
    let (_, policy) = teams(&["a", "b"])
        .rsplit_once("---\n")
        .map(|(rest, policy)| (rest.to_owned(), policy.to_owned()))
        .unwrap();
    let input = teams(&["a", "b"]).replace(&format!("---\n{policy}"), "");
    whole(&out.diff(&[], &input).code(1));
    let input = teams(&["a", "b"]).replace("  - backendRefs:\n", "  - name: all\n    backendRefs:\n");
    whole(&out.diff(&[], &input).code(1));
}

#[test]
fn a_route_that_cannot_be_read_is_there() {
    let out = Out::new("a_route_that_cannot_be_read_is_there", &teams(&["a", "b"]));
    let broken = |wrong: &str| teams(&["a"]) + &of_team("b").replace("rules:", wrong);
    whole(&out.diff(&[], &broken("ruels:")).code(1));
    whole(&out.diff(&[], &broken("rules: ]")).code(1));
}

#[test]
fn what_is_removed_is_told_like_what_is_overwritten() {
    let out = Out::new("what_is_removed_is_told_like_what_is_overwritten", &teams(&["a"]));
    // A shop on a Gateway of its own.
    let run = out.diff(&[], SHOP).code(1);
    assert!(
        partial(&run).contains("holds rules of HTTPRoute team-a/web,"),
        "{}",
        partial(&run)
    );
    // Without pruning it keeps what it has, and so it does as long as something is left out.
    whole(&out.diff(&["--no-prune"], SHOP).code(1));
    whole(
        &out.diff(&[], &shop_with("absoluteTimeout: 1h", "absoluteTimeout: 1x"))
            .code(3),
    );
    let run = out.generate(&["--no-prune"], SHOP).code(0);
    whole(&run);
    // But not what it overwrites.
    let run = out.diff(&["--no-prune"], &teams(&["b"])).code(1);
    assert!(
        partial(&run).contains("holds rules of HTTPRoute team-a/web,"),
        "{}",
        partial(&run)
    );
    // Nor does nothing at all to generate hide what is removed.
    let run = out.generate(&[], &gateway()).code(0);
    let said = partial(&run);
    assert!(
        said.contains("infra/mooring-front") && said.contains("default/mooring-front"),
        "{said}"
    );
}

#[test]
fn many_routes_are_counted() {
    let names: Vec<String> = (1..=7).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let out = Out::new("many_routes_are_counted", &teams(&names));
    let run = out.diff(&[], &teams(&["1"])).code(1);
    assert!(
        partial(&run).starts_with(
            "warning[PartialInput]: the WasmPlugin infra/mooring-front of an earlier run holds rules of 6 routes \
             (HTTPRoute team-2/web, HTTPRoute team-3/web, HTTPRoute team-4/web, HTTPRoute team-5/web, HTTPRoute team-6/web and \
             1 more), which are not in the input: they lose their sessions and canaries\n"
        ),
        "{}",
        partial(&run)
    );
}

#[test]
fn virtual_services_of_one_workload_are_told() {
    let name = "virtual_services_of_one_workload_are_told";
    let out = Out::new(name, ISTIO_API);
    let other = ISTIO_API
        .replace(
            "metadata: {name: reviews, namespace: bookinfo}\nspec:\n  hosts",
            "metadata: {name: others, namespace: bookinfo}\nspec:\n  hosts",
        )
        .replace(
            "kind: VirtualService, name: reviews",
            "kind: VirtualService, name: others",
        );
    assert_ne!(other, ISTIO_API);
    let run = out.diff(&[], &other).code(1);
    assert!(
        partial(&run).contains("holds rules of VirtualService bookinfo/"),
        "{}",
        partial(&run)
    );
    whole(&out.diff(&[], ISTIO_API).code(0));
}

#[test]
fn json_and_lists_tell_the_same() {
    let out = Out::new("json_and_lists_tell_the_same", &teams(&["a"]));
    out.generate(&["-o", "json"], &teams(&["a"])).code(0);
    let said = partial(&out.diff(&["-o", "json"], &teams(&["b"])).code(1));
    assert!(said.contains("--> out/wasmplugin-infra-mooring-front.json:"), "{said}");
    // A List, as `kubectl get` prints it.
    let all = generate_all(&teams(&["a"]));
    fs::remove_dir_all(out.0.join("out")).unwrap();
    fs::create_dir(out.0.join("out")).unwrap();
    fs::write(out.0.join("out/all.json"), all).unwrap();
    let said = partial(&out.diff(&[], &teams(&["b"])).code(1));
    assert!(
        said.contains("--> out/all.json:") && said.contains("HTTPRoute/team-a/web#0"),
        "{said}"
    );
}

fn generate_all(input: &str) -> Vec<u8> {
    let run = mooring().args(["generate", "-f", "-", "-o", "json", "--wasm", WASM]);
    run.stdin(input).assert().success().get_output().stdout.clone()
}

#[test]
fn objects_that_say_nothing_are_passed_over() {
    let name = "objects_that_say_nothing_are_passed_over";
    let out = Out::new(name, &teams(&["a"]));
    let path = out.0.join("out/wasmplugin-infra-mooring-front.yaml");
    let text = fs::read_to_string(&path).unwrap();
    for (old, new) in [
        ("pluginConfig:", "pluginConfigs:"),
        ("HTTPRoute/team-a/web#0", "HTTPRoute"),
        ("HTTPRoute/team-a/web#0", "TCPRoute/team-a/web#0"),
        ("HTTPRoute/team-a/web#0", "[a]"),
        ("name: mooring-front", "name: mooring-back"),
        // The path of the Kubernetes object that is meant is that of its own name.
        ("mooring.dev/version: ", "unrelated.dev/version: "),
    ] {
        assert!(text.contains(old), "{old} in {text}");
        fs::write(&path, text.replace(old, new)).unwrap();
        let expected = old.starts_with("mooring.dev") || old.starts_with("name:");
        let run = out.diff(&[], &teams(&["b"])).code(1);
        assert_eq!(!partial(&run).is_empty(), expected, "{old}: {}", partial(&run));
    }
}

#[test]
fn a_local_envoy_overwrites_nobody() {
    let out = Out::new("a_local_envoy_overwrites_nobody", &teams(&["a"]));
    let arguments = [
        "generate",
        "--output-dir",
        "out",
        "-f",
        "-",
        "--target",
        "envoy",
        "--wasm",
        "x",
    ];
    let run = mooring()
        .current_dir(&out.0)
        .args(arguments)
        .stdin(teams(&["b"]))
        .assert();
    whole(&run.code(0));
}

/// The shop with a status of its Gateway.
fn shop_with_status(listeners: &str) -> String {
    shop_with(
        "    protocol: HTTP\n---",
        &format!("    protocol: HTTP\nstatus:\n  listeners: {listeners}\n---"),
    )
}

fn attached(count: &str) -> String {
    shop_with_status(&format!(
        "[{{name: http, attachedRoutes: {count}, supportedKinds: []}}]"
    ))
}

#[test]
fn a_status_that_counts_more_routes_is_told() {
    let message = str![[r#"
warning[PartialInput]: the status of Gateway default/front counts 3 routes on the listener `http`, and the input has 1 of them
  --> <stdin>:12:44
   |
12 |   listeners: [{name: http, attachedRoutes: 3, supportedKinds: []}]
   |                                            ^
   |
   = help: give one run the routes and policies of all teams on the Gateway

"#]];
    warns(&generate(&attached("3")).code(0), message.clone());
    warns(&generate_envoy(&attached("3")).code(0), message.clone());
    let validate = |flags: &[&str]| {
        mooring()
            .args(["validate", "-f", "-"])
            .args(flags)
            .stdin(attached("3"))
            .assert()
    };
    let run = validate(&["--strict"]).code(1);
    let text = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let finding = text
        .split("\n\n")
        .find(|part| part.contains("PartialInput"))
        .unwrap()
        .to_owned();
    assert_data_eq!(finding + "\n", message.raw());
    validate(&[]).code(0);
}

#[test]
fn a_status_that_counts_no_more_is_passed_over() {
    for count in ["1", "0"] {
        whole(&generate(&attached(count)).code(0));
    }
    for listeners in [
        "[]",
        "null",
        "[{name: http}]",
        "[{attachedRoutes: 7}]",
        "[{name: other, attachedRoutes: 7}]",
    ] {
        whole(&generate(&shop_with_status(listeners)).code(0));
    }
    for status in ["status: {}", "status: null", "status: {conditions: [], addresses: []}"] {
        whole(
            &generate(&shop_with(
                "    protocol: HTTP\n---",
                &format!("    protocol: HTTP\n{status}\n---"),
            ))
            .code(0),
        );
    }
    // What has no session has nothing to lose.
    whole(&generate(&without_policy(&attached("3"))).code(0));
    // A route that cannot be read has been told.
    let broken =
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: other}\nspec: {ruels: []}\n";
    whole(&generate(&(attached("3") + broken)));
}

/// The shop with a split, for which there is one more route.
fn split(count: &str) -> String {
    let second = "      port: 80\n    - name: api\n      port: 80\n---";
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec: {ports: [{port: 80}]}\n";
    attached(count).replace("      port: 80\n---", second) + service
}

#[test]
fn session_routes_count_as_the_cluster_counts_them() {
    // They may be in the cluster or not.
    whole(&generate(&split("1")).code(0));
    whole(&generate(&split("2")).code(0));
    let said = partial(&generate(&split("3")).code(0));
    assert!(
        said.contains("counts 3 routes on the listener `http`, and the input has 2 of them"),
        "{said}"
    );
    // Where they are in the input, they are those of the cluster.
    let objects = String::from_utf8(generate(&split("1")).get_output().stdout.clone()).unwrap();
    whole(&generate(&format!("{}---\n{objects}", split("2"))).code(0));
    let run = generate(&format!("{}---\n{objects}", split("3"))).code(0);
    assert!(!partial(&run).is_empty());
    // Those of a route that is not there are none of the input's.
    let orphan = objects.replace("HTTPRoute/default/web#0", "HTTPRoute/default/gone#0");
    let said = partial(&generate(&format!("{}---\n{orphan}", split("2"))).code(0));
    assert!(
        said.contains("counts 2 routes on the listener `http`, and the input has 1 of them"),
        "{said}"
    );
}

#[test]
fn each_listener_counts_its_own_routes() {
    let listeners = "    protocol: HTTP
  - {name: admin, port: 8080, protocol: HTTP, hostname: admin.example.com}
  - {name: tls, port: 443, protocol: TLS}
status:
  listeners:
  - {name: http, attachedRoutes: A}
  - {name: admin, attachedRoutes: B}
  - {name: tls, attachedRoutes: 9}
---";
    let shop = |one: &str, other: &str| {
        let listeners = listeners.replace('A', one).replace('B', other);
        let input = shop_with("    protocol: HTTP\n---", &listeners);
        input.replace("  - name: front\n", "  - {name: front, sectionName: http}\n")
    };
    whole(&generate(&shop("1", "0")).code(0));
    let run = generate(&shop("2", "1")).code(0);
    warns(
        &run,
        str![[r#"
warning[PartialInput]: the status of Gateway default/front counts 2 routes on the listener `http`, and the input has 1 of them
  --> <stdin>:15:34
   |
15 |   - {name: http, attachedRoutes: 2}
   |                                  ^
16 |   - {name: admin, attachedRoutes: 1}
   |                                   - and 1 route on the listener `admin`, and the input has 0
   |
   = help: give one run the routes and policies of all teams on the Gateway

"#]],
    );
    // On both listeners by one reference.
    let both = shop("1", "1").replace(", sectionName: http", "");
    whole(&generate(&both).code(0));
    // A host name that the other listener does not have.
    let host = both.replace("  rules:\n", "  hostnames: [shop.example.com]\n  rules:\n");
    assert!(partial(&generate(&host).code(0)).contains("1 route on the listener `admin`"));
}
