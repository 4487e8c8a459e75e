//! Plugin configurations: any bytes are read or refused, and what is accepted works.

#![no_main]

use std::{convert::Infallible, rc::Rc};

use libfuzzer_sys::fuzz_target;
use mooring_fuzz::reference;
use mooring_policy::{
    config::{Config, Secure, Transport},
    routes::RouteTable,
    rule::Rule,
};

fuzz_target!(|json: &[u8]| {
    let Ok(table) = RouteTable::parse(json) else { return };
    let config: Config = serde_json::from_slice(json).expect("it was read");
    check_as_written(&config);
    assert_eq!(table.len(), config.rules.len());
    assert_eq!(table.is_empty(), config.rules.is_empty());
    assert_eq!(table.lacks_sanitizer(), !config.session_routes.is_empty());
    for route in config
        .session_routes
        .iter()
        .chain(config.rules.iter().map(|rule| &rule.route))
    {
        assert_eq!(
            table.is_session_route(route.as_bytes()),
            config.session_routes.contains(route)
        );
    }
    for (position, raw) in config.rules.iter().enumerate() {
        assert!(!raw.virtual_hosts.is_empty());
        let find = |virtual_host: Option<&[u8]>| {
            let name = || Ok::<_, Infallible>(virtual_host.map(<[u8]>::to_vec));
            let this = table.rules().find(|rule| rule.position() == position);
            let object = || {
                let path = this.and_then(|rule| rule.object_path());
                Ok(path.map(|path| path.as_bytes().to_vec()))
            };
            let Ok(rule) = table.find(raw.route.as_bytes(), name, object);
            rule
        };
        for host in &raw.virtual_hosts {
            let rule = find(Some(host.as_bytes())).expect("it is on the route");
            assert_eq!(rule.position(), position);
        }
        assert!(find(None).is_none());
        let elsewhere = b"elsewhere.example:80";
        let rule = find(Some(elsewhere));
        let is_there = |rule: &Rc<Rule>| {
            let hosts = &config.rules[rule.position()].virtual_hosts;
            rule.route() == raw.route && hosts.iter().any(|host| host.as_bytes() == elsewhere)
        };
        assert!(rule.is_none_or(is_there));
    }
    assert_eq!(table.rules().count(), config.rules.len());
    table.rules().for_each(check);
});

/// What is accepted can be written down, and is accepted again as the same.
fn check_as_written(config: &Config) {
    let written = serde_json::to_vec(config).expect("it is JSON");
    assert_eq!(serde_json::from_slice::<Config>(&written).ok().as_ref(), Some(config));
    if let Err(refusal) = RouteTable::parse(&written) {
        panic!("{refusal}");
    }
}

fn check(rule: &Rc<Rule>) {
    let backends = rule.backends();
    assert!(!backends.is_empty());
    for (position, backend) in backends.iter().enumerate() {
        // It is the value of a header, and a part of a token.
        assert!(backend.key().bytes().all(|byte| byte.is_ascii_graphic()) && backend.key().len() <= 255);
        assert_eq!(rule.backend(backend.key().as_bytes()), Some(position));
        assert_eq!(backend.session_key(), format!("{}/{}", rule.id(), backend.key()));
    }
    check_clusters(rule);
    let total: u64 = backends.iter().map(|backend| u64::from(backend.weight())).sum();
    for random in [0, 1, total / 2, total.saturating_sub(1), total, u64::MAX - 1, u64::MAX] {
        for except in 0..backends.len() {
            let drawn = rule.select_other(random, except);
            assert!(drawn != except || backends.len() == 1, "{random}");
            let others = || backends.iter().enumerate().filter(|(position, _)| *position != except);
            assert!(
                backends[drawn].weight() > 0 || others().all(|(_, other)| other.weight() == 0),
                "{random}"
            );
        }
    }
    let Some(session) = rule.session() else { return };
    let timeouts = session.timeouts();
    assert!(timeouts.absolute.is_none_or(|seconds| seconds > 0));
    assert!(
        timeouts
            .idle
            .is_none_or(|idle| idle.refresh > 0 && idle.refresh <= idle.timeout)
    );
    assert!(!session.permanent() || timeouts.absolute.is_some());
    let name = session.name().to_ascii_lowercase();
    assert!(
        name.bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte)),
        "{name}"
    );
    match session.transport() {
        Transport::Header => assert!(!name.starts_with("x-mooring-") && name != "cookie" && name != "host"),
        Transport::Cookie => {
            let cookie = session.cookie();
            let value = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';');
            assert!(value(cookie.path()) && cookie.domain().is_none_or(value));
            assert!(cookie.secure() == Secure::Always || !name.starts_with("__secure-"));
            let host = cookie.secure() == Secure::Always && cookie.path() == "/" && cookie.domain().is_none();
            assert!(host || !name.starts_with("__host-"));
        }
    }
}

/// A cluster is the backend from whose key it is named, whatever the domain, and no other.
fn check_clusters(rule: &Rule) {
    let clusters: Vec<_> = rule
        .backends()
        .iter()
        .map(|backend| reference::clusters(backend.key()))
        .collect();
    let Some(clusters) = clusters.into_iter().collect::<Option<Vec<_>>>() else {
        return;
    };
    // Of two keys that may mean one cluster, the one that names the whole host counts, then the first.
    let expected = |cluster: &String| {
        let whole = clusters.iter().position(|clusters| clusters.first() == Some(cluster));
        whole.or_else(|| clusters.iter().position(|clusters| clusters.contains(cluster)))
    };
    for cluster in clusters.iter().flatten() {
        assert_eq!(
            rule.backend_of_cluster(cluster.as_bytes()),
            expected(cluster),
            "{cluster}"
        );
        assert_eq!(
            rule.backend_of_cluster(in_waypoint(cluster).as_bytes()),
            expected(cluster),
            "{cluster}"
        );
        for other in [
            format!("{cluster}|x"),
            format!("x{cluster}"),
            format!("{cluster}|"),
            cluster.replace('|', ":"),
        ] {
            assert_eq!(rule.backend_of_cluster(other.as_bytes()), expected(&other), "{other}");
        }
    }
}

/// The name of the same cluster in a waypoint.
fn in_waypoint(outbound: &str) -> String {
    let mut fields: Vec<&str> = outbound.split('|').collect();
    let protocol = if fields[2].is_empty() {
        "http".to_owned()
    } else {
        format!("http/{}", fields[2])
    };
    (fields[0], fields[2]) = ("inbound-vip", &protocol);
    fields.join("|")
}
