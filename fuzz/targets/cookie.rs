//! Cookies: ours is found and taken out, no other is changed, and what is set is what was meant.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mooring_fuzz::{reference, shape};
use mooring_policy::{
    config,
    cookie::{self, Remainder},
    routes::RouteTable,
    session::Session,
};

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// A `Cookie` line, our name and another one.
    Request(&'a [u8], &'a str, &'a str),
    /// A line as browsers write it: pairs of a name and a value.
    Pairs(Vec<(Name<'a>, &'a [u8])>),
    /// A session, and what is set for it.
    Response(shape::Session, &'a str, Option<u64>, bool),
    /// The path of a cookie and the target of a request.
    Path(&'a str, &'a str),
}

/// A name of which there are few, so that some are ours.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Name<'a> {
    Ours,
    Other,
    Any(&'a str),
}

impl<'a> Name<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Ours => "shop",
            Self::Other => "shopping",
            Self::Any(text) => text,
        }
    }
}

fuzz_target!(|input: Input| {
    match input {
        Input::Request(line, ours, other) => check_request(line, ours, other),
        Input::Pairs(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(name, value)| [name.text().as_bytes(), b"=", value].concat());
            let line = pairs.collect::<Vec<_>>().join(b"; ".as_slice());
            check_request(&line, "shop", "shopping");
        }
        Input::Response(session, token, max_age, https) => {
            if let Some(table) = accept(session.into()) {
                let rule = table.rules().next().expect("there is one");
                check_response(rule.session().expect("it has one"), token, max_age, https);
            }
        }
        Input::Path(path, target) => {
            if path.starts_with('/') {
                let expected = reference::is_below(path, target);
                assert_eq!(
                    cookie::is_sent_to(path, target.as_bytes()),
                    expected,
                    "{path:?} {target:?}"
                );
            }
        }
    }
});

fn check_request(line: &[u8], ours: &str, other: &str) {
    // The names of sessions are not empty and have neither `;` nor `=`, and no space around them.
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b";=".contains(&byte))
    };
    if !is_name(ours) {
        return;
    }
    let found = cookie::values(line, ours).count();
    let rest = match cookie::without(line, ours) {
        Remainder::Unchanged => {
            assert_eq!(found, 0, "{ours} is still in {line:?}");
            return;
        }
        Remainder::Empty => Vec::new(),
        Remainder::Line(rest) => rest,
    };
    assert_ne!(found, 0, "{ours} is not in {line:?}");
    assert_eq!(cookie::values(&rest, ours).count(), 0, "{ours} is still in {rest:?}");

    // Byte for byte the others, in their order; only the space before the first may go.
    let before: Vec<&[u8]> = line
        .split(|byte| *byte == b';')
        .filter(|pair| !is_called(pair, ours))
        .collect();
    let before = before.join(&b';');
    assert_eq!(rest, before.trim_ascii_start(), "of {line:?}");
    if is_name(other) && other != ours {
        let values = |line| cookie::values(line, other).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(values(&rest), values(line), "{other} of {line:?}");
    }
}

/// Whether a pair has this name, read another way.
fn is_called(pair: &[u8], name: &str) -> bool {
    let Some(equals) = pair.iter().position(|byte| *byte == b'=') else {
        return false;
    };
    pair[..equals].trim_ascii() == name.as_bytes()
}

/// The table of one rule with this session, if the session is accepted.
fn accept(session: config::SessionConfig) -> Option<RouteTable> {
    let rule = config::RuleConfig {
        route: "route".to_owned(),
        virtual_hosts: vec!["shop.example:80".to_owned()],
        id: "HTTPRoute/shop/web#0".to_owned(),
        session: Some(session),
        backends: vec![config::BackendConfig {
            key: "a".to_owned(),
            ..config::BackendConfig::default()
        }],
        canary: None,
        rebalance: false,
    };
    let config = config::Config {
        version: config::VERSION,
        session_routes: Vec::new(),
        access_log: false,
        weight_metric: false,
        canaries: Vec::new(),
        rules: vec![rule],
    };
    RouteTable::new(&config).ok()
}

/// What is set is one line that browsers read as it was meant, and as nothing more.
fn check_response(session: &Session, token: &str, max_age: Option<u64>, https: bool) {
    let attributes = session.cookie();
    let token: String = token
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
        .collect();
    let secure = attributes.is_secure(https);
    let line = cookie::set_cookie(session.name(), &token, attributes, secure, max_age);
    assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");

    let parsed = ::cookie::Cookie::parse(line.as_str()).expect("it is a cookie");
    assert_eq!(parsed.name(), session.name(), "{line}");
    assert_eq!(parsed.value(), token, "{line}");
    assert_eq!(parsed.http_only(), attributes.http_only().then_some(true), "{line}");
    assert_eq!(parsed.secure(), secure.then_some(true), "{line}");
    assert_eq!(parsed.partitioned(), attributes.partitioned().then_some(true), "{line}");
    assert_eq!(parsed.path(), Some(attributes.path().trim_end()), "{line}");
    let domain = attributes.domain().map(|domain| domain.trim_start_matches('.'));
    assert_eq!(
        parsed.domain().map(|domain| domain.trim_start_matches('.')),
        domain,
        "{line}"
    );
    let seconds = |max_age: u64| i64::try_from(max_age).unwrap_or(i64::MAX);
    assert_eq!(
        parsed.max_age().map(|age| age.whole_seconds()),
        max_age.map(seconds),
        "{line}"
    );
    // Name, SameSite and Path are always there.
    let flags = [
        attributes.http_only(),
        secure,
        attributes.partitioned(),
        attributes.domain().is_some(),
        max_age.is_some(),
    ];
    assert_eq!(
        line.split(';').count(),
        3 + flags.iter().filter(|flag| **flag).count(),
        "{line}"
    );

    // What the browser sends back.
    let (pair, _) = line.split_once(';').expect("it has attributes");
    let other = if session.name() == "a" { "b" } else { "a" };
    let sent = format!("{other}=1; {pair}; {other}=2");
    assert_eq!(
        cookie::values(sent.as_bytes(), session.name()).next(),
        Some(token.as_bytes()),
        "{sent}"
    );
}
