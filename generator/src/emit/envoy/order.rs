//! The order in which Envoy tries the matches of a virtual host, as sortable values.
//!
//! istiod merges the rules of all `HTTPRoute`s of a host into one list in the order of Gateway API, and those of all
//! `GRPCRoute`s into a second one. Each `VirtualService` is a separate list in its written order. The lists are sorted
//! by age (`mergeHTTPRoutes`, `VirtualServicesForGateway`).

use std::cmp::Reverse;

use super::gateway_api::count;
use crate::{
    id::Id,
    ir::Rule,
    kind::Kind,
    model::route::{Match, PathMatchType},
};

/// The creation time of a route. A route without one counts as new.
pub type Age<'a> = (bool, Option<&'a str>);

/// The age of a rule's route.
pub fn age<'a>(rule: &'a Rule) -> Age<'a> {
    let created = rule.route.metadata.creation_timestamp.as_ref();
    (created.is_none(), created.map(|field| field.value.as_str()))
}

/// The list to which a rule belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct List<'a> {
    age: Age<'a>,
    kind: Kind,
    /// The name and namespace of a `VirtualService`.
    own: Option<(&'a str, &'a str)>,
}

impl<'a> List<'a> {
    /// The list of a rule. `oldest` is the age of the oldest route of that list on the virtual host.
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

/// The precedence of one match in its list. The smallest value is tried first.
///
/// An exact path precedes a prefix, a prefix precedes a regular expression (as in Istio), and a longer path precedes a
/// shorter one. The next criteria are a method, the number of headers and the number of query parameters. The last ones
/// are the age of the route, its namespace and name, and the position of the rule.
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
    /// The precedence of a match of a rule. A session route has one header more. Where the number of headers does not
    /// matter, it precedes its rule.
    pub fn new(rule: &'a Rule, one: &Match, of_session: bool) -> Self {
        let kind = rule.route.spec.kind;
        // In a VirtualService, the first match applies.
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
        // Gateway API ignores a trailing slash.
        let value = value
            .strip_suffix('/')
            .filter(|_| prefix && value != "/")
            .unwrap_or(value);
        Self {
            path: match one.path_type() {
                // The default path of an HTTPRoute is `/`.
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
