//! The `EnvoyFilter`s of a gateway: one, or where that would be large, several, whose patches add up.
//!
//! Which part a patch is in depends on its virtual host, or on the rule whose routes it inserts, and on the number of parts, a
//! power of two. So a new host or rule changes one part, and where the number doubles, each part gives a half of its patches to
//! a new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::Hasher as _,
};

use serde_json::Value;
use siphasher::sip::SipHasher24;

use super::{
    IstioVersion, Object, Options, envoy_filter, filter_name, filter_patches, host_patch, raw_routes::Routes, reference,
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::{AttachedRule, Gateway, VirtualHost, Workload},
    kind::Kind,
    object_size::{MAX_APPLIED, MAX_STORED, json_len, mebibytes},
    omissions::Omitted,
};

/// The key of the hash that spreads virtual hosts over parts. It is no secret; another one would only move patches.
const KEY: [u8; 16] = *b"mooring partings";

/// What stands behind the gateway's name.
const SUFFIX: &str = "-http";

/// What belongs into one part.
#[derive(Default)]
struct Chunk<'a> {
    hash: u64,
    patches: Vec<Value>,
    services: BTreeSet<String>,
    rules: BTreeSet<&'a str>,
    size: usize,
}

/// The `EnvoyFilter`s. The first has the patches on filters and the name without a number.
pub fn split<'g>(gateway: &'g Gateway, routes: &Routes, options: &Options) -> Vec<Object<'g>> {
    let module = filter_name(gateway, options.version);
    let hosts = gateway.managed_virtual_hosts();
    let mut rules = rules_by_host(gateway);
    let of_hosts = hosts.into_iter().map(|(host, filters)| {
        let patch = host_patch(host, filters, &module);
        let rules = rules.remove(host).unwrap_or_default();
        Chunk::new(&host.name(), vec![patch], BTreeSet::new(), rules)
    });
    let with_routes = gateway.managed_rules().filter(|attached| has_raw_routes(attached));
    let of_rules =
        with_routes.map(|attached| Chunk::of_rule(attached, gateway.workload.as_ref(), routes, options.version));
    let chunks: Vec<Chunk> = of_hosts.chain(of_rules).collect();
    let count = count(&chunks);
    let mut parts: Vec<Vec<Chunk>> = Vec::new();
    parts.resize_with(count, Vec::new);
    for chunk in chunks {
        if let Some(part) = parts.get_mut(chunk.part(count)) {
            part.push(chunk);
        }
    }
    let parts = parts.into_iter().enumerate();
    let parts = parts.filter(|(number, chunks)| *number == 0 || !chunks.is_empty());
    parts
        .map(|(number, chunks)| match number {
            0 => object(gateway, SUFFIX, filter_patches(&module), chunks),
            _ => object(gateway, &format!("{SUFFIX}-{number}"), Vec::new(), chunks),
        })
        .collect()
}

/// The identities of the rules that are in each virtual host.
fn rules_by_host<'g>(gateway: &'g Gateway) -> BTreeMap<&'g VirtualHost, BTreeSet<&'g str>> {
    let mut by_host: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for attached in gateway.managed_rules() {
        for host in &attached.virtual_hosts {
            by_host.entry(host).or_default().insert(attached.rule.id.as_str());
        }
    }
    by_host
}

/// Whether the session routes of a rule are patches: no object can stand beside a `VirtualService`.
fn has_raw_routes(attached: &AttachedRule) -> bool {
    attached.rule.route.spec.kind == Kind::VirtualService && attached.rule.has_session_routes()
}

/// How the annotation names the Services of a rule, whose clusters istiod might leave out otherwise.
fn references(attached: &AttachedRule, version: IstioVersion) -> BTreeSet<String> {
    let backends = attached.rule.backends.iter();
    backends.map(|backend| reference(backend, version)).collect()
}

/// How many parts there are: as few as are comfortable. A piece that is too large by itself is no reason for more.
fn count(chunks: &[Chunk]) -> usize {
    let mut count = 1;
    loop {
        let mut sizes = vec![0_usize; count];
        for chunk in chunks {
            if let Some(size) = sizes.get_mut(chunk.part(count)) {
                *size = size.saturating_add(chunk.size);
            }
        }
        if count >= chunks.len() || sizes.iter().all(|size| *size <= MAX_APPLIED) {
            return count;
        }
        count = count.saturating_mul(2);
    }
}

impl<'a> Chunk<'a> {
    /// The routes of a rule in all its virtual hosts.
    fn of_rule(attached: &'a AttachedRule, pods: Option<&Workload>, routes: &Routes, version: IstioVersion) -> Self {
        let patches = attached
            .virtual_hosts
            .iter()
            .filter_map(|host| pods.map(|pods| routes.patches(&attached.rule, host, pods)))
            .flatten()
            .collect();
        let id = attached.rule.id.as_str();
        Self::new(id, patches, references(attached, version), BTreeSet::from([id]))
    }

    /// Patches that stay together, under the name of what they are for.
    fn new(name: &str, patches: Vec<Value>, services: BTreeSet<String>, rules: BTreeSet<&'a str>) -> Self {
        let mut hasher = SipHasher24::new_with_key(&KEY);
        hasher.write(name.as_bytes());
        let sizes = patches.iter().map(json_len);
        // `kubectl apply` writes the annotation twice: as it is, and into its copy of the object.
        let sizes = sizes.chain(services.iter().map(|service| service.len().saturating_mul(2)));
        Self {
            hash: hasher.finish(),
            size: sizes.fold(0, |sum, size| sum.saturating_add(size).saturating_add(2)),
            patches,
            services,
            rules,
        }
    }

    /// In which of so many parts it is; the count is a power of two.
    fn part(&self, count: usize) -> usize {
        usize::try_from(self.hash & u64::try_from(count.saturating_sub(1)).unwrap_or(0)).unwrap_or(0)
    }
}

/// Takes sessions and canaries from rules whose patches cannot be stored, however they are split.
pub fn keep(gateway: &mut Gateway, routes: &Routes, version: IstioVersion, report: &mut Report) {
    let on = gateway.item.name(Kind::Gateway);
    let pods = gateway.workload.as_ref();
    for attached in gateway.rules.iter_mut().filter(|attached| has_raw_routes(attached)) {
        let size = Chunk::of_rule(attached, pods, routes, version).size;
        if size <= MAX_STORED {
            continue;
        }
        let rule = &attached.rule;
        let message = format!(
            "the EnvoyFilter for the rule {} on {on} would have {}, and Kubernetes stores objects of {} at most",
            rule.id,
            mebibytes(size),
            mebibytes(MAX_STORED)
        );
        let diagnostic = Diagnostic::error(Code::TooLarge, message).at(rule.location_of(rule.spec));
        report.add(diagnostic.help("give the rule fewer backends, host names or matches"));
        report.omit(Omitted::Rule, format!("{} on {on}", rule.id));
        attached.refuse();
    }
}

fn object<'g>(gateway: &Gateway, suffix: &str, mut patches: Vec<Value>, chunks: Vec<Chunk<'g>>) -> Object<'g> {
    let (mut services, mut rules) = (BTreeSet::new(), BTreeSet::new());
    for chunk in chunks {
        patches.extend(chunk.patches);
        services.extend(chunk.services);
        rules.extend(chunk.rules);
    }
    let services: Vec<String> = services.into_iter().collect();
    let mut object = Object::new(gateway, "EnvoyFilter", suffix, envoy_filter(gateway, patches));
    object.references = (!services.is_empty()).then(|| services.join(","));
    object.rules = rules;
    object
}
