//! What cases can say: clients, time, weights, backends that are down, cross products, and what they expect.

use super::*;

/// The canary without its hash, so that the weights decide.
fn by_weight() -> String {
    canary()
        .replace("    hashOn: {header: user}\n    seed: v2\n", "")
        .replace("  split:\n", "")
}

/// Asserts that all cases pass.
#[track_caller]
fn pass(name: &str, manifests: &str, cases: &str) {
    let run = test(&shop(name, manifests, cases), &["--fail-only"]);
    assert!(run.get_output().status.success(), "{}{}", stdout(&run), stderr(&run));
}

/// The output of cases of which one fails.
#[track_caller]
fn fail(name: &str, manifests: &str, cases: &str) -> String {
    stdout(&test(&shop(name, manifests, cases), &["--fail-only"]).code(1))
}

#[test]
fn a_request_that_no_route_takes_has_no_rule() {
    let manifests = SHOP.replace(
        "  - backendRefs:\n",
        "  - matches: [{path: {value: /cart}}]\n    backendRefs:\n",
    );
    let cases = "\
  - name: elsewhere
    request: {path: /cartoon}
    expect: {rule: none, backend: none, reason: none, session: none, status: 404, setCookie: absent}
  - name: here
    request: {path: /cart/1}
    expect: {rule: 'web#0', backend: web, status: 200}
";
    pass("no_route", &manifests, cases);
    let out = fail(
        "no_route_fails",
        &manifests,
        "  - name: a\n    request: {path: /}\n    expect: {rule: 'web#0'}\n",
    );
    assert!(out.contains("\n  - web#0\n  + none\n"), "{out}");
    let out = fail(
        "a_route",
        &manifests,
        "  - name: a\n    request: {path: /cart}\n    expect: {rule: none}\n",
    );
    assert!(out.contains("\n  - none\n  + HTTPRoute/default/web#0\n"), "{out}");
}

#[test]
fn lists_are_a_cross_product() {
    let cases = "\
  - name: all
    request: {host: [a.example.com, b.example.com], path: [/, /x, '/y?z=1'], method: [GET, POST]}
    expect: {rule: 'web#0', backend: web}
";
    let run = test(&shop("product", SHOP, cases), &[]).success();
    let out = stdout(&run);
    assert!(out.contains("1 case with 12 requests: all passed"), "{out}");
    assert!(out.contains("POST http://b.example.com/y?z=1"), "{out}");
}

#[test]
fn time_counts_from_the_case_of_the_session_or_the_previous_case() {
    // The session lasts an hour, and ten minutes without a request.
    let cases = "\
  - name: first
    request: {path: /}
    expect: {session: new, setCookie: {name: shop, maxAge: 1h}}
  - name: later
    request: {path: /}
    session: first
    after: 9m
    expect: {session: resumed, setCookie: {maxAge: 3060}}
  - name: from the later one
    request: {path: /}
    session: later
    after: 9m
    expect: {session: resumed}
  - name: from the first one
    request: {path: /}
    session: first
    after: 11m
    expect: {session: expired-idle}
  - name: a new client, eleven minutes after the start
    request: {path: /}
    expect: {session: new}
  - name: a new client, a minute after that
    request: {path: /}
    after: 1m
  - name: twelve minutes after the start
    request: {path: /}
    session: from the later one
    at: 2026-01-01T00:12:00Z
    expect: {session: resumed}
  - name: its session, long after
    request: {path: /}
    session: a new client, a minute after that
    at: 2026-01-01T01:12:00Z
    expect: {session: expired-absolute}
  - name: earlier than its token
    request: {path: /}
    session: first
    at: 2025-12-31T23:58:59Z
    expect: {session: rejected-future}
";
    pass("time", SHOP, cases);
    let start = "2030-06-01T12:00:00+02:00";
    let cases = cases
        .replace("2026-01-01T00:12:00Z", "2030-06-01T10:12:00Z")
        .replace("2026-01-01T01:12:00Z", "2030-06-01T11:12:00Z")
        .replace("2025-12-31T23:58:59Z", "2030-06-01T09:58:59Z");
    let path = shop("time_start", SHOP, &cases);
    let file = fs::read_to_string(path.join("mooring-test.yaml")).unwrap();
    write(
        &path,
        "mooring-test.yaml",
        file.replace("cases:", &format!("start: {start}\ncases:")),
    );
    test(&path, &[]).success();
}

#[test]
fn a_draw_selects_by_weight_and_is_needed() {
    let cases = "\
  - name: v1
    request: {path: /}
    draw: 89
    expect: {backend: shop-v1, reason: split}
  - name: v2
    request: {path: /}
    draw: 90
    expect: {backend: shop-v2.default, reason: split}
  - name: other weights
    request: {path: /}
    draw: 90
    weights: {shop-v2: 0}
    expect: {backend: 'shop-v1:80', reason: split}
";
    pass("draw", &by_weight(), cases);
    let cases = "\
  - name: any
    request: {path: /}
    expect: {backend: shop-v1}
";
    let out = fail("no_draw", &by_weight(), cases);
    let expected = "\
  backend (mooring-test.yaml:7)
  - shop-v1
  + shop-v1.default:80 (90 %) or shop-v2.default:80 (10 %)
  = the weights select the backend: give the case a `draw`
";
    assert!(out.contains(expected), "{out}");
    // Without an expected backend, it does not matter.
    pass(
        "no_draw_needed",
        &by_weight(),
        "  - name: any\n    request: {path: /}\n    expect: {session: new}\n",
    );
}

#[test]
fn weights_are_those_of_a_new_generation() {
    let split = |user: &str, weights: &str, backend: &str| {
        format!(
            "  - name: {user} {backend}\n    request: {{headers: {{user: {user}}}}}\n    weights: {weights}\n    \
             expect: {{backend: {backend}, reason: hash}}\n"
        )
    };
    let cases = split("alice", "{shop-v1: 0}", "shop-v2") + &split("alice", "{shop-v2: 0}", "shop-v1");
    pass("weights", &canary(), &cases);
    // Sessions of a backend without a weight are released, if the policy says so and another backend has one.
    let released = "\
  - name: begin
    request: {path: /}
    draw: 99
    expect: {backend: shop-v2}
  - name: back
    request: {path: /}
    session: begin
    weights: {shop-v2: 0}
    expect: {session: released, backend: shop-v1, setCookie: present}
  - name: nowhere to go
    request: {path: /}
    session: begin
    weights: {shop-v1: 0, shop-v2: 0}
    expect: {session: resumed, backend: shop-v2}
";
    pass("released", &canary(), released);
    let kept = released.replace(
        "session: released, backend: shop-v1, setCookie: present",
        "session: resumed, backend: shop-v2",
    );
    pass(
        "kept",
        &canary().replace("whenWeightZero: Release", "whenWeightZero: Keep"),
        &kept,
    );
}

#[test]
fn versions_are_those_of_a_new_generation() {
    let labelled = canary().replace(
        "whenWeightZero: Release",
        "whenWeightZero: Release\n  versionLabel: app.kubernetes.io/version",
    );
    let cases = "\
  - name: begin
    request: {path: /}
    draw: 99
    versions: {shop-v1: '1.0', shop-v2: '2.0'}
    expect: {backend: shop-v2}
  - name: it stays
    request: {path: /}
    session: begin
    versions: {shop-v1: '1.0', shop-v2: '2.0'}
    expect: {backend: shop-v2, session: resumed, setCookie: absent}
  - name: promotion
    request: {path: /}
    session: begin
    versions: {shop-v1: '2.0', shop-v2: '2.0'}
    weights: {shop-v2: 0}
    expect: {backend: shop-v1, session: followed, reason: session, setCookie: present}
  - name: the next release
    request: {path: /}
    session: promotion
    versions: {shop-v1: '2.0', shop-v2: '3.0'}
    draw: 99
    expect: {backend: shop-v1, session: resumed, setCookie: absent}
  - name: the next release after a rollback
    request: {path: /}
    session: begin
    versions: {shop-v1: '1.0', shop-v2: '3.0'}
    draw: 0
    expect: {backend: shop-v1, session: version-removed, reason: split, setCookie: present}
  - name: it is selected again
    request: {path: /}
    session: begin
    versions: {shop-v1: '1.0', shop-v2: '3.0'}
    draw: 99
    expect: {backend: shop-v2, session: resumed, reason: session, setCookie: present}
";
    pass("versions", &labelled, cases);
    let wrong = cases.replace("session: followed", "session: resumed");
    assert!(fail("versions_wrong", &labelled, &wrong).contains("+ followed"));
    // Without a label, the versions do not matter.
    let kept = "\
  - name: begin
    request: {path: /}
    draw: 99
    versions: {shop-v1: '1.0', shop-v2: '2.0'}
    expect: {backend: shop-v2}
  - name: the next release
    request: {path: /}
    session: begin
    versions: {shop-v1: '2.0', shop-v2: '3.0'}
    draw: 0
    expect: {backend: shop-v2, session: resumed, setCookie: absent}
";
    pass("versions_unused", &canary(), kept);
}

#[test]
fn what_is_down_is_known_and_the_sessions_move() {
    let cases = "\
  - name: begin
    request: {path: /}
    draw: 99
    expect: {backend: shop-v2, host: '127.0.5.3:8080'}
  - name: to the backend that the weights select
    request: {path: /}
    session: begin
    down: [shop-v2]
    draw: 0
    expect: {backend: shop-v1, session: backend-unreachable, reason: split, setCookie: present}
  - name: to another one than the weights select
    request: {path: /}
    session: to the backend that the weights select
    down: [shop-v1]
    draw: 0
    expect: {backend: shop-v2, session: backend-unreachable, reason: failover, setCookie: present}
  - name: it was moved
    request: {path: /}
    session: to the backend that the weights select
    expect: {backend: shop-v1, session: resumed, setCookie: absent}
  - name: none is left
    request: {path: /}
    session: begin
    down: [shop-v1, shop-v2]
    expect: {backend: none, status: 503, setCookie: absent}
  - name: no trace of it
    request: {path: /}
    session: begin
    expect: {backend: shop-v2, session: resumed}
";
    pass("down", &by_weight(), cases);
}

#[test]
fn a_session_leaves_a_host_that_is_gone() {
    let shop_with_two = SHOP.replace(
        "- addresses: [127.0.9.1]",
        "- addresses: [127.0.9.1]\n- addresses: [127.0.9.2]",
    );
    let cases = "\
  - name: begin
    request: {path: /}
    expect: {host: '127.0.9.1:8080'}
  - name: stay
    request: {path: /}
    session: begin
    expect: {host: '127.0.9.1:8080', setCookie: absent}
  - name: gone
    request: {path: /}
    session: begin
    down: ['127.0.9.1:8080']
    expect: {host: '127.0.9.2:8080', session: resumed, setCookie: present}
  - name: back
    request: {path: /}
    session: gone
    expect: {host: '127.0.9.2:8080', session: resumed, setCookie: absent}
";
    pass("host", &shop_with_two, cases);
}

#[test]
fn header_sessions_are_expected_by_their_header() {
    let by_header = SHOP
        .replace("    sessionName: shop\n", "    sessionName: x-shop\n    type: Header\n")
        .replace("    cookieConfig:\n      lifetimeType: Permanent\n", "");
    let cases = "\
  - name: begin
    request: {path: /}
    expect: {session: new, sessionHeader: x-shop, setCookie: absent}
  - name: back
    request: {path: /}
    session: begin
    expect: {session: resumed, sessionHeader: absent}
";
    pass("header", &by_header, cases);
    let out = fail(
        "no_header",
        &by_header,
        "  - name: a\n    request: {}\n    expect: {sessionHeader: absent}\n",
    );
    assert!(out.contains("\n  - absent\n  + x-shop\n"), "{out}");
}

#[test]
fn several_gateways_and_ports_are_told_apart() {
    let second = SHOP
        .replace("name: front", "name: back")
        .split("---")
        .next()
        .unwrap()
        .to_owned();
    let two = format!(
        "{second}---\n{}",
        SHOP.replace("  - name: front\n  rules", "  - name: front\n  - name: back\n  rules")
    );
    let case = |gateway: &str| format!("  - name: a\n    request: {{{gateway}}}\n    expect: {{backend: web}}\n");
    pass("gateway", &two, &case("gateway: default/back"));
    let out = fail("no_gateway", &two, &case(""));
    let expected = "serve the host `example.com`; name one with `gateway` or `port` of the request";
    assert!(out.contains(expected), "{out}");
    let out = fail("other_gateway", &two, &case("gateway: default/other"));
    assert!(out.contains("the manifests have no Gateway default/other"), "{out}");
}

#[test]
fn a_session_that_was_not_begun_is_a_failure() {
    let cases = "\
  - name: by choice
    request: {headers: {x-canary: always}}
  - name: comes back
    request: {path: /}
    session: by choice
    draw: 0
    expect: {session: new}
";
    let out = fail("no_session", &canary(), cases);
    let expected =
        "  session (mooring-test.yaml:9)\n  - a session of an earlier case\n  + that case has begun no session\n";
    assert!(out.contains(expected), "{out}");
}

#[test]
fn names_that_are_in_no_manifest_are_told() {
    let cases = "\
  - name: a
    request: {path: /}
    draw: 0
    expect: {rule: shp, backend: shop-v3}
";
    let out = fail("unknown_names", &canary(), cases);
    assert!(
        out.contains("\n  = the manifests have no rule `shp`; did you mean `shop`?\n"),
        "{out}"
    );
    assert!(
        out.contains("\n  = no rule of the manifests has a backend `shop-v3`; did you mean `shop-v1`?\n"),
        "{out}"
    );
}

#[test]
fn sidecars_of_callers_get_requests_of_the_mesh() {
    let path = directory("policy_test_sidecar");
    let cases = "\
cases:
  - name: begin
    request: {host: reviews, port: 9080, path: /reviews/0}
    draw: 0
    expect: {rule: reviews, backend: reviews/v1, reason: split, session: new}
  - name: back
    request: {host: 'reviews.bookinfo:9080', path: /reviews/0}
    session: begin
    expect: {backend: 'reviews:9080/v1', reason: session, session: resumed}
";
    let manifests = [
        "mesh-bookinfo",
        "bookinfo-virtualservice/app.yaml",
        "bookinfo-virtualservice/subsets.yaml",
    ];
    let manifests = manifests.map(|path| format!("{EXAMPLES}/{path}")).join(", ");
    let (head, _) = HEAD.split_once("manifests").unwrap();
    let file = format!("{head}manifests: [{manifests}]\nasSidecar: bookinfo/app=productpage\n{cases}");
    write(&path, "mooring-test.yaml", &file);
    let out = stdout(&test(&path, &[]).success());
    assert!(out.contains("GET http://reviews:9080/reviews/0"), "{out}");
    write(&path, "mooring-test.yaml", file.replace("port: 9080", "port: 80"));
    let out = stdout(&test(&path, &[]).code(1));
    assert!(out.contains("\n  the manifests have no route on port 80\n"), "{out}");
}
