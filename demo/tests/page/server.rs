//! What the server of the page does besides serving it. No browser is needed.

use mooring_tests::{Client, Reply};

use crate::demo::{Demo, listens};

const MARK: (&str, &str) = ("x-mooring-demo", "test");

async fn send(demo: &Demo, method: &str, target: &str, lines: &[(&str, &str)]) -> Reply {
    let client = Client::http1(demo.address.parse().unwrap());
    let host = lines.iter().find(|(name, _)| *name == "host");
    let request = client
        .request(target)
        .method(method)
        .host(host.map_or(demo.address.as_str(), |(_, value)| value));
    let others = lines.iter().filter(|(name, _)| *name != "host");
    others
        .fold(request, |request, (name, value)| request.header(name, value))
        .send()
        .await
}

#[tokio::test]
async fn a_port_in_use_is_said_and_another_one_taken_and_nothing_runs_on_after_a_signal() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for signal in ["-INT", "-TERM"] {
        let mut demo = Demo::start_with(&["--port", &port.to_string()]).await;
        let output = demo.output();
        assert!(output.contains(&format!("Port {port} is in use.")), "{output}");
        assert!(demo.address.starts_with("127.0.0.1:"), "{output}");
        let gateway = demo.address_after("The gateway:");
        let admin = demo.address_after("Envoy:");
        assert!(
            listens(&demo.address) && listens(&gateway) && listens(&admin),
            "{output}"
        );
        assert_eq!(demo.stop(signal).await.code(), Some(130), "{signal}");
        assert!(!listens(&demo.address), "{signal}: the page is gone");
        assert!(!listens(&gateway) && !listens(&admin), "{signal}: Envoy is gone");
    }
}

#[tokio::test]
async fn only_the_page_itself_is_served() {
    let demo = Demo::start().await;
    let page = send(&demo, "GET", "/", &[]).await.ok();
    let policy = String::from_utf8_lossy(page.header("content-security-policy").unwrap()).into_owned();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    let rebound = send(&demo, "GET", "/api/state", &[("host", "attacker.example")]).await;
    assert_eq!(rebound.status(), 403, "{rebound:?}");
    // What a form of another site can send.
    let forged = send(&demo, "POST", "/api/weights?v1=0&v2=100", &[]).await;
    assert_eq!(forged.status(), 405, "{forged:?}");
    for (target, status, says) in [
        ("/api/weights?v1=0&v2=0", 400, "one of them is above 0"),
        ("/api/weights?v1=ten&v2=0", 400, "each is 0 to 100"),
        ("/api/visit?who=c", 400, "there is no visitor c"),
        (
            "/api/pod?name=store-v3-1&running=true",
            400,
            "there is no pod store-v3-1",
        ),
        ("/api/nothing", 404, ""),
    ] {
        let refused = send(&demo, "POST", target, &[MARK]).await;
        assert_eq!(refused.status(), status, "{target}: {refused:?}");
        let body = String::from_utf8_lossy(refused.body());
        assert!(body.contains(says), "{target}: {body}");
    }
    let state = send(&demo, "GET", "/api/state", &[]).await.ok();
    let state: serde_json::Value = serde_json::from_slice(state.body()).unwrap();
    assert_eq!(state["weights"], serde_json::json!([90, 10]));
}
