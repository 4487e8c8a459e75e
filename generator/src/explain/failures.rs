//! What happens to a client when the pod of its session is gone, or when its backend has no healthy host. The same request is sent
//! again in these circumstances.

use std::collections::BTreeSet;

use mooring_policy::{
    config::{BoundTo, Transport},
    decision::{IssueReason, Reason, SessionOutcome},
    session::Session,
    token::SealError,
};

use super::{
    explanation::{Failure, FailureEvent},
    subject::{Question, Subject},
};
use crate::simulate::{Answer, Circumstances, Exchange, HeaderChange, Proxy, Request};

/// What happens to the client of a request that a backend answers.
pub fn describe(
    subject: &Subject,
    question: &Question,
    exchange: &Exchange,
    circumstances: &Circumstances,
) -> Result<Vec<Failure>, SealError> {
    let (Some(decision), Answer::Backend { key, host }) = (&exchange.decision, &exchange.answer) else {
        return Ok(Vec::new());
    };
    let session = decision.rule().session();
    let keeps = session.filter(|_| decision.session_outcome() != SessionOutcome::Stateless);
    let next = keeps.map_or_else(
        || question.request.clone(),
        |session| follow_up(question.request, session, exchange),
    );
    let client = Client {
        proxy: &subject.proxy,
        request: &next,
        circumstances,
        key,
        name: decision.backend().map_or("its backend", |_| key),
        forced: matches!(decision.reason(), Reason::CanaryRule(_)),
    };
    let mut failures = Vec::new();
    if let Some(session) = keeps {
        failures.push(Failure {
            event: FailureEvent::PodGone,
            then: client.without_pod(session, host)?,
        });
    }
    failures.push(Failure {
        event: FailureEvent::BackendDown,
        then: client.without_backend(keeps.is_some(), decision.backend().is_some())?,
    });
    Ok(failures)
}

/// The next request of the client, with the token of the response.
fn follow_up(request: &Request, session: &Session, exchange: &Exchange) -> Request {
    let name = session.name();
    let token = exchange.response_changes.iter().find_map(|change| match change {
        HeaderChange::Add(header, value) if header == "set-cookie" && session.transport() == Transport::Cookie => {
            let cookie = String::from_utf8_lossy(value);
            Some(cookie.split(';').next()?.to_owned())
        }
        HeaderChange::Add(header, value) if header.eq_ignore_ascii_case(name) => {
            Some(String::from_utf8_lossy(value).into_owned())
        }
        _ => None,
    });
    let Some(token) = token else { return request.clone() };
    let header = match session.transport() {
        Transport::Cookie => "cookie",
        Transport::Header => name,
    };
    request.clone().with_header(header, &token)
}

/// A client with a request that it sends again.
struct Client<'c, 'a> {
    proxy: &'c Proxy<'a>,
    request: &'c Request,
    circumstances: &'c Circumstances,
    /// The backend that answered.
    key: &'c str,
    /// The backend in messages. If the weights selected it, other clients have another one.
    name: &'c str,
    /// Whether a canary rule selected it.
    forced: bool,
}

impl Client<'_, '_> {
    fn without_pod(&self, session: &Session, host: &str) -> Result<String, SealError> {
        if session.bound_to() == BoundTo::Backend {
            return Ok(format!(
                "another pod of {} answers: the session is bound to the backend only",
                self.name
            ));
        }
        let gone = Circumstances {
            gone: BTreeSet::from([host.to_owned()]),
            ..self.circumstances.clone()
        };
        let exchange = self.proxy.send(self.request, &gone)?;
        let of = |key: &str| {
            if key == self.key {
                self.name.to_owned()
            } else {
                key.to_owned()
            }
        };
        Ok(match (&exchange.answer, exchange.issued) {
            (Answer::Backend { key, .. }, Some(IssueReason::Moved)) => {
                format!("another pod of {} answers, and the session moves to it", of(key))
            }
            (Answer::Backend { key, .. }, Some(IssueReason::New)) => {
                format!("another pod of {} answers, and the session begins there", of(key))
            }
            (Answer::Backend { key, .. }, _) => format!("another pod of {} answers", of(key)),
            (Answer::Envoy { status, .. }, Some(IssueReason::Ended)) => {
                format!(
                    "{status}, because the session is strict; the response ends the session, and the next request begins another"
                )
            }
            (Answer::Envoy { status, .. }, _) => format!("{status}"),
        })
    }

    fn without_backend(&self, keeps: bool, decided: bool) -> Result<String, SealError> {
        let down = Circumstances {
            down: BTreeSet::from([self.key.to_owned()]),
            ..self.circumstances.clone()
        };
        let first = self.proxy.send(self.request, &down)?;
        let key = self.name;
        let Answer::Envoy { status, .. } = &first.answer else {
            return Ok("other backends answer".to_owned());
        };
        if !keeps && !decided {
            return Ok(format!("{status} for the requests that the weights send to {key}"));
        }
        // The weights may select the backend again, so that another draw counts.
        let mut later = (0..=99).map(|draw| self.proxy.send(self.request, &Circumstances { draw, ..down.clone() }));
        let answered = later.find_map(|exchange| match exchange.map(|exchange| exchange.answer) {
            Ok(Answer::Backend { key, .. }) => Some(Ok(key)),
            Ok(Answer::Envoy { .. }) => None,
            Err(error) => Some(Err(error)),
        });
        Ok(match answered.transpose()? {
            Some(other) if self.forced => format!(
                "{status} at most once per worker and pause; until {key} has a healthy host, the request goes to another backend, \
                 such as {other}"
            ),
            Some(other) => {
                let such_as = if self.name == self.key {
                    format!(", such as {other}")
                } else {
                    String::new()
                };
                format!(
                    "{status} at most once per worker and pause; then the session moves to another backend that the weights \
                     select{such_as}"
                )
            }
            None => format!("{status} until {key} has a healthy host"),
        })
    }
}
