//! `affinity`, `affinity-mode` and `session-cookie-change-on-failure`: the pod of a client.

use std::collections::BTreeSet;

use mooring_tests::{Envoy, Pod, Service, Update};

use super::{Ingress, Versions, ask, cookie_of, host, migrated, stays};

#[tokio::test]
async fn affinity_keeps_a_client_on_its_pod_and_paths_of_other_ingresses_have_none() {
    let versions = Versions::start().await;
    let plain = Ingress::to("shop", "stable").paths(&[("/foo", "Prefix", "stable")]);
    let sticky = Ingress {
        name: "sticky".to_owned(),
        ..Ingress::to("shop", "stable")
            .paths(&[("/foo/bar", "Prefix", "stable")])
            .sticky()
    };
    let envoy = versions.serve(&[plain, sticky]).await;
    let client = envoy.client();
    let mut pods = BTreeSet::new();
    for _ in 0..40 {
        let reply = ask(&client, "shop", "/foo", &[]).await;
        assert!(reply.set_cookies().is_empty(), "{reply:?}");
        let first = ask(&client, "shop", "/foo/bar", &[]).await;
        assert!(first.set_cookie("INGRESSCOOKIE").is_some(), "{first:?}");
        pods.insert(first.pod());
        stays(&client, "shop", "/foo/bar", &cookie_of(&first), &first.pod()).await;
    }
    assert_eq!(pods.len(), 3, "new clients get any pod: {pods:?}");
}

#[tokio::test]
async fn affinity_mode_persistent_keeps_a_client_on_its_pod_while_pods_are_added_and_until_it_is_removed() {
    let pods = Pod::start_several("stable", 8).await;
    let with = |pods: &[Pod]| {
        let services = mooring_tests::Manifests::new().service(&Service::new("stable", pods));
        let ingress = Ingress::to("shop", "stable")
            .sticky()
            .with("affinity-mode", "persistent");
        migrated(services, &[ingress])
    };
    let mut envoy = Envoy::builder().dynamic().start(&with(&pods[..2])).await;
    let client = envoy.client();
    let first = ask(&client, "shop", "/", &[]).await;
    let cookie = cookie_of(&first);
    for count in 3..8 {
        assert_eq!(envoy.apply(&with(&pods[..count])).await, Update::Taken);
        stays(&client, "shop", "/", &cookie, &first.pod()).await;
    }
    let others: Vec<&Pod> = pods.iter().filter(|pod| pod.name() != first.pod()).collect();
    let services = mooring_tests::Manifests::new().service(&Service::new("stable", others));
    let ingress = Ingress::to("shop", "stable")
        .sticky()
        .with("affinity-mode", "persistent");
    assert_eq!(envoy.apply(&migrated(services, &[ingress])).await, Update::Taken);
    let moved = ask(&client, "shop", "/", &[("cookie", &cookie)]).await;
    assert_ne!(moved.pod(), first.pod());
    stays(&client, "shop", "/", &cookie_of(&moved), &moved.pod()).await;
}

#[tokio::test]
async fn change_on_failure_false_waits_for_the_failing_pod_and_true_changes_the_cookie() {
    let mut pods = Pod::start_several("stable", 3).await;
    let services = mooring_tests::Manifests::new().service(&Service::new("stable", &pods));
    let on_failure = |name: &str, value: &str| {
        let ingress = Ingress::to(name, "stable").sticky();
        ingress.with("session-cookie-change-on-failure", value)
    };
    let ingresses = [on_failure("stays", "false"), on_failure("changes", "true")];
    let envoy = Envoy::serve(&migrated(services, &ingresses)).await;
    let client = envoy.client();
    let first = ask(&client, "stays", "/", &[]).await;
    // A session of the other Ingress on the same pod.
    let other = loop {
        let reply = ask(&client, "changes", "/", &[]).await;
        if reply.pod() == first.pod() {
            break cookie_of(&reply);
        }
    };
    let failing = pods.iter_mut().find(|pod| pod.name() == first.pod()).unwrap();
    failing.stop().await;
    let kept = cookie_of(&first);
    let to_stays = || client.request("/").host(&host("stays")).header("cookie", &kept).send();
    for _ in 0..5 {
        let reply = to_stays().await;
        assert_eq!((reply.status(), reply.set_cookies().len()), (503, 0), "{reply:?}");
    }
    let moved = ask(&client, "changes", "/", &[("cookie", &other)]).await;
    assert_ne!(moved.pod(), first.pod());
    stays(&client, "changes", "/", &cookie_of(&moved), &moved.pod()).await;
    failing.resume().await;
    mooring_tests::wait::until("the pod answers its session", || async {
        (to_stays().await.status() == 200).then_some(())
    })
    .await;
    stays(&client, "stays", "/", &kept, &first.pod()).await;
}
