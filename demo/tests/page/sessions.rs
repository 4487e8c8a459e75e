//! What the page shows of sessions.

use mooring_tests::wait;
use serde_json::Value;

use crate::{browser::Page, demo::Demo};

/// The pods in the trail of a visitor, with those that came with a new cookie marked by `*`.
async fn trail(page: &Page, who: &str) -> Vec<String> {
    let marks = format!(
        "[...document.querySelectorAll('#visitor-{who} .trail li')].map((mark) => mark.textContent + (mark.classList.contains('set') ? '*' : ''))"
    );
    serde_json::from_value(page.value(&marks).await).unwrap()
}

/// Presses a button of a visitor, and waits until the page says which pods answered.
async fn visit(page: &Page, who: &str, times: u32) -> String {
    page.value("document.getElementById('status').textContent = ''").await;
    page.click(&format!("#visitor-{who} [data-times='{times}']")).await;
    page.shows("#status", "answered by").await
}

/// The pod that answered a visitor last.
async fn place(page: &Page, who: &str) -> String {
    page.text(&format!("#visitor-{who} .place")).await
}

/// Waits until a number on the page is so great.
async fn counts(page: &Page, selector: &str, at_least: u64) {
    wait::until(&format!("{selector} shows {at_least}"), || async {
        let shown: u64 = page.text(selector).await.parse().unwrap();
        (shown >= at_least).then_some(())
    })
    .await;
}

async fn state(page: &Page, pointer: &str) -> Value {
    let fetch = "const done = arguments[0]; fetch('/api/state').then((r) => r.json()).then(done)";
    let state = page.driver.execute_async(fetch, Vec::new()).await.unwrap();
    state.json().pointer(pointer).unwrap().clone()
}

#[tokio::test]
async fn a_visitor_stays_while_weights_change_and_moves_once_when_the_pod_ends() {
    // On a busy machine, minutes may pass between two visits.
    let demo = Demo::start_with(&["--port", "0", "--idle", "600", "--absolute", "3600"]).await;
    let page = Page::open(format!("http://{}/", demo.address)).await;

    // The visitor stays for 20 requests.
    visit(&page, "a", 1).await;
    let first = place(&page, "a").await;
    let said = visit(&page, "a", 20).await;
    assert_eq!(said, format!("Visitor A: 20 visits, answered by {first}."));
    page.shows(&format!("#pod-{first} .guests"), "Visitor A").await;
    counts(&page, &format!("#pod-{first} .count"), 21).await;

    // All of the weight moves to the other version: the visitor stays, newcomers go there.
    let other = if first.contains("-v1-") { "v2" } else { "v1" };
    page.one(&format!("#weight-{other}"))
        .await
        .send_keys(thirtyfour::Key::End)
        .await
        .unwrap();
    page.shows("#status", &format!("100 % to {other}")).await;
    assert_eq!(page.text(&format!("#weight-{other}-shown")).await, "100 %");
    let stays = visit(&page, "a", 20).await;
    assert_eq!(stays, format!("Visitor A: 20 visits, answered by {first}."));
    visit(&page, "b", 1).await;
    assert!(place(&page, "b").await.contains(other));
    let newcomers = format!("100 % {other}");
    let title = page.shows("#share-new-title", &newcomers).await;
    wait::until("ten newcomers came", || async {
        let came = state(&page, &format!("/crowd/new/{other}")).await.as_u64().unwrap();
        (came >= 10).then_some(())
    })
    .await;
    assert!(page.text("#share-new-title").await.contains(&newcomers), "{title}");

    // The pod ends: the visitor moves once, to another pod of the same version, without an error.
    page.click(&format!("#pod-{first} button")).await;
    page.shows("#status", &format!("Pod {first} has ended.")).await;
    let moved = visit(&page, "a", 20).await;
    let second = place(&page, "a").await;
    assert_ne!(second, first);
    assert_eq!(second.contains("-v1-"), first.contains("-v1-"), "the same version");
    assert_eq!(
        moved,
        format!("Visitor A: 20 visits, answered by {second}. Before, {first} did.")
    );
    assert!(trail(&page, "a").await.iter().any(|mark| mark.ends_with('*')));
    page.shows("#visitor-a .cookie", &second).await;
    counts(&page, "#counter-moved", 1).await;
    page.click(&format!("#pod-{first} button")).await;
    page.shows("#status", &format!("Pod {first} is back.")).await;
    let stays = visit(&page, "a", 20).await;
    assert_eq!(stays, format!("Visitor A: 20 visits, answered by {second}."));
    assert_eq!(state(&page, "/crowd/failed").await, 0);
    page.closes().await;
}

#[tokio::test]
async fn a_tester_goes_to_v2_and_tokens_show_the_time_that_is_left() {
    let demo = Demo::start().await;
    let page = Page::open(format!("http://{}/", demo.address)).await;

    // No cookie, no time; then the bars run down.
    assert_eq!(page.text("#visitor-b .idle b").await, "20 s");
    visit(&page, "b", 1).await;
    page.shows("#visitor-b .idle b", " of 20 s left").await;
    page.shows("#visitor-b .absolute b", " of 2:00 min left").await;
    let left = "[...document.querySelectorAll('#visitor-b progress')].map((bar) => bar.value)";
    let before: Vec<f64> = serde_json::from_value(page.value(left).await).unwrap();
    wait::until("both bars are shorter", || async {
        let now: Vec<f64> = serde_json::from_value(page.value(left).await).unwrap();
        before.iter().zip(&now).all(|(before, now)| now < before).then_some(())
    })
    .await;

    // The tester goes to v2 whatever the weights are, and the page tells the rule.
    page.click("#visitor-a [data-action='tester']").await;
    page.shows("#status", "x-canary: always").await;
    visit(&page, "a", 20).await;
    let pods = trail(&page, "a").await;
    assert!(pods.iter().all(|pod| pod.starts_with("v2-")), "{pods:?}");
    page.shows("#visitor-a .why", "The rule “tester” chose this version")
        .await;
    page.shows("#visitor-a .raw", "reason=canary:tester;backend=store-v2.shop:80")
        .await;
    page.shows("#decisions li:first-child", "The rule “tester”").await;

    // An empty jar, and a new session.
    page.click("#visitor-a [data-action='forget']").await;
    page.shows("#visitor-a .cookie", "No session cookie").await;

    // The other visitor was idle meanwhile.
    page.shows("#visitor-b .idle b", "over").await;
    visit(&page, "b", 1).await;
    page.shows("#visitor-b .why", "The session had been idle for too long")
        .await;
    counts(&page, "#counter-expiredIdle", 1).await;
    page.closes().await;
}
