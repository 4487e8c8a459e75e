//! Reports the values of a test file that are invalid.

use crate::{
    api::field::Field,
    diagnostic::{Code, Report},
    location::{DocumentOffset, Spanned},
};

/// Checks values, and reports those that are invalid.
pub(super) struct Checker<'a> {
    pub(super) offset: DocumentOffset,
    pub(super) report: &'a mut Report,
}

impl Checker<'_> {
    pub(super) fn error<T>(&mut self, at: &Field<T>, message: impl Into<String>) {
        self.report.error(Code::Invalid, message, self.offset.location(at));
    }

    pub(super) fn spanned<T: Clone>(&self, field: &Field<T>) -> Spanned<T> {
        Spanned {
            value: field.value.clone(),
            location: self.offset.location(field),
        }
    }
}
