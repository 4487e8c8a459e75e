//! Parses `sticky` of a `CanaryPolicy`: a session that binds a client to a backend, and not to one of its pods. The annotations
//! of the policy apply to it.

use mooring_policy::config::{BoundTo, Transport};

use crate::{
    api::{
        canary::{CanaryPolicySpec, Sticky},
        field::Field,
    },
    diagnostic::{Code, Diagnostic, Report, Reported},
    kind::Kind,
    resources::Item,
    session::{
        Session,
        annotations::{self, Annotations},
        builder::Builder,
    },
};

/// The session of a policy, if it keeps one.
pub fn parse(item: &Item<CanaryPolicySpec>, report: &mut Report) -> Result<Option<Session>, Reported> {
    let sticky = item.spec.sticky.as_ref();
    let annotations = &item.metadata.annotations;
    let parsed = Annotations::parse(annotations, item.offset, sticky.map(transport).into_iter(), report);
    let Some(sticky) = sticky else {
        return parsed.valid.map(|()| None);
    };
    let mut session = read(sticky, item).build(&parsed, report)?;
    if session.config.strict {
        session.config.strict = false;
        let message = "strict has no effect here: this session is bound to a backend, not to one of its pods";
        let name = annotations::find(annotations, "strict");
        let location = name.map_or(item.location(), |name| item.location_of(name));
        report.add(Diagnostic::warning(Code::NoEffect, message).at(location));
    }
    Ok(Some(session))
}

fn transport(sticky: &Field<Sticky>) -> Transport {
    let transport = sticky.value.transport.as_ref();
    transport.map_or(Transport::Cookie, |field| field.value)
}

fn read(sticky: &Field<Sticky>, item: &Item<CanaryPolicySpec>) -> Builder {
    let raw = &sticky.value;
    let policy = (Kind::CanaryPolicy, item.id.clone());
    let mut session = Session::new(Some(policy), item.location_of(sticky));
    session.config.bound_to = BoundTo::Backend;
    session.config.transport = transport(sticky);
    let mut builder = Builder::new(session, item.offset);
    builder.set_timeout("absoluteTimeout", raw.absolute_timeout.as_ref(), |config| {
        &mut config.absolute_timeout
    });
    builder.set_timeout("idleTimeout", raw.idle_timeout.as_ref(), |config| {
        &mut config.idle_timeout
    });
    match (transport(sticky), &raw.header, &raw.cookie) {
        (Transport::Cookie, Some(header), _) => {
            builder.invalid("header can only be set with type Header", item.location_of(header));
        }
        (Transport::Header, _, Some(cookie)) => {
            builder.invalid("cookie can only be set with type Cookie", item.location_of(cookie));
        }
        (Transport::Header, Some(header), None) => builder.set_name(&header.value.name),
        (Transport::Cookie, None, Some(cookie)) => {
            if let Some(name) = &cookie.value.name {
                builder.set_name(name);
            }
            builder.set_lifetime(cookie.value.lifetime_type.as_ref());
            if let Some(path) = &cookie.value.path {
                builder.set_path(path);
            }
        }
        (_, None, None) => {}
    }
    builder
}
