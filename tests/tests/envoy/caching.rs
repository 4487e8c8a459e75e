//! What the response says to caches.

use mooring_tests::{Answer, Browser, Envoy, Persistence, Pod, Reply};

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

/// What an app says to caches, by name and value.
type Said = (&'static str, &'static str);

fn saying(lines: &[Said]) -> Answer {
    let lines = lines.iter();
    lines.fold(Answer::default(), |answer, (name, value)| answer.header(name, value))
}

/// What a response says to caches: its lines of these names.
fn said(reply: &Reply, names: &[Said]) -> Vec<(String, String)> {
    let mut said: Vec<(String, String)> = Vec::new();
    for (name, _) in names.iter().chain(&[("cache-control", "")]) {
        let lines = reply
            .header_all(name)
            .into_iter()
            .map(|value| ((*name).to_owned(), value));
        said.extend(lines.filter(|line| !said.contains(line)).collect::<Vec<_>>());
    }
    said
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

#[tokio::test]
async fn caches_with_fields_of_their_own_store_no_response_with_the_cookie() {
    let cases: [(&[Said], &[Said]); 6] = [
        (
            &[("cdn-cache-control", "max-age=600"), ("cache-control", "public")],
            &[
                ("cdn-cache-control", "max-age=600, private"),
                ("cache-control", "public, private"),
            ],
        ),
        (
            &[("surrogate-control", "max-age=600, content=\"ESI/1.0\"")],
            &[
                ("surrogate-control", "max-age=600, content=\"ESI/1.0\", no-store"),
                ("cache-control", "private"),
            ],
        ),
        (
            &[
                ("cloudflare-cdn-cache-control", "public, max-age=5"),
                ("x-accel-expires", "600"),
            ],
            &[
                ("cloudflare-cdn-cache-control", "public, max-age=5, private"),
                ("x-accel-expires", "0"),
                ("cache-control", "private"),
            ],
        ),
        (
            &[("cache-control", "max-age=60, community=\"x, private\"")],
            &[("cache-control", "max-age=60, community=\"x, private\", private")],
        ),
        (
            &[("cache-control", "must-understand, no-store")],
            &[("cache-control", "must-understand, no-store, private")],
        ),
        // Two lines of one name.
        (
            &[("cdn-cache-control", "public"), ("cdn-cache-control", "max-age=60")],
            &[
                ("cdn-cache-control", "public, max-age=60, private"),
                ("cache-control", "private"),
            ],
        ),
    ];
    for (app, expected) in cases {
        let (first, second) = replies(saying(app)).await;
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(said(&first, app), expected);
        let own: Vec<(String, String)> = app
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(said(&second, app), own, "without the cookie it stays as it is");
    }
}

#[tokio::test]
async fn a_response_with_a_session_header_is_private_too() {
    let pods = Pod::start_several("cart", 1).await;
    pods[0].answer(saying(&[
        ("cache-control", "public"),
        ("cdn-cache-control", "max-age=600"),
    ]));
    let envoy = Envoy::serve(&cart(&pods, Persistence::header("x-cart-session"))).await;
    let client = envoy.client();
    let first = client.get("/").await.ok();
    assert_eq!(first.header_all("cache-control"), ["public, private"]);
    assert_eq!(first.header_all("cdn-cache-control"), ["max-age=600, private"]);
    let token = first.header("x-cart-session").unwrap();
    let second = client.request("/").header("x-cart-session", token).send().await.ok();
    assert_eq!(second.header_all("cache-control"), ["public"]);
}
