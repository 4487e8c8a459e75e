//! What the response says to caches.

use mooring_tests::{Answer, Browser, Envoy, Pod, Reply};

use crate::shop::{COOKIE, cart, persistence};

/// A first response and a second one of the same session, from an app that answers so.
async fn replies(answer: Answer) -> (Reply, Reply) {
    let pods = Pod::start_several("cart", 1).await;
    pods[0].answer(answer);
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let mut browser: Browser = envoy.browser();
    let first = browser.get("/").await.ok();
    assert!(first.set_cookie(COOKIE).is_some(), "{first:?}");
    let second = browser.get("/").await.ok();
    assert!(second.set_cookie(COOKIE).is_none(), "{second:?}");
    (first, second)
}

#[tokio::test]
async fn a_response_with_the_cookie_is_private_and_one_without_is_left_alone() {
    let (first, second) = replies(Answer::default()).await;
    assert_eq!(first.header_all("cache-control"), ["private"]);
    assert!(second.header_all("cache-control").is_empty(), "{second:?}");
}

#[tokio::test]
async fn an_app_that_lets_caches_store_its_answer_is_overruled_only_with_the_cookie() {
    let (first, second) = replies(Answer::default().header("cache-control", "public, max-age=60")).await;
    let said = first.header_all("cache-control").join(",");
    assert!(said.split(',').any(|directive| directive.trim() == "private"), "{said}");
    assert_eq!(second.header_all("cache-control"), ["public, max-age=60"]);
}

#[tokio::test]
async fn an_app_that_forbids_storing_keeps_its_own_words() {
    for own in ["no-store", "private, max-age=60"] {
        let (first, second) = replies(Answer::default().header("cache-control", own)).await;
        assert_eq!(first.header_all("cache-control"), [own]);
        assert_eq!(second.header_all("cache-control"), [own]);
    }
}

#[tokio::test]
async fn the_cookies_of_the_app_are_left_alone() {
    let own = Answer::default()
        .header("set-cookie", "theme=dark; Path=/")
        .header("set-cookie", "lang=de");
    let (first, second) = replies(own).await;
    assert_eq!(second.header_all("set-cookie"), ["theme=dark; Path=/", "lang=de"]);
    let all = first.header_all("set-cookie");
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(all[..2], ["theme=dark; Path=/", "lang=de"]);
}
