//! `simulate`: what becomes of one request, without Envoy.

use mooring_generator::{
    diagnostic::Report,
    document::{self, RawObjects},
    ir::ProxyGroup,
    mesh::Mesh,
    resources::Resources,
    simulate::{self, Answer, Circumstances, Exchange, HeaderChange, Proxy, Request, Uninvolved},
    source::Sources,
    translate,
};
use mooring_policy::{
    decision::{IssueReason, Reason, SessionOutcome},
    keys::{Entry, KeyRing},
};

use crate::common::{SHOP, shop_with, with_testers};

const NOW: u64 = 1_800_000_000;

/// Runs requests against the only gateway of an input.
fn with_gateway(input: &str, test: impl FnOnce(&Proxy)) {
    let mut sources = Sources::default();
    sources.add("input.yaml", input.to_owned());
    let mut report = Report::default();
    let resources = Resources::new(document::read(&sources, &mut report), &sources, Mesh::default());
    let ir = translate::translate(&resources, &mut report);
    assert!(!report.has_errors(), "{:?}", report.sorted());
    let raw = RawObjects::new(&sources);
    let byte = |at: usize| u8::try_from(at * at * 7 % 256).unwrap();
    let keys = Entry::new(1, std::array::from_fn(byte)).reveal();
    let proxies = simulate::proxies(&ir, &resources, &raw, ProxyGroup::config, || KeyRing::parse(&keys).ok()).unwrap();
    assert_eq!(proxies.len(), 1);
    test(&proxies[0]);
}

fn at(now: u64) -> Circumstances {
    Circumstances {
        now,
        ..Circumstances::default()
    }
}

fn get(path: &str) -> Request {
    Request::new("GET", &format!("http://shop.example.com{path}")).unwrap()
}

/// The value of the cookie that a response sets.
fn cookie(exchange: &Exchange) -> String {
    let cookies = exchange.response_changes.iter().filter_map(|change| match change {
        HeaderChange::Add(name, value) if name == "set-cookie" => Some(String::from_utf8(value.clone()).unwrap()),
        _ => None,
    });
    let cookies: Vec<String> = cookies.collect();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    cookies[0].split(';').next().unwrap().to_owned()
}

fn outcome(exchange: &Exchange) -> (Reason, SessionOutcome) {
    let decision = exchange.decision.as_ref().unwrap();
    (decision.reason(), decision.session_outcome())
}

/// The shop with a second Service, a tenth of the requests, and a canary rule for testers.
fn split() -> String {
    let route = shop_with(
        "  - backendRefs:\n    - name: web\n      port: 80\n",
        "  - name: all\n    backendRefs:\n    - {name: web, port: 80, weight: 90}\n    - {name: web2, port: 80, weight: 10}\n",
    );
    let policy = "    name: web\n  sessionPersistence";
    assert!(route.contains(policy));
    let route = route.replace(
        policy,
        "    name: web\n  - group: \"\"\n    kind: Service\n    name: web2\n  sessionPersistence",
    );
    with_testers(&route)
}

fn backend<'e>(exchange: &'e Exchange) -> &'e str {
    match &exchange.answer {
        Answer::Backend { key, .. } => key,
        other @ Answer::Envoy { .. } => panic!("{other:?}"),
    }
}

#[test]
fn a_session_begins_and_is_resumed_until_it_is_idle_for_too_long() {
    with_gateway(SHOP, |gateway| {
        let first = gateway.send(&get("/"), &at(NOW)).unwrap();
        assert_eq!(outcome(&first), (Reason::Single, SessionOutcome::New));
        assert_eq!(first.issued, Some(IssueReason::New));
        let session = get("/").with_header("Cookie", &format!("a=1; {}", cookie(&first)));
        let second = gateway.send(&session, &at(NOW + 5)).unwrap();
        assert_eq!(outcome(&second), (Reason::Session, SessionOutcome::Resumed));
        assert_eq!((second.issued, &second.answer), (None, &first.answer));
        assert!(
            second.forwarded.contains(&("cookie".to_owned(), b"a=1".to_vec())),
            "{second:?}"
        );
        let late = gateway.send(&session, &at(NOW + 601)).unwrap();
        assert_eq!(outcome(&late).1, SessionOutcome::ExpiredIdle);
    });
}

#[test]
fn the_draw_follows_the_weights_and_a_session_keeps_its_backend() {
    with_gateway(&split(), |gateway| {
        let draws = (0..100).map(|draw| {
            let exchange = gateway.send(&get("/"), &Circumstances { draw, ..at(NOW) }).unwrap();
            backend(&exchange).to_owned()
        });
        let draws: Vec<String> = draws.collect();
        assert_eq!(draws.iter().filter(|key| *key == "web2.default:80").count(), 10);
        let old = gateway.send(&get("/"), &at(NOW)).unwrap();
        assert_eq!((backend(&old), outcome(&old).0), ("web.default:80", Reason::Split));
        let session = get("/").with_header("cookie", &cookie(&old));
        let drained = Circumstances {
            weights: [("web.default:80".to_owned(), 0), ("web2.default:80".to_owned(), 100)].into(),
            ..at(NOW + 1)
        };
        let kept = gateway.send(&session, &drained).unwrap();
        assert_eq!((backend(&kept), outcome(&kept).0), ("web.default:80", Reason::Session));
        assert_eq!(
            kept.session_route.unwrap().name,
            "HTTPRoute/default/web/all/web.default:80"
        );
        assert_eq!(backend(&gateway.send(&get("/"), &drained).unwrap()), "web2.default:80");
        let tester = gateway.send(&session.with_header("x-tester", "yes"), &drained).unwrap();
        assert_eq!(
            (backend(&tester), outcome(&tester).0),
            ("web2.default:80", Reason::CanaryRule(0))
        );
    });
}

#[test]
fn a_backend_of_weight_0_gets_requests_when_its_weight_is_raised() {
    let input = split().replace("weight: 10}", "weight: 0}");
    with_gateway(&input, |gateway| {
        assert_eq!(
            backend(&gateway.send(&get("/"), &Circumstances { draw: 99, ..at(NOW) }).unwrap()),
            "web.default:80"
        );
        let weights = |web2: u32| Circumstances {
            weights: [("web.default:80".to_owned(), 0), ("web2.default:80".to_owned(), web2)].into(),
            ..at(NOW)
        };
        assert_eq!(
            backend(&gateway.send(&get("/"), &weights(1)).unwrap()),
            "web2.default:80"
        );
        let none = gateway.send(&get("/"), &weights(0)).unwrap();
        assert_eq!(
            none.answer,
            Answer::Envoy {
                status: 500,
                backend: None
            }
        );
    });
}

#[test]
fn a_session_fails_over_when_its_backend_is_down_and_moves_when_its_host_is_gone() {
    with_gateway(&split(), |gateway| {
        let first = gateway.send(&get("/"), &at(NOW)).unwrap();
        let session = get("/").with_header("cookie", &cookie(&first));
        let Answer::Backend { host, .. } = &first.answer else {
            panic!()
        };
        let gone = Circumstances {
            gone: [host.clone()].into(),
            ..at(NOW + 1)
        };
        let moved = gateway.send(&session, &gone).unwrap();
        assert_eq!(
            (backend(&moved), moved.issued),
            ("web.default:80", Some(IssueReason::Moved))
        );
        let down = |now, draw| Circumstances {
            down: ["web.default:80".to_owned()].into(),
            draw,
            ..at(now)
        };
        let failed = gateway.send(&session, &down(NOW + 2, 95)).unwrap();
        let key = "web.default:80".to_owned();
        assert_eq!(
            failed.answer,
            Answer::Envoy {
                status: 503,
                backend: Some(key)
            }
        );
        let over = gateway.send(&session, &down(NOW + 2, 95)).unwrap();
        assert_eq!(
            (backend(&over), over.issued),
            ("web2.default:80", Some(IssueReason::Moved))
        );
        assert_eq!(outcome(&over).1, SessionOutcome::BackendUnreachable);
    });
}

#[test]
fn a_client_cannot_select_a_session_route_and_a_request_without_a_route_gets_404() {
    with_gateway(&split(), |gateway| {
        let key = "HTTPRoute/default/web/all/web2.default:80";
        let request = get("/").with_header("x-mooring-backend", key);
        assert_eq!(backend(&gateway.send(&request, &at(NOW)).unwrap()), "web.default:80");
    });
    let route = shop_with(
        "  - backendRefs:",
        "  - matches: [{path: {value: /cart}}]\n    backendRefs:",
    );
    with_gateway(&route, |gateway| {
        let nowhere = gateway.send(&get("/carts"), &at(NOW)).unwrap();
        assert_eq!(nowhere.uninvolved, Some(Uninvolved::NoRoute));
        assert_eq!(
            nowhere.answer,
            Answer::Envoy {
                status: 404,
                backend: None
            }
        );
        let host = nowhere.virtual_host.unwrap();
        let lines = get("/carts").lines();
        let failing = host.routes[0].conditions.failing(&lines.as_slice().into());
        assert_eq!(failing[0].to_string(), "the path is `/cart` or below it");
        assert!(gateway.send(&get("/cart/1"), &at(NOW)).unwrap().decision.is_some());
    });
}

#[test]
fn a_more_specific_listener_without_routes_answers_404() {
    let listener = "    port: 80\n    protocol: HTTP\n";
    let listeners = format!("{listener}  - name: admin\n{listener}    hostname: admin.example.com\n");
    let input =
        shop_with(listener, &listeners).replace("  - name: front\n", "  - name: front\n    sectionName: http\n");
    with_gateway(&input, |gateway| {
        assert!(gateway.send(&get("/"), &at(NOW)).unwrap().decision.is_some());
        let admin = Request::new("GET", "http://admin.example.com/").unwrap();
        let answer = gateway.send(&admin, &at(NOW)).unwrap();
        assert_eq!(answer.virtual_host.unwrap().host.hostname, "admin.example.com");
        assert_eq!(
            answer.answer,
            Answer::Envoy {
                status: 404,
                backend: None
            }
        );
    });
}
