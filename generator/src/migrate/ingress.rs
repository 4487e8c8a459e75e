//! An Ingress with what its annotations ask for.

use super::{
    affinity::{self, Affinity},
    annotations::Annotations,
    canary_rules::{self, CanaryRules},
    hash_by::{self, HashBy},
    options::Options,
    other::{self, Other},
};
use crate::{api::ingress::IngressSpec, diagnostic::Report, resources::Item};

/// An Ingress and what its annotations ask for.
#[derive(Debug)]
pub struct Ingress<'a> {
    /// The object.
    pub item: &'a Item<IngressSpec>,
    /// Its affinity. A canary Ingress has that of its main Ingress.
    pub affinity: Option<Affinity>,
    /// The rules of a canary Ingress.
    pub canary: Option<CanaryRules>,
    /// Consistent hashing.
    pub hash_by: Option<HashBy>,
    /// The other settings.
    pub other: Other,
}

impl<'a> Ingress<'a> {
    /// Reads the annotations.
    pub fn read(item: &'a Item<IngressSpec>, options: &'a Options, report: &mut Report) -> Self {
        let annotations = Annotations::new(item, &options.prefix);
        let canary = canary_rules::read(&annotations, report);
        let affinity = if canary.is_some() {
            affinity::of_canary(&annotations, report);
            None
        } else {
            affinity::read(&annotations, &options.cookie_suffix, report)
        };
        let hash_by = hash_by::read(&annotations, affinity.is_some(), report);
        let other = if canary.is_some() {
            Other::default()
        } else {
            other::read(&annotations, report)
        };
        other::report_others(&annotations, canary.is_some(), report);
        Self {
            item,
            affinity,
            canary,
            hash_by,
            other,
        }
    }
}
