//! Names of cookies. Two rules never share a session, so two cookies with one name and one path would overwrite each other.

use std::collections::{BTreeMap, BTreeSet};

use super::drafts::{Draft, RuleDraft};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    migrate::{affinity::MAX_NAME, names, output::shortened},
};

/// The longest name that leaves room for a number.
const MAX_WANTED: usize = MAX_NAME - 8;

/// A host, and the path and name of a cookie.
type Cookie = (String, String, String);

/// Gives rules of one host whose cookies would overwrite each other names that differ: the name of the annotation and the
/// name of the Service.
pub fn make_unique(drafts: &mut [Draft], report: &mut Report) {
    let mut counts: BTreeMap<Cookie, usize> = BTreeMap::new();
    for draft in drafts.iter() {
        for cookie in draft.rules.iter().flat_map(|_| cookies(draft, None)) {
            let count = counts.entry(cookie).or_default();
            *count = count.saturating_add(1);
        }
    }
    let mut taken: BTreeSet<Cookie> = BTreeSet::new();
    for draft in drafts {
        let shared = cookies(draft, None).iter().any(|cookie| counts.get(cookie) > Some(&1));
        let Some(affinity) = draft.ingress.affinity.as_ref().filter(|_| shared) else {
            continue;
        };
        let message = format!(
            "the cookie `{}` gets a name for each Service, because Mooring's sessions belong to one rule, and the cookies of \
             several rules would overwrite each other",
            affinity.sessions.name
        );
        report.add(Diagnostic::note(Code::Accepted, message).at(affinity.name_at));
        for position in 0..draft.rules.len() {
            let Some(rule) = draft.rules.get(position) else {
                continue;
            };
            let wanted = wanted(&affinity.sessions.name, rule);
            let is_taken = |name: &str| cookies(draft, Some(name)).iter().any(|cookie| taken.contains(cookie));
            let name = names::free(&wanted, is_taken);
            taken.extend(cookies(draft, Some(&name)));
            if let Some(rule) = draft.rules.get_mut(position) {
                rule.session_name = Some(name);
            }
        }
    }
}

fn wanted(name: &str, rule: &RuleDraft) -> String {
    shortened(&format!("{name}-{}", rule.backend.service.name), MAX_WANTED)
}

/// The cookies of a rule of a route: one for each host. `name` is that of the cookie, or else the annotation has it.
fn cookies(draft: &Draft, name: Option<&str>) -> Vec<Cookie> {
    let Some(affinity) = &draft.ingress.affinity else {
        return Vec::new();
    };
    let name = name.unwrap_or(&affinity.sessions.name);
    let path = draft.cookie_path.as_deref().unwrap_or("/");
    let hosts = draft.hosts.iter();
    hosts
        .map(|host| (host.clone(), path.to_owned(), name.to_owned()))
        .collect()
}
