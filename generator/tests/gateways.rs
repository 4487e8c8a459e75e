//! Which gateways are generated for: by their classes, and by the command line.

use crate::common::{
    Generated, SHOP, WASM, directory, generate, generate_envoy, mooring, passed_over, said, shop_with, texts,
};
use serde_json::json;
use snapbox::{cmd::OutputAssert, str};

/// The shop with a Gateway of this class.
fn of_class(class: &str) -> String {
    shop_with("gatewayClassName: istio", &format!("gatewayClassName: {class}"))
}

/// A `GatewayClass`.
fn class(name: &str, controller: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: {name}}}\nspec: {{controllerName: \
         {controller}}}\n"
    )
}

/// A Gateway `side` of a class, with a listener on port 80.
fn side(class: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: side}}\nspec:\n  gatewayClassName: \
         {class}\n  listeners: [{{name: http, port: 80, protocol: HTTP}}]\n"
    )
}

/// The shop, whose route leads to two Services and has the parents `front` and `side`, and the Gateway `side` of a class.
fn split_on_two(side_class: &str) -> String {
    let two = "    - name: web\n      port: 80\n    - name: web-2\n      port: 80\n";
    let shop = SHOP.replacen("    - name: web\n      port: 80\n", two, 1);
    let shop = shop.replacen("  - name: front\n", "  - name: front\n  - name: side\n", 1);
    let targets = "    name: web\n  - {group: \"\", kind: Service, name: web-2}\n  sessionPersistence";
    let shop = shop.replacen("    name: web\n  sessionPersistence", targets, 1);
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web-2, labels: {istio.io/persistent-session: a}}\n\
                   spec: {ports: [{name: http, port: 80}]}\n";
    format!("{shop}{service}{}", side(side_class))
}

fn run(command: &str, flags: &[&str], input: &str) -> OutputAssert {
    let wasm: &[&str] = if command == "generate" { &["--wasm", WASM] } else { &[] };
    let command = mooring().args([command, "-f", "-"]).args(wasm).args(flags);
    command.stdin(input).assert()
}

#[test]
fn classes_of_istio_s_controller_are_generated_for() {
    let other_name = format!("{}{}", of_class("edge"), class("edge", "istio.io/gateway-controller"));
    let beta = other_name.replacen("k8s.io/v1\nkind: GatewayClass", "k8s.io/v1beta1\nkind: GatewayClass", 1);
    for input in [SHOP, &other_name, &beta] {
        let made = Generated::istio(input);
        assert_eq!(made.findings, [""; 0]);
        assert_eq!(texts(&made.objects("WasmPlugin"), "/metadata/name"), ["mooring-front"]);
    }
}

#[test]
fn a_class_that_is_not_known_gets_nothing_until_it_is_said_to_be_istio_s() {
    passed_over(
        generate(&of_class("edge")),
        str![[r#"
warning[NoEffect]: nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries

warning[NoEffect]: no sessions are kept on Gateway default/front: it is unknown whether its class `edge` is Istio's, because the GatewayClass is not in the input; `istio` is known without it
 --> <stdin>:6:21
  |
6 |   gatewayClassName: edge
  |                     ^^^^
  |
  = help: add the GatewayClass to the input, or say that it is Istio's with --gateway-class edge


"#]],
    );
    let made = Generated::istio_with(
        &["--gateway-class", "other", "--gateway-class", "edge"],
        &of_class("edge"),
    );
    assert_eq!(made.findings, [""; 0]);
    assert_eq!(made.objects("WasmPlugin").len(), 1);
}

#[test]
fn a_class_of_another_controller_gets_nothing() {
    let nginx = format!(
        "{}{}",
        of_class("nginx"),
        class("nginx", "gateway.nginx.org/nginx-gateway-controller")
    );
    passed_over(
        generate(&nginx),
        str![[r#"
warning[NoEffect]: nothing to generate: no rule of a route on a Gateway of the input keeps sessions or has canaries

warning[NoEffect]: no sessions are kept on Gateway default/front: its class `nginx` is that of the controller `gateway.nginx.org/nginx-gateway-controller`, not of Istio
  --> <stdin>:6:21
   |
 6 |   gatewayClassName: nginx
   |                     ^^^^^
...
67 | spec: {controllerName: gateway.nginx.org/nginx-gateway-controller}
   |                        ------------------------------------------ the controller of the class
   |
   = help: if that is a name of Istio's controller, say so with --gateway-class nginx


"#]],
    );
    // Even where it has the name that istiod would give its own.
    let istio = format!("{SHOP}{}", class("istio", "example.com/controller"));
    assert!(said(&generate(&istio)).contains("controller `example.com/controller`, not of Istio"));
    // istiod can be given another name (PILOT_GATEWAY_API_CONTROLLER_NAME).
    let made = Generated::istio_with(&["--gateway-class", "istio"], &istio);
    assert_eq!(made.objects("WasmPlugin").len(), 1);
}

#[test]
fn what_istio_serves_otherwise_is_not_supported() {
    for (name, controller, what) in [
        (
            "istio-waypoint",
            "istio.io/mesh-controller",
            "a waypoint, which serves only routes with a Service as their parent",
        ),
        (
            "istio-east-west",
            "istio.io/eastwest-controller",
            "a gateway between clusters",
        ),
        (
            "istio-agentgateway",
            "istio.io/agentgateway-controller",
            "served by agentgateway",
        ),
        (
            "istio-agentgateway-waypoint",
            "istio.io/agentgateway-waypoint-controller",
            "a waypoint of agentgateway",
        ),
        ("istio-remote", "istio.io/unmanaged-gateway", "in another cluster"),
    ] {
        let by_name = of_class(name);
        let by_controller = format!("{}{}", of_class("mine"), class("mine", controller));
        for (input, name) in [(by_name, name), (by_controller, "mine")] {
            for flags in [&[][..], &["--gateway-class", name]] {
                let run = run("generate", flags, &input).code(0);
                let said = said(&run);
                assert!(said.contains("warning[Unsupported]") && said.contains(what), "{said}");
                assert!(!String::from_utf8_lossy(&run.get_output().stdout).contains("kind: "));
            }
        }
    }
}

#[test]
fn a_gateway_without_sessions_may_have_any_class() {
    let input = format!("{SHOP}{}", side("nginx"));
    assert_eq!(Generated::istio(&input).findings, [""; 0]);
}

#[test]
fn a_local_envoy_serves_every_class() {
    for class in ["nginx", "istio-waypoint"] {
        let made = Generated::envoy(&of_class(class));
        assert_eq!(made.findings, [""; 0]);
        assert_eq!(made.at("/static_resources/listeners/0/name"), "default.front.80");
    }
    let run = mooring()
        .args([
            "generate",
            "-f",
            "-",
            "--target",
            "envoy",
            "--wasm",
            "a.wasm",
            "--gateway-class",
            "a",
        ])
        .stdin(SHOP)
        .assert()
        .code(2);
    assert!(
        String::from_utf8_lossy(&run.get_output().stderr)
            .contains("--gateway-class can only be used with --target istio")
    );
}

#[test]
fn a_rule_on_gateways_of_two_controllers_keeps_sessions_on_istio_s() {
    let input = format!(
        "{}{}",
        split_on_two("nginx"),
        class("nginx", "gateway.nginx.org/nginx-gateway-controller")
    );
    let made = Generated::istio(&input);
    assert_eq!(made.findings.len(), 1, "{:?}", made.findings);
    assert!(made.findings[0].contains("no sessions are kept on Gateway default/side"));
    assert_eq!(texts(&made.objects("WasmPlugin"), "/metadata/name"), ["mooring-front"]);
    // On the other gateway nothing takes the header from clients, so there must be no route that believes it.
    assert_eq!(
        made.first("HTTPRoute")["spec"]["parentRefs"],
        json!([{ "name": "front" }])
    );
    let validation = run("validate", &["-o", "json"], &input).code(0);
    let validation: serde_json::Value = serde_json::from_slice(&validation.get_output().stdout).unwrap();
    assert_eq!(
        validation["rules"][0]["gateways"],
        json!([{ "namespace": "default", "name": "front" }])
    );
    assert_eq!(validation["findings"][0]["code"], "NoEffect");
}

#[test]
fn a_gateway_can_be_chosen() {
    let input = split_on_two("istio");
    let all = Generated::istio(&input);
    assert_eq!(
        texts(&all.objects("WasmPlugin"), "/metadata/name"),
        ["mooring-front", "mooring-side"]
    );
    assert_eq!(
        all.first("HTTPRoute")["spec"]["parentRefs"],
        json!([{ "name": "front" }, { "name": "side" }])
    );
    let mut names = vec![texts(&all.objects("HTTPRoute"), "/metadata/name").join(" ")];
    for name in ["front", "side"] {
        let one = Generated::istio_with(&["--gateway", &format!("default/{name}")], &input);
        assert_eq!(one.findings, [""; 0]);
        assert_eq!(
            texts(&one.objects("WasmPlugin"), "/metadata/name"),
            [format!("mooring-{name}")]
        );
        assert_eq!(one.first("HTTPRoute")["spec"]["parentRefs"], json!([{ "name": name }]));
        names.push(texts(&one.objects("HTTPRoute"), "/metadata/name").join(" "));
    }
    // Runs for different gateways do not overwrite each other's session routes.
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3, "{names:?}");
    let both = ["--gateway", "default/side", "--gateway", "default/front"];
    assert_eq!(Generated::istio_with(&both, &input).value, all.value);
}

#[test]
fn what_is_wrong_on_gateways_that_are_not_chosen_does_not_count() {
    let broken = SHOP
        .replacen("name: front", "name: side", 2)
        .replacen("port: 80\n---", "port: 81\n---", 1);
    let broken = broken.replacen("name: web\nspec", "name: broken\nspec", 1);
    let (gateway_and_route, _) = broken.split_once("---\napiVersion: v1\nkind: Service").unwrap();
    let input = format!("{SHOP}---\n{gateway_and_route}");
    assert!(said(&generate(&input).code(3)).contains("has no port 81"));
    let made = Generated::istio_with(&["--gateway", "default/front"], &input);
    assert_eq!(made.findings, [""; 0]);
    let other = run("generate", &["--gateway", "default/side"], &input).code(3);
    assert!(said(&other).contains("has no port 81"));
}

#[test]
fn a_chosen_gateway_that_is_not_there_is_an_error() {
    for (name, help) in [
        ("default/frnt", "= help: did you mean `front`?"),
        ("shop/front", "= help: there is one in the namespace `default`"),
        ("shop/nothing", ""),
    ] {
        let run = run("generate", &["--gateway", "default/front", "--gateway", name], SHOP).code(3);
        let said = said(&run);
        let message = format!("error[NoMatchingParent]: --gateway names the Gateway {name}, which is not in the input");
        assert!(said.contains(&message) && said.contains(help), "{said}");
        assert!(said.contains(&format!("left out because of errors: 1 Gateway (Gateway/{name})")));
        assert!(String::from_utf8_lossy(&run.get_output().stdout).contains("name: mooring-front\n"));
    }
    let strict = run("generate", &["--strict", "--gateway", "shop/front"], SHOP);
    strict.code(1).stdout_eq("");
    for wrong in ["front", "/front", "a/b/c", "Shop/front", "a.b/c"] {
        run("generate", &["--gateway", wrong], SHOP).code(2);
        run("validate", &["--gateway", wrong], SHOP).code(2);
    }
}

#[test]
fn a_gateway_that_could_not_be_read_is_not_missed() {
    let input = shop_with("  listeners:\n", "  listners: []\n  listeners:\n");
    let run = run("generate", &["--gateway", "default/front"], &input).code(3);
    let said = said(&run);
    assert!(
        said.contains("listners") && !said.contains("not in the input"),
        "{said}"
    );
}

#[test]
fn of_two_gateways_on_one_port_a_local_envoy_serves_the_chosen_one() {
    let input = split_on_two("istio");
    let run = generate_envoy(&input).code(3);
    assert!(said(&run).contains("if two Gateways have the same port, select one with --gateway default/"));
    for name in ["front", "side"] {
        let command = mooring().args([
            "generate", "-f", "-", "--target", "envoy", "--wasm", "a.wasm", "-o", "json",
        ]);
        let run = command
            .args(["--gateway", &format!("default/{name}")])
            .stdin(&input)
            .assert();
        let bootstrap: serde_json::Value = serde_json::from_slice(&run.code(0).get_output().stdout).unwrap();
        let listeners = bootstrap["static_resources"]["listeners"].as_array().unwrap();
        assert_eq!(
            texts(&listeners.iter().collect::<Vec<_>>(), "/name"),
            [format!("default.{name}.80")]
        );
    }
}

#[test]
fn a_port_that_no_gateway_has_is_an_error() {
    let listening = |flags: &[&str], input: &str| {
        let command = mooring().args(["generate", "-f", "-", "--target", "envoy", "--wasm", "a.wasm"]);
        command.args(flags).stdin(input).assert()
    };
    let message = |run: OutputAssert| said(&run.code(3)).lines().next().unwrap().to_owned();
    assert_eq!(
        message(listening(&["--listen", "8443=127.0.0.1:8443"], SHOP)),
        "error[NoMatchingParent]: --listen 8443=127.0.0.1:8443: no Gateway has an HTTP listener on port 8443; there is 80"
    );
    let two = SHOP.replacen(
        "    protocol: HTTP\n",
        "    protocol: HTTP\n  - {name: b, port: 8080, protocol: HTTP}\n",
        1,
    );
    assert_eq!(
        message(listening(
            &["--listen", "8443=127.0.0.1:8443", "--listen", "80=127.0.0.1:8000"],
            &two
        )),
        "error[NoMatchingParent]: --listen 8443=127.0.0.1:8443: no Gateway has an HTTP listener on port 8443; there are 80, 8080"
    );
    listening(
        &["--listen", "8080=127.0.0.1:8081", "--listen", "80=127.0.0.1:8000"],
        &two,
    )
    .code(0);
    // Of the Gateways that are chosen.
    let aside = side("istio").replacen("port: 80", "port: 8443", 1);
    let input = format!("{SHOP}{aside}");
    listening(&["--listen", "8443=127.0.0.1:8443"], &input).code(0);
    let chosen = ["--listen", "8443=127.0.0.1:8443", "--gateway", "default/front"];
    assert!(message(listening(&chosen, &input)).ends_with("on port 8443; there is 80"));
}

#[test]
fn validate_takes_the_same_flags() {
    let validation = run("validate", &["--gateway", "default/nothing"], SHOP).code(1);
    let text = String::from_utf8_lossy(&validation.get_output().stdout).into_owned();
    assert!(text.contains("--gateway names the Gateway default/nothing"), "{text}");
    let unknown = run("validate", &["--strict"], &of_class("edge")).code(1);
    let text = String::from_utf8_lossy(&unknown.get_output().stdout).into_owned();
    assert!(
        text.contains("--gateway-class edge") && text.contains("0 rules keep sessions"),
        "{text}"
    );
    let accepted = run("validate", &["--strict", "--gateway-class", "edge"], &of_class("edge")).code(0);
    assert!(String::from_utf8_lossy(&accepted.get_output().stdout).contains("1 rule keeps sessions"));
}

#[test]
fn files_of_gateways_that_are_not_chosen_stay() {
    let directory = directory("gateways/chosen");
    let path = directory.to_str().unwrap();
    let input = split_on_two("istio");
    let files = || {
        let names = std::fs::read_dir(&directory).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let choose = |name: &str| {
        let flags = ["--output-dir", path, "--gateway", &format!("default/{name}")];
        run("generate", &flags, &input).code(0);
    };
    choose("front");
    let of_front = files();
    choose("side");
    let both = files();
    assert_eq!((of_front.len(), both.len()), (3, 6));
    assert!(of_front.iter().all(|file| both.contains(file)));
    // Each is current for its own flags, whatever else is there.
    let check = ["--check", path, "--gateway", "default/front"];
    run("generate", &check, &input).code(0);
    run("generate", &["--check", path], &input).code(1);
}

#[test]
fn names_that_are_as_long_as_they_may_be_make_files() {
    let directory = directory("gateways/long");
    let path = directory.to_str().unwrap();
    let (route, gateway) = ("r".repeat(253), "g".repeat(63));
    let input = split_on_two("istio")
        .replacen(
            "  name: web\nspec:\n  parentRefs",
            &format!("  name: {route}\nspec:\n  parentRefs"),
            1,
        )
        .replace("name: front", &format!("name: {gateway}"));
    run("generate", &["--output-dir", path], &input).code(0);
    let files = std::fs::read_dir(&directory).unwrap();
    let names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.len() == 5 && names.iter().any(|name| name.starts_with("httproute-")),
        "{names:?}"
    );
    // The name is the same in the next run.
    run("generate", &["--check", path], &input).code(0);
}
