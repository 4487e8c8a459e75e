//! Splits in which the same user always gets the same version.

use mooring_tests::{Canary, Client, Envoy, Source, Update};

use super::{Versions, counted, counts, version_for};
use crate::shop::{strangers, within_five_sigma};

/// How a user says who it is.
#[derive(Clone, Copy)]
enum Identity {
    Header,
    Cookie,
}

impl Identity {
    fn policy(self) -> Canary {
        Canary::on("shop").hash_on(self.source())
    }

    fn seeded(self, seed: &str) -> Canary {
        Canary::on("shop").hash_on_with_seed(self.source(), seed)
    }

    fn source(self) -> Source<'static> {
        match self {
            Self::Header => Source::Header("x-user"),
            Self::Cookie => Source::Cookie("user"),
        }
    }

    /// Which of so many users get the canary.
    async fn on_canary(self, client: &Client, users: u32) -> Vec<bool> {
        let mut found = Vec::new();
        for number in 0..users {
            let version = match self {
                Self::Header => version_for(client, &[("x-user", &format!("user-{number}"))]).await,
                Self::Cookie => {
                    let line = format!("theme=dark; user=user-{number}; n={number}");
                    version_for(client, &[("cookie", &line)]).await
                }
            };
            found.push(version == "canary");
        }
        found
    }
}

fn count(users: &[bool]) -> u32 {
    users.iter().map(|user| u32::from(*user)).sum()
}

#[tokio::test]
async fn the_same_user_gets_the_same_version_on_every_gateway_and_after_a_restart() {
    let versions = Versions::start().await;
    for (identity, name) in [(Identity::Header, "header"), (Identity::Cookie, "cookie")] {
        let shop = versions.split(70, 30).canary(&identity.policy());
        let mut one = Envoy::serve(&shop).await;
        // Another process, and another key: the split is no secret.
        let other = Envoy::builder().keys(&mooring_tests::keys::key(7)).concurrency(2);
        let other = other.start(&shop).await;
        let before = identity.on_canary(&one.client(), 300).await;
        println!("hashOn {name}, 70/30: {} of 300 users on the canary", count(&before));
        assert!(within_five_sigma(count(&before), 300, 0.3), "{}", count(&before));
        assert_eq!(identity.on_canary(&other.client(), 300).await, before);
        one.restart().await;
        assert_eq!(identity.on_canary(&one.client(), 300).await, before);
        // The restart emptied the counters.
        let on_canary = u64::from(count(&before));
        let expected = [("canary", "hash", on_canary), ("stable", "hash", 300 - on_canary)];
        assert_eq!(counted(&one.stats().await), counts(&expected));
    }
}

#[tokio::test]
async fn a_header_and_a_cookie_of_one_value_mean_the_same_user() {
    let versions = Versions::start().await;
    let mut found = Vec::new();
    for identity in [Identity::Header, Identity::Cookie] {
        let envoy = Envoy::serve(&versions.split(50, 50).canary(&identity.policy())).await;
        found.push(identity.on_canary(&envoy.client(), 100).await);
    }
    assert_eq!(found[0], found[1]);
}

#[tokio::test]
async fn a_change_of_weights_moves_no_more_users_than_it_must() {
    let versions = Versions::start().await;
    let shop = |stable, canary| versions.split(stable, canary).canary(&Identity::Header.policy());
    let mut envoy = Envoy::builder().dynamic().start(&shop(90, 10)).await;
    let client = envoy.client();
    let mut before = Identity::Header.on_canary(&client, 300).await;
    println!("90/10: {} of 300 users on the canary", count(&before));
    assert!(within_five_sigma(count(&before), 300, 0.1), "{}", count(&before));
    for (stable, canary) in [(80, 20), (50, 50), (0, 100), (95, 5)] {
        assert_eq!(envoy.apply(&shop(stable, canary)).await, Update::Taken);
        let after = Identity::Header.on_canary(&client, 300).await;
        let moved = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after)
            .count();
        let least = count(&after).abs_diff(count(&before));
        println!(
            "{stable}/{canary}: {} of 300 users on the canary, {moved} moved, {least} at least",
            count(&after)
        );
        let share = f64::from(canary) / 100.0;
        assert!(within_five_sigma(count(&after), 300, share), "{}", count(&after));
        assert_eq!(u32::try_from(moved).unwrap(), least);
        before = after;
    }
}

#[tokio::test]
async fn another_seed_draws_other_users() {
    const USERS: u32 = 400;
    let versions = Versions::start().await;
    let shop = |policy: &Canary| versions.split(70, 30).canary(policy);
    let mut envoy = Envoy::builder()
        .dynamic()
        .start(&shop(&Identity::Header.policy()))
        .await;
    let client = envoy.client();
    let mut drawings = vec![("none", Identity::Header.on_canary(&client, USERS).await)];
    for seed in ["2026-03", "2026-04"] {
        assert_eq!(envoy.apply(&shop(&Identity::Header.seeded(seed))).await, Update::Taken);
        drawings.push((seed, Identity::Header.on_canary(&client, USERS).await));
    }
    for (seed, drawing) in &drawings {
        println!("seed {seed}, 70/30: {} of {USERS} users on the canary", count(drawing));
        assert!(within_five_sigma(count(drawing), USERS, 0.3), "{seed}");
    }
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let ((seed, one), (other_seed, other)) = (&drawings[one], &drawings[other]);
        let both: Vec<bool> = one.iter().zip(other).map(|(one, other)| *one && *other).collect();
        println!(
            "seeds {seed} and {other_seed}: {} of {USERS} users on the canary of both",
            count(&both)
        );
        // A seed without effect would leave all of them, some 30 %.
        assert!(
            within_five_sigma(count(&both), USERS, 0.3 * 0.3),
            "{seed}, {other_seed}"
        );
    }
    // The seed says who comes first, and a change of weights still moves no more users than it must.
    let before = &drawings[2].1;
    let wider = versions.split(50, 50).canary(&Identity::Header.seeded("2026-04"));
    assert_eq!(envoy.apply(&wider).await, Update::Taken);
    let after = Identity::Header.on_canary(&client, USERS).await;
    println!("seed 2026-04, 50/50: {} of {USERS} users on the canary", count(&after));
    assert!(within_five_sigma(count(&after), USERS, 0.5));
    assert!(
        before.iter().zip(&after).all(|(before, after)| *after || !*before),
        "no user leaves the canary"
    );
}

#[tokio::test]
async fn who_does_not_say_who_they_are_are_split_by_chance() {
    let versions = Versions::start().await;
    let envoy = Envoy::serve(&versions.split(80, 20).canary(&Identity::Header.policy())).await;
    let client = envoy.client();
    let answered = strangers(&client, 600).await;
    let mut to_canary: u32 = versions.canary.iter().filter_map(|pod| answered.get(pod.name())).sum();
    // An empty name is no name.
    for _ in 0..200 {
        to_canary += u32::from(version_for(&client, &[("x-user", "")]).await == "canary");
    }
    println!("80/20 without the header: {to_canary} of 800 to the canary");
    assert!(within_five_sigma(to_canary, 800, 0.2), "{to_canary} of 800 for a fifth");
    let expected = [
        ("canary", "split", u64::from(to_canary)),
        ("stable", "split", u64::from(800 - to_canary)),
    ];
    assert_eq!(counted(&envoy.stats().await), counts(&expected));
}
