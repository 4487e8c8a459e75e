//! Where the proxy-wasm SDK could panic, which would end the virtual machine: the conditions that its code names on the calls
//! that the module makes and receives. Each is brought about here, and the module lives.

use mooring_tests::{Bootstrap, Envoy, Pod};
use serde_json::{Value, json};

use super::fail_closed_with;
use crate::shop::{COOKIE, cart, persistence};

fn http_filters(bootstrap: &mut Bootstrap) -> &mut Vec<Value> {
    let filters = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
    let filters = bootstrap.json_mut().pointer_mut(filters);
    filters.and_then(Value::as_array_mut).expect("a list of filters")
}

/// Puts a filter with this Lua code before the module.
fn lua_first(bootstrap: &mut Bootstrap, code: &str) {
    http_filters(bootstrap).insert(
        0,
        json!({
            "name": "envoy.filters.http.lua",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                "default_source_code": {"inline_string": code},
            },
        }),
    );
}

/// The module lives: a session begins and is resumed.
async fn keeps_sessions(envoy: &Envoy) {
    let mut browser = envoy.browser();
    let first = browser.get("/").await.ok();
    assert!(first.set_cookie(COOKIE).is_some(), "{first:?}");
    let pod = first.pod();
    for _ in 0..5 {
        assert_eq!(browser.get("/").await.ok().pod(), pod);
    }
    assert_eq!(envoy.stats().await.mooring("mooring_error_total"), 0);
}

#[tokio::test]
async fn a_header_name_that_is_no_text_of_a_filter_before_it() {
    let add = |bootstrap: &mut Bootstrap| {
        lua_first(
            bootstrap,
            r#"function envoy_on_request(handle)
              if handle:headers():get("x-odd") then handle:headers():add("x-\255", "1") end
            end"#,
        );
    };
    let pods = Pod::start_several("cart", 2).await;
    let envoy = fail_closed_with(add, &cart(&pods, persistence())).await;
    for _ in 0..3 {
        // Envoy itself may refuse to send such a header on.
        envoy.client().request("/").header("x-odd", "1").send().await;
    }
    keeps_sessions(&envoy).await;
}

#[tokio::test]
async fn a_reply_of_a_filter_before_it() {
    let reply = |bootstrap: &mut Bootstrap| {
        lua_first(
            bootstrap,
            r#"function envoy_on_request(handle)
              if handle:headers():get("x-odd") then handle:respond({[":status"] = "403"}, "no") end
            end"#,
        );
    };
    let pods = Pod::start_several("cart", 2).await;
    let envoy = fail_closed_with(reply, &cart(&pods, persistence())).await;
    for _ in 0..3 {
        let refused = envoy.client().request("/").header("x-odd", "1").send().await;
        assert_eq!(refused.status(), 403);
    }
    keeps_sessions(&envoy).await;
}

#[tokio::test]
async fn a_second_plugin_in_its_virtual_machine() {
    let second = |bootstrap: &mut Bootstrap| {
        let filters = http_filters(bootstrap);
        let is_module = |filter: &Value| filter.pointer("/typed_config/config/vm_config").is_some();
        let position = filters.iter().position(is_module).expect("the module");
        let mut second = filters[position].clone();
        second["name"] = json!("second");
        second["disabled"] = json!(false);
        let plugin = &mut second["typed_config"]["config"];
        plugin["name"] = json!("");
        plugin["root_id"] = json!("second");
        plugin["configuration"] = Value::Null;
        filters.insert(position, second);
    };
    let pods = Pod::start_several("cart", 2).await;
    let closed = |bootstrap: &mut Bootstrap| {
        bootstrap.module().failure_policy("FAIL_CLOSED");
    };
    let envoy = Envoy::builder()
        .edit(closed)
        .edit(second)
        .start(&cart(&pods, persistence()))
        .await;
    // The second one has neither a name nor a configuration, so that it lets everything pass.
    assert!(envoy.log().contains("mooring: off"), "{}", envoy.log());
    keeps_sessions(&envoy).await;
}

#[tokio::test]
async fn keys_that_are_no_text() {
    let pods = Pod::start_several("cart", 2).await;
    let envoy = Envoy::builder()
        .under(&["bash", "-c", r#"export MOORING_KEYS=$'\xff\xfe'; exec "$0" "$@""#])
        .edit(|bootstrap| {
            bootstrap.module().failure_policy("FAIL_CLOSED");
        })
        .start(&cart(&pods, persistence()))
        .await;
    for _ in 0..3 {
        let reply = envoy.client().get("/").await.ok();
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
    }
    let log = envoy.log();
    assert!(
        log.contains("sessions are off") && log.contains("key 1 of the ring"),
        "{log}"
    );
}
