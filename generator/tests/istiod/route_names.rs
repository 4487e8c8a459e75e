//! The names of http routes of a `VirtualService`, which are any text.

use serde_json::json;

use crate::{
    common::{Generated, mooring},
    istiod::shop::{SPLIT, inserted_before, managed, shop, sticky, virtual_service},
};

const NAMES: [(&str, &str); 8] = [
    ("Reviews_V2", "Reviews_V2"),
    ("reviews V2", "reviews%20V2"),
    (" a ", "%20a%20"),
    ("a.b.c", "a.b.c"),
    ("a/b#1;.;c", "a%2Fb%231%3B.%3Bc"),
    ("50%", "50%25"),
    ("größer", "gr%C3%B6%C3%9Fer"),
    ("\"quoted\"", "%22quoted%22"),
];

#[test]
fn any_text_is_a_name() {
    for (name, in_id) in NAMES {
        let http = format!("  - name: {}\n    {SPLIT}", json!(name));
        let input = shop(&[&virtual_service("web", "[web.example.com]", &http), &sticky("web")]);
        let run = Generated::istio(&input);
        assert_eq!(run.findings, [""; 0], "{name}");
        let route = format!("web.example.com:80/{name}");
        assert_eq!(managed(&run), [route.as_str()]);
        assert_eq!(inserted_before(&run), [route.as_str()]);
        let id = format!("VirtualService/default/web/{in_id}");
        assert_eq!(run.rule(0)["id"], id);
        for patch in run.patches("HTTP_ROUTE") {
            let value = &patch["patch"]["value"];
            let key = value["name"].as_str().unwrap();
            assert!(key.starts_with(&format!("{id}/web")), "{key}");
            assert_eq!(value["match"]["headers"][0]["string_match"]["exact"], key);
            assert!(key.bytes().all(|byte| byte.is_ascii_graphic()), "{key}");
        }
        let local = Generated::envoy(&input);
        let routes = local.at(
            "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes",
        );
        assert_eq!(routes.as_array().unwrap().last().unwrap()["name"], name);
    }
}

#[test]
fn a_match_has_any_name_too() {
    let http = format!(
        "  - name: Home Page\n    match: [{{name: 'A_1', uri: {{exact: /}}}}, {{name: '', uri: {{exact: /b}}}}]\n    {SPLIT}"
    );
    let run = Generated::istio(&shop(&[
        &virtual_service("web", "[web.example.com]", &http),
        &sticky("web"),
    ]));
    assert_eq!(
        managed(&run),
        ["web.example.com:80/Home Page", "web.example.com:80/Home Page.A_1"]
    );
    assert_eq!(inserted_before(&run), ["web.example.com:80/Home Page.A_1"]);
}

#[test]
fn names_of_two_routes_differ_in_case() {
    let http = format!("  - name: a\n    match: [{{uri: {{exact: /}}}}]\n    {SPLIT}\n  - name: A\n    {SPLIT}");
    let run = Generated::istio(&shop(&[
        &virtual_service("web", "[web.example.com]", &http),
        &sticky("web"),
    ]));
    assert_eq!(managed(&run), ["web.example.com:80/A", "web.example.com:80/a"]);
}

#[test]
fn a_policy_finds_a_route_by_any_name() {
    let http = format!("  - name: Everyone Else\n    {SPLIT}");
    let policy = sticky("web").replacen(
        "name: web}\n  sticky",
        "name: web, sectionName: Everyone Else}\n  sticky",
        1,
    );
    let input = shop(&[&virtual_service("web", "[web.example.com]", &http), &policy]);
    assert_eq!(managed(&Generated::istio(&input)), ["web.example.com:80/Everyone Else"]);
    let validated = mooring().args(["validate", "-f", "-"]).stdin(&input).assert().success();
    let text = String::from_utf8_lossy(&validated.get_output().stdout).into_owned();
    assert!(
        text.contains("VirtualService default/web/Everyone Else  Accepted"),
        "{text}"
    );
}

#[test]
fn an_empty_name_is_none() {
    let http = format!("  - name: ''\n    {SPLIT}");
    let run = Generated::istio(&shop(&[
        &virtual_service("web", "[web.example.com]", &http),
        &sticky("web"),
    ]));
    assert_eq!(managed(&run), ["web.example.com:80/"]);
}
