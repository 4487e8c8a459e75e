//! What the filter has to change in a request or a response.

use std::borrow::Cow;

use crate::cache::Field;

/// A change of the headers of a request or a response, or of the filter state of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Put one header line in the place of all lines of this name.
    Set(&'a str, Cow<'a, [u8]>),
    /// The same for a header whose name is one that the response has.
    Field(Field),
    /// Add a header line.
    Add(&'a str, Cow<'a, [u8]>),
    /// Remove all header lines of this name.
    Remove(&'a str),
    /// Set a property of the stream, which Envoy keeps in the filter state under the name `wasm.<name>`. Unlike a change of a
    /// header, it does not make Envoy choose the route again.
    Property(&'a str, Cow<'a, [u8]>),
}
