//! The harness itself, on a configuration without Mooring: what every other test here trusts.

use mooring_tests::{Bootstrap, Client, Envoy, Pod, Site, Update, raw};
use serde_json::{Value, json};

fn plain(site: Site, pods: &[&Pod], server_name: &str) -> Bootstrap {
    let endpoint = |pod: &&Pod| json!({"endpoint": {"address": address(pod.socket())}});
    let endpoints: Vec<Value> = pods.iter().map(endpoint).collect();
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let manager =
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let json = json!({
        "admin": {"address": address(site.admin)},
        "static_resources": {
            "listeners": [{
                "name": "web",
                "address": address(site.listen),
                "filter_chains": [{"filters": [{
                    "name": "http",
                    "typed_config": {
                        "@type": manager,
                        "stat_prefix": "web",
                        "server_name": server_name,
                        "route_config": {"virtual_hosts": [{
                            "name": "all",
                            "domains": ["*"],
                            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "outbound|80||a.b"}}],
                        }]},
                        "http_filters": [{"name": "router", "typed_config": {"@type": router}}],
                    },
                }]}],
            }],
            "clusters": [{
                "name": "outbound|80||a.b",
                "type": "STATIC",
                "connect_timeout": "1s",
                "load_assignment": {
                    "cluster_name": "outbound|80||a.b",
                    "endpoints": [{"lb_endpoints": endpoints}],
                },
            }],
        },
    });
    Bootstrap::parse(&json.to_string()).unwrap()
}

fn address(socket: std::net::SocketAddr) -> Value {
    json!({"socket_address": {"address": socket.ip(), "port_value": socket.port()}})
}

#[tokio::test]
async fn a_running_envoy_takes_updates_and_refuses_bad_ones() {
    let (first, second) = (Pod::start("first").await, Pod::start("second").await);
    let site = Site::fresh();
    let bootstrap = plain(site, &[&first], "one");
    let mut envoy = Envoy::builder().dynamic().start_on(site, bootstrap.clone()).await;
    let client = envoy.client();
    assert_eq!(client.get("/").await.ok().pod(), "first");

    // Endpoints alone: the listener stays.
    let outcome = envoy.apply_bootstrap(plain(site, &[&second], "one")).await;
    assert_eq!(outcome, Update::Taken);
    assert_eq!(client.get("/").await.ok().pod(), "second");

    // The listener alone, seen at once on a connection that was open before.
    assert_eq!(client.get("/").await.header("server"), Some(b"one".as_slice()));
    let outcome = envoy.apply_bootstrap(plain(site, &[&second], "two")).await;
    assert_eq!(outcome, Update::Taken);
    assert_eq!(client.get("/").await.header("server"), Some(b"two".as_slice()));

    let mut bad = plain(site, &[&second], "three");
    *bad.json_mut()
        .pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/stat_prefix")
        .unwrap() = json!("");
    assert_eq!(envoy.apply_bootstrap(bad).await, Update::Rejected);
    assert_eq!(client.get("/").await.header("server"), Some(b"two".as_slice()));

    envoy.restart().await;
    assert_eq!(client.get("/").await.ok().pod(), "second");
}

#[tokio::test]
async fn a_pod_tells_every_byte_it_was_sent() {
    let pod = Pod::start("pod").await;
    let every: Vec<u8> = (0x20..=0xff).filter(|byte| *byte != 0x7f).collect();
    let value = [b"<".as_slice(), &every, b">"].concat();
    let client = Client::http1(pod.socket());
    let echo = client
        .request("/path?q=1")
        .header("x-bytes", &value)
        .send()
        .await
        .ok()
        .echo();
    assert_eq!(echo.header("x-bytes"), std::slice::from_ref(&value));
    assert_eq!(echo.target, "/path?q=1");

    let request = [
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nCookie: ".as_slice(),
        &value,
        b"\r\nConnection: close\r\n\r\n",
    ];
    let echo = raw(pod.socket(), &request.concat()).await.ok().echo();
    assert_eq!(echo.header("cookie"), [b"a=1".to_vec(), value]);
}

#[tokio::test]
async fn a_pod_that_stops_refuses_connections_and_comes_back() {
    let mut pod = Pod::start("pod").await;
    let client = Client::http1(pod.socket());
    assert_eq!(client.get("/").await.ok().pod(), "pod");
    pod.stop().await;
    assert!(tokio::net::TcpStream::connect(pod.socket()).await.is_err());
    pod.resume().await;
    assert_eq!(client.get("/").await.ok().pod(), "pod");
}
