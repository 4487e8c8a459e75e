//! `sticky` of a `CanaryPolicy`: a session that binds a client to a backend, whichever pod of it answers. The policy's
//! annotations hold for it.

use mooring_policy::config::{Pin, Transport};

use super::{
    annotations::{self, Overrides},
    located, persistence,
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    inventory::Item,
    session::SessionPolicy,
    wire::{
        Field,
        canary::{CanaryPolicySpec, Sticky},
    },
};

/// What the `sticky` of a policy says.
pub fn sticky(item: &Item<CanaryPolicySpec>, report: &mut Report) -> Option<SessionPolicy> {
    let overrides = Overrides::read(&item.metadata.annotations, item.origin, report);
    let mut policy = item.spec.sticky.as_ref().map(|sticky| read(sticky, item, report));
    overrides.apply(policy.as_mut_slice(), report);
    if let Some(policy) = &mut policy {
        if policy.strict {
            policy.strict = false;
            let message = "strict has no effect here: this session is bound to a backend, not to one of its pods";
            let mut pairs = item.metadata.annotations.iter();
            let strict = pairs.find(|(name, _)| name.value.strip_prefix(annotations::PREFIX) == Some("strict"));
            let place = strict.map_or(item.place(), |(name, _)| item.place_of(name));
            report.add(Diagnostic::warning(Code::NoEffect, message).at(place));
        }
        policy.check(report);
    }
    policy
}

fn read(sticky: &Field<Sticky>, item: &Item<CanaryPolicySpec>, report: &mut Report) -> SessionPolicy {
    let raw = &sticky.value;
    let mut policy = SessionPolicy::new(item.place_of(sticky));
    policy.pin = Pin::Backend;
    policy.transport = raw.transport.as_ref().map_or(Transport::Cookie, |field| field.value);
    let mut duration = |field: &Option<Field<crate::wire::Text>>| {
        let field = field.as_ref()?;
        let duration = persistence::duration(&field.value.0, item.place_of(field), report);
        policy.partial |= duration.is_none();
        duration
    };
    policy.absolute_timeout = duration(&raw.absolute_timeout);
    policy.idle_timeout = duration(&raw.idle_timeout);
    let stray = match policy.transport {
        Transport::Cookie => raw
            .header
            .as_ref()
            .map(|field| ("header", "Header", item.place_of(field))),
        Transport::Header => raw
            .cookie
            .as_ref()
            .map(|field| ("cookie", "Cookie", item.place_of(field))),
    };
    if let Some((field, transport, place)) = stray {
        let message = format!("{field} can only be set with type {transport}");
        report.add(Diagnostic::error(Code::Invalid, message).at(place));
        policy.partial = true;
        return policy;
    }
    if let Some(header) = &raw.header {
        policy.name = Some(located(&header.value.name, item.origin));
    }
    if let Some(cookie) = &raw.cookie {
        policy.name = cookie.value.name.as_ref().map(|name| located(name, item.origin));
        if let Some(lifetime) = &cookie.value.lifetime_type {
            policy.cookie.lifetime_type = lifetime.value;
            policy.lifetime_place = Some(item.place_of(lifetime));
        }
        if let Some(path) = &cookie.value.path {
            policy.attribute_places.push(("Path", item.place_of(path)));
            path.value.clone_into(&mut policy.cookie.path);
        }
    }
    policy
}
