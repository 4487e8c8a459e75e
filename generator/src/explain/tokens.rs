//! The tokens of a request: what each of them holds, and why it counts or does not.

use mooring_policy::{
    config::Transport, cookie, headers::Headers, session::Session, timeouts::SessionState, token::Token,
};

use super::{explanation::TokenReport, subject::Question};
use crate::{
    simulate::Exchange,
    token::{self, Bound, Keys, Opened, time::span},
};

/// How many characters of a token are shown. They hold its format version, the id of its key and a hint, and no secret.
const SHOWN: usize = 5;

/// How many tokens are described.
const MAX_TOKENS: usize = 16;

/// The tokens of a request for the session of its rule.
pub fn describe(question: &Question, exchange: &Exchange) -> Vec<TokenReport> {
    let Some(decision) = &exchange.decision else {
        return Vec::new();
    };
    let Some(session) = decision.rule().session() else {
        return Vec::new();
    };
    let lines = question.request.lines();
    let headers = Headers::from(lines.as_slice());
    let values: Vec<&[u8]> = match session.transport() {
        Transport::Header => headers.values(session.name()).collect(),
        Transport::Cookie => {
            let lines = headers.values("cookie");
            lines.flat_map(|line| cookie::values(line, session.name())).collect()
        }
    };
    let reader = Reader {
        question,
        session,
        bound: Bound {
            rule: decision.rule().id().to_owned(),
            session: session.name().to_owned(),
        },
        counting: decision.session(),
    };
    values
        .into_iter()
        .take(MAX_TOKENS)
        .map(|value| reader.report(value))
        .collect()
}

struct Reader<'r> {
    question: &'r Question<'r>,
    session: &'r Session,
    bound: Bound,
    /// The token that counts.
    counting: Option<&'r Token>,
}

impl Reader<'_> {
    fn report(&self, value: &[u8]) -> TokenReport {
        let text = String::from_utf8_lossy(value);
        let shown: String = text.chars().take(SHOWN).collect();
        let report = |counts: bool, verdict: String| TokenReport {
            text: if text.chars().count() > SHOWN {
                format!("{shown}…")
            } else {
                shown.clone()
            },
            counts,
            verdict,
            content: None,
        };
        let Some(keys) = self.question.keys else {
            let verdict = "it is not opened: give the key ring of the gateway with --keys";
            return report(false, verdict.to_owned());
        };
        match self.open(&text, keys) {
            Ok(opened) => {
                let (counts, verdict) = self.verdict(&opened);
                let content = token::describe(&opened, self.session.timeouts(), self.question.now);
                TokenReport {
                    content: Some(content),
                    ..report(counts, verdict)
                }
            }
            Err(reason) => report(false, reason.to_string()),
        }
    }

    fn open(&self, text: &str, keys: &Keys) -> Result<Opened, token::NotOpened> {
        token::open(text, keys, std::slice::from_ref(&self.bound))
    }

    /// Whether an opened token counts, and why.
    fn verdict(&self, opened: &Opened) -> (bool, String) {
        let (now, timeouts, token) = (self.question.now, self.session.timeouts(), &opened.token);
        let counts = self.counting == Some(token);
        let passed = |since: u64| span(now.saturating_sub(since));
        let limit = |timeout: Option<u64>| timeout.map(span).unwrap_or_default();
        let verdict = match timeouts.evaluate(token, now) {
            SessionState::ExpiredIdle => format!(
                "it has expired: its last request was {} ago, and the idle timeout is {}",
                passed(token.seen),
                limit(timeouts.idle.map(|idle| idle.timeout))
            ),
            SessionState::ExpiredAbsolute => format!(
                "it has expired: it is {} old, and the absolute timeout is {}",
                passed(token.issued),
                limit(timeouts.absolute)
            ),
            SessionState::Rejected(_) => {
                "its session begins in the future: the clock of a gateway, or --at, is wrong".to_owned()
            }
            SessionState::Live { .. } if token.is_end() => "it ends an earlier session".to_owned(),
            SessionState::Live { .. } if counts => "it counts".to_owned(),
            SessionState::Live { .. } => "it does not count: another token was sealed later".to_owned(),
        };
        (counts, verdict)
    }
}
