//! Each reason and each session outcome, on one Envoy.

use super::*;

/// A host that no Service has.
const GONE: &str = "127.0.0.9:1";

/// A rule for each topic, below the path of the same name.
struct Shop {
    stable: Pod,
    canary: Pod,
}

impl Shop {
    async fn start() -> Self {
        Self {
            stable: Pod::start("stable").await,
            canary: Pod::start("canary").await,
        }
    }

    fn manifests(&self) -> Manifests {
        let split = |name: &str, weights: (u32, u32)| {
            Rule::split(&[("stable", weights.0), ("canary", weights.1)]).below(&format!("/{name}"))
        };
        let sessions = |name: &str| Persistence::cookie(name).idle("10m").absolute("1h");
        let rules = [
            ("split", split("split", (50, 50)).persistence(sessions("split"))),
            ("released", split("released", (0, 1)).persistence(sessions("released"))),
            ("hash", split("hash", (0, 1))),
            (
                "down",
                Rule::split(&[("stable", 1), ("empty", 1)])
                    .below("/down")
                    .persistence(sessions("down")),
            ),
            (
                "single",
                Rule::to("stable").below("/single").persistence(sessions("single")),
            ),
            (
                "strict",
                Rule::to("stable")
                    .below("/strict")
                    .persistence(sessions("strict").annotation("strict", "true")),
            ),
            ("plain", Rule::to("stable").below("/plain")),
        ];
        let tester = Source::Header("x-tester").is("yes");
        let manifests = Manifests::new()
            .service(&Service::new("stable", [&self.stable]))
            .service(&Service::new("canary", [&self.canary]))
            .service(&Service::new("empty", []))
            .canary(&Canary::on("split").force("testers", "canary", &[tester]))
            .canary(&Canary::on("hash").hash_on(Source::Header("x-user")))
            .canary(&Canary::on("released").when_weight_zero("Release"));
        rules.into_iter().fold(manifests, |manifests, (name, rule)| {
            manifests.route(&Route::new(name).rule(rule))
        })
    }
}

/// The cookie of a session of the rule of this name.
fn session(rule: &str, bound: (&str, &str), issued: i64, seen: i64) -> String {
    let token = token(&format!("HTTPRoute/shop/{rule}#0"), rule, bound, issued, seen);
    format!("{rule}={token}")
}

/// A request, and what its text shows.
struct Case {
    /// The name of its rule.
    rule: &'static str,
    lines: Vec<(&'static str, String)>,
    reason: &'static str,
    /// None: any.
    backend: Option<&'static str>,
    session: &'static str,
    /// The least age. None: `-`.
    age: Option<u64>,
}

impl Case {
    fn new(rule: &'static str, reason: &'static str, backend: &'static str, session: &'static str) -> Self {
        Self {
            rule,
            lines: Vec::new(),
            reason,
            backend: Some(backend),
            session,
            age: None,
        }
    }

    /// A request of the rule `split` whose cookie is not a live session.
    fn not_live(cookie: String, session: &'static str) -> Self {
        let case = Self {
            backend: None,
            ..Self::new("split", "split", "", session)
        };
        case.with("cookie", cookie)
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.lines.push((name, value.into()));
        self
    }

    /// With a live session.
    fn live(self, cookie: String, age: u64) -> Self {
        Self {
            age: Some(age),
            ..self.with("cookie", cookie)
        }
    }

    fn check(&self, line: &Line) {
        let (shown, age) = line.decision();
        let expected = |backend: &str| {
            let (rule, reason, session) = (self.rule, self.reason, self.session);
            format!("rule=HTTPRoute/shop/{rule}#0;reason={reason};backend={backend}.shop:80;session={session}")
        };
        let backend = self.backend.unwrap_or_else(|| {
            let canary = shown.contains(";backend=canary.");
            if canary { "canary" } else { "stable" }
        });
        assert_eq!(shown, expected(backend));
        let cluster = line.0["cluster"].as_str().unwrap();
        assert!(cluster.starts_with(&format!("outbound|80||{backend}.")), "{line:?}");
        match self.age {
            Some(least) => assert!((least..least + 60).contains(&age.parse().unwrap()), "{line:?}"),
            None => assert_eq!(age, "-", "{line:?}"),
        }
    }
}

/// Requests of all kinds but those of an unreachable backend.
fn cases(shop: &Shop) -> Vec<Case> {
    let (stable, canary) = (shop.stable.socket().to_string(), shop.canary.socket().to_string());
    let (on_stable, on_canary) = (("stable.shop:80", &*stable), ("canary.shop:80", &*canary));
    let live = |rule: &str, issued, seen| session(rule, on_stable, issued, seen);
    vec![
        Case::new("single", "single", "stable", "new"),
        Case::new("hash", "hash", "canary", "none").with("x-user", "7"),
        Case::new("hash", "split", "canary", "none"),
        Case::new("split", "canary:testers", "canary", "new").with("x-tester", "yes"),
        Case::new("split", "canary:testers", "canary", "resumed")
            .with("x-tester", "yes")
            .live(live("split", 300, 1), 300),
        Case::new("split", "session", "stable", "resumed").live(live("split", 300, 1), 300),
        Case::new("split", "session", "canary", "resumed").live(session("split", on_canary, 60, 1), 60),
        Case::new("split", "session", "stable", "refreshed").live(live("split", 300, 45), 300),
        Case::new("split", "session", "stable", "moved").live(session("split", (on_stable.0, GONE), 60, 1), 60),
        Case::new("single", "single", "stable", "backend-removed")
            .live(session("single", ("old.shop:80", GONE), 60, 1), 60),
        Case::new("released", "split", "canary", "released").live(live("released", 60, 1), 60),
        Case::new("strict", "session", "stable", "ended").live(session("strict", (on_stable.0, GONE), 60, 1), 60),
        Case::not_live(live("split", 700, 700), "expired-idle"),
        Case::not_live(live("split", 3_601, 1), "expired-absolute"),
        Case::not_live(live("split", -600, -600), "rejected-future"),
        Case::not_live("split=junk".to_owned(), "rejected-malformed"),
        Case::not_live(changed(&live("split", 1, 1), 0), "rejected-version"),
        Case::not_live(changed(&live("split", 1, 1), 2), "rejected-unknown-key"),
        Case::not_live(changed(&live("split", 1, 1), 40), "rejected-tampered"),
        Case::not_live(live("single", 1, 1).replace("single=", "split="), "rejected-foreign"),
    ]
}

/// The cookie with another character at this position of its value.
fn changed(cookie: &str, position: usize) -> String {
    let position = position + "split=".len();
    let change = |(at, character)| match character {
        _ if at != position => character,
        'B' => 'C',
        _ => 'B',
    };
    cookie.chars().enumerate().map(change).collect()
}

#[tokio::test]
async fn each_reason_and_each_session_outcome_is_shown_in_text_and_in_json() {
    let shop = Shop::start().await;
    let logs = Logs::new();
    let envoy = logs.envoy().start(&shop.manifests().access_log()).await;
    let client = envoy.client();
    let cases = cases(&shop);
    for (number, case) in cases.iter().enumerate() {
        let lines: Vec<(&str, &str)> = case.lines.iter().map(|(name, value)| (*name, &**value)).collect();
        let status = send(&client, &number.to_string(), &format!("/{}", case.rule), &lines).await;
        assert_eq!(status, if case.rule == "strict" { 503 } else { 200 }, "{lines:?}");
    }
    assert_eq!(send(&client, "plain", "/plain", &[]).await, 200);
    assert_eq!(send(&client, "no route", "/no-route", &[]).await, 404);
    for (number, case) in cases.iter().enumerate() {
        case.check(&logs.line(&number.to_string()).await);
    }
    for case in ["plain", "no route"] {
        assert_eq!(logs.line(case).await.text(), None);
    }
    all_formats_agree(&logs, cases.len() + 2).await;
    let moved = wait::until("the filtered log is complete", || async {
        Some(logs.lines("moved.log")).filter(|lines| lines.len() >= 4)
    })
    .await;
    let sessions = moved.iter().map(|line| line.split(';').nth(3).unwrap());
    let expected = ["moved", "backend-removed", "released", "ended"].map(|word| format!("session={word}"));
    assert!(sessions.eq(expected), "{moved:?}");
}

/// The text is the same in every format, and a filter of CEL finds words in it.
async fn all_formats_agree(logs: &Logs, count: usize) {
    let [text, of_json, text_json] = ["text.log", "json.log", "text-json.log"];
    for file in [text, of_json, text_json] {
        wait::until(&format!("{file} is complete"), || async {
            (logs.lines(file).len() == count).then_some(())
        })
        .await;
    }
    let parsed = |file: &str| -> Vec<Value> {
        let lines = logs.lines(file).into_iter();
        lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
    };
    for ((text, json), text_json) in logs.lines(text).iter().zip(parsed(of_json)).zip(parsed(text_json)) {
        let shown = json["mooring"].as_str().unwrap_or("-");
        assert_eq!(text_json["mooring"], shown);
        assert_eq!(*text, format!("{} {shown}", json["case"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn a_session_of_an_unreachable_backend_shows_where_it_went_instead() {
    let shop = Shop::start().await;
    let logs = Logs::new();
    let envoy = logs.envoy().start(&shop.manifests().access_log()).await;
    let client = envoy.client();
    let cookie = session("down", ("empty.shop:80", GONE), 60, 1);
    let split = (
        "split;backend=stable.shop:80;session=backend-unreachable".to_owned(),
        200,
    );
    // Where the weights would select the empty backend too, only a backend that they have selected before takes its place.
    let failover = (
        "failover;backend=stable.shop:80;session=backend-unreachable".to_owned(),
        200,
    );
    let mut shown = Vec::new();
    for number in 0..500 {
        let case = number.to_string();
        let status = send(&client, &case, "/down", &[("cookie", &cookie)]).await;
        let line = logs.line(&case).await;
        let decision = line.decision().0.replace("rule=HTTPRoute/shop/down#0;reason=", "");
        shown.push((decision, status));
        if shown.contains(&split) && shown.contains(&failover) {
            break;
        }
    }
    // Envoy's own response ends the first request, which is how the module learns of the backend.
    let failed = "session;backend=empty.shop:80;session=resumed";
    assert_eq!(shown[0], (failed.to_owned(), 503), "{shown:?}");
    assert!(shown.contains(&split) && shown.contains(&failover), "{shown:?}");
}
