//! Checks the configuration of a gateway with the code of the filter that will read it.

use std::rc::Rc;

use mooring_policy::routes::RouteTable;

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::ProxyGroup,
};

/// Reports a configuration that the filter would reject. Each rule has been checked before, so this is a safety net. If
/// it fails, nothing is generated.
pub fn check(group: &ProxyGroup, report: &mut Report) {
    if !group.is_managed() {
        return;
    }
    let canaries = group.canaries();
    let canaries: Vec<_> = canaries.values().map(|compiled| Rc::clone(&compiled.checked)).collect();
    if let Err(invalid) = RouteTable::with_canaries(&group.config().rules, &canaries) {
        let message = format!(
            "the filter would refuse the configuration of {}: {invalid}",
            group.title()
        );
        report.add(group.locate(Diagnostic::error(Code::Invalid, message)));
        report.abort();
    }
}
