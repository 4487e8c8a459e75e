//! A subset of the matches of a rule, as attached to proxies.

use std::collections::BTreeSet;

use crate::ir::VirtualHost;

/// The virtual hosts of the proxies in which the same matches of a rule apply.
pub struct MatchAttachment {
    /// The position of the group of proxies.
    pub group: usize,
    /// The virtual hosts.
    pub virtual_hosts: BTreeSet<VirtualHost>,
    /// The positions of the matches.
    pub matches: BTreeSet<usize>,
}
