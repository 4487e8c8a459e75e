//! Merges an http route that delegates with a route of its delegate (istiod: `mergeHTTPRoute`).
//!
//! The fields of the root get the position of the delegate's route, so all positions of the merged route refer to one
//! document.

use crate::{
    api::{
        field::{Field, OptionalField},
        virtual_service::{HttpMatch, HttpRoute, Matches, StringMatch},
    },
    location::Span,
};

/// The indices of two merged matches: in the root and in the delegate.
pub type MatchPair = (Option<usize>, Option<usize>);

/// The merged route, and for each of its matches the matches from which it was merged. The result is `None` if a match
/// of the delegate is not narrower than the matches of the root, because istiod then drops the route. The names of
/// gateways must be complete in both.
#[must_use]
pub fn merge_routes(root: &HttpRoute, delegate: &Field<HttpRoute>) -> Option<(Field<HttpRoute>, Vec<MatchPair>)> {
    let at = delegate.at;
    let mut merged = delegate.value.clone();
    let pairs = pairs(&root.matches, &delegate.value.matches)?;
    let matches = pairs.iter().filter_map(|pair| {
        let root = pair.0.and_then(|position| root.matches.get(position));
        let own = pair.1.and_then(|position| delegate.value.matches.get(position));
        let match_at = own.map_or(at, |own| own.at);
        let value = match (root, own) {
            (Some(root), own) => merge_match(&root.value, own.map(|own| &own.value), match_at),
            (None, own) => own?.value.clone(),
        };
        Some(Field { value, at: match_at })
    });
    merged.matches = matches.collect();
    merged.name = joined(root.name.as_ref(), delegate.value.name.as_ref(), at);
    inherit(&mut merged.rewrite, root.rewrite.as_ref(), at);
    inherit(&mut merged.direct_response, root.direct_response.as_ref(), at);
    inherit(&mut merged.timeout, root.timeout.as_ref(), at);
    inherit(&mut merged.retries, root.retries.as_ref(), at);
    inherit(&mut merged.fault, root.fault.as_ref(), at);
    inherit(&mut merged.mirror, root.mirror.as_ref(), at);
    inherit(&mut merged.mirrors, root.mirrors.as_ref(), at);
    inherit(&mut merged.mirror_percent, root.mirror_percent.as_ref(), at);
    inherit(&mut merged.mirror_percentage, root.mirror_percentage.as_ref(), at);
    inherit(&mut merged.cors_policy, root.cors_policy.as_ref(), at);
    inherit(&mut merged.headers, root.headers.as_ref(), at);
    Some((Field { value: merged, at }, pairs))
}

/// The names of root and delegate, joined by a hyphen if both have one.
fn joined(root: Option<&Field<String>>, own: Option<&Field<String>>, at: Span) -> OptionalField<String> {
    let root = root.filter(|name| !name.value.is_empty());
    let own = own.filter(|name| !name.value.is_empty());
    match (root, own) {
        (Some(root), Some(own)) => Some(own.put(format!("{}-{}", root.value, own.value))),
        (Some(root), None) => Some(root.moved(at)),
        (None, own) => own.cloned(),
    }
}

fn inherit<T: Clone>(own: &mut OptionalField<T>, root: Option<&Field<T>>, at: Span) {
    if own.is_none() {
        *own = root.map(|field| field.moved(at));
    }
}

/// The pairs of matches to merge, or `None` if a match of the delegate is not narrower than any match of the root.
fn pairs(root: &[Field<HttpMatch>], delegate: &[Field<HttpMatch>]) -> Option<Vec<MatchPair>> {
    if root.is_empty() {
        return Some((0..delegate.len()).map(|own| (None, Some(own))).collect());
    }
    if delegate.is_empty() {
        return Some((0..root.len()).map(|root| (Some(root), None)).collect());
    }
    let mut pairs = Vec::new();
    for (own, narrow) in delegate.iter().enumerate() {
        let before = pairs.len();
        let wider = root.iter().enumerate();
        let wider = wider.filter(|(_, wide)| !conflict(&wide.value, &narrow.value));
        pairs.extend(wider.map(|(position, _)| (Some(position), Some(own))));
        if pairs.len() == before {
            return None;
        }
    }
    Some(pairs)
}

fn merge_match(root: &HttpMatch, own: Option<&HttpMatch>, at: Span) -> HttpMatch {
    let mut merged = own.cloned().unwrap_or_else(|| HttpMatch {
        ignore_uri_case: root.ignore_uri_case.as_ref().map(|field| field.moved(at)),
        ..HttpMatch::default()
    });
    merged.name = joined(root.name.as_ref(), merged.name.as_ref(), at);
    for (own, root) in [
        (&mut merged.uri, &root.uri),
        (&mut merged.scheme, &root.scheme),
        (&mut merged.method, &root.method),
        (&mut merged.authority, &root.authority),
    ] {
        if own.is_none() {
            *own = root.as_ref().map(|text| text.value.moved(at));
        }
    }
    merged.headers.extend(&root.headers, at);
    merged.without_headers.extend(&root.without_headers, at);
    merged.query_params.extend(&root.query_params, at);
    merged.source_labels = merged.source_labels.with(&root.source_labels, at);
    inherit(&mut merged.port, root.port.as_ref(), at);
    inherit(&mut merged.source_namespace, root.source_namespace.as_ref(), at);
    inherit(&mut merged.stat_prefix, root.stat_prefix.as_ref(), at);
    if merged.gateways.is_empty() {
        let inherited = root.gateways.iter().map(|name| name.value.clone());
        merged.gateways = inherited.map(|value| Field { value, at }).collect();
    }
    merged
}

impl Matches {
    fn get(&self, name: &str) -> Option<&StringMatch> {
        let found = self.0.iter().find(|(other, _)| other.value == name)?;
        Some(&found.1.value)
    }

    /// Adds the matches of `others` for names without a match.
    fn extend(&mut self, others: &Self, at: Span) {
        let missing = others.0.iter().filter(|(name, _)| self.get(&name.value).is_none());
        let missing: Vec<_> = missing
            .map(|(name, value)| {
                (
                    Field {
                        value: name.value.clone(),
                        at,
                    },
                    value.value.moved(at),
                )
            })
            .collect();
        self.0.extend(missing);
    }
}

impl StringMatch {
    /// The same match at another position.
    fn moved(&self, at: Span) -> Field<Self> {
        let text = |field: &OptionalField<String>| {
            field.as_ref().map(|field| Field {
                value: field.value.clone(),
                at,
            })
        };
        let value = Self {
            exact: text(&self.exact),
            prefix: text(&self.prefix),
            regex: text(&self.regex),
        };
        Field { value, at }
    }
}

/// Whether a match of a delegate is not narrower than one of its root (istiod: `hasConflict`).
fn conflict(root: &HttpMatch, own: &HttpMatch) -> bool {
    fn value<T>(field: Option<&Field<T>>) -> Option<&T> {
        field.map(|field| &field.value)
    }
    let texts = [
        (&root.uri, &own.uri),
        (&root.scheme, &own.scheme),
        (&root.method, &own.method),
        (&root.authority, &own.authority),
    ];
    let named = [
        (&root.headers, &own.headers),
        (&root.without_headers, &own.without_headers),
        (&root.query_params, &own.query_params),
    ];
    let by_name = |(root, own): (&Matches, &Matches)| {
        let mut own = own.0.iter();
        own.any(|(name, text)| texts_conflict(root.get(&name.value), Some(&text.value)))
    };
    let ports = [&root.port, &own.port].map(|port| value(port.as_ref()).copied().unwrap_or(0));
    let [root_namespace, own_namespace] =
        [&root.source_namespace, &own.source_namespace].map(|field| value(field.as_ref()).map_or("", String::as_str));
    let case = |field: &OptionalField<bool>| value(field.as_ref()).copied().unwrap_or(false);
    let mut labels = own.source_labels.iter();
    let root_gateways: Vec<&str> = root.gateways.iter().map(|name| name.value.as_str()).collect();
    let mut gateways = own.gateways.iter();
    texts
        .into_iter()
        .any(|(root, own)| texts_conflict(value(root.as_ref()), value(own.as_ref())))
        || named.into_iter().any(by_name)
        || case(&root.ignore_uri_case) != case(&own.ignore_uri_case)
        || (!ports.contains(&0) && ports.first() != ports.last())
        || (!root_namespace.is_empty() && own_namespace != root_namespace)
        || labels.any(|(name, value)| {
            root.source_labels
                .get(&name.value)
                .is_some_and(|root| root != value.value)
        })
        || (!root_gateways.is_empty() && root_gateways.len() < own.gateways.len())
        || (!root_gateways.is_empty() && gateways.any(|name| !root_gateways.contains(&name.value.as_str())))
}

/// Whether a match of a delegate accepts texts that the match of its root does not (istiod: `stringMatchConflict`).
fn texts_conflict(root: Option<&StringMatch>, own: Option<&StringMatch>) -> bool {
    let (Some(root), Some(own)) = (root, own) else {
        return false;
    };
    let texts = |one: &StringMatch| {
        [&one.exact, &one.prefix, &one.regex].map(|field| {
            let text = field.as_ref().map(|field| field.value.clone());
            text.filter(|text| !text.is_empty())
        })
    };
    match (texts(root), texts(own)) {
        ([Some(root), None, None], [own, None, None]) => own != Some(root),
        ([None, Some(root), None], [None, Some(own), None] | [Some(own), None, None]) => !own.starts_with(&root),
        _ => true,
    }
}
