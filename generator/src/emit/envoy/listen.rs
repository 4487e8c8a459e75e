//! Checks the ports of the `--listen` flags.

use std::collections::BTreeSet;

use super::{addresses::ports, options::Options};
use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::Ir,
};

/// Reports each `--listen` for a port that no Gateway has. Otherwise, Envoy would silently use the default address.
pub fn check(ir: &Ir, options: &Options, report: &mut Report) {
    let all: BTreeSet<u16> = ir.proxies.iter().flat_map(|group| ports(group).into_keys()).collect();
    for (port, address) in options.listen.iter().filter(|(port, _)| !all.contains(port)) {
        let known: Vec<String> = all.iter().map(u16::to_string).collect();
        let known = match known.as_slice() {
            [] => "there is no Gateway with an HTTP listener".to_owned(),
            [only] => format!("there is {only}"),
            _ => format!("there are {}", known.join(", ")),
        };
        let message = format!("--listen {port}={address}: no Gateway has an HTTP listener on port {port}; {known}");
        report.add(Diagnostic::error(Code::NoMatchingParent, message));
    }
}
