//! `sticky` of a `CanaryPolicy`: a session that binds a client to a backend, whichever pod of it answers. The policy's
//! annotations hold for it.

use mooring_policy::config::{BoundTo, Transport};

use super::{
    annotations::{self, Overrides},
    persistence, spanned,
};
use crate::{
    api::{
        canary::{CanaryPolicySpec, Sticky},
        field::Field,
    },
    diagnostic::{Code, Diagnostic, Report},
    resources::Item,
    session::SessionPolicy,
};

/// What the `sticky` of a policy says.
pub fn sticky(item: &Item<CanaryPolicySpec>, report: &mut Report) -> Option<SessionPolicy> {
    let overrides = Overrides::read(&item.metadata.annotations, item.offset, report);
    let mut policy = item.spec.sticky.as_ref().map(|sticky| read(sticky, item, report));
    overrides.apply(policy.as_mut_slice(), report);
    if let Some(policy) = &mut policy {
        if policy.strict {
            policy.strict = false;
            let message = "strict has no effect here: this session is bound to a backend, not to one of its pods";
            let mut pairs = item.metadata.annotations.iter();
            let strict = pairs.find(|(name, _)| name.value.strip_prefix(annotations::PREFIX) == Some("strict"));
            let location = strict.map_or(item.location(), |(name, _)| item.location_of(name));
            report.add(Diagnostic::warning(Code::NoEffect, message).at(location));
        }
        policy.check(report);
    }
    policy
}

fn read(sticky: &Field<Sticky>, item: &Item<CanaryPolicySpec>, report: &mut Report) -> SessionPolicy {
    let raw = &sticky.value;
    let mut policy = SessionPolicy::new(item.location_of(sticky));
    policy.bound_to = BoundTo::Backend;
    policy.transport = raw.transport.as_ref().map_or(Transport::Cookie, |field| field.value);
    let mut duration = |field: &Option<Field<crate::api::field::Text>>| {
        let field = field.as_ref()?;
        let duration = persistence::duration(&field.value.0, item.location_of(field), report);
        policy.partial |= duration.is_none();
        duration
    };
    policy.absolute_timeout = duration(&raw.absolute_timeout);
    policy.idle_timeout = duration(&raw.idle_timeout);
    let stray = match policy.transport {
        Transport::Cookie => raw
            .header
            .as_ref()
            .map(|field| ("header", "Header", item.location_of(field))),
        Transport::Header => raw
            .cookie
            .as_ref()
            .map(|field| ("cookie", "Cookie", item.location_of(field))),
    };
    if let Some((field, transport, location)) = stray {
        let message = format!("{field} can only be set with type {transport}");
        report.add(Diagnostic::error(Code::Invalid, message).at(location));
        policy.partial = true;
        return policy;
    }
    if let Some(header) = &raw.header {
        policy.name = Some(spanned(&header.value.name, item.offset));
    }
    if let Some(cookie) = &raw.cookie {
        policy.name = cookie.value.name.as_ref().map(|name| spanned(name, item.offset));
        if let Some(lifetime) = &cookie.value.lifetime_type {
            policy.cookie.lifetime_type = lifetime.value;
            policy.lifetime_location = Some(item.location_of(lifetime));
        }
        if let Some(path) = &cookie.value.path {
            policy.attribute_locations.push(("Path", item.location_of(path)));
            path.value.clone_into(&mut policy.cookie.path);
        }
    }
    policy
}
