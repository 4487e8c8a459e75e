//! Checks the callers that the command line names, and the routes of the mesh that apply to them.

use std::collections::BTreeMap;

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    ir::{AttachedRule, ProxyGroup, Role, VirtualHost, Workload},
    kind::Kind,
    model::route::RouteSpec,
    omissions::Omitted,
    resources::{Item, Resources},
    source::Coverage,
};

/// Warns of callers that select no pods, or to whose sidecars no route with sessions or canaries applies.
pub fn warn(group: &ProxyGroup, resources: &Resources, report: &mut Report) {
    let Role::Sidecars(pods) = &group.role else {
        return;
    };
    if selects_nothing(pods, resources) {
        let message = format!(
            "--callers {pods} selects nothing: no Pod, Deployment, DaemonSet or StatefulSet of the input has this \
             namespace and these labels"
        );
        report.add(Diagnostic::warning(Code::NoEffect, message));
    }
    if !group.is_managed() {
        let message = format!(
            "--callers {pods} has no effect: no route of the mesh with sessions or canaries applies to these pods"
        );
        let help = "callers keep sessions for an HTTPRoute or GRPCRoute with a Service as its parent, and for a \
                    VirtualService of the gateway mesh";
        report.add(Diagnostic::warning(Code::NoEffect, message).help(help));
    }
}

/// Whether the input has pods in the namespace, or all pods, and none has the labels.
fn selects_nothing(selected: &Workload, resources: &Resources) -> bool {
    if resources.coverage == Coverage::Everything {
        let mut pods = resources.pods_with(&selected.labels);
        return !pods.any(|(namespace, _)| selected.is_in(namespace));
    }
    let mut known = false;
    let pods = resources.pod_labels();
    for (_, labels) in pods.filter(|(namespace, _)| selected.is_in(namespace)) {
        known = true;
        if labels.include(&selected.labels) {
            return false;
        }
    }
    known
}

/// Refuses rules of `VirtualService`s that Istio ignores in the sidecars of callers, because a route of Gateway API has
/// the same host as its parent.
pub fn refuse_replaced(group: &mut ProxyGroup, report: &mut Report) {
    if group.callers().is_none() {
        return;
    }
    let on = group.name();
    let is_virtual_service = |kind: Kind| kind == Kind::VirtualService;
    let mut owners: BTreeMap<VirtualHost, &Item<RouteSpec>> = BTreeMap::new();
    for attached in group
        .rules
        .iter()
        .filter(|attached| !is_virtual_service(attached.rule.route.spec.kind))
    {
        for host in &attached.virtual_hosts {
            owners.entry(host.clone()).or_insert(attached.rule.route);
        }
    }
    let replaced =
        |attached: &&mut AttachedRule| attached.rule.is_managed() && is_virtual_service(attached.rule.route.spec.kind);
    for attached in group.rules.iter_mut().filter(replaced) {
        let owner = attached
            .virtual_hosts
            .iter()
            .find_map(|host| Some((host, owners.get(host)?)));
        let Some((host, owner)) = owner else { continue };
        let rule = &attached.rule;
        let message = format!(
            "{} has the host of `{}` as its parent, so Istio ignores {} there",
            owner.title(),
            host.name(),
            rule.route.title()
        );
        let error = Diagnostic::error(Code::Conflicted, message).at(rule.location_of(rule.spec));
        let error = error.with(owner.location(), "the route that Istio applies");
        report.add(error.help("keep one of the two routes for this host"));
        report.omit(Omitted::Rule, format!("{} on {on}", rule.id));
        attached.refuse();
    }
}
