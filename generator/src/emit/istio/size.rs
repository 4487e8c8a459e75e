//! Checks the size of a generated `WasmPlugin`.

use super::Object;
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::Gateway,
    object_size::{MAX_APPLIED, MAX_STORED, json_len, mebibytes},
};

/// Reports a `WasmPlugin` that is too large. It cannot be split: a gateway has one filter with one configuration.
pub fn check_plugin(gateway: &Gateway, plugin: &Object<'_>, report: &mut Report) {
    let size = json_len(&plugin.spec);
    let rules = gateway.managed_rules().count();
    if size > MAX_STORED {
        let fitting = rules.saturating_mul(MAX_STORED).checked_div(size).unwrap_or(0);
        let message = format!(
            "the WasmPlugin of Gateway {} would have {} for its {rules} rules, and Kubernetes stores objects of {} at most: \
             about {fitting} such rules",
            gateway.item.id,
            mebibytes(size),
            mebibytes(MAX_STORED)
        );
        let diagnostic = Diagnostic::error(Code::TooLarge, message).at(gateway.item.location());
        report.add(diagnostic.help("spread the routes over several Gateways: each gets a WasmPlugin of its own"));
        // The budgets of routes and namespaces are there so that this does not happen.
        report.abort();
    } else if size > MAX_APPLIED {
        let message = format!(
            "the WasmPlugin of Gateway {} has {} for its {rules} rules, too much for a plain `kubectl apply`, which keeps a \
             copy in an annotation",
            gateway.item.id,
            mebibytes(size)
        );
        let note = Diagnostic::note(Code::TooLarge, message).at(gateway.item.location());
        report.add(
            note.help("apply it with `kubectl apply --server-side` (Argo CD: the sync option ServerSideApply=true)"),
        );
    }
}
