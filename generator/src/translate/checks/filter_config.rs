//! Checks the configuration of a gateway with the code of the filter that will read it.

use std::rc::Rc;

use mooring_policy::routes::RouteTable;

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::Gateway,
};

/// Reports a configuration that the filter would reject. Each rule has been checked before, so this is a safety net. If
/// it fails, nothing is generated.
pub fn check(gateway: &Gateway, report: &mut Report) {
    if !gateway.is_managed() {
        return;
    }
    let canaries = gateway.canaries();
    let canaries: Vec<_> = canaries.values().map(|compiled| Rc::clone(&compiled.checked)).collect();
    if let Err(invalid) = RouteTable::with_canaries(&gateway.config().rules, &canaries) {
        let message = format!(
            "the filter would refuse the configuration of Gateway {}: {invalid}",
            gateway.item.id
        );
        report.add(Diagnostic::error(Code::Invalid, message).at(gateway.item.location()));
        report.abort();
    }
}
