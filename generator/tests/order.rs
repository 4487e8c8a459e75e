//! The order of what is generated: `EnvoyFilter`s, session routes, `WasmPlugin`s, however it is written.
//!
//! Without the `EnvoyFilter` a client could name a session route itself, and the module asks for session routes.

use std::fs;

use crate::common::{Generated, SHOP, WASM, directory, generate, istio_api::ISTIO_API, mooring};

/// Splits on a route of each kind, on three gateways of two APIs. The names would sort in another order than the kinds.
fn input() -> String {
    let (gateway, rest) = SHOP.split_once("---\n").unwrap();
    let split = |input: &str| {
        let second = "      port: 80\n    - {name: api, port: 80}\n---";
        input.replacen("      port: 80\n---", second, 1)
    };
    let grpc = split(rest)
        .replace("kind: HTTPRoute", "kind: GRPCRoute")
        .replace("name: front", "name: zoo");
    let (grpc, _) = grpc.split_once("---\n").unwrap();
    let grpc = grpc.replacen("  name: web\n", "  name: calls\n", 1);
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec: {ports: [{port: 80, appProtocol: kubernetes.io/h2c}]}\n";
    let zoo = gateway.replace("name: front", "name: zoo");
    [&zoo, gateway, &split(rest), grpc.as_str(), service, ISTIO_API].join("---\n")
}

/// The place of a kind in the order. Session routes of all kinds are alike.
fn rank(kind: &str) -> usize {
    ["EnvoyFilter", "HTTPRoute", "GRPCRoute", "WasmPlugin"]
        .iter()
        .position(|known| kind.eq_ignore_ascii_case(known))
        .map(|rank| if rank == 2 { 1 } else { rank })
        .unwrap()
}

#[track_caller]
fn in_order(kinds: &[String]) {
    let ranks: Vec<usize> = kinds.iter().map(|kind| rank(kind)).collect();
    assert!(ranks.is_sorted(), "{kinds:?}");
    let count = |kind: &str| kinds.iter().filter(|one| one.eq_ignore_ascii_case(kind)).count();
    let counts = ["EnvoyFilter", "HTTPRoute", "GRPCRoute", "WasmPlugin"].map(count);
    assert_eq!(counts, [3, 1, 1, 3], "{kinds:?}");
}

#[test]
fn documents_lists_and_file_names_have_one_order() {
    let yaml = String::from_utf8(generate(&input()).code(0).get_output().stdout.clone()).unwrap();
    let kinds = yaml.lines().filter_map(|line| line.strip_prefix("kind: "));
    in_order(&kinds.map(str::to_owned).collect::<Vec<String>>());

    let list = Generated::istio(&input()).value;
    let kinds = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["kind"].as_str().unwrap());
    in_order(&kinds.map(str::to_owned).collect::<Vec<String>>());

    // `kubectl apply -f DIR` goes by the names of the files.
    let directory = directory("order");
    let run = mooring().args(["generate", "-f", "-", "--wasm", WASM, "--output-dir"]);
    run.arg(&directory).stdin(input()).assert().code(0);
    let mut names: Vec<String> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let kinds = names.iter().map(|name| name.split('-').next().unwrap().to_owned());
    in_order(&kinds.collect::<Vec<String>>());
}
