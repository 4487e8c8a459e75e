//! What a decision changes in its request.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Decision;
use crate::{
    change::Change,
    cookie::{self, Remainder},
    handover::{BACKEND_HEADER, COOKIE_STATE, HOST_HEADER, HOST_STATE, RELAYED, STRICT_HOST_HEADER, STRICT_HOST_STATE},
    headers::Headers,
    rule::{Backend, Session, Transport},
};

/// How many tries Envoy has besides the first one, whatever the route says. It looks for the host of a session on the first try
/// only, so that another try would reach another host. Envoy takes this header out of the request.
const RETRIES_HEADER: &str = "x-envoy-max-retries";

impl Decision {
    /// What to change in the request, of which these are the headers: the token is taken out, and the backend and the host of
    /// the session are named to Envoy's filters.
    #[must_use]
    pub fn request_changes<'a>(&'a self, headers: &Headers<'a>) -> Vec<Change<'a>> {
        let mut changes = Vec::with_capacity(4);
        let relayed = is_relayed(headers);
        let session = self.rule.session();
        if let Some(session) = session.filter(|session| !session.forward_token()) {
            take_out(session, headers, relayed, &mut changes);
        }
        if let Some(key) = self.session_key() {
            changes.push(Change::Set(BACKEND_HEADER, key.as_bytes().into()));
        }
        if let (Some(host), Some(session)) = (self.asked_host(), session) {
            let host = STANDARD.encode(host).into_bytes();
            // The other one too: Envoy may not have been told yet that sessions of this virtual host are strict.
            if session.strict() {
                let (header, state) = (STRICT_HOST_HEADER, STRICT_HOST_STATE);
                changes.push(name_host(header, state, host.clone(), relayed));
                changes.push(Change::Set(RETRIES_HEADER, b"0".as_slice().into()));
            }
            changes.push(name_host(HOST_HEADER, HOST_STATE, host, relayed));
        }
        changes
    }

    /// The key of the session route that the request asks for.
    pub(super) fn session_key(&self) -> Option<&str> {
        self.rule
            .backends()
            .get(self.asked_backend()?)
            .map(Backend::session_key)
    }
}

/// Takes the tokens out of the request.
fn take_out<'a>(session: &'a Session, headers: &Headers<'a>, relayed: bool, changes: &mut Vec<Change<'a>>) {
    let name = session.name();
    if session.transport() == Transport::Header {
        changes.extend(headers.first(name).map(|_| Change::Remove(name)));
        return;
    }
    let lines = || headers.values("cookie");
    let rest: Vec<Remainder> = lines().map(|line| cookie::without(line, name)).collect();
    if rest.iter().all(|rest| *rest == Remainder::Unchanged) {
        return;
    }
    // HTTP/1.1 clients may send several lines.
    if rest.len() > 1 {
        changes.push(Change::Remove("cookie"));
        changes.extend(lines().zip(rest).filter_map(|(line, rest)| match rest {
            Remainder::Unchanged => Some(Change::Add("cookie", line.into())),
            Remainder::Line(rest) => Some(Change::Add("cookie", rest.into())),
            Remainder::Empty => None,
        }));
        return;
    }
    changes.extend(rest.into_iter().map(|rest| match rest {
        Remainder::Line(rest) if relayed => Change::Property(COOKIE_STATE, rest.into()),
        Remainder::Line(rest) => Change::Set("cookie", rest.into()),
        Remainder::Empty | Remainder::Unchanged => Change::Remove("cookie"),
    }));
}

/// Names the host of a session to Envoy: by a header, or where there is a relay by the filter state.
fn name_host<'a>(header: &'static str, state: &'static str, host: Vec<u8>, relayed: bool) -> Change<'a> {
    if relayed {
        Change::Property(state, host.into())
    } else {
        Change::Set(header, host.into())
    }
}

/// Whether a relay stands behind the filter.
fn is_relayed(headers: &Headers) -> bool {
    headers.first(HOST_HEADER) == Some(RELAYED.as_bytes())
}
