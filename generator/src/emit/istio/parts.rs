//! The `EnvoyFilter`s of a gateway: one, or where that would be large, several, whose patches add up.
//!
//! Which part a rule is in depends on its identity and on the number of parts, a power of two. So a new rule changes one
//! part, and where the number doubles, each part gives a half of its rules to a new one.

use std::{collections::BTreeSet, hash::Hasher as _};

use serde_json::Value;
use siphasher::sip::SipHasher24;

use super::{Object, Options, envoy_filter, filter_name, filter_patches, http_routes, reference, size};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    plan::{Gateway, Placed},
};

/// The key of the hash that spreads rules over parts. It is no secret; another one would only move rules.
const KEY: [u8; 16] = *b"mooring partings";

/// What a rule adds.
struct Piece<'a> {
    placed: &'a Placed<'a>,
    hash: u64,
    patches: Vec<Value>,
    services: BTreeSet<String>,
    size: usize,
}

/// The `EnvoyFilter`s. The first has the patches on filters and the name without a number.
pub fn split(gateway: &Gateway, options: &Options, report: &mut Report) -> Vec<Object> {
    let filter = filter_name(gateway, options.version);
    let pieces: Vec<Piece> = gateway
        .managed_rules()
        .map(|placed| Piece::new(placed, &filter, options))
        .collect();
    let count = count(&pieces);
    let mut parts: Vec<Vec<Piece>> = Vec::new();
    parts.resize_with(count, Vec::new);
    for piece in pieces {
        let part = piece.part(count);
        check(gateway, &piece, report);
        if let Some(part) = parts.get_mut(part) {
            part.push(piece);
        }
    }
    let part = |(number, pieces): (usize, Vec<Piece>)| {
        let suffix = if number == 0 {
            String::new()
        } else {
            format!("-routes-{number}")
        };
        let patches = if number == 0 {
            filter_patches(gateway, &filter)
        } else {
            Vec::new()
        };
        object(gateway, &suffix, patches, pieces)
    };
    let parts = parts.into_iter().enumerate();
    let parts = parts.filter(|(number, pieces)| *number == 0 || !pieces.is_empty());
    parts.map(part).collect()
}

/// How many parts there are: as few as are comfortable. A rule that is too large by itself is no reason for more.
fn count(pieces: &[Piece]) -> usize {
    let mut count = 1;
    loop {
        let mut sizes = vec![0_usize; count];
        for piece in pieces {
            if let Some(size) = sizes.get_mut(piece.part(count)) {
                *size = size.saturating_add(piece.size);
            }
        }
        if count >= pieces.len() || sizes.iter().all(|size| *size <= size::COMFORTABLE) {
            return count;
        }
        count = count.saturating_mul(2);
    }
}

impl<'a> Piece<'a> {
    fn new(placed: &'a Placed<'a>, filter: &str, options: &Options) -> Self {
        let patches = http_routes(placed, filter);
        let backends = placed.rule.backends.iter();
        let services: BTreeSet<String> = backends
            .filter_map(|backend| reference(backend, options.version))
            .collect();
        let mut hasher = SipHasher24::new_with_key(&KEY);
        hasher.write(placed.rule.id.as_bytes());
        let sizes = patches.iter().map(size::of);
        // `kubectl apply` writes the annotation twice: as it is, and into its copy of the object.
        let sizes = sizes.chain(services.iter().map(|service| service.len().saturating_mul(2)));
        Self {
            placed,
            hash: hasher.finish(),
            size: sizes.fold(0, |sum, size| sum.saturating_add(size).saturating_add(2)),
            patches,
            services,
        }
    }

    /// In which of so many parts it is; the count is a power of two.
    fn part(&self, count: usize) -> usize {
        usize::try_from(self.hash & u64::try_from(count.saturating_sub(1)).unwrap_or(0)).unwrap_or(0)
    }
}

/// Reports a rule whose patches cannot be stored, however they are split.
fn check(gateway: &Gateway, piece: &Piece, report: &mut Report) {
    if piece.size > size::STORABLE {
        let rule = &piece.placed.rule;
        let message = format!(
            "the EnvoyFilter for the rule {} on Gateway {} would have {}, and Kubernetes stores objects of {} at most",
            rule.id,
            gateway.item.id,
            size::mebibytes(piece.size),
            size::mebibytes(size::STORABLE)
        );
        let diagnostic = Diagnostic::error(Code::TooLarge, message).at(rule.route.place_of(rule.wire));
        report.add(diagnostic.help("give the rule fewer backends, host names or named matches"));
        report.abort();
    }
}

fn object(gateway: &Gateway, suffix: &str, mut patches: Vec<Value>, pieces: Vec<Piece>) -> Object {
    let mut services = BTreeSet::new();
    for piece in pieces {
        patches.extend(piece.patches);
        services.extend(piece.services);
    }
    let services: Vec<String> = services.into_iter().collect();
    let mut object = Object::new(gateway, "EnvoyFilter", suffix, envoy_filter(gateway, patches));
    if !services.is_empty() {
        object.annotations = serde_json::json!({ "envoyfilter.istio.io/referenced-services": services.join(",") });
    }
    object
}
