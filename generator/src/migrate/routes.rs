//! Paths as rules of new `HTTPRoute`s.
//!
//! A route has the paths of one Ingress with the same hosts and the same path of the session cookie, which an annotation of
//! the route sets. Paths with the same backend are one rule, because two rules never share a session, and ingress-nginx
//! shares one among all paths of a cookie that lead to the same Service.

use serde_json::{Value, json};

use super::{
    entry::Entry,
    ingress::Ingress,
    options::Options,
    output::Objects,
    paths::Backend,
    policies::{self, CanaryOf},
    sessions,
    sessions::Sessions,
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    id::Id,
    session::domain,
};

mod drafts;
mod session_names;

use drafts::{Draft, RuleDraft};

/// Writes the routes and their canary policies.
pub fn translate(entries: &[Entry], options: &Options, objects: &mut Objects, report: &mut Report) {
    if entries.is_empty() {
        return;
    }
    let Some(gateway) = &options.gateway else {
        let error = Diagnostic::error(
            Code::Invalid,
            "the HTTPRoutes need a Gateway, because the input has no routes with the hosts and paths of the Ingresses",
        );
        report.reject(error.help("give --gateway NAMESPACE/NAME"));
        return report.abort();
    };
    let mut drafts = drafts::of(entries, report);
    session_names::make_unique(&mut drafts, report);
    for draft in &drafts {
        add(draft, gateway, objects, report);
    }
}

fn add(draft: &Draft, gateway: &Id, objects: &mut Objects, report: &mut Report) {
    let ingress = draft.ingress;
    let namespace = &ingress.item.id.namespace;
    let mut sessions = ingress.affinity.as_ref().map(|affinity| affinity.sessions.clone());
    check_domain(ingress, &draft.hosts, sessions.as_mut(), report);
    let path = draft.cookie_path.as_deref().unwrap_or("/");
    let annotations = sessions.as_ref().map(|sessions| sessions::annotations(sessions, path));
    let annotations = annotations.filter(|annotations| !annotations.is_empty());
    let named = draft.rules.len() > 1;
    let rules = draft
        .rules
        .iter()
        .map(|rule| rule_json(rule, ingress, sessions.as_ref(), named));
    let hostnames = draft.hosts.iter().filter(|host| !host.is_empty());
    let hostnames: Vec<&String> = hostnames.collect();
    let fields = json!({
        "metadata": { "annotations": annotations },
        "spec": {
            "parentRefs": [{
                "name": gateway.name,
                "namespace": (gateway.namespace != *namespace).then_some(&gateway.namespace),
            }],
            "hostnames": Some(hostnames).filter(|hosts| !hosts.is_empty()),
            "rules": rules.collect::<Vec<Value>>(),
        },
    });
    let canaries = draft.rules.iter().filter_map(|rule| rule.canary.as_ref());
    let mut from = vec![ingress.item];
    for (canary, _) in canaries {
        if !from.iter().any(|known| known.id == canary.item.id) {
            from.push(canary.item);
        }
    }
    let id = Id::new(namespace, &draft.name);
    let kind = ("gateway.networking.k8s.io/v1", "HTTPRoute");
    let name = objects.add(kind, &id, fields, &from);
    add_canaries(draft, &Id::new(namespace, &name), objects, report);
}

fn rule_json(rule: &RuleDraft, ingress: &Ingress, sessions: Option<&Sessions>, named: bool) -> Value {
    let matches: Vec<Value> = rule.entries.iter().map(|entry| entry.one.json()).collect();
    let rewrite = rule.entries.first().and_then(|entry| entry.one.rewrite.as_ref());
    let vhost = ingress.other.upstream_vhost.as_ref();
    let filter = (rewrite.is_some() || vhost.is_some())
        .then(|| json!([{ "type": "URLRewrite", "urlRewrite": { "hostname": vhost, "path": rewrite } }]));
    let reference = |backend: &Backend, weight: Option<u32>| json!({ "name": backend.service.name, "port": backend.port, "weight": weight });
    let backends = match &rule.canary {
        Some((canary, backend)) => {
            let (weight, total) = canary
                .canary
                .as_ref()
                .map_or((0, 1), |rules| (rules.weight, rules.total));
            vec![
                reference(rule.backend, Some(total.saturating_sub(weight))),
                reference(backend, Some(weight)),
            ]
        }
        None => vec![reference(rule.backend, None)],
    };
    let stays = sessions.is_some_and(|sessions| sessions.stays_on_failure);
    json!({
        "name": named.then_some(&rule.name),
        "matches": matches,
        "filters": filter,
        "backendRefs": backends,
        "retry": stays.then(|| json!({ "attempts": 0 })),
        "sessionPersistence": sessions.map(|sessions| {
            let name = rule.session_name.as_ref().unwrap_or(&sessions.name);
            sessions::persistence(name, sessions.max_age)
        }),
    })
}

/// One policy for the whole route if all of its rules have the same canary, or else one for each rule that has a canary.
fn add_canaries(draft: &Draft, route: &Id, objects: &mut Objects, report: &mut Report) {
    let first = draft.rules.first().and_then(|rule| rule.canary.as_ref());
    let same = |rule: &RuleDraft| match (&rule.canary, first) {
        (Some((one, backend)), Some((other, first))) => one.item.id == other.item.id && backend == first,
        _ => false,
    };
    let whole = draft.rules.iter().all(same);
    let rules = if whole {
        draft.rules.get(..1)
    } else {
        Some(draft.rules.as_slice())
    };
    for rule in rules.into_iter().flatten() {
        let Some((canary, backend)) = &rule.canary else {
            continue;
        };
        let of = CanaryOf {
            canary,
            backend,
            route,
            section: Some(rule.name.as_str()).filter(|_| !whole),
            sessions: draft.ingress.affinity.is_some(),
        };
        policies::add_canary(&of, draft.ingress, objects, report);
    }
}

/// Removes a Domain that not every host of the route may set: browsers refuse such a cookie.
fn check_domain(ingress: &Ingress, hosts: &[String], sessions: Option<&mut Sessions>, report: &mut Report) {
    let Some(sessions) = sessions else { return };
    let Some(domain) = &sessions.domain else { return };
    let mut named = hosts.iter().filter(|host| !host.is_empty());
    let Some(host) = named.find(|host| !domain::may_set(host, domain)) else {
        return;
    };
    let message = format!("the host `{host}` cannot set a cookie for `{domain}`: browsers refuse it");
    let error = Diagnostic::error(Code::Invalid, message);
    let at = ingress.affinity.as_ref().and_then(|affinity| affinity.domain_at);
    report.add(at.into_iter().fold(error, Diagnostic::at));
    sessions.domain = None;
}
