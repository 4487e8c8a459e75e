//! The text about a request for access logs: what was decided, and why.
//!
//! ```text
//! rule=HTTPRoute/shop/cart/main;reason=session;backend=shop-v2.shop:80;session=resumed;age=312
//! ```
//!
//! It always has these fields in this order; the value of an unknown one is `-`. If the backend has a version, the field
//! `version` follows `backend`. Everything comes from the configuration, from
//! words of this crate, and from the time in a token that the gateway sealed: nothing that a client can choose. Values have
//! no quotes, backslashes, white space, `;` and `=`, so that the text fits into any format without escapes.
//!
//! The request has a text as soon as it is decided, so that it has one even if no response follows. The response replaces the
//! text if it adds something: the backend that the route selected, or what became of the session.

use std::fmt::Write as _;

use crate::{
    backend::Backend, change::Change, internal_headers::ACCESS_LOG_FILTER_STATE, metric::push_escaped, rule::Rule,
};

/// The length of most texts.
const USUAL_LENGTH: usize = 128;

/// What a text says about a request.
pub(crate) struct Entry<'e> {
    /// Its rule.
    pub rule: &'e Rule,
    /// Why it goes to its backend.
    pub reason: &'e str,
    /// The position of the backend. None: unknown.
    pub backend: Option<usize>,
    /// What became of its session.
    pub session: &'e str,
    /// The seconds since its live session began. None: it has no live session.
    pub age: Option<u64>,
}

impl Entry<'_> {
    /// The change that leaves the text.
    pub(crate) fn change(&self) -> Change<'static> {
        Change::SetFilterState(ACCESS_LOG_FILTER_STATE, self.text().into_bytes().into())
    }

    fn text(&self) -> String {
        let backend = self.backend.and_then(|backend| self.rule.backends().get(backend));
        let mut text = String::with_capacity(USUAL_LENGTH);
        text.push_str("rule=");
        push_escaped(&mut text, self.rule.id());
        text.push_str(";reason=");
        push_escaped(&mut text, self.reason);
        text.push_str(";backend=");
        push_escaped(&mut text, backend.map_or("-", Backend::key));
        if let Some(version) = backend.and_then(Backend::version) {
            text.push_str(";version=");
            push_escaped(&mut text, version);
        }
        text.push_str(";session=");
        text.push_str(self.session);
        text.push_str(";age=");
        match self.age {
            Some(age) => {
                // Writing to a string cannot fail.
                let _ = write!(text, "{age}");
            }
            None => text.push('-'),
        }
        text
    }
}
