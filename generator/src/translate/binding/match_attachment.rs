//! A subset of the matches of a rule, as attached to a gateway.

use std::collections::BTreeSet;

use crate::ir::VirtualHost;

/// The virtual hosts of a gateway in which the same matches of a rule apply.
pub struct MatchAttachment {
    /// The position of the gateway.
    pub gateway: usize,
    /// The virtual hosts.
    pub virtual_hosts: BTreeSet<VirtualHost>,
    /// The positions of the matches.
    pub matches: BTreeSet<usize>,
}
