//! What a request and a policy may cost, and what becomes of those that would cost more.

use super::*;
use crate::config::{MatchConfig, MatchRuleConfig, MatchType, SourceConfig};

fn on(source: SourceConfig, kind: MatchType, value: Option<&str>) -> MatchConfig {
    let pattern = value.filter(|_| kind == MatchType::RegularExpression);
    MatchConfig {
        on: source,
        match_type: kind,
        value: value.map(str::to_owned),
        compiled_size: pattern.and_then(|pattern| expression_size(pattern).ok()),
    }
}

fn header(name: &str) -> SourceConfig {
    SourceConfig::Header(name.to_owned())
}

fn cookie(name: &str) -> SourceConfig {
    SourceConfig::Cookie(name.to_owned())
}

/// A canary that forces `b` by the first of these rules whose conditions hold.
fn canary(rules: Vec<Vec<MatchConfig>>) -> CanaryConfig {
    let rules = rules
        .into_iter()
        .enumerate()
        .map(|(position, matches)| MatchRuleConfig {
            name: format!("rule-{position}"),
            matches,
            opt_in: None,
        });
    CanaryConfig {
        name: "shop/canary".to_owned(),
        rules: rules.collect(),
        ..CanaryConfig::default()
    }
}

fn compiled(raw: &CanaryConfig) -> RuleCanary {
    let of_rule = RuleCanaryConfig {
        position: 0,
        backends: vec![Some(1); raw.rules.len()],
    };
    RuleCanary::new(&of_rule, &[Rc::new(Canary::new(raw).unwrap())], 2).unwrap()
}

const TO_B: Selection = Selection::Only { rule: 0, backend: 1 };

/// What a canary says of a request, and what that took. None: the budget was used up.
fn spent(canary: &RuleCanary, lines: &[(&str, Vec<u8>)]) -> (Selection, Option<u32>) {
    let mut budget = Budget::for_request();
    let selection = canary.select(&lines.into(), &mut budget);
    assert!(budget.spent() <= MAX_STEPS);
    assert!(
        !budget.is_exhausted() || selection == Selection::Any,
        "used up, it says nothing"
    );
    (selection, (!budget.is_exhausted()).then(|| budget.spent()))
}

/// Cookies that fill 60 KB.
fn cookies(one: &str) -> Vec<u8> {
    one.as_bytes().iter().copied().cycle().take(60_000).collect()
}

#[test]
#[wasm_bindgen_test]
fn what_conditions_would_take_beyond_the_budget_is_not_done() {
    // Each of these took a worker 1 to 29 s.
    let values = |value: &str| {
        let lines = (0..55).map(|_| ("x", value.repeat(1_000).into_bytes()));
        lines.collect::<Vec<_>>()
    };
    let slow = "(?:a*){120}b";
    let expressions = (0..32).map(|_| vec![on(header("x"), MatchType::RegularExpression, Some(slow))]);
    assert_eq!(
        spent(&compiled(&canary(expressions.collect())), &values("a")),
        (Selection::Any, None)
    );
    let needle = format!("{}b{}", "a".repeat(500), "a".repeat(500));
    let searches = (0..32).map(|_| {
        (0..16)
            .map(|_| on(header("x"), MatchType::Contains, Some(&needle)))
            .collect()
    });
    let long = vec![("x", vec![b'a'; 60_000])];
    assert_eq!(
        spent(&compiled(&canary(searches.collect())), &long),
        (Selection::Any, None)
    );
    let wanted = format!("{}b", "a".repeat(999));
    for kind in [MatchType::Exact, MatchType::Prefix, MatchType::Suffix] {
        let rules = (0..32)
            .map(|_| vec![on(header("x"), kind, Some(&wanted)); 16])
            .collect();
        let (selection, _) = spent(&compiled(&canary(rules)), &values("a"));
        assert_eq!(selection, Selection::Any);
    }
}

#[test]
#[wasm_bindgen_test]
fn cookies_are_read_once_however_many_conditions_ask() {
    let lines = [("cookie", b"a=1; b=2; c=3; d=4; e=5; f=6; g=7; last=8".to_vec())];
    let asks = |count: usize| {
        // All hold but the last.
        let rule = |rule: usize| {
            let absent = (0..15).map(|one| on(cookie(&format!("c{rule}-{one}")), MatchType::Absent, None));
            absent
                .chain([on(cookie("nothing"), MatchType::Present, None)])
                .collect()
        };
        spent(&compiled(&canary((0..count).map(rule).collect())), &lines)
            .1
            .unwrap()
    };
    // 512 conditions take what 32 times 16 look-ups take, and the line is not read again for any of them.
    let (few, many) = (asks(1), asks(32));
    assert!(many < 32 * few && many < 20_000, "{few} {many}");
}

#[test]
#[wasm_bindgen_test]
fn junk_is_cheap_to_pass_over() {
    let one = compiled(&canary(vec![vec![on(cookie("beta"), MatchType::Present, None)]]));
    for (junk, most) in [(";", 0), ("a", 100), ("=", 100), ("theme=dark; ", 400)] {
        let (selection, spent) = spent(&one, &[("cookie", cookies(junk))]);
        assert_eq!(selection, Selection::Any);
        assert!(
            most == 0 || spent.is_some_and(|spent| spent < most * 1_000),
            "{junk:?}: {spent:?}"
        );
    }
    let first = [b"beta=1; ".to_vec(), cookies("theme=dark; ")].concat();
    assert_eq!(spent(&one, &[("cookie", first)]).0, TO_B);
}

#[test]
#[wasm_bindgen_test]
fn absent_does_not_hold_where_the_budget_is_used_up() {
    let absent = compiled(&canary(vec![vec![on(cookie("beta"), MatchType::Absent, None)]]));
    assert_eq!(spent(&absent, &[("cookie", b"theme=dark".to_vec())]).0, TO_B);
    assert_eq!(spent(&absent, &[("cookie", cookies(";"))]), (Selection::Any, None));
}

#[test]
#[wasm_bindgen_test]
fn exactly_what_is_needed_suffices_and_less_does_not() {
    let conditions = vec![
        on(header("x"), MatchType::RegularExpression, Some("[ab]+")),
        on(cookie("beta"), MatchType::Contains, Some("ye")),
    ];
    let canary = compiled(&canary(vec![conditions]));
    let lines = [("x", b"abba".to_vec()), ("cookie", b"theme=dark; beta=yes".to_vec())];
    let select = |steps: u32| {
        let mut budget = Budget::new(steps);
        let selection = canary.select(&lines.as_slice().into(), &mut budget);
        (selection, budget.is_exhausted())
    };
    let needed = spent(&canary, &lines).1.unwrap();
    assert_eq!(select(needed), (TO_B, false));
    for steps in 0..needed {
        assert_eq!(select(steps), (Selection::Any, true), "{steps}");
    }
}

#[test]
#[wasm_bindgen_test]
fn of_a_header_or_cookie_so_many_values_are_looked_at() {
    let header = compiled(&canary(vec![vec![on(header("x"), MatchType::Exact, Some("1"))]]));
    let lines = |before: usize| {
        let mut lines = vec![("x", b"0".to_vec()); before];
        lines.push(("X", b"1".to_vec()));
        lines
    };
    assert_eq!(spent(&header, &lines(MAX_VALUES - 1)).0, TO_B);
    assert_eq!(spent(&header, &lines(MAX_VALUES)).0, Selection::Any);
    let cookie = compiled(&canary(vec![vec![on(cookie("x"), MatchType::Exact, Some("1"))]]));
    let line = |before: usize| {
        [(
            "cookie",
            ["x=0; ".repeat(before), "x=1".to_owned()].concat().into_bytes(),
        )]
    };
    assert_eq!(spent(&cookie, &line(MAX_VALUES - 1)).0, TO_B);
    assert_eq!(spent(&cookie, &line(MAX_VALUES)).0, Selection::Any);
}

#[test]
#[wasm_bindgen_test]
fn a_long_identity_is_not_hashed_for_many_backends() {
    let raw = CanaryConfig {
        hash_on: Some(header("user")),
        ..canary(Vec::new())
    };
    let canary = compiled(&raw);
    let lines = |length: usize| [("user", vec![b'u'; length])];
    let hash = |length: usize, backends| canary.client_hash(&lines(length).as_slice().into(), backends).is_some();
    assert!(hash(8_000, 16) && hash(60_000, 2));
    assert!(!hash(60_000, 16));
}

// Sizes are those of 64 bits, on which the generator runs.
#[cfg(target_pointer_width = "64")]
#[test]
fn the_size_of_an_expression_is_what_it_compiles_with() {
    for (pattern, least, most) in [
        ("a", 200, 320),
        ("a{100}", 3_300, 3_600),
        ("(?:a*){200}b", 13_000, 16_384),
    ] {
        let size = expression_size(pattern).unwrap();
        assert!((least..=most).contains(&size), "{pattern}: {size}");
    }
    assert!(expression_size("(?:a*){452}b").is_err());
    let size = expression_size("a{100}").unwrap();
    let with = |size| {
        let one = MatchConfig {
            compiled_size: Some(size),
            ..on(header("x"), MatchType::RegularExpression, Some("a{100}"))
        };
        Canary::new(&canary(vec![vec![one]])).map(|_| ())
    };
    assert_eq!(with(size), Ok(()));
    // The module's own program is smaller, down to half.
    assert!(matches!(
        with(size / 4),
        Err(InvalidCanary::Rule(InvalidMatchRule::Match {
            reason: InvalidMatch::LargeRegex { .. },
            ..
        }))
    ));
}

// Sizes are those of 64 bits, on which the generator runs.
#[cfg(target_pointer_width = "64")]
#[test]
fn what_is_too_much_is_refused() {
    let refusal = |rules: Vec<Vec<MatchConfig>>| Canary::new(&canary(rules)).unwrap_err().to_string();
    let exact = |value: &str| on(header("x"), MatchType::Exact, Some(value));
    assert_eq!(
        refusal(vec![vec![exact(&"a".repeat(MAX_VALUE_LENGTH + 1))]]),
        "canary rule `rule-0`: a value may have 1024 bytes at most, and this one has 1025"
    );
    assert_eq!(
        refusal(vec![vec![exact("1"); MAX_MATCHES + 1]]),
        "a rule may have 16 matches at most, and `rule-0` has 17"
    );
    assert_eq!(
        refusal(vec![vec![exact("1")]; MAX_RULES + 1]),
        "a policy may have 32 rules at most, and this one has 33"
    );
    let large = on(header("x"), MatchType::RegularExpression, Some("a{501}"));
    assert_eq!(
        refusal(vec![vec![on(
            header("x"),
            MatchType::RegularExpression,
            Some("a{600}")
        )]]),
        "canary rule `rule-0`: the regular expression `a{600}` takes more than 16 KiB when it is compiled; repetitions with counts \
         make it large"
    );
    // Groups in brackets take memory for each state.
    let groups = on(
        header("x"),
        MatchType::RegularExpression,
        Some("(((((((((a)))))))))a{450}"),
    );
    assert!(Canary::new(&canary(vec![vec![large; 16]])).unwrap().memory() < MAX_MEMORY);
    assert!(
        refusal(vec![vec![groups.clone(); 16]]).starts_with(
            "the regular expressions of a policy may take 1024 KiB of memory together, and this one in canary rule `rule-0` exceeds \
             that: it takes"
        ),
        "{}",
        refusal(vec![vec![groups; 16]])
    );
}

#[test]
#[wasm_bindgen_test]
fn a_gateway_has_room_for_so_many_expressions() {
    let large = on(header("x"), MatchType::RegularExpression, Some("a{501}"));
    let one = canary(vec![vec![large; 16]; 1]);
    let fitting = MAX_MEMORY_OF_GATEWAY / Canary::new(&one).unwrap().memory();
    let table = |count: usize| {
        RouteTable::new(&config::Config {
            version: config::VERSION,
            session_routes: Vec::new(),
            access_log: false,
            weight_metric: false,
            canaries: vec![one.clone(); count],
            rules: Vec::new(),
        })
    };
    assert!(table(fitting).is_ok());
    let refusal = table(fitting + 1).unwrap_err().to_string();
    assert!(
        refusal.ends_with("of memory together, and 4096 KiB are allowed"),
        "{refusal}"
    );
}

fn find<'t>(table: &'t RouteTable, route: &str) -> &'t Rule {
    let found = table.find(route.as_bytes(), || Ok::<_, ()>(Some(b"h".to_vec())), || Ok(None));
    found.unwrap().unwrap()
}

#[test]
#[wasm_bindgen_test]
fn rules_share_a_canary_and_have_their_own_backends() {
    let config = json!({
        "version": config::VERSION,
        "canaries": [{"name": "shop/c", "rules": [
            {"name": "one", "matches": [{"on": {"header": "x"}, "type": "Exact", "value": "1"}]},
            {"name": "any", "matches": [{"on": {"header": "x"}, "type": "Present"}]},
        ]}],
        "rules": [
            {"route": "r", "virtualHosts": ["h"], "id": "r", "backends": [{"key": "a"}, {"key": "b"}],
                "canary": {"position": 0, "backends": [1, 0]}},
            {"route": "s", "virtualHosts": ["h"], "id": "s", "backends": [{"key": "b"}, {"key": "c"}, {"key": "a"}],
                "canary": {"position": 0, "backends": [null, 2]}},
        ],
    });
    let table = RouteTable::parse(config.to_string().as_bytes()).unwrap();
    let said = |route: &str, value: &str| {
        let rule = find(&table, route);
        select(rule, &[("x", value)].as_slice().into())
    };
    assert_eq!(said("r", "1"), Selection::Only { rule: 0, backend: 1 });
    assert_eq!(said("r", "2"), Selection::Only { rule: 1, backend: 0 });
    assert_eq!(said("s", "1"), Selection::Only { rule: 1, backend: 2 });
    let [first, second] = ["r", "s"].map(|route| {
        let rule = find(&table, route);
        Rc::as_ptr(&rule.canary().unwrap().canary)
    });
    assert_eq!(first, second, "compiled once");
}

#[test]
#[wasm_bindgen_test]
fn a_rule_refers_to_a_canary_that_is_there_and_to_its_own_backends() {
    let refusal = |of_rule: Value| {
        let config = json!({
            "version": config::VERSION,
            "canaries": [{"name": "shop/c", "rules": [{"name": "one", "matches": [{"on": {"header": "x"}, "type": "Present"}]}]}],
            "rules": [{"route": "r", "virtualHosts": ["h"], "id": "r", "backends": [{"key": "a"}], "canary": of_rule}],
        });
        RouteTable::parse(config.to_string().as_bytes())
            .unwrap_err()
            .to_string()
    };
    for (of_rule, message) in [
        (
            json!({"position": 1, "backends": [0]}),
            "rule `r`: there is no canary 1; there are 1, counted from 0",
        ),
        (
            json!({"position": 0, "backends": [0, 0]}),
            "rule `r`: the canary has 1 rules, and 2 backends are given for them",
        ),
        (
            json!({"position": 0, "backends": [1]}),
            "rule `r`: canary: there is no backend 1; there are 1, counted from 0",
        ),
    ] {
        assert_eq!(refusal(of_rule), message);
    }
}
