//! Objects that cannot be used.

use crate::{diagnostic::Diagnostic, document::Wants, id::Id, kind::Kind};

/// An object that exists but cannot be used. How serious that is depends on the objects that need it.
#[derive(Debug)]
pub struct Unread {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace and name, if they can be read.
    pub id: Option<Id>,
    /// What a route refers to.
    pub wants: Option<Wants>,
    /// Its name in the list of omissions.
    pub label: String,
    /// What is wrong.
    pub diagnostic: Diagnostic,
}
