//! The changes that the filter applies to a request or a response.

use std::borrow::Cow;

use crate::cache::HeaderField;

/// A change to the headers of a request or a response, or to the filter state of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Replaces all header lines of this name by one.
    Set(&'a str, Cow<'a, [u8]>),
    /// Replaces all header lines of the name of this field by it.
    SetField(HeaderField),
    /// Adds a header line.
    Add(&'a str, Cow<'a, [u8]>),
    /// Removes all header lines of this name.
    Remove(&'a str),
    /// Sets a property of the stream, which Envoy keeps in the filter state as `wasm.<name>`. Unlike a header, it does not make
    /// Envoy look up the route again.
    SetFilterState(&'a str, Cow<'a, [u8]>),
}
