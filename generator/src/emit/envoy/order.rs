//! In which order the matches of a virtual host are tried: the precedence of Gateway API, as a value that sorts.

use std::cmp::Reverse;

use crate::{
    plan::Rule,
    wire::route::{Match, PathMatchType},
};

/// The precedence of one match; the smaller one is tried first.
///
/// An exact path beats a prefix, a prefix a regular expression (as in Istio), a longer path a shorter one; then come a
/// method, the number of headers, the number of query parameters; then the older route, the first by namespace and
/// name, and the first rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence<'a> {
    path: u8,
    path_length: Reverse<usize>,
    method: Reverse<bool>,
    headers: Reverse<usize>,
    query_params: Reverse<usize>,
    created: (bool, Option<&'a str>),
    route: &'a crate::inventory::Id,
    rule: usize,
}

impl<'a> Precedence<'a> {
    /// The precedence of a match of a rule.
    pub fn new(rule: &'a Rule, one: &Match) -> Self {
        let created = rule.route.metadata.creation_timestamp.as_ref();
        let created = created.map(|field| field.value.as_str());
        Self {
            path: match one.path_type() {
                PathMatchType::Exact => 0,
                PathMatchType::PathPrefix => 1,
                PathMatchType::RegularExpression => 2,
            },
            path_length: Reverse(one.path_value().len()),
            method: Reverse(one.method.is_some()),
            headers: Reverse(one.headers.len()),
            query_params: Reverse(one.query_params.len()),
            // A route whose age is not known is taken for new.
            created: (created.is_none(), created),
            route: &rule.route.id,
            rule: rule.index,
        }
    }
}
