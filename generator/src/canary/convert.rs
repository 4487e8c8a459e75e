//! The conditions of a `CanaryPolicy` in the form of the plugin configuration.

use mooring_policy::{
    canary::expression_size,
    config::{MatchConfig, MatchType, SourceConfig},
};

use crate::api::canary::{Match, Source, ValueMatch};

/// A match, with the size of its regular expression. None if it does not have exactly one of header and cookie.
pub fn match_config(one: &Match) -> Option<MatchConfig> {
    let (on, raw): (fn(String) -> SourceConfig, &ValueMatch) = match (&one.header, &one.cookie) {
        (Some(header), None) => (SourceConfig::Header, &header.value),
        (None, Some(cookie)) => (SourceConfig::Cookie, &cookie.value),
        _ => return None,
    };
    let match_type = raw.kind.as_ref().map_or(MatchType::Exact, |kind| kind.value);
    let value = raw.value.as_ref().map(|value| value.value.clone());
    let pattern = value.as_deref().filter(|_| match_type == MatchType::RegularExpression);
    Some(MatchConfig {
        on: on(raw.name.value.clone()),
        match_type,
        compiled_size: pattern.and_then(|pattern| expression_size(pattern).ok()),
        value,
    })
}

/// A header or cookie. None if it is not exactly one of them.
pub fn source_config(source: &Source) -> Option<SourceConfig> {
    match (&source.header, &source.cookie) {
        (Some(header), None) => Some(SourceConfig::Header(header.value.clone())),
        (None, Some(cookie)) => Some(SourceConfig::Cookie(cookie.value.clone())),
        _ => None,
    }
}
