//! The domain of the cluster, by which istiod names the clusters of its gateways.

use crate::common::{Generated, SHOP, WASM, generate, istio_api::ISTIO_API, mooring, said};

/// Bookinfo in a cluster with another domain.
fn istio_api() -> String {
    ISTIO_API.replace("svc.cluster.local", "svc.corp.example")
}

/// A Deployment of istiod, or a pod of it.
fn istiod(kind: &str, name: &str, arguments: &str) -> String {
    let container = format!("containers: [{{name: discovery, args: [discovery, --monitoringAddr=:15014{arguments}]}}]");
    let labels = "labels: {app: istiod, istio: pilot}";
    match kind {
        "Pod" => format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: istio-system, {labels}}}\nspec: {{{container}}}\n"
        ),
        _ => format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: istio-system}}\nspec:\n  template:\n    \
             metadata: {{{labels}}}\n    spec: {{{container}}}\n"
        ),
    }
}

/// The hosts of all clusters and the like that the output names.
fn domains(made: &Generated) -> Vec<String> {
    let text = made.value.to_string();
    let mut found: Vec<String> = text
        .split(".svc.")
        .skip(1)
        .map(|rest| {
            let end = rest.find(|character: char| !(character.is_ascii_alphanumeric() || ".-".contains(character)));
            rest.get(..end.unwrap_or(rest.len())).unwrap().to_owned()
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn the_flag_is_in_every_name() {
    let flags = ["--cluster-domain", "corp.example"];
    let made = Generated::istio_with(&flags, &istio_api());
    assert_eq!(made.findings, [""; 0]);
    assert_eq!(domains(&made), ["corp.example"]);
    let default = Generated::istio(ISTIO_API);
    assert_eq!(domains(&default), ["cluster.local"]);
    // Only the names of clusters and hosts differ: keys, and with them sessions, stay what they are.
    let renamed = made.value.to_string().replace("svc.corp.example", "svc.cluster.local");
    assert_eq!(renamed, default.value.to_string());
}

#[test]
fn hosts_of_another_domain_are_not_those_of_services() {
    let run = generate(&istio_api()).code(3);
    assert!(
        said(&run).contains("has the host `reviews.bookinfo.svc.corp.example`"),
        "{}",
        said(&run)
    );
}

#[test]
fn the_local_envoy_has_it_too() {
    let run = |input: &str, flags: &[&str]| {
        let command = mooring().args([
            "generate", "-f", "-", "-o", "json", "--target", "envoy", "--wasm", "a.wasm",
        ]);
        let run = command.args(flags).stdin(input).assert().code(0);
        String::from_utf8_lossy(&run.get_output().stdout).into_owned()
    };
    for (default, input) in [(SHOP, SHOP.to_owned()), (ISTIO_API, istio_api())] {
        let made = run(&input, &["--cluster-domain", "corp.example"]);
        assert!(made.contains("svc.corp.example") && !made.contains("cluster.local"));
        assert_eq!(made.replace("svc.corp.example", "svc.cluster.local"), run(default, &[]));
    }
}

#[test]
fn an_external_name_is_known_without_the_domain() {
    let alias = |domain: &str| {
        let alias = format!("type: ExternalName\n  externalName: web.other.svc.{domain}\n  ports:\n  - name: http");
        SHOP.replacen("ports:\n  - name: http", &alias, 1)
    };
    let key = |domain: &str| {
        let made = Generated::istio_with(&["--cluster-domain", domain], &alias(domain));
        made.rule(0)
            .pointer("/backends/0/key")
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(key("corp.example"), "web.other:80");
    assert_eq!(key("corp.example"), key("cluster.local"));
}

#[test]
fn istiod_in_the_input_says_it() {
    for kind in ["Pod", "Deployment"] {
        for arguments in [", --domain, corp.example", ", --domain=corp.example"] {
            let input = format!("{}{}", istio_api(), istiod(kind, "istiod", arguments));
            let made = Generated::istio(&input);
            assert_eq!(made.findings, [""; 0], "{kind} {arguments}");
            assert_eq!(domains(&made), ["corp.example"]);
        }
        let made = Generated::istio(&format!("{ISTIO_API}{}", istiod(kind, "istiod", "")));
        assert_eq!(domains(&made), ["cluster.local"]);
    }
    // Another container with such an argument is not istiod, and the flag comes first.
    let other = istiod("Pod", "other", ", --domain, corp.example").replacen("app: istiod", "app: other", 1);
    assert_eq!(
        domains(&Generated::istio(&format!("{ISTIO_API}{other}"))),
        ["cluster.local"]
    );
    let input = format!("{ISTIO_API}{}", istiod("Pod", "istiod", ", --domain, corp.example"));
    assert_eq!(
        domains(&Generated::istio_with(&["--cluster-domain", "cluster.local"], &input)),
        ["cluster.local"]
    );
}

#[test]
fn two_istiods_that_disagree_are_told() {
    let old = istiod("Pod", "istiod-old", ", --domain, corp.example");
    let new = istiod("Deployment", "istiod-new", ", --domain, other.example");
    let one = Generated::istio(&format!("{}{old}{new}", istio_api()));
    let other = Generated::istio(&format!("{}{new}{old}", istio_api()));
    assert_eq!(one.value, other.value);
    assert_eq!(domains(&one), ["corp.example"]);
    assert_eq!(
        one.findings,
        ["warning[Conflicted]: this istiod has the cluster domain `corp.example`, but another one has `other.example`"]
    );
    // Where no VirtualService needs it, it does not matter.
    assert_eq!(Generated::istio(&format!("{SHOP}{old}{new}")).findings, [""; 0]);
    let both = format!("{}{old}{}", istio_api(), old.replacen("istiod-old", "istiod-2", 1));
    assert_eq!(Generated::istio(&both).findings, [""; 0]);
}

#[test]
fn what_is_no_domain_is_refused() {
    for (wrong, why) in [
        ("", "lower-case labels separated by dots"),
        ("cluster.local.", "no dot at either end"),
        ("Cluster.local", "lower-case labels"),
        ("*.local", "lower-case labels"),
        ("10.0.0.1", "this is an IP address"),
        ("svc.cluster.local", "without `svc.`"),
    ] {
        for command in [&["generate", "--wasm", WASM][..], &["validate"]] {
            let run = mooring()
                .args(command)
                .args(["-f", "-", "--cluster-domain", wrong])
                .stdin(SHOP)
                .assert();
            let stderr = String::from_utf8_lossy(&run.code(2).get_output().stderr).into_owned();
            assert!(stderr.contains(why), "{wrong}: {stderr}");
        }
    }
}

#[test]
fn validate_knows_it_too() {
    let run = |flags: &[&str]| {
        mooring()
            .args(["validate", "-f", "-", "--strict"])
            .args(flags)
            .stdin(istio_api())
            .assert()
    };
    run(&["--cluster-domain", "corp.example"]).code(0);
    run(&[]).code(1);
}
