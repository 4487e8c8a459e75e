//! A path that becomes a match of an `HTTPRoute`.

use super::{
    ingress::Ingress,
    matches::PathMatch,
    paths::{Backend, Written},
    sessions::Sessions,
};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    model::route::PathMatchType,
};

/// A path of an ordinary Ingress, and its canary.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The Ingress.
    pub ingress: &'a Ingress<'a>,
    /// The path.
    pub written: Written,
    /// The canary: its Ingress, and its backend.
    pub canary: Option<(&'a Ingress<'a>, Backend)>,
    /// The match of the `HTTPRoute`.
    pub one: PathMatch,
}

impl Entry<'_> {
    /// The path of the session cookie: that of the annotation, or else the path that matches.
    pub fn cookie_path(&self, sessions: &Sessions, report: &mut Report) -> String {
        if let Some(path) = &sessions.path {
            return path.clone();
        }
        if self.one.kind != PathMatchType::RegularExpression {
            return if self.one.rewrite.is_some() || self.one.kind == PathMatchType::Exact {
                self.one.value.clone()
            } else {
                self.written.path.clone()
            };
        }
        let message = format!(
            "the cookie for {} gets the Path /: ingress-nginx needs session-cookie-path where a path is a regular expression",
            self.written.shown()
        );
        report.add(Diagnostic::note(Code::Accepted, message).at(self.written.at));
        "/".to_owned()
    }
}
