//! In which order the matches of a virtual host are tried: the precedence of Gateway API, as a value that sorts.

use std::cmp::Reverse;

use crate::{
    kind::Kind,
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
    of_rule: bool,
}

impl<'a> Precedence<'a> {
    /// The precedence of a match of a rule. A session route has one header more; where headers do not count, it stands before
    /// its rule.
    pub fn new(rule: &'a Rule, one: &Match, of_session: bool) -> Self {
        // In a VirtualService the first match wins, whatever it is.
        let in_order = rule.route.spec.kind == Kind::VirtualService;
        let created = rule.route.metadata.creation_timestamp.as_ref();
        let created = created.map(|field| field.value.as_str());
        Self {
            path: match one.path_type() {
                _ if in_order => 0,
                PathMatchType::Exact => 0,
                PathMatchType::PathPrefix => 1,
                PathMatchType::RegularExpression | PathMatchType::TextPrefix => 2,
            },
            path_length: Reverse(if in_order { 0 } else { one.path_value().len() }),
            method: Reverse(!in_order && one.method.is_some()),
            headers: Reverse(if in_order {
                0
            } else {
                one.headers.len().saturating_add(of_session.into())
            }),
            query_params: Reverse(if in_order { 0 } else { one.query_params.len() }),
            // A route whose age is not known is taken for new.
            created: (created.is_none(), created),
            route: &rule.route.id,
            rule: rule.index,
            of_rule: !of_session,
        }
    }
}
