//! TLS: the listener of the Gateway has the certificates, and a route on its HTTP listener redirects.

use super::ingress::Ingress;
use crate::diagnostic::{Code, Diagnostic, Report};

/// Reports the certificates of each Ingress, and the redirect to HTTPS that ingress-nginx makes where there are any.
pub fn report_each(ingresses: &[Ingress], report: &mut Report) {
    for ingress in ingresses.iter().filter(|ingress| ingress.canary.is_none()) {
        let redirects = ingress.other.ssl_redirect != Some(false);
        for tls in &ingress.item.spec.tls {
            let hosts: Vec<&str> = tls.value.hosts.iter().map(|host| host.value.as_str()).collect();
            let secret = match &tls.value.secret_name {
                Some(secret) => format!("the Secret `{}`", secret.value),
                None => "the default certificate of ingress-nginx".to_owned(),
            };
            let redirect = if redirects {
                ", and requests over HTTP are not redirected to HTTPS"
            } else {
                ""
            };
            let message = format!(
                "TLS is not translated: a listener of the Gateway needs {secret} for {}{redirect}",
                shown(&hosts)
            );
            let warning = Diagnostic::warning(Code::Unsupported, message).at(ingress.item.location_of(tls));
            report.add(if redirects {
                warning.help(
                    "attach the routes to the HTTPS listener (sectionName), and one route with a RequestRedirect filter, \
                     scheme https, to the HTTP listener",
                )
            } else {
                warning
            });
        }
    }
}

fn shown(hosts: &[&str]) -> String {
    match hosts {
        [] => "all hosts".to_owned(),
        hosts => hosts
            .iter()
            .map(|host| format!("`{host}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}
