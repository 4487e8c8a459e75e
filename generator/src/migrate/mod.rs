//! `mooring migrate`: Ingresses of ingress-nginx, and `DestinationRule`s with consistent hashing, as routes and policies of
//! Gateway API and Mooring. What has no equivalent is a finding.
//!
//! The semantics are those of ingress-nginx 1.15: its documentation, its end-to-end tests, and for the order of affinity and
//! canary rules the script of its load balancer (`balancer.lua`).
//!
//! | step | module |
//! |---|---|
//! | the annotations of an Ingress | `annotations`, `affinity`, `canary_rules`, `other`, `hash_by` |
//! | hosts, paths and backends; canaries beside them | `classes`, `paths`, `matches`, `canaries` |
//! | routes of the input with the same paths | `existing` |
//! | paths to rules and routes | `routes`, `names` |
//! | names, hosts and timeouts that are copied | `checks` |
//! | sessions, canary policies, hashing | `sessions`, `policies`, `consistent_hash` |

use std::collections::BTreeSet;

use crate::{
    diagnostic::{Code, Diagnostic, Report, Severity},
    document,
    emit::Output,
    kind::{Kind, Reads},
    mesh::Mesh,
    omissions::Omitted,
    resources::Resources,
    source::Sources,
};

mod affinity;
mod annotations;
mod canaries;
mod canary_rules;
mod checks;
mod classes;
mod consistent_hash;
mod entry;
mod existing;
mod hash_by;
mod hash_rules;
mod ingress;
mod matches;
mod names;
mod options;
mod other;
mod output;
mod paths;
mod policies;
mod routes;
mod sessions;
mod tls;

use entry::Entry;
use ingress::Ingress;
use output::Objects;

pub use options::{DEFAULT_PREFIX, Options, PolicyKind};

/// Translates the objects of the sources. If the report is fatal afterwards, nothing may be written.
pub fn migrate(sources: &Sources, mesh: Mesh, options: &Options, report: &mut Report) -> Vec<Output> {
    let outcomes = document::read_kinds(sources, Reads::Ingresses, report);
    let resources = Resources::new(outcomes, sources, mesh);
    report_unread(&resources, report);
    let selected = classes::select(&resources, &options.classes, report);
    let ingresses: Vec<Ingress> = selected
        .into_iter()
        .map(|item| Ingress::read(item, options, report))
        .collect();
    let entries = entries(&ingresses, &resources, report);
    tls::report_each(&ingresses, report);
    let mut objects = Objects::new(&resources, sources);
    let rest = existing::translate(entries, options, &resources, &mut objects, report);
    routes::translate(&rest, options, &mut objects, report);
    hash_rules::translate(&ingresses, &resources, &mut objects, report);
    consistent_hash::translate(&resources, options, &mut objects, report);
    let silent = report.count(Severity::Warning) == 0 && !report.has_errors();
    if objects.is_empty() && resources.ingresses.iter().next().is_none() && silent {
        let message =
            "the input has neither an Ingress nor a DestinationRule with a consistentHash that can be translated";
        report.add(Diagnostic::warning(Code::NoEffect, message));
    }
    objects.into_outputs()
}

/// The paths of the ordinary Ingresses that can be translated, with their canaries.
fn entries<'a>(ingresses: &'a [Ingress<'a>], resources: &Resources, report: &mut Report) -> Vec<Entry<'a>> {
    let written = paths::of_ordinary(ingresses, resources, report);
    let mut canaries = canaries::find(ingresses, &written, resources, report);
    let regex_hosts: BTreeSet<String> = written
        .iter()
        .filter(|(ingress, written)| {
            let rewrite = ingress.other.rewrite.as_ref();
            ingress.other.use_regex || rewrite.is_some_and(|target| target.value != written.path)
        })
        .map(|(_, written)| written.host.clone())
        .collect();
    let mut entries = Vec::new();
    for (position, (ingress, written)) in written.into_iter().enumerate() {
        let regex = regex_hosts.contains(&written.host);
        let Some(one) = matches::of(ingress, &written, regex, report) else {
            report.omit(
                Omitted::Rule,
                format!("Ingress/{} {}", ingress.item.id, written.shown()),
            );
            continue;
        };
        entries.push(Entry {
            ingress,
            written,
            canary: canaries.remove(&position),
            one,
        });
    }
    entries
}

/// Reports the objects that cannot be read and that the translation needs.
fn report_unread(resources: &Resources, report: &mut Report) {
    let needed = [
        Kind::Ingress,
        Kind::IngressClass,
        Kind::HttpRoute,
        Kind::Service,
        Kind::DestinationRule,
        Kind::BackendLbPolicy,
        Kind::XBackendTrafficPolicy,
    ];
    for unread in resources.unread.iter().filter(|unread| needed.contains(&unread.kind)) {
        report.reject(unread.diagnostic.clone());
        report.omit(Omitted::Object, unread.label.clone());
    }
}
