//! Checks the `Domain` of session cookies against the hosts of their rules. A browser rejects a cookie whose domain
//! does not contain the host.

use std::collections::BTreeSet;

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::{ProxyGroup, VirtualHost},
    omissions::Omitted,
    session::domain,
};

/// Reports session cookies whose domain does not contain every host of their rule. These rules are left out.
pub fn check(group: &mut ProxyGroup, report: &mut Report) {
    let on = group.name();
    for attached in &mut group.rules {
        let Some(session) = &attached.rule.session else {
            continue;
        };
        let domain = session.config.cookie.domain.as_ref();
        // A domain that no host may set has been reported.
        let Some(domain) = domain.filter(|domain| domain::check(domain).is_ok()) else {
            continue;
        };
        let rule = &attached.rule;
        let location = session.locations.get_or_whole("domain");
        let any = |host: &&VirtualHost| host.hostname == "*";
        let named = attached.virtual_hosts.iter().filter(|host| !any(host));
        let outside = named.filter(|host| !domain::may_set(&host.hostname, domain));
        let outside: BTreeSet<&str> = outside.map(|host| host.hostname.as_str()).collect();
        if !outside.is_empty() {
            let hosts: Vec<&str> = outside.into_iter().collect();
            let message = format!(
                "the cookie Domain `{domain}` is neither {hosts} nor a parent domain, so browsers reject the session \
                 cookie of the rule {rule}",
                hosts = hosts.join(", "),
                rule = rule.id
            );
            let error = Diagnostic::error(Code::Invalid, message).at(location);
            let error = error.with(rule.location_of(rule.spec), "the rule");
            report.add(error.help("set a domain that contains all host names of the rule, or none"));
            report.omit(Omitted::Rule, format!("{} on {on}", rule.id));
            attached.refuse();
        } else if attached.virtual_hosts.iter().any(|host| any(&host)) {
            let message = format!(
                "it is unknown whether the cookie Domain `{domain}` contains the hosts of the rule {}, because \
                 neither the route nor the listener names a host: a browser keeps the session cookie only for hosts \
                 in that domain",
                rule.id
            );
            let warning = Diagnostic::warning(Code::Accepted, message).at(location);
            report.add(warning.help("give the route hostnames, or leave the Domain out"));
        }
    }
}
