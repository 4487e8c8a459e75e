//! `exportTo`: which gateways see a `VirtualService`, and which Services.

use crate::{
    common::{Generated, WASM, mooring},
    istiod::shop::{SPLIT, in_namespace, inserted_before, managed, said, shop, sticky, virtual_service},
};

/// The gateway in `istio-system`, and a `VirtualService` in `default` with this `exportTo`.
fn exported_to(list: &str) -> String {
    let virtual_service = virtual_service("web", "[web.example.com]", &format!("  - name: a\n    {SPLIT}"));
    let virtual_service = virtual_service.replacen(
        "gateways: [gw]",
        &format!("exportTo: {list}\n  gateways: [istio-system/gw]"),
        1,
    );
    in_namespace(&shop(&[&virtual_service, &sticky("web")]), "istio-system")
}

#[test]
fn a_gateway_that_sees_it_gets_it() {
    for list in ["[]", "['*']", "[istio-system]", "['.', istio-system]", "['~', '*']"] {
        let run = Generated::istio(&exported_to(list));
        assert_eq!(managed(&run), ["web.example.com:80/a"], "{list}");
        assert_eq!(run.findings, [""; 0], "{list}");
    }
    // Only its pods count, wherever the Gateway is.
    let run = Generated::istio_with(&["--gateway-namespace", "default"], &exported_to("['.']"));
    assert_eq!(managed(&run), ["web.example.com:80/a"]);
}

#[test]
fn a_gateway_that_does_not_see_it_gets_nothing() {
    for list in ["['.']", "[default]", "[other]", "['~']", "[istio-system, '~']"] {
        let (said, status) = said(&exported_to(list));
        let message = "warning[NoMatchingParent]: VirtualService default/web is not exported to the namespace \
            istio-system, where the pods of Gateway istio-system/gw run, so it is not on that gateway\n  --> \
            <stdin>:23:14";
        assert!(said.contains(message), "{list}: {said}");
        assert!(said.contains("nothing to generate"), "{list}: {said}");
        assert_eq!(status, Some(0), "{list}");
    }
    let input = exported_to("['.']");
    let validated = mooring().args(["validate", "-f", "-"]).stdin(&input).assert().success();
    let text = String::from_utf8_lossy(&validated.get_output().stdout).into_owned();
    assert!(text.contains("VirtualService/default/web/a  none "), "{text}");
    assert!(text.contains("0 rules keep sessions"), "{text}");
    let local = Generated::envoy(&input);
    let config = local.at("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config");
    assert_eq!(config["virtual_hosts"], serde_json::json!([]));
    let flag = mooring()
        .args(["generate", "-f", "-", "--wasm", WASM, "--gateway-namespace", "other"])
        .stdin(exported_to("[istio-system]"))
        .assert();
    let stderr = String::from_utf8_lossy(&flag.get_output().stderr).into_owned();
    assert!(stderr.contains("not exported to the namespace other"), "{stderr}");
}

#[test]
fn a_service_that_the_gateway_does_not_see_is_warned_of() {
    let annotated = |value: &str| {
        let annotations = format!("name: web-canary, annotations: {{networking.istio.io/exportTo: '{value}'}},");
        exported_to("['*']").replacen("name: web-canary,", &annotations, 1)
    };
    for value in ["*", "istio-system", "other, istio-system", ". ,*"] {
        assert_eq!(Generated::istio(&annotated(value)).findings, [""; 0], "{value}");
    }
    for value in [".", "~", "default,other"] {
        let run = Generated::istio(&annotated(value));
        assert_eq!(
            run.findings,
            [
                "warning[BackendNotFound]: the Service default/web-canary is not exported to the namespace \
                 istio-system, where the pods of Gateway istio-system/gw run: Istio has no cluster for it there and \
                 answers 503"
            ],
            "{value}"
        );
        assert_eq!(inserted_before(&run), ["web.example.com:80/a"], "{value}");
    }
}

#[test]
fn so_is_a_host_of_a_service_entry() {
    let entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api}\nspec:\n  hosts: [api.example.com]\n  \
                 ports: [{number: 443, name: https, protocol: HTTPS}]\n  exportTo: ['.']\n---\n";
    let input = exported_to("['*']").replacen("{host: web-canary}", "{host: api.example.com}", 1) + entry;
    let (said, status) = said(&input);
    assert!(said.contains("is not exported to the namespace istio-system"), "{said}");
    assert!(said.contains("exportTo: ['.']"), "{said}");
    assert_eq!(status, Some(0));
}
