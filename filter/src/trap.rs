//! A trap that a request can spring, for tests of what Envoy does then. Only a build with the feature `trap` has it, which
//! nothing ships.

use crate::host::REQUEST;

/// Ends the virtual machine when the request says so.
pub(crate) fn spring_if_told() {
    if matches!(REQUEST.first("x-trap-now"), Ok(Some(_))) {
        std::process::abort();
    }
}
