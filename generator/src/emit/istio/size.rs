//! How large an object may become, and what is said about one that is larger.

use std::io;

use serde_json::Value;

use super::Object;
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    translate::Gateway,
};

const KIB: usize = 1_024;

/// The largest object that can be stored, as JSON. etcd takes requests of 1.5 MiB unless `--max-request-bytes` says
/// otherwise; some of that is for what Kubernetes adds.
pub const STORABLE: usize = 1_536 * KIB - 16 * KIB;

/// The largest object that any way of applying it can take. `kubectl apply` keeps a copy of it in an annotation unless it is
/// told `--server-side`, and the annotations of an object may have 256 KiB together (Kubernetes:
/// `TotalAnnotationSizeLimitB`).
pub const COMFORTABLE: usize = 256 * KIB - 16 * KIB;

/// The length of a value as JSON.
pub fn of(value: &Value) -> usize {
    let mut counter = Counter(0);
    // Counting does not fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reports a `WasmPlugin` that is too large. It cannot be split: a gateway has one filter with one configuration.
pub fn check_plugin(gateway: &Gateway, plugin: &Object<'_>, report: &mut Report) {
    let size = of(&plugin.spec);
    let rules = gateway.managed_rules().count();
    if size > STORABLE {
        let fitting = rules.saturating_mul(STORABLE).checked_div(size).unwrap_or(0);
        let message = format!(
            "the WasmPlugin of Gateway {} would have {} for its {rules} rules, and Kubernetes stores objects of {} at most: \
             about {fitting} such rules",
            gateway.item.id,
            mebibytes(size),
            mebibytes(STORABLE)
        );
        let diagnostic = Diagnostic::error(Code::TooLarge, message).at(gateway.item.location());
        report.add(diagnostic.help("spread the routes over several Gateways: each gets a WasmPlugin of its own"));
        // The budgets of routes and namespaces are there so that this does not happen.
        report.abort();
    } else if size > COMFORTABLE {
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

/// For people: a tenth of a MiB is exact enough. Rounded up, so that too much never looks like enough.
pub fn mebibytes(bytes: usize) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(KIB * KIB);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_that_of_the_json() {
        let value = serde_json::json!({ "a": ["ä", 1, null], "b": { "c": "\n" } });
        assert_eq!(of(&value), value.to_string().len());
    }

    #[test]
    fn sizes_are_rounded_up() {
        assert_eq!(mebibytes(STORABLE), "1.5 MiB");
        assert_eq!(mebibytes(STORABLE + 16 * KIB + 1), "1.6 MiB");
        assert_eq!(mebibytes(1), "0.1 MiB");
    }
}
