//! A `DestinationRule` with `consistentHash` beside sessions.

use crate::common::{Generated, SHOP, WASM, mooring, said, without_policy};
use snapbox::{IntoData as _, str};

/// A shop whose Service is balanced by this `trafficPolicy`.
fn balanced(policy: &str) -> String {
    format!("{SHOP}---\n{}", rule(policy))
}

fn rule(policy: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web}}\nspec:\n  host: \
         web.default.svc.cluster.local\n  trafficPolicy: {policy}\n"
    )
}

const HASH: &str = "{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}";

fn is_reported(run: &Generated) -> bool {
    run.findings.iter().any(|finding| finding.contains("consistentHash"))
}

#[test]
fn the_session_wins_over_the_hash() {
    let run = mooring()
        .args(["generate", "-f", "-", "--wasm", WASM])
        .stdin(balanced(HASH))
        .assert()
        .code(0);
    snapbox::assert_data_eq!(
        said(&run),
        str![[r"
note[NoEffect]: the consistentHash of the DestinationRule default/web selects the pod of new sessions only: a live session stays on its pod, regardless of the hash
  --> <stdin>:69:50
   |
69 |   trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}
   |                                                  ^


"]].raw()
    );
}

#[test]
fn it_counts_where_the_hash_counts() {
    for (policy, reported) in [
        (HASH, true),
        (
            "{portLevelSettings: [{port: {number: 80}, loadBalancer: {consistentHash: {useSourceIp: true}}}]}",
            true,
        ),
        ("{loadBalancer: {simple: ROUND_ROBIN}}", false),
        ("{connectionPool: {tcp: {maxConnections: 1}}}", false),
        ("null", false),
    ] {
        assert_eq!(is_reported(&Generated::istio(&balanced(policy))), reported, "{policy}");
    }
    let of_another = balanced(HASH).replace("host: web.default", "host: api.default");
    assert!(!is_reported(&Generated::istio(&of_another)));
    let private = balanced(HASH).replace("spec:\n  host", "spec:\n  exportTo: [other]\n  host");
    assert!(!is_reported(&Generated::istio(&private)));
    let without_session = format!("{}---\n{}", without_policy(SHOP), rule(HASH));
    assert!(!is_reported(&Generated::istio(&without_session)));
    // It does not hash.
    assert!(!is_reported(&Generated::envoy(&balanced(HASH))));
}

#[test]
fn several_are_counted() {
    let one = format!("{}---\n{}", SHOP, rule(HASH));
    let other = one.replace("web", "api").replace("name: sticky", "name: sticky-api");
    let (_, other) = other.split_once("---\n").unwrap();
    let run = Generated::istio(&format!("{one}---\n{other}"));
    let reported = run.findings.iter().filter(|finding| finding.contains("consistentHash"));
    let reported: Vec<&String> = reported.collect();
    assert_eq!(reported.len(), 1);
    assert!(
        reported[0].contains("DestinationRule default/api (this and 1 more)"),
        "{reported:?}"
    );
}
