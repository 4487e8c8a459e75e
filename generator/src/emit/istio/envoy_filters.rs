//! The `EnvoyFilter`s of a gateway: one, or several if one would be too large.
//!
//! The hash of its virtual host, or of the rule whose routes it inserts, assigns each patch to an object. The number of objects is a
//! power of two. So a new virtual host or rule changes one object, and when the number doubles, each object passes half of its
//! patches to a new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::Hasher as _,
};

use serde_json::Value;
use siphasher::sip::SipHasher24;

use super::{
    filter_patches::{envoy_filter, filter_name, filter_patches, host_patch},
    object::Object,
    options::Options,
    raw_routes::Routes,
    version::{IstioVersion, References},
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    emit::provenance,
    ir::{AttachedRule, Backend, ProxyGroup, VirtualHost},
    kind::Kind,
    object_size::{MAX_APPLIED, MAX_STORED, json_len, mebibytes},
    omissions::Omitted,
};

/// The key of the hash that distributes the patches. It is not secret. Another key would only move patches.
const KEY: [u8; 16] = *b"mooring partings";

/// The suffix of the object name.
const SUFFIX: &str = "-http";

/// The comment before the patches on filters.
const FILTERS: &str = "# Filters, which are off except in the virtual hosts below\n";

/// Patches that stay in one object.
#[derive(Default)]
struct Chunk<'a> {
    hash: u64,
    patches: Vec<Value>,
    services: BTreeSet<String>,
    rules: BTreeSet<&'a str>,
    size: usize,
    comment: String,
}

/// The `EnvoyFilter`s. The first one has the patches on filters, and its name has no number.
pub fn split<'g>(group: &'g ProxyGroup, routes: &Routes, options: &Options) -> Vec<Object<'g>> {
    let module = filter_name(group, options.version);
    let hosts = group.managed_virtual_hosts();
    let mut rules = rules_by_host(group);
    let of_hosts = hosts.into_iter().map(|(host, filters)| {
        let patch = host_patch(group, host, filters, &module);
        let rules = rules.remove(host).unwrap_or_default();
        let comment = provenance::patch_comment("Rules: ", rules.iter().copied());
        Chunk {
            comment,
            ..Chunk::new(&host.name(), vec![patch], BTreeSet::new(), rules)
        }
    });
    let with_routes = group.managed_rules().filter(|attached| has_raw_routes(attached));
    let of_rules = with_routes.map(|attached| Chunk::of_rule(group, attached, routes, options.version));
    let chunks: Vec<Chunk> = of_hosts.chain(of_rules).collect();
    let count = count(&chunks);
    let mut objects: Vec<Vec<Chunk>> = Vec::new();
    objects.resize_with(count, Vec::new);
    for chunk in chunks {
        if let Some(object) = objects.get_mut(chunk.object_index(count)) {
            object.push(chunk);
        }
    }
    let objects = objects.into_iter().enumerate();
    let objects = objects.filter(|(number, chunks)| *number == 0 || !chunks.is_empty());
    objects
        .map(|(number, chunks)| match number {
            0 => object(group, SUFFIX, filter_patches(group, &module), chunks),
            _ => object(group, &format!("{SUFFIX}-{number}"), Vec::new(), chunks),
        })
        .collect()
}

/// The identities of the rules in each virtual host.
fn rules_by_host<'g>(group: &'g ProxyGroup) -> BTreeMap<&'g VirtualHost, BTreeSet<&'g str>> {
    let mut by_host: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for attached in group.managed_rules() {
        for host in &attached.virtual_hosts {
            by_host.entry(host).or_default().insert(attached.rule.id.as_str());
        }
    }
    by_host
}

/// Whether the session routes of a rule are patches. No object except a patch can add routes before those of a
/// `VirtualService`.
fn has_raw_routes(attached: &AttachedRule) -> bool {
    attached.rule.route.spec.kind == Kind::VirtualService && attached.rule.has_session_routes()
}

/// The name of the Service of a backend in the annotation.
fn reference(backend: &Backend, version: IstioVersion) -> String {
    match version.references() {
        References::Host => backend.cluster_host(),
        References::NamespaceAndHost => format!("{}/{}", backend.cluster_namespace(), backend.cluster_host()),
    }
}

/// The names of the Services of a rule in the annotation. Without it, istiod could omit their clusters.
fn references(attached: &AttachedRule, version: IstioVersion) -> BTreeSet<String> {
    let backends = attached.rule.backends.iter();
    backends.map(|backend| reference(backend, version)).collect()
}

/// The number of objects: the smallest with which plain `kubectl apply` accepts each. A chunk that is too large by itself does not
/// count.
fn count(chunks: &[Chunk]) -> usize {
    let mut count = 1;
    loop {
        let mut sizes = vec![0_usize; count];
        for chunk in chunks {
            if let Some(size) = sizes.get_mut(chunk.object_index(count)) {
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
    fn of_rule(group: &ProxyGroup, attached: &'a AttachedRule, routes: &Routes, version: IstioVersion) -> Self {
        let hosts = attached.virtual_hosts.iter();
        let patches = hosts
            .flat_map(|host| routes.patches(group, &attached.rule, host))
            .collect();
        let id = attached.rule.id.as_str();
        Self {
            comment: provenance::patch_comment("Session routes of ", [id].into_iter()),
            ..Self::new(id, patches, references(attached, version), BTreeSet::from([id]))
        }
    }

    /// Creates a chunk. The name of its virtual host or rule selects the object.
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
            comment: String::new(),
        }
    }

    /// The index of its object among `count`, a power of two.
    fn object_index(&self, count: usize) -> usize {
        usize::try_from(self.hash & u64::try_from(count.saturating_sub(1)).unwrap_or(0)).unwrap_or(0)
    }
}

/// Removes sessions and canaries from rules whose patches cannot be stored, even after a split.
pub fn refuse_too_large(group: &mut ProxyGroup, routes: &Routes, version: IstioVersion, report: &mut Report) {
    let on = group.name();
    let with_routes = group.rules.iter().enumerate();
    let with_routes = with_routes.filter(|(_, attached)| has_raw_routes(attached));
    let sizes =
        with_routes.map(|(position, attached)| (position, Chunk::of_rule(group, attached, routes, version).size));
    let too_large: Vec<(usize, usize)> = sizes.filter(|(_, size)| *size > MAX_STORED).collect();
    for (position, size) in too_large {
        let Some(attached) = group.rules.get_mut(position) else {
            continue;
        };
        let rule = &attached.rule;
        let message = format!(
            "the EnvoyFilter for the rule {} on {on} would have {}, but Kubernetes stores objects of {} at most",
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

fn object<'g>(group: &ProxyGroup, suffix: &str, mut patches: Vec<Value>, chunks: Vec<Chunk<'g>>) -> Object<'g> {
    let (mut services, mut rules) = (BTreeSet::new(), BTreeSet::new());
    let mut comments = BTreeMap::new();
    if !patches.is_empty() {
        comments.insert(0, FILTERS.to_owned());
    }
    for chunk in chunks {
        comments.insert(patches.len(), chunk.comment);
        patches.extend(chunk.patches);
        services.extend(chunk.services);
        rules.extend(chunk.rules);
    }
    let services: Vec<String> = services.into_iter().collect();
    let mut object = Object::new(group, "EnvoyFilter", suffix, envoy_filter(group, patches));
    object.references = (!services.is_empty()).then(|| services.join(","));
    object.rules = rules;
    object.patch_comments = comments;
    object
}
