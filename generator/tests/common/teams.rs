//! A Gateway of which several teams have routes.

use super::SHOP;

/// A Gateway for several teams.
#[must_use]
pub fn gateway() -> String {
    let (gateway, _) = SHOP.split_once("---\n").unwrap();
    let everyone = "protocol: HTTP\n    allowedRoutes: {namespaces: {from: All}}";
    gateway
        .replace("name: front", "name: front\n  namespace: infra")
        .replace("protocol: HTTP", everyone)
}

/// What a team has: its own route, Service and policy, on that Gateway.
#[must_use]
pub fn of_team(name: &str) -> String {
    let (_, rest) = SHOP.split_once("---\n").unwrap();
    let rest = rest
        .replace("metadata:\n", &format!("metadata:\n  namespace: team-{name}\n"))
        .replace("- name: front", "- name: front\n    namespace: infra")
        .replace("rules:\n", &format!("hostnames: [{name}.example.com]\n  rules:\n"));
    format!("---\n{rest}")
}

/// The Gateway with the routes of these teams.
#[must_use]
pub fn teams(names: &[&str]) -> String {
    let teams: Vec<String> = names.iter().map(|name| of_team(name)).collect();
    gateway() + &teams.concat()
}
