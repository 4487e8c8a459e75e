//! What belongs to one session, rule or client stays there.

use mooring_tests::{Answer, Envoy, Manifests, Pod, Policy, Route, Rule, Service, Site, Update};

use crate::{
    shop::{COOKIE, cart, large, nothing_internal, persistence},
    tokens::Forge,
};

/// The filter's name for a pod, as the client would have to send it.
fn host_header(pod: &Pod) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    BASE64_STANDARD.encode(pod.socket().to_string())
}

#[tokio::test]
async fn two_rules_with_one_session_name_do_not_share_a_session() {
    let (carts, tills) = (Pod::start_several("cart", 2).await, Pod::start_several("till", 2).await);
    let manifests = Manifests::new()
        .service(&Service::new("cart", &carts))
        .service(&Service::new("till", &tills))
        .route(
            &Route::new("shop")
                .rule(Rule::to("cart").below("/cart"))
                .rule(Rule::to("till").below("/till")),
        )
        .policy(&Policy::on("cart", persistence()))
        .policy(&Policy::on("till", persistence()));
    let envoy = Envoy::serve(&manifests).await;
    let client = envoy.client();
    let token = client.get("/cart").await.ok().set_cookie(COOKIE).unwrap();
    let sent = token.stripped().to_string();

    let reply = client.request("/till").cookie(&sent).send().await.ok();
    assert!(reply.pod().starts_with("till"), "{reply:?}");
    assert!(reply.set_cookie(COOKIE).is_some(), "a session of its own: {reply:?}");
    let stats = envoy.stats().await;
    assert_eq!(
        stats.mooring("mooring_token_rejected_foreign_total"),
        1,
        "{:?}",
        stats.of_mooring()
    );

    // Where it belongs it is still good.
    let reply = client.request("/cart").cookie(&sent).send().await.ok();
    assert!(reply.set_cookies().is_empty(), "{reply:?}");
}

#[tokio::test]
async fn two_rules_to_one_service_do_not_share_a_session() {
    let pods = Pod::start_several("cart", 3).await;
    let manifests = Manifests::new()
        .service(&Service::new("cart", &pods))
        .route(
            &Route::new("shop")
                .rule(Rule::to("cart").below("/a"))
                .rule(Rule::to("cart").below("/b")),
        )
        .policy(&Policy::on("cart", persistence()));
    let envoy = Envoy::serve(&manifests).await;
    let client = envoy.client();
    let token = client.get("/a").await.ok().set_cookie(COOKIE).unwrap();
    let reply = client
        .request("/b")
        .cookie(token.stripped().to_string())
        .send()
        .await
        .ok();
    assert!(reply.set_cookie(COOKIE).is_some(), "{reply:?}");
    assert_eq!(envoy.stats().await.mooring("mooring_token_rejected_foreign_total"), 1);
}

#[tokio::test]
async fn other_cookies_reach_the_pod_byte_for_byte_and_ours_does_not() {
    let pods = Pod::start_several("cart", 1).await;
    reaches_the_pod(&Envoy::serve(&cart(&pods, persistence())).await).await;
}

#[tokio::test]
async fn other_cookies_reach_the_pod_from_among_many_routes_too() {
    let pods = Pod::start_several("cart", 1).await;
    reaches_the_pod(&Envoy::serve(&large(&pods, 200)).await).await;
}

async fn reaches_the_pod(envoy: &Envoy) {
    let client = envoy.client();
    let ours = client
        .get("/")
        .await
        .ok()
        .set_cookie(COOKIE)
        .unwrap()
        .stripped()
        .to_string();
    let cookies: [(String, Option<&[u8]>); 8] = [
        (format!("{ours}; theme=dark; lang=de"), Some(b"theme=dark; lang=de")),
        (format!("theme=dark; {ours}; lang=de"), Some(b"theme=dark; lang=de")),
        (format!("theme=dark; lang=de; {ours}"), Some(b"theme=dark; lang=de")),
        (ours.clone(), None),
        // Malformed cookies are left to the application.
        (
            format!("a=\"x, y\";b;=c;  d = e ;{ours};;f=%20=\\"),
            Some(b"a=\"x, y\";b;=c;  d = e ;;f=%20=\\"),
        ),
        (
            format!("my-{ours}; {ours}"),
            Some(format!("my-{ours}").leak().as_bytes()),
        ),
        (format!("{ours}; x={ours}"), Some(format!("x={ours}").leak().as_bytes())),
        ("theme=dark".to_owned(), Some(b"theme=dark")),
    ];
    for (sent, expected) in cookies {
        let reply = client.request("/").cookie(&sent).send().await.ok();
        let got = reply.echo().cookie();
        let text = got.as_deref().map(String::from_utf8_lossy);
        assert_eq!(got.as_deref(), expected, "{sent} became {text:?}");
    }
    let bytes = [b"a=\xff\xfe\"%s%\\; ", ours.as_bytes()].concat();
    let reply = client.request("/").cookie(&bytes).send().await.ok();
    assert_eq!(reply.echo().cookie().unwrap(), b"a=\xff\xfe\"%s%\\");
    assert_eq!(envoy.stats().await.mooring("mooring_session_resumed_total"), 8);
}

#[tokio::test]
async fn a_client_cannot_name_a_pod() {
    let pods = Pod::start_several("cart", 3).await;
    let envoy = Envoy::serve(&cart(&pods, persistence())).await;
    let client = envoy.client();
    let wanted = host_header(&pods[0]);

    // Without a session the request is balanced as if the header were not there.
    let mut answered = [0; 3];
    for _ in 0..60 {
        let reply = client.request("/").header("x-mooring-host", &wanted).send().await.ok();
        assert!(reply.set_cookie(COOKIE).is_some(), "{reply:?}");
        nothing_internal(&reply);
        answered[pods.iter().position(|pod| pod.name() == reply.pod()).unwrap()] += 1;
    }
    assert!(answered.iter().all(|count| *count > 0), "{answered:?}");

    // With a session the session decides.
    for pod in &pods {
        let mut browser = envoy.browser();
        let first = browser.get("/").await.ok();
        for _ in 0..5 {
            let reply = client
                .request("/")
                .cookie(browser.cookie_header().unwrap())
                .header("x-mooring-host", host_header(pod))
                .send()
                .await
                .ok();
            assert_eq!(reply.pod(), first.pod());
            assert!(reply.set_cookies().is_empty(), "{reply:?}");
            nothing_internal(&reply);
        }
    }
}

#[tokio::test]
async fn a_client_cannot_name_a_pod_where_there_are_no_sessions_either() {
    let pods = Pod::start_several("cart", 2).await;
    let manifests = Manifests::new()
        .service(&Service::new("cart", &pods))
        .service(&Service::new("till", &pods))
        .route(
            &Route::new("shop")
                .rule(Rule::to("cart").below("/cart"))
                .rule(Rule::to("till").below("/till")),
        )
        .policy(&Policy::on("till", persistence()));
    let envoy = Envoy::serve(&manifests).await;
    let mut answered = [0; 2];
    for _ in 0..30 {
        let request = envoy.client();
        let request = request.request("/cart").header("x-mooring-host", host_header(&pods[0]));
        let reply = request.header("x-mooring-backend", "till.shop:80").send().await.ok();
        nothing_internal(&reply);
        answered[pods.iter().position(|pod| pod.name() == reply.pod()).unwrap()] += 1;
    }
    assert!(answered.iter().all(|count| *count > 0), "{answered:?}");
    let seen_by_the_filter = envoy.stats().await.mooring("mooring_passed_through_total");
    assert_eq!(
        seen_by_the_filter, 30,
        "it runs for the whole virtual host, and finds no rule for the route"
    );
}

#[tokio::test]
async fn an_app_that_sends_our_internal_header_changes_nothing() {
    let pods = Pod::start_several("cart", 3).await;
    for pod in &pods {
        let lie = host_header(&pods[0]);
        pod.answer(
            Answer::default()
                .header("x-mooring-host", &lie)
                .header("x-mooring-backend", "cart.shop:80"),
        );
    }
    let manifests = Manifests::new().service(&Service::new("cart", &pods)).route(
        &Route::new("shop")
            .rule(Rule::to("cart").persistence(persistence()))
            .rule(Rule::to("cart").below("/stateless")),
    );
    let envoy = Envoy::serve(&manifests).await;
    nothing_internal(&envoy.client().get("/stateless").await.ok());
    for _ in 0..6 {
        let mut browser = envoy.browser();
        let first = browser.get("/").await.ok();
        nothing_internal(&first);
        assert!(first.set_cookie(COOKIE).is_some(), "{first:?}");
        for _ in 0..5 {
            let reply = browser.get("/").await.ok();
            assert_eq!(reply.pod(), first.pod(), "the app does not move a session");
            assert!(reply.set_cookies().is_empty(), "{reply:?}");
            nothing_internal(&reply);
        }
    }
}

/// Carts and tills, each with a rule of its own; sessions on the carts.
fn carts_and_tills(carts: &[&Pod], tills: &[&Pod]) -> Manifests {
    Manifests::new()
        .service(&Service::new("cart", carts.iter().copied()))
        .service(&Service::new("till", tills.iter().copied()))
        .route(
            &Route::new("shop")
                .rule(Rule::to("cart"))
                .rule(Rule::to("till").below("/till")),
        )
        .policy(&Policy::on("cart", persistence()))
}

#[tokio::test]
async fn a_session_does_not_follow_its_pods_address_to_another_service() {
    let pods = Pod::start_several("pod", 3).await;
    let [first, second, third] = [&pods[0], &pods[1], &pods[2]];
    let mut envoy = Envoy::builder()
        .dynamic()
        .start(&carts_and_tills(&[first, second], &[third]))
        .await;
    let mut browser = envoy.browser();
    let begun = browser.get("/").await.ok().pod();
    // The cart's pod is gone; a pod of the other Service gets its address.
    let (gone, left) = if begun == first.name() {
        (first, second)
    } else {
        (second, first)
    };
    let moved = carts_and_tills(&[left], &[third, gone]);
    assert_eq!(envoy.apply(&moved).await, Update::Taken);
    for _ in 0..20 {
        assert_eq!(browser.get("/").await.ok().pod(), left.name());
    }
    assert_eq!(envoy.stats().await.mooring("mooring_session_moved_total"), 1);
}

#[tokio::test]
async fn a_token_sealed_with_the_right_key_reaches_no_pod_outside_the_rule() {
    let carts = Pod::start_several("cart", 2).await;
    let outside = Pod::start("outside").await;
    let site = Site::fresh();
    let mut bootstrap = cart(&carts, persistence()).generate(site).bootstrap();
    let forge = Forge::of(&mut bootstrap);
    let envoy = Envoy::builder().start_on(site, bootstrap).await;
    let client = envoy.client();
    // As from an environment with the same keys and names, but other pods.
    for _ in 0..20 {
        let cookie = format!("{COOKIE}={}", forge.token(&outside, 0, 0));
        let reply = client.request("/").cookie(&cookie).send().await.ok();
        assert!(reply.pod().starts_with("cart"), "{reply:?}");
        assert!(reply.set_cookie(COOKIE).is_some(), "{reply:?}");
    }
    assert!(outside.echoes().is_empty());
    assert_eq!(envoy.stats().await.mooring("mooring_session_moved_total"), 20);
}
