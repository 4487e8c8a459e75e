//! The story: what a session is, shown on a running gateway.

use std::{collections::BTreeSet, process::ExitCode, time::Duration};

use cookie::Cookie;
use mooring_tests::{
    Browser, Client, Envoy, Manifests, Persistence, Pod, Policy, Reply, Route, Service, Update, wait::Stopwatch,
};

use crate::show::{Ink, Screen};

const COOKIE: &str = "store-session";
const IDLE: Duration = Duration::from_secs(2);
const ABSOLUTE: Duration = Duration::from_secs(6);

/// So many requests that no pod is left out by chance: once in 60 000 runs.
const MANY: usize = 30;

/// What the acts share.
struct Stage {
    screen: Screen,
    pods: Vec<Pod>,
    envoy: Envoy,
}

/// Tells all of it.
pub async fn tell() -> ExitCode {
    let watch = Stopwatch::start();
    let mut stage = raise_the_curtain().await;
    take_turns(&mut stage).await;
    apply_the_policy(&mut stage).await;
    stay(&mut stage).await;
    fall_silent(&mut stage).await;
    grow_old(&mut stage).await;
    tamper(&mut stage).await;
    lose_the_pod(&mut stage).await;
    let as_told = stage.screen.summary();
    stage
        .screen
        .say(format!("It took {:.0} seconds.", watch.elapsed().as_secs_f64()));
    if as_told { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn raise_the_curtain() -> Stage {
    let mut screen = Screen::new();
    println!(
        "{}",
        screen.ink(Ink::Bold, "Mooring: session persistence on a stock Envoy")
    );
    screen.act("Three pods and a gateway");
    let pods = Pod::start_several("store", 3).await;
    for pod in &pods {
        screen.say(format!("pod {} on {}", screen.pod(pod.name()), pod.socket()));
    }
    let envoy = Envoy::builder().dynamic().start(&manifests(&pods)).await;
    screen.say(format!("Envoy {} on {}", envoy.version().await, envoy.address()));
    screen.explain("Its configuration is what `mooring generate --target envoy` makes of a Gateway, an HTTPRoute, a");
    screen
        .explain("Service and its EndpointSlice. Envoy is the official binary; Mooring is a WebAssembly module in it.");
    Stage { screen, pods, envoy }
}

async fn take_turns(stage: &mut Stage) {
    let Stage { screen, envoy, .. } = stage;
    screen.act("Without a policy, any pod answers");
    let replies = visits(&mut envoy.browser(), MANY).await;
    screen.say(format!("{MANY} requests of one client: {}", shares(screen, &replies)));
    let pods = names(&replies);
    let cookies = replies
        .iter()
        .filter(|reply| reply.set_cookie(COOKIE).is_some())
        .count();
    screen.check("no policy: pods that answered", 3, pods.len(), pods.len() == 3);
    screen.check("no policy: session cookies", 0, cookies, cookies == 0);
}

async fn apply_the_policy(stage: &mut Stage) {
    let Stage { screen, envoy, pods } = stage;
    screen.act("A policy for the Service");
    screen.quote(&policy().yaml());
    println!();
    let update = envoy.apply(&manifests(pods).policy(&policy())).await;
    let outcome = if update == Update::Taken { "taken" } else { "refused" };
    screen.say("`mooring generate` again, and the running Envoy takes what is new.");
    screen.check(
        "policy: the running Envoy's update",
        "taken",
        outcome,
        update == Update::Taken,
    );
}

async fn stay(stage: &mut Stage) {
    let Stage { screen, envoy, .. } = stage;
    screen.act("The first response brings a cookie, and the client stays where it is");
    let mut browser = envoy.browser();
    let first = browser.get("/").await;
    let cookie = first.set_cookie(COOKIE);
    screen.say(format!("request 1: {}", screen.pod(&who(&first))));
    if let Some(cookie) = &cookie {
        describe(screen, cookie);
    }
    let replies = visits(&mut browser, 10).await;
    screen.say(format!("requests 2 to 11: {}", walk(screen, &replies)));
    let stayed = replies.iter().filter(|reply| who(reply) == who(&first)).count();
    let seconds = cookie
        .as_ref()
        .and_then(Cookie::max_age)
        .map(time::Duration::whole_seconds);
    let max_age = seconds.map_or("none".to_owned(), |seconds| format!("Max-Age={seconds}"));
    screen.check(
        "first response: the cookie's lifetime",
        "Max-Age=6",
        &max_age,
        max_age == "Max-Age=6",
    );
    screen.check(
        "with the cookie: on the same pod",
        "10 of 10",
        format!("{stayed} of 10"),
        stayed == 10,
    );
    let strangers = visits_of_strangers(&envoy.client(), MANY).await;
    screen.say(format!(
        "{MANY} clients without a cookie: {}",
        shares(screen, &strangers)
    ));
    let pods = names(&strangers);
    screen.check("without the cookie: pods that answered", 3, pods.len(), pods.len() == 3);
}

async fn fall_silent(stage: &mut Stage) {
    let Stage { screen, envoy, .. } = stage;
    screen.act("A session that falls silent for longer than idleTimeout: 2s");
    let mut browser = Browser::stubborn(envoy.client());
    let before = browser.get("/").await;
    screen.say(format!("a request:     {}", screen.pod(&who(&before))));
    // Tokens count whole seconds: after three of them, more than two have passed for sure.
    let watch = Stopwatch::start();
    let pause = IDLE.saturating_add(Duration::from_millis(1_050));
    let mut mark = Duration::ZERO;
    while mark < pause {
        watch.reaches(mark).await;
        screen.clock(format!("silence:       {:.1} s", mark.as_secs_f64()));
        mark = mark.saturating_add(Duration::from_millis(100));
    }
    watch.reaches(pause).await;
    screen.clock_ends(format!("silence:       {:.1} s", pause.as_secs_f64()));
    let after = browser.get("/").await;
    let new = after.set_cookie(COOKIE).is_some();
    let seen = if new { "a new session" } else { "the old session" };
    screen.say(format!(
        "the next one:  {}, {seen}, status {}",
        screen.pod(&who(&after)),
        after.status()
    ));
    screen.explain("The idle timeout is in no attribute of the cookie. The sealed token says when the client was last");
    screen.explain("seen, and the gateway enforces it.");
    let expired = envoy.stats().await.mooring("mooring_session_expired_idle_total");
    screen.check(
        "3 s of silence at idleTimeout 2s",
        "a new session",
        seen,
        new && after.status() == 200,
    );
    screen.check("counter mooring_session_expired_idle_total", 1, expired, expired == 1);
}

async fn grow_old(stage: &mut Stage) {
    let Stage { screen, envoy, .. } = stage;
    screen.act("A session that never rests, up to absoluteTimeout: 6s");
    screen.explain("This client asks five times a second, and ignores Max-Age: it goes on sending what it has.");
    let mut browser = Browser::stubborn(envoy.client());
    let watch = Stopwatch::start();
    let first = browser.get("/").await;
    let (mut mark, mut requests, mut moved, mut renewals) = (Duration::ZERO, 1_u32, 0_u32, Vec::new());
    let ended = loop {
        mark = mark.saturating_add(Duration::from_millis(200));
        watch.reaches(mark).await;
        let reply = browser.get("/").await;
        let expired = envoy.stats().await.mooring("mooring_session_expired_absolute_total");
        if expired > 0 || mark > ABSOLUTE.saturating_add(IDLE) {
            break (watch.elapsed(), expired);
        }
        requests = requests.saturating_add(1);
        moved = moved.saturating_add(u32::from(who(&reply) != who(&first)));
        renewals.extend(reply.set_cookie(COOKIE).as_ref().and_then(Cookie::max_age));
        screen.clock(format!(
            "{:.1} s  {requests} requests, all to {}",
            mark.as_secs_f64(),
            screen.pod(&who(&first))
        ));
    };
    let (elapsed, expired) = ended;
    screen.clock_ends(format!(
        "{requests} requests in {:.1} s, all to {}",
        elapsed.as_secs_f64(),
        screen.pod(&who(&first))
    ));
    let left: Vec<String> = renewals.iter().map(|left| left.whole_seconds().to_string()).collect();
    screen.say(format!(
        "the cookie was renewed {} times, with Max-Age {}",
        left.len(),
        left.join(", ")
    ));
    screen.explain("Renewing moves the time of the last visit, never that of the first. So Max-Age is what is left.");
    let seen = format!("{:.1} s", elapsed.as_secs_f64());
    let shrinking = renewals.windows(2).all(|pair| pair.first() > pair.last()) && renewals.len() >= 3;
    // Tokens count whole seconds, so the end may come up to one second early.
    let on_time = expired == 1 && elapsed.as_secs() >= 5 && elapsed <= ABSOLUTE.saturating_add(Duration::from_secs(1));
    screen.check("busy session: moves before its end", 0, moved, moved == 0);
    screen.check("busy session: ended by the gateway at", "5 to 6 s", seen, on_time);
    screen.check(
        "busy session: Max-Age of renewed cookies",
        "less each time",
        left.join(", "),
        shrinking,
    );
}

async fn tamper(stage: &mut Stage) {
    let Stage { screen, envoy, .. } = stage;
    screen.act("A modified cookie");
    let client = envoy.client();
    let good = client.get("/").await.set_cookie(COOKIE);
    let good = good.as_ref().map(Cookie::value).unwrap_or_default();
    let changed = with_one_character_changed(good);
    screen.say(format!("before: {}", ends_of(good)));
    screen.say(format!("after:  {}", ends_of(&changed)));
    let before = envoy.stats().await.mooring("mooring_token_rejected_tampered_total");
    let reply = client.request("/").cookie(format!("{COOKIE}={changed}")).send().await;
    let rejected = envoy
        .stats()
        .await
        .mooring("mooring_token_rejected_tampered_total")
        .saturating_sub(before);
    let new = reply.set_cookie(COOKIE).is_some();
    let seen = format!(
        "{}, {}",
        reply.status(),
        if new { "a new session" } else { "no new session" }
    );
    screen.say(format!("answer: {seen}, from {}", screen.pod(&who(&reply))));
    screen.explain("Only the gateways can make a valid token. A request with an invalid token starts a new session; it is not an error.");
    screen.check(
        "a changed cookie",
        "200, a new session",
        &seen,
        seen == "200, a new session",
    );
    screen.check(
        "counter mooring_token_rejected_tampered_total",
        "+1",
        format!("+{rejected}"),
        rejected == 1,
    );
}

async fn lose_the_pod(stage: &mut Stage) {
    let Stage { screen, envoy, pods } = stage;
    screen.act("The pod goes away");
    let mut browser = Browser::stubborn(envoy.client());
    let first = browser.get("/").await;
    let position = pods.iter().position(|pod| pod.name() == who(&first));
    let mut gone = pods.swap_remove(position.expect("a pod of ours answered"));
    screen.say(format!(
        "the client is on {}; Kubernetes takes it out of the EndpointSlice, and it ends",
        screen.pod(gone.name())
    ));
    envoy.apply(&manifests(pods).policy(&policy())).await;
    gone.stop().await;
    let moved = browser.get("/").await;
    let replies = visits(&mut browser, 5).await;
    let new = moved.set_cookie(COOKIE).is_some();
    screen.say(format!(
        "the next request: {}, status {}, {}",
        screen.pod(&who(&moved)),
        moved.status(),
        if new {
            "with a new cookie"
        } else {
            "without a new cookie"
        }
    ));
    screen.say(format!("and then:         {}", walk(screen, &replies)));
    let errors = replies
        .iter()
        .chain([&moved])
        .filter(|reply| reply.status() != 200)
        .count();
    let stayed = replies.iter().filter(|reply| who(reply) == who(&moved)).count();
    let elsewhere = if who(&moved) == who(&first) {
        "the same pod"
    } else {
        "another pod"
    };
    let outcome = if new { "a new cookie" } else { "no cookie" };
    screen.check(
        "pod gone: the session is on",
        "another pod",
        elsewhere,
        who(&moved) != who(&first),
    );
    screen.check("pod gone: the client gets", "a new cookie", outcome, new);
    screen.check("pod gone: errors", 0, errors, errors == 0);
    screen.check(
        "pod gone: then on the same pod",
        "5 of 5",
        format!("{stayed} of 5"),
        stayed == 5,
    );
}

/// What the Gateway serves, without a policy.
fn manifests(pods: &[Pod]) -> Manifests {
    Manifests::new()
        .service(&Service::new("store", pods))
        .route(&Route::to("store"))
}

fn policy() -> Policy {
    let timeouts = Persistence::cookie(COOKIE).absolute("6s").idle("2s").permanent();
    Policy::on("store", timeouts)
}

async fn visits(browser: &mut Browser, count: usize) -> Vec<Reply> {
    let mut replies = Vec::with_capacity(count);
    for _ in 0..count {
        replies.push(browser.get("/").await);
    }
    replies
}

async fn visits_of_strangers(client: &Client, count: usize) -> Vec<Reply> {
    let mut replies = Vec::with_capacity(count);
    for _ in 0..count {
        replies.push(client.get("/").await);
    }
    replies
}

/// The pod that answered.
fn who(reply: &Reply) -> String {
    let pod = reply.header("x-pod").map(String::from_utf8_lossy);
    pod.map_or_else(|| format!("no pod (status {})", reply.status()), String::from)
}

fn names(replies: &[Reply]) -> BTreeSet<String> {
    replies.iter().map(who).collect()
}

/// How many requests each pod answered.
fn shares(screen: &Screen, replies: &[Reply]) -> String {
    let share = |pod: &String| {
        let count = replies.iter().filter(|reply| who(reply) == *pod).count();
        format!("{} {count}", screen.pod(pod))
    };
    let pods: Vec<String> = names(replies).iter().map(share).collect();
    pods.join(", ")
}

/// The pods that answered, in their order.
fn walk(screen: &Screen, replies: &[Reply]) -> String {
    let pods: Vec<String> = replies.iter().map(|reply| screen.pod(&who(reply))).collect();
    pods.join(" ")
}

/// The cookie as it came, and what each part of it is for.
fn describe(screen: &Screen, cookie: &Cookie<'_>) {
    let value = screen.ink(Ink::Green, ends_of(cookie.value()));
    screen.say(format!("Set-Cookie: {COOKIE}={value}"));
    let line = cookie.to_string();
    let attributes = line.split("; ").skip(1);
    for part in ["the value"].into_iter().chain(attributes) {
        let meaning = match part.split('=').next().unwrap_or_default() {
            "the value" => "sealed: Service, pod, first and last visit; the gateways alone can read it",
            "Max-Age" => "lifetimeType: Permanent, so a browser forgets it at absoluteTimeout",
            "HttpOnly" => "scripts in the page cannot read it",
            "SameSite" => "requests that other sites make do not carry it",
            "Path" => "for the whole host",
            _ => "",
        };
        screen.explain(format!("  {part:<13} {meaning}"));
    }
    println!();
}

/// The first and last characters of a token.
fn ends_of(token: &str) -> String {
    let start: String = token.chars().take(16).collect();
    let end: String = token.chars().skip(token.chars().count().saturating_sub(16)).collect();
    format!("{start}...{end} ({} characters)", token.chars().count())
}

/// A token with one character near its end changed, in the seal.
fn with_one_character_changed(token: &str) -> String {
    let at = token.chars().count().saturating_sub(8);
    let other = |character| if character == 'A' { 'B' } else { 'A' };
    let changed = token.chars().enumerate();
    changed
        .map(|(position, character)| if position == at { other(character) } else { character })
        .collect()
}
