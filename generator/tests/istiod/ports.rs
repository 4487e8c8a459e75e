//! The port of a destination that names none (istiod: `GetDestinationCluster`).

use crate::{
    common::Generated,
    istiod::shop::{SESSIONS, SPLIT, managed, said, shop, virtual_service},
};

/// Half of the requests go to each of two Services with these ports.
fn with(ports: &str) -> String {
    let http = format!("  - name: a\n    {SPLIT}");
    let input = shop(&[&virtual_service("web", "[web.example.com]", &http), SESSIONS]);
    input.replace("[{name: http, port: 80}]", ports)
}

#[test]
fn of_several_ports_that_of_the_listener_counts() {
    let run = Generated::istio(&with("[{name: admin, port: 9090}, {name: http, port: 80}]"));
    assert_eq!(managed(&run), ["web.example.com:80/a"]);
    let keys: Vec<_> = (0..2).map(|one| run.rule(0)["backends"][one]["key"].clone()).collect();
    assert_eq!(keys, ["web.default:80", "web-canary.default:80"]);
}

#[test]
fn an_only_port_counts_whatever_the_listener_has() {
    let run = Generated::istio(&with("[{name: http, port: 9090}]"));
    assert_eq!(run.rule(0)["backends"][0]["key"], "web.default:9090");
}

#[test]
fn where_neither_holds_the_rule_is_left_out_and_the_ports_are_named() {
    let (said, status) = said(&with("[{name: admin, port: 9090}, {name: http, port: 8080}]"));
    assert_eq!(status, Some(3));
    assert!(said.contains("it has 9090, 8080"), "{said}");
}
