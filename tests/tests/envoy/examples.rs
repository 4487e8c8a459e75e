//! The folders under `examples/`, as they are but for the addresses of their pods.

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path};

use mooring_tests::{Browser, Client, Envoy, Manifests, Pod, Update, settings};
use time::Duration;

use crate::shop::within_five_sigma;

/// An example, and the pods that stand for its endpoints as long as it lives.
pub struct Example {
    documents: Vec<(String, String)>,
    _pods: Vec<Pod>,
}

impl Example {
    /// Reads all files of a folder and starts a pod for each address in them.
    pub async fn open(name: &str) -> Self {
        let folder = settings::workspace().join("examples").join(name);
        let mut documents: Vec<(String, String)> = names_in(&folder)
            .into_iter()
            .filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "yaml"))
            .map(|name| {
                let text = std::fs::read_to_string(folder.join(&name)).unwrap();
                (name, text)
            })
            .collect();
        let mut pods = Vec::new();
        for (_, text) in &mut documents {
            for address in addresses(text) {
                let pod = Pod::start(&address).await;
                *text = text.replace(&format!("[{address}]"), &format!("[{}]", pod.ip()));
                pods.push(pod);
            }
        }
        Self { documents, _pods: pods }
    }

    /// All files of it.
    pub fn manifests(&self) -> Manifests {
        self.without("nothing")
    }

    /// All files but this one.
    fn without(&self, file: &str) -> Manifests {
        let others = self.documents.iter().filter(|(name, _)| name != file);
        Manifests::of(
            &others
                .map(|(_, text)| text.as_str())
                .collect::<Vec<_>>()
                .join("\n---\n"),
        )
    }

    /// All files, with a change to one of them.
    fn with(&self, file: &str, from: &str, to: &str) -> Manifests {
        let (_, text) = self.documents.iter().find(|(name, _)| name == file).unwrap();
        assert!(text.contains(from), "no {from} in {text}");
        self.without(file).yaml(&text.replace(from, to))
    }
}

/// The names of what is in a folder, sorted.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The addresses in `addresses: [127.0.1.1]`.
fn addresses(text: &str) -> Vec<String> {
    let lists = text.split("addresses: [").skip(1);
    let found: Vec<String> = lists
        .filter_map(|rest| rest.split(']').next())
        .map(str::to_owned)
        .collect();
    assert!(
        found.iter().all(|address| address.parse::<Ipv4Addr>().is_ok()),
        "{found:?}"
    );
    found
}

#[test]
fn every_example_is_run() {
    let mut examples = names_in(&settings::workspace().join("examples"));
    // What `mooring generate` makes of them.
    examples.retain(|name| name != "generated");
    // What only Istio has.
    let scenarios = settings::workspace().join("tests/mesh/scenarios");
    let scenarios: String = names_in(&scenarios)
        .into_iter()
        .map(|name| std::fs::read_to_string(scenarios.join(name)).unwrap())
        .collect();
    let runs = |call: &str, name: &str| scenarios.contains(&format!("{call}\"{name}\")"));
    examples.retain(|name| !(needs_istio(name) && runs("WithExample(", name)));
    examples.retain(|name| !(name.starts_with("mesh-") && runs("runReadme(t, s, ", name)));
    // A controller of its own makes its pods.
    examples.retain(|name| !(name == "argo-rollouts" && scenarios.contains("\"examples/argo-rollouts/\"")));
    // The README of the repository runs it on Istio.
    examples.retain(|name| !(name == "quickstart" && scenarios.contains("\"quickstart/gateway.yaml\"")));
    // Flagger's objects, with a real Flagger.
    examples.retain(|name| !(name == "flagger" && scenarios.contains("\"examples/flagger/\"")));
    let tested = [
        "backend-lb-policy",
        "bookinfo-gateway-api",
        "bookinfo-virtualservice",
        "canary-by-cookie",
        "split",
        "sticky-canary",
    ];
    assert_eq!(examples, tested, "each needs a test below");
}

/// Whether an example is run on the rig alone: it has what only Istio does, or needs a gRPC server.
fn needs_istio(example: &str) -> bool {
    ["grpc-canary", "istio-features", "locality"].contains(&example)
}

#[tokio::test]
async fn backend_lb_policy() {
    let example = Example::open("backend-lb-policy").await;
    let mut envoy = Envoy::builder().dynamic().start(&example.without("policy.yaml")).await;
    let reply = envoy.client().get("/").await.ok();
    assert!(reply.set_cookies().is_empty(), "{reply:?}");

    assert_eq!(envoy.apply(&example.manifests()).await, Update::Taken);
    let head = envoy.client().request("/").method("HEAD").send().await.ok();
    let cookie = head.set_cookie("foo-session").unwrap();
    assert_eq!(cookie.max_age(), Some(Duration::HOUR));
    for _ in 0..20 {
        let reply = envoy
            .client()
            .request("/")
            .cookie(cookie.stripped().to_string())
            .send()
            .await
            .ok();
        assert_eq!(reply.pod(), head.pod());
    }

    let shorter = example.with("policy.yaml", "absoluteTimeout: 1h", "absoluteTimeout: 10s");
    assert_eq!(envoy.apply(&shorter).await, Update::Taken);
    let cookie = envoy.client().get("/").await.ok().set_cookie("foo-session").unwrap();
    assert_eq!(cookie.max_age(), Some(Duration::seconds(10)));

    let session = example.with("policy.yaml", "lifetimeType: Permanent", "lifetimeType: Session");
    assert_eq!(envoy.apply(&session).await, Update::Taken);
    let cookie = envoy.client().get("/").await.ok().set_cookie("foo-session").unwrap();
    assert_eq!((cookie.max_age(), cookie.expires()), (None, None));
}

#[tokio::test]
async fn split() {
    let example = Example::open("split").await;
    let envoy = Envoy::serve(&example.manifests()).await;
    let client = envoy.client();
    let mut to_v2 = 0;
    for _ in 0..500 {
        let reply = client.get("/checkout").await.ok();
        assert!(reply.set_cookie("checkout-session").is_some(), "{reply:?}");
        // Pods are called by the addresses that the example gives them.
        to_v2 += u32::from(reply.pod().starts_with("127.0.3."));
    }
    assert!(within_five_sigma(to_v2, 500, 0.1), "{to_v2} of 500 for a tenth");
}

/// How many of so many strangers each pod answers. Pods are called by the addresses that the example gives them.
async fn strangers(client: &Client, target: &str, count: u32) -> BTreeMap<String, u32> {
    let mut answered = BTreeMap::new();
    for _ in 0..count {
        *answered.entry(client.get(target).await.ok().pod()).or_default() += 1;
    }
    answered
}

/// The version of a client that keeps it for 20 requests and gets no new cookie on the way.
async fn stays(browser: &mut Browser, target: &str, version: impl Fn(&str) -> u32) -> u32 {
    let mut found = Vec::new();
    for _ in 0..20 {
        let reply = browser.get(target).await.ok();
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
        found.push(version(&reply.pod()));
    }
    found.dedup();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

#[tokio::test]
async fn canary_by_cookie() {
    let example = Example::open("canary-by-cookie").await;
    let envoy = Envoy::builder().no_keys().start(&example.manifests()).await;
    let client = envoy.client();
    let ask = |cookies: &str| client.request("/").host("myweb.example.com").cookie(cookies).send();
    let mut to_v1 = BTreeMap::<String, u32>::new();
    for _ in 0..50 {
        let reply = ask("a=b").await.ok();
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
        *to_v1.entry(reply.pod()).or_default() += 1;
        assert_eq!(ask("a=b; usertype=tester").await.ok().pod(), "127.0.4.3");
    }
    assert!(to_v1.keys().eq(["127.0.4.1", "127.0.4.2"]), "{to_v1:?}");
}

#[tokio::test]
async fn sticky_canary() {
    let example = Example::open("sticky-canary").await;
    let mut envoy = Envoy::builder().dynamic().start(&example.manifests()).await;
    let client = envoy.client();
    let version = |pod: &str| if pod == "127.0.5.3" { 2 } else { 1 };
    let by_choice = |says: &'static str| client.request("/").header("x-canary", says).send();
    for _ in 0..20 {
        assert_eq!(version(&by_choice("always").await.ok().pod()), 2);
        assert_eq!(version(&by_choice("never").await.ok().pod()), 1);
    }
    let answered = strangers(&client, "/", 300).await;
    let to_v2 = answered.get("127.0.5.3").copied().unwrap_or(0);
    println!("sticky-canary, 90/10: {to_v2} of 300 to v2");
    assert!(within_five_sigma(to_v2, 300, 0.1), "{answered:?}");

    let mut browser = envoy.browser();
    let before = version(&browser.get("/").await.ok().pod());
    assert!(browser.cookie("shop-version").is_some());
    assert_eq!(stays(&mut browser, "/", version).await, before);
    let mut users = BTreeMap::new();
    for number in 0..50 {
        let user = format!("user-{number}");
        let reply = client.request("/").header("user", &user).send().await.ok();
        users.insert(user, version(&reply.pod()));
    }
    let turned = example.with("canary.yaml", "weight: 90}", "weight: 80}");
    let turned = Manifests::of(&turned.text().replace("weight: 10}", "weight: 20}"));
    assert_eq!(envoy.apply(&turned).await, Update::Taken);
    assert_eq!(stays(&mut browser, "/", version).await, before);
    for (user, before) in users {
        let after = version(&client.request("/").header("user", &user).send().await.ok().pod());
        assert!(after >= before, "{user} went back from v2 to v1");
    }

    // v2 is taken back, and its users with it.
    let mut on_v2 = Vec::new();
    while on_v2.len() < 5 {
        let mut browser = envoy.browser();
        if version(&browser.get("/").await.ok().pod()) == 2 {
            on_v2.push(browser);
        }
    }
    let back = example.with("canary.yaml", "weight: 90}", "weight: 100}");
    let back = Manifests::of(&back.text().replace("weight: 10}", "weight: 0}"));
    assert_eq!(envoy.apply(&back).await, Update::Taken);
    for browser in &mut on_v2 {
        let reply = browser.get("/").await.ok();
        assert_eq!(version(&reply.pod()), 1);
        assert!(reply.set_cookie("shop-version").is_some(), "{reply:?}");
        assert_eq!(stays(browser, "/", version).await, 1);
    }
    assert_eq!(version(&by_choice("always").await.ok().pod()), 2);
}

#[tokio::test]
async fn bookinfo_gateway_api() {
    let example = Example::open("bookinfo-gateway-api").await;
    let mut envoy = Envoy::builder().dynamic().start(&example.manifests()).await;
    let client = envoy.client();
    let version = |pod: &str| pod.rsplit('.').next().unwrap().parse::<u32>().unwrap();
    for _ in 0..20 {
        let vijay = client
            .request("/reviews/")
            .header("end-user", "vijay")
            .send()
            .await
            .ok();
        assert_eq!(vijay.pod(), "127.0.6.2");
    }
    let answered = strangers(&client, "/reviews/", 300).await;
    println!("bookinfo-gateway-api, 50/0/50: {answered:?}");
    assert!(answered.keys().eq(["127.0.6.1", "127.0.6.3"]), "{answered:?}");
    assert!(within_five_sigma(answered["127.0.6.3"], 300, 0.5), "{answered:?}");

    let mut reader = envoy.browser();
    while version(&reader.get("/reviews/").await.ok().pod()) != 1 {
        reader = envoy.browser();
    }
    let moved = example.manifests().text().replace("weight: 50", "weight: 100");
    let moved = moved.replacen("weight: 100", "weight: 0", 1);
    assert_eq!(envoy.apply(&Manifests::of(&moved)).await, Update::Taken);
    assert_eq!(stays(&mut reader, "/reviews/", version).await, 1);
    let answered = strangers(&client, "/reviews/", 30).await;
    assert!(answered.keys().eq(["127.0.6.3"]), "{answered:?}");
}

#[tokio::test]
async fn bookinfo_virtualservice() {
    let example = Example::open("bookinfo-virtualservice").await;
    let mut envoy = Envoy::builder().dynamic().start(&example.manifests()).await;
    let client = envoy.client();
    let version = |pod: &str| pod.rsplit('.').next().unwrap().parse::<u32>().unwrap();
    for _ in 0..20 {
        let tester = client.request("/reviews/").cookie("usertype=tester").send().await.ok();
        assert_eq!(version(&tester.pod()), 3);
    }
    let answered = strangers(&client, "/reviews/", 500).await;
    println!("bookinfo-virtualservice, 60/30/10: {answered:?}");
    for (pod, share) in [("127.0.7.1", 0.6), ("127.0.7.2", 0.3), ("127.0.7.3", 0.1)] {
        assert!(within_five_sigma(answered[pod], 500, share), "{answered:?}");
    }

    let mut reader = envoy.browser();
    while version(&reader.get("/reviews/").await.ok().pod()) != 2 {
        reader = envoy.browser();
    }
    let turned = example.manifests().text();
    let turned = turned
        .replace("weight: 60", "weight: 90")
        .replace("weight: 30", "weight: 0");
    assert_eq!(envoy.apply(&Manifests::of(&turned)).await, Update::Taken);
    assert_eq!(stays(&mut reader, "/reviews/", version).await, 2);
    let answered = strangers(&client, "/reviews/", 300).await;
    println!("bookinfo-virtualservice, 90/0/10: {answered:?}");
    assert!(within_five_sigma(answered["127.0.7.3"], 300, 0.1), "{answered:?}");
    assert!(!answered.contains_key("127.0.7.2"), "{answered:?}");
}
