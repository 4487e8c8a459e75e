//! `session-cookie-…`: the cookie of a session.

use cookie::{Cookie, SameSite};
use mooring_tests::Client;
use time::Duration;

use super::{Ingress, Versions, ask, cookie_of, stays};

/// The one cookie that a new client of an Ingress gets.
async fn cookie(client: &Client, name: &str, path: &str) -> Cookie<'static> {
    let cookies = ask(client, name, path, &[]).await.set_cookies();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    cookies[0].clone()
}

#[tokio::test]
async fn each_annotation_of_the_cookie_sets_its_attribute() {
    let versions = Versions::start().await;
    let sticky = |name: &str| Ingress::to(name, "stable").sticky();
    let envoy = versions
        .serve(&[
            sticky("default"),
            sticky("name").with("session-cookie-name", "SERVERID"),
            sticky("path").with("session-cookie-path", "/"),
            sticky("something").paths(&[("/something", "Prefix", "stable")]),
            sticky("domain").with("session-cookie-domain", ".example.com"),
            sticky("none").with("session-cookie-samesite", "None"),
            sticky("lax").with("session-cookie-samesite", "lax"),
            sticky("strict").with("session-cookie-samesite", "Strict"),
            sticky("secure").with("session-cookie-secure", "true"),
            sticky("insecure").with("session-cookie-secure", "false"),
            sticky("age").with("session-cookie-max-age", "259200"),
            sticky("expires").with("session-cookie-expires", "172800"),
            sticky("both")
                .with("session-cookie-expires", "172800")
                .with("session-cookie-max-age", "259200"),
        ])
        .await;
    let client = envoy.client();

    let default = cookie(&client, "default", "/").await;
    assert_eq!((default.name(), default.path()), ("INGRESSCOOKIE", Some("/")));
    assert_eq!(default.http_only(), Some(true), "{default}");
    assert_eq!((default.max_age(), default.expires()), (None, None), "{default}");
    assert_eq!((default.domain(), default.secure()), (None, None), "{default}");

    assert_eq!(cookie(&client, "name", "/").await.name(), "SERVERID");
    assert_eq!(cookie(&client, "path", "/").await.path(), Some("/"));
    assert_eq!(
        cookie(&client, "something", "/something").await.path(),
        Some("/something")
    );
    assert_eq!(cookie(&client, "domain", "/").await.domain(), Some("example.com"));

    for (name, same_site) in [
        ("none", SameSite::None),
        ("lax", SameSite::Lax),
        ("strict", SameSite::Strict),
    ] {
        assert_eq!(cookie(&client, name, "/").await.same_site(), Some(same_site), "{name}");
    }
    // These connections have no TLS. With TLS, Mooring sets Secure for both, as ingress-nginx does.
    assert_eq!(cookie(&client, "secure", "/").await.secure(), Some(true));
    assert_eq!(cookie(&client, "insecure", "/").await.secure(), None);

    for (name, days) in [("age", 3), ("expires", 2), ("both", 3)] {
        let cookie = cookie(&client, name, "/").await;
        assert_eq!(cookie.max_age(), Some(Duration::days(days)), "{cookie}");
    }
}

#[tokio::test]
async fn each_path_has_its_cookie_and_a_common_path_of_the_cookie_one_session_for_each_service() {
    let versions = Versions::start().await;
    let paths = [
        ("/something", "Prefix", "stable"),
        ("/somewhereelse", "Prefix", "stable"),
        ("/other", "Prefix", "canary"),
    ];
    let envoy = versions
        .serve(&[
            Ingress::to("each", "stable").paths(&paths).sticky(),
            Ingress::to("common", "stable")
                .paths(&paths)
                .sticky()
                .with("session-cookie-path", "/"),
        ])
        .await;
    let client = envoy.client();
    for (path, ..) in paths {
        let cookie = cookie(&client, "each", path).await;
        assert_eq!((cookie.name(), cookie.path()), ("INGRESSCOOKIE", Some(path)));
    }

    let first = ask(&client, "common", "/something", &[]).await;
    let session = cookie_of(&first);
    stays(&client, "common", "/somewhereelse", &session, &first.pod()).await;
    // The cookies of two Services do not overwrite each other.
    let other = ask(&client, "common", "/other", &[("cookie", &session)]).await;
    assert!(other.pod().starts_with("canary"), "{other:?}");
    let both = format!("{session}; {}", cookie_of(&other));
    assert_ne!(first.set_cookies()[0].name(), other.set_cookies()[0].name());
    stays(&client, "common", "/something", &both, &first.pod()).await;
    stays(&client, "common", "/other", &both, &other.pod()).await;
}
