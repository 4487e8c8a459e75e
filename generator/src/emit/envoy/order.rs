//! In which order the matches of a virtual host are tried, as values that sort.
//!
//! istiod makes one list of all rules of the `HTTPRoute`s of a host, in the order of Gateway API, and another one of those of the
//! `GRPCRoute`s; each `VirtualService` is a list as it is written. The lists follow each other by age (`mergeHTTPRoutes`,
//! `VirtualServicesForGateway`).

use std::cmp::Reverse;

use super::gateway_api::count;
use crate::{
    id::Id,
    ir::Rule,
    kind::Kind,
    model::route::{Match, PathMatchType},
};

/// When a route was made. One whose age is not known is taken for new.
pub type Age<'a> = (bool, Option<&'a str>);

/// The age of a rule's route.
pub fn age<'a>(rule: &'a Rule) -> Age<'a> {
    let created = rule.route.metadata.creation_timestamp.as_ref();
    (created.is_none(), created.map(|field| field.value.as_str()))
}

/// The list that a rule is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct List<'a> {
    age: Age<'a>,
    kind: Kind,
    /// Of a `VirtualService`, name and namespace.
    own: Option<(&'a str, &'a str)>,
}

impl<'a> List<'a> {
    /// The list of a rule, where the oldest route of that list on the virtual host is this old.
    pub fn new(rule: &'a Rule, oldest: Age<'a>) -> Self {
        let kind = rule.route.spec.kind;
        let Id { namespace, name } = &rule.route.id;
        let classic = kind == Kind::VirtualService;
        Self {
            age: if classic { age(rule) } else { oldest },
            kind,
            own: classic.then_some((name, namespace)),
        }
    }
}

/// The precedence of one match in its list; the smaller one is tried first.
///
/// An exact path beats a prefix, a prefix a regular expression (as in Istio), a longer path a shorter one; then come a
/// method, the number of headers, the number of query parameters; then the older route, the first by namespace and
/// name, and the first rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence<'a> {
    specificity: Option<Specificity>,
    age: Age<'a>,
    route: &'a Id,
    rule: usize,
    of_rule: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Specificity {
    path: u8,
    path_length: Reverse<usize>,
    method: Reverse<bool>,
    headers: Reverse<usize>,
    query_params: Reverse<usize>,
}

impl<'a> Precedence<'a> {
    /// The precedence of a match of a rule. A session route has one header more; where headers do not count, it stands before
    /// its rule.
    pub fn new(rule: &'a Rule, one: &Match, of_session: bool) -> Self {
        let kind = rule.route.spec.kind;
        // In a VirtualService the first match wins, whatever it is.
        let counts = kind != Kind::VirtualService;
        Self {
            specificity: counts.then(|| Specificity::new(kind, one, of_session)),
            age: age(rule),
            route: &rule.route.id,
            rule: rule.index,
            of_rule: !of_session,
        }
    }
}

impl Specificity {
    fn new(kind: Kind, one: &Match, of_session: bool) -> Self {
        let value = one.path_value();
        let prefix = one.path_type() == PathMatchType::PathPrefix;
        // A trailing slash is ignored (Gateway API).
        let value = value
            .strip_suffix('/')
            .filter(|_| prefix && value != "/")
            .unwrap_or(value);
        Self {
            path: match one.path_type() {
                // The path of an HTTPRoute is `/` where there is none.
                _ if kind == Kind::GrpcRoute && one.path.is_none() => 3,
                PathMatchType::Exact => 0,
                PathMatchType::PathPrefix => 1,
                PathMatchType::RegularExpression | PathMatchType::TextPrefix => 2,
            },
            path_length: Reverse(value.len()),
            method: Reverse(one.method.is_some()),
            headers: Reverse(count(&one.headers).saturating_add(of_session.into())),
            query_params: Reverse(count(&one.query_params)),
        }
    }
}
