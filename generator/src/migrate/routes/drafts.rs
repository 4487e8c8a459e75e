//! Which paths become one rule, and which rules one route.

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    migrate::{entry::Entry, ingress::Ingress, names, paths::Backend},
    model::route::PathMatchType,
};

/// The limits of Gateway API for a route: rules, matches of a rule, and matches of all rules.
const MAX_RULES: usize = 16;
const MAX_MATCHES: usize = 64;
const MAX_ALL_MATCHES: usize = 128;

/// A route before it is written.
pub struct Draft<'a> {
    /// The Ingress.
    pub ingress: &'a Ingress<'a>,
    /// The name that it wants.
    pub name: String,
    /// The hosts. An empty one stands for all hosts, and is alone.
    pub hosts: Vec<String>,
    /// The `Path` of the session cookie, if there are sessions.
    pub cookie_path: Option<String>,
    /// The rules.
    pub rules: Vec<RuleDraft<'a>>,
}

/// A rule before it is written.
#[derive(Clone)]
pub struct RuleDraft<'a> {
    /// The name.
    pub name: String,
    /// The paths.
    pub entries: Vec<&'a Entry<'a>>,
    /// The backend.
    pub backend: &'a Backend,
    /// The canary Ingress and its backend.
    pub canary: Option<(&'a Ingress<'a>, Backend)>,
    /// The name of the session, if it is not that of the annotation.
    pub session_name: Option<String>,
}

/// The hosts with the same paths.
struct Hosts<'a> {
    names: Vec<String>,
    entries: Vec<&'a Entry<'a>>,
}

/// The routes for these paths.
pub fn of<'a>(entries: &'a [Entry<'a>], report: &mut Report) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    let mut rest: Vec<&Entry> = entries.iter().collect();
    while let Some(first) = rest.first() {
        let ingress = first.ingress;
        let (own, others): (Vec<&Entry>, Vec<&Entry>) =
            rest.into_iter().partition(|entry| std::ptr::eq(entry.ingress, ingress));
        rest = others;
        drafts.extend(of_ingress(ingress, &own, report));
    }
    drafts
}

fn of_ingress<'a>(ingress: &'a Ingress<'a>, entries: &[&'a Entry<'a>], report: &mut Report) -> Vec<Draft<'a>> {
    let groups = by_hosts(entries);
    let several_hosts = groups.len() > 1;
    let mut drafts = Vec::new();
    for group in groups {
        for host in group.names.iter().filter(|host| host.starts_with("*.")) {
            note_wildcard(host, &group, report);
        }
        let by_path = by_cookie_path(ingress, &group.entries, report);
        let several_paths = by_path.len() > 1;
        for (cookie_path, entries) in by_path {
            let mut name = ingress.item.id.name.clone();
            if let Some(host) = group.names.first().filter(|_| several_hosts) {
                name = format!("{name}-{}", names::of_host(host));
            }
            if let Some(path) = cookie_path.as_ref().filter(|path| several_paths && *path != "/") {
                name = format!("{name}-{}", names::of_path(path));
            }
            let aliases = ingress
                .other
                .aliases
                .iter()
                .filter(|_| !group.names.iter().any(String::is_empty));
            let hosts: Vec<String> = group.names.iter().chain(aliases).cloned().collect();
            drafts.extend(chunks(rules(&entries)).into_iter().map(|rules| Draft {
                ingress,
                name: name.clone(),
                hosts: hosts.clone(),
                cookie_path: cookie_path.clone(),
                rules,
            }));
        }
    }
    drafts
}

/// Hosts with the same paths, backends and canaries belong to one route.
fn by_hosts<'a>(entries: &[&'a Entry<'a>]) -> Vec<Hosts<'a>> {
    let mut hosts: Vec<Hosts> = Vec::new();
    for entry in entries {
        match hosts.iter_mut().find(|known| known.names.contains(&entry.written.host)) {
            Some(known) => known.entries.push(entry),
            None => hosts.push(Hosts {
                names: vec![entry.written.host.clone()],
                entries: vec![entry],
            }),
        }
    }
    let mut groups: Vec<Hosts> = Vec::new();
    for mut host in hosts {
        let is_named = |group: &Hosts| !group.names.iter().any(String::is_empty);
        let same = groups
            .iter_mut()
            .find(|group| is_named(group) && is_named(&host) && same_paths(&group.entries, &host.entries));
        match same {
            Some(group) => group.names.append(&mut host.names),
            None => groups.push(host),
        }
    }
    groups
}

fn same_paths(left: &[&Entry], right: &[&Entry]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(left, right)| {
            left.one == right.one
                && left.written.path == right.written.path
                && left.written.backend == right.written.backend
                && same_canary(left, right)
        })
}

fn same_canary(left: &Entry, right: &Entry) -> bool {
    match (&left.canary, &right.canary) {
        (None, None) => true,
        (Some((left, of_left)), Some((right, of_right))) => left.item.id == right.item.id && of_left == of_right,
        _ => false,
    }
}

/// The paths with the same path of the cookie.
fn by_cookie_path<'a>(
    ingress: &Ingress,
    entries: &[&'a Entry<'a>],
    report: &mut Report,
) -> Vec<(Option<String>, Vec<&'a Entry<'a>>)> {
    let mut groups: Vec<(Option<String>, Vec<&Entry>)> = Vec::new();
    for entry in entries {
        let affinity = ingress.affinity.as_ref();
        let path = affinity.map(|affinity| entry.cookie_path(&affinity.sessions, report));
        match groups.iter_mut().find(|(known, _)| *known == path) {
            Some((_, entries)) => entries.push(entry),
            None => groups.push((path, vec![entry])),
        }
    }
    groups
}

/// Paths with the same backend, canary and rewrite are one rule. Regular expressions keep their order, the longest first, as
/// ingress-nginx sorts them.
fn rules<'a>(entries: &[&'a Entry<'a>]) -> Vec<RuleDraft<'a>> {
    let is_regex = |entry: &Entry| entry.one.kind == PathMatchType::RegularExpression;
    let mut sorted: Vec<&Entry> = entries.to_vec();
    sorted.sort_by_key(|entry| {
        let length = entry.written.path.len();
        (
            !is_regex(entry),
            if is_regex(entry) {
                usize::MAX.saturating_sub(length)
            } else {
                0
            },
        )
    });
    let mut rules: Vec<RuleDraft> = Vec::new();
    for entry in sorted {
        let same = rules.iter_mut().find(|rule| {
            !is_regex(entry)
                && rule.entries.len() < MAX_MATCHES
                && rule.entries.first().is_some_and(|first| {
                    !is_regex(first)
                        && first.written.backend == entry.written.backend
                        && first.one.rewrite == entry.one.rewrite
                        && same_canary(first, entry)
                })
        });
        if let Some(rule) = same {
            rule.entries.push(entry);
            continue;
        }
        let wanted = names::of_path(&entry.written.path);
        let name = names::free(&wanted, |name| rules.iter().any(|rule| rule.name == name));
        rules.push(RuleDraft {
            name,
            entries: vec![entry],
            backend: &entry.written.backend,
            canary: entry.canary.clone(),
            session_name: None,
        });
    }
    rules
}

/// The rules in routes of an allowed size.
fn chunks(rules: Vec<RuleDraft>) -> Vec<Vec<RuleDraft>> {
    let mut chunks: Vec<Vec<RuleDraft>> = Vec::new();
    for rule in rules {
        let matches = |rules: &[RuleDraft]| rules.iter().map(|rule| rule.entries.len()).sum::<usize>();
        let room = chunks.last_mut().filter(|chunk| {
            chunk.len() < MAX_RULES && matches(chunk).saturating_add(rule.entries.len()) <= MAX_ALL_MATCHES
        });
        match room {
            Some(chunk) => chunk.push(rule),
            None => chunks.push(vec![rule]),
        }
    }
    chunks
}

fn note_wildcard(host: &str, group: &Hosts, report: &mut Report) {
    let Some(entry) = group.entries.first() else { return };
    let message = format!(
        "`{host}` also matches names with several labels before the domain in an HTTPRoute; in an Ingress it matches one label"
    );
    report.add(Diagnostic::note(Code::Accepted, message).at(entry.written.at));
}
