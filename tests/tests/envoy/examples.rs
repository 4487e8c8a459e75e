//! The folders under `examples/`, as they are but for the addresses of their pods.

use std::{net::Ipv4Addr, path::Path};

use mooring_tests::{Envoy, Manifests, Pod, Update, settings};
use time::Duration;

use crate::shop::within_five_sigma;

/// An example, and the pods that stand for its endpoints as long as it lives.
struct Example {
    documents: Vec<(String, String)>,
    _pods: Vec<Pod>,
}

impl Example {
    /// Reads all files of a folder and starts a pod for each address in them.
    async fn open(name: &str) -> Self {
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
    fn manifests(&self) -> Manifests {
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
    assert_eq!(examples, ["backend-lb-policy", "split"], "each needs a test below");
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
