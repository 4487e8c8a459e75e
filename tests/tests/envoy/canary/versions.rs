//! Sessions that follow the version of their backend through releases: promotion, rollback, and the next release.

use mooring_tests::{Canary, Envoy, Manifests, Pod, Route, Rule, Service, Traffic, Update, wait};

use crate::{
    faults::{CLIENTS, at, many_clients},
    shop::{COOKIE, client_on, persistence},
};

/// The label in the selectors of the Services, as Argo Rollouts writes it.
const HASH: &str = "rollouts-pod-template-hash";

/// The label in the templates of the Deployments.
const VERSION: &str = "app.kubernetes.io/version";

/// The pods of three versions. The pods are named after their version.
struct Releases {
    one: Vec<Pod>,
    two: Vec<Pod>,
    three: Vec<Pod>,
}

impl Releases {
    async fn start() -> Self {
        Self {
            one: Pod::start_several("one", 2).await,
            two: Pod::start_several("two", 2).await,
            three: Pod::start_several("three", 2).await,
        }
    }

    fn pods(&self, version: &str) -> &[Pod] {
        match version {
            "one" => &self.one,
            "two" => &self.two,
            _ => &self.three,
        }
    }

    /// The Services `stable` and `canary` with these versions, as Argo Rollouts selects their pods, and these weights.
    fn rollout(&self, (stable, canary): (&str, &str), weights: (u32, u32), policy: &Canary) -> Manifests {
        let service = |name, version| Service::new(name, self.pods(version)).selects(HASH, version);
        Manifests::new()
            .service(&service("stable", stable))
            .service(&service("canary", canary))
            .route(&route(weights))
            .canary(policy)
    }
}

/// A Service with these pods and with a Deployment whose template has this version. The pods may be those of another version: while
/// a Deployment is updated, its Service has them.
fn deployment<'p>(
    manifests: Manifests,
    name: &str,
    version: &str,
    pods: impl IntoIterator<Item = &'p Pod>,
) -> Manifests {
    manifests.service(&Service::new(name, pods)).yaml(&format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{template: {{metadata: {{labels: {{app: {name}, {VERSION}: '{version}'}}}}, spec: {{}}}}}}\n"
    ))
}

fn route(weights: (u32, u32)) -> Route {
    let rule = Rule::split(&[("stable", weights.0), ("canary", weights.1)]);
    Route::new("shop").rule(rule.persistence(persistence()))
}

fn policy(label: &str) -> Canary {
    Canary::on("shop").version_label(label)
}

fn on(traffic: &Traffic, version: &str) -> u64 {
    at(&traffic.seen(), version)
}

async fn until_none_is_on(traffic: &Traffic, version: &str) {
    wait::until("no client is on the version", || async {
        (on(traffic, version) == 0).then_some(())
    })
    .await;
}

async fn apply(envoy: &mut Envoy, traffic: &Traffic, manifests: &Manifests) {
    assert_eq!(envoy.apply(manifests).await, Update::Taken);
    traffic.goes_on(10).await;
}

#[tokio::test]
async fn at_promotion_sessions_stay_on_their_pods_and_the_next_release_starts_with_none() {
    let releases = Releases::start().await;
    let policy = policy(HASH);
    let rollout = |versions, weights| releases.rollout(versions, weights, &policy);
    let all = u64::try_from(CLIENTS).unwrap();
    let mut envoy = Envoy::builder()
        .dynamic()
        .start(&rollout(("one", "two"), (50, 50)))
        .await;
    let traffic = many_clients(&[&envoy]).await;
    let (on_stable, on_canary) = (on(&traffic, "one"), on(&traffic, "two"));
    assert!(on_stable > 5 && on_canary > 5, "{on_stable} {on_canary}");

    // The rollout goes on, and at its end both Services select the new pods, before the canary loses its weight.
    apply(&mut envoy, &traffic, &rollout(("one", "two"), (20, 80))).await;
    assert_eq!((traffic.tally().moved, traffic.tally().tokens), (0, all));
    apply(&mut envoy, &traffic, &rollout(("two", "two"), (20, 80))).await;
    until_none_is_on(&traffic, "one").await;
    let promoted = traffic.tally();
    assert_eq!(promoted.moved, on_stable, "{promoted:?}");
    apply(&mut envoy, &traffic, &rollout(("two", "two"), (100, 0))).await;
    // If the module has its configuration before Envoy has the weights, it sees for a moment that the route selects the canary.
    wait::until("the sessions on the canary follow their version", || async {
        let stats = envoy.stats().await;
        (stats.mooring("mooring_session_followed_total") == on_canary).then_some(())
    })
    .await;
    assert_eq!(traffic.tally().moved, on_stable, "{:?}", traffic.tally());

    // The next release takes new clients only.
    for weights in [(100, 0), (50, 50)] {
        apply(&mut envoy, &traffic, &rollout(("two", "three"), weights)).await;
        assert_eq!(on(&traffic, "three"), 0);
    }
    client_on(&envoy, "three").await;
    let tally = traffic.stop().await;
    println!("{on_canary} sessions followed their version, {on_stable} lost their pods: {tally:?}");
    assert!(tally.failed.is_empty(), "{tally:?}");
    assert_eq!(tally.moved, on_stable, "{tally:?}");
    // Those on stable get a second token if they move before the module has the new versions.
    let tokens = all + on_stable + on_canary;
    assert!((tokens..=tokens + on_stable).contains(&tally.tokens), "{tally:?}");
}

#[tokio::test]
async fn after_a_rollback_the_next_release_starts_with_none() {
    for release in [true, false] {
        let releases = Releases::start().await;
        let policy = if release {
            policy(HASH).when_weight_zero("Release")
        } else {
            policy(HASH)
        };
        let rollout = |versions, weights| releases.rollout(versions, weights, &policy);
        let mut envoy = Envoy::builder()
            .dynamic()
            .start(&rollout(("one", "two"), (50, 50)))
            .await;
        let traffic = many_clients(&[&envoy]).await;
        let on_canary = on(&traffic, "two");
        assert!(on_canary > 5, "{on_canary}");

        apply(&mut envoy, &traffic, &rollout(("one", "two"), (100, 0))).await;
        if release {
            until_none_is_on(&traffic, "two").await;
        } else {
            assert_eq!(on(&traffic, "two"), on_canary);
        }
        apply(&mut envoy, &traffic, &rollout(("one", "three"), (100, 0))).await;
        until_none_is_on(&traffic, "two").await;
        apply(&mut envoy, &traffic, &rollout(("one", "three"), (50, 50))).await;
        assert_eq!(on(&traffic, "three"), 0);
        let tally = traffic.stop().await;
        println!("{on_canary} sessions left the canary: {tally:?}");
        assert!(tally.failed.is_empty(), "{tally:?}");
        // The pods of the canary may change before the module knows of the next version. A session that was kept there then loses
        // its pod first.
        let moves = on_canary..=on_canary * if release { 1 } else { 2 };
        assert!(moves.contains(&tally.moved), "{tally:?}");
        let stats = envoy.stats().await;
        let left = [
            "mooring_session_released_total",
            "mooring_session_version_removed_total",
        ];
        let expected = if release { [on_canary, 0] } else { [0, on_canary] };
        assert_eq!(left.map(|metric| stats.mooring(metric)), expected);
    }
}

#[tokio::test]
async fn sessions_keep_their_pods_while_a_deployment_is_updated() {
    let releases = Releases::start().await;
    let (one, two, three) = (releases.pods("one"), releases.pods("two"), releases.pods("three"));
    let all = u64::try_from(CLIENTS).unwrap();
    let with_stable = |version: &str, pods: &[&Pod]| {
        let manifests = Manifests::new().route(&route((50, 50))).canary(&policy(VERSION));
        let manifests = deployment(manifests, "stable", version, pods.iter().copied());
        deployment(manifests, "canary", "2.0", two)
    };
    let (old, both) = ([&one[0], &one[1]], [&one[0], &three[0], &three[1]]);
    let mut envoy = Envoy::builder().dynamic().start(&with_stable("1.0", &old)).await;
    let traffic = many_clients(&[&envoy]).await;
    let on_stable = on(&traffic, "one");

    // As Flagger promotes: the template of stable gets the new version, and its pods are replaced one after the other.
    apply(&mut envoy, &traffic, &with_stable("2.0", &old)).await;
    let renewed = traffic.tally();
    assert_eq!((renewed.moved, renewed.tokens), (0, all + on_stable), "{renewed:?}");
    let of_gone = on(&traffic, one[1].name());
    apply(&mut envoy, &traffic, &with_stable("2.0", &both)).await;
    let updating = traffic.tally();
    assert_eq!(updating.moved, of_gone, "{updating:?}");
    let tally = traffic.stop().await;
    println!("{on_stable} sessions on an updated Deployment, {of_gone} of them lost their pod: {tally:?}");
    assert!(tally.failed.is_empty(), "{tally:?}");

    // A restart forgets nothing, because the tokens carry the versions.
    let mut browser = client_on(&envoy, "two").await;
    envoy.restart().await;
    let reply = browser.get("/").await.ok();
    assert!(
        reply.pod().starts_with("two") && reply.set_cookie(COOKIE).is_none(),
        "{reply:?}"
    );
}
