//! Resolves the backends of request mirrors. Sessions and canaries do not affect mirrors.

use serde_json::Value;

use super::{
    backends,
    destinations::{self, Callers},
};
use crate::{
    api::{
        canary::{Destination, PortSelector},
        field::Port,
    },
    diagnostic::Report,
    ir::{Backend, Rule},
    resources::Resources,
};

/// Resolves the backends of the mirrors of a rule, in their order, and reports those that cannot be resolved. `user` is the rule as
/// an http route of a `VirtualService`.
pub fn mirrors<'a>(
    rule: &Rule,
    user: &Value,
    callers: &Callers,
    resources: &'a Resources,
    report: &mut Report,
) -> Vec<Option<Backend<'a>>> {
    let filters = rule.spec.value.filters.iter();
    let references = filters.filter_map(|filter| Some(&filter.value.request_mirror.as_ref()?.backend_ref));
    let several = user.get("mirrors").and_then(Value::as_array).into_iter().flatten();
    let several = several.filter_map(|policy| policy.get("destination"));
    let destinations = user.get("mirror").into_iter().chain(several);
    let mut found: Vec<Option<Backend>> = references
        .map(|reference| backends::resolve_one(rule.written, 0, reference, resources, report))
        .collect();
    found.extend(destinations.map(|raw| {
        let destination = destination(rule, raw)?;
        destinations::resolve_one(rule.written, &destination, callers, resources, report)
    }));
    found
}

/// A destination as a typed value, with the location of the rule. `None` if it names no host.
fn destination(rule: &Rule, raw: &Value) -> Option<Destination> {
    let text = |field: &str| raw.get(field).and_then(Value::as_str).map(str::to_owned);
    let number = raw.pointer("/port/number").and_then(Value::as_u64);
    let port = number.and_then(|number| Port::new(number.try_into().ok()?));
    Some(Destination {
        host: rule.spec.put(text("host")?),
        subset: text("subset").map(|subset| rule.spec.put(subset)),
        port: port.map(|number| {
            rule.spec.put(PortSelector {
                number: rule.spec.put(number),
            })
        }),
    })
}
