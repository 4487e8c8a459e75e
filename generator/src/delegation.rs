//! `VirtualService`s that delegate routes to others: the routes that istiod makes of both (istiod: `mergeVirtualServices`).
//!
//! A delegate has no hosts. Its routes are in the location of the route of the root that names it, narrowed by the matches of that one, and
//! their names have that one's before them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{
        field::Field,
        virtual_service::{Delegate, HttpRoute, VirtualServiceSpec},
    },
    diagnostic::{Code, Diagnostic},
    id::Id,
    kind::Kind,
    model::{
        delegation::{MatchPair, merge_routes},
        route::{self, RouteSpec},
        virtual_service::istio_gateway,
    },
    reads::{self, Read},
    resources::{
        item::Item,
        items::{Found, Items},
    },
    visibility,
};

/// What is known of delegates while the input is read, and what comes of it.
#[derive(Debug, Default)]
pub struct Delegations {
    /// The http routes of the `VirtualService`s that delegate, or may be delegates.
    written: BTreeMap<Id, Vec<Field<HttpRoute>>>,
    roots: BTreeMap<Id, Merged>,
    used: BTreeSet<Id>,
}

/// A `VirtualService` that delegates.
#[derive(Debug, Default)]
pub struct Merged {
    /// Its http routes, as istiod makes them.
    pub routes: Vec<MergedRoute>,
    /// What istiod leaves out.
    pub findings: Vec<Diagnostic>,
    /// The delegates that could not be read.
    pub unread: Vec<Id>,
}

/// An http route of a `VirtualService` that delegates.
#[derive(Debug)]
pub struct MergedRoute {
    /// The position of the route in the root.
    pub root: usize,
    /// What it is merged with. None: it does not delegate.
    pub delegated: Option<Delegated>,
}

/// A route of a delegate.
#[derive(Debug)]
pub struct Delegated {
    /// The delegate.
    pub delegate: Id,
    /// The position of the route there.
    pub position: usize,
    /// The merged route. Its places are in the document of the delegate.
    pub rule: Field<route::Rule>,
    /// Of which matches its own were made.
    pub matches: Vec<MatchPair>,
}

impl Delegations {
    /// Remembers what may have to be merged.
    pub fn note(&mut self, id: &Id, spec: &VirtualServiceSpec) {
        let delegates = spec.http.iter().any(|route| route.value.delegate.is_some());
        if !delegates && !spec.hosts.is_empty() {
            return;
        }
        let mut routes = spec.http.clone();
        let matches = routes.iter_mut().flat_map(|route| &mut route.value.matches);
        for name in matches.flat_map(|one| &mut one.value.gateways) {
            if let Some(gateway) = istio_gateway(&name.value, &id.namespace) {
                name.value = gateway.to_string();
            }
        }
        self.written.insert(id.clone(), routes);
    }

    /// Forgets a `VirtualService`, until the next merge.
    pub(crate) fn forget(&mut self, id: &Id) {
        self.written.remove(id);
    }

    /// The `VirtualService`s that delegate or may be delegates.
    pub(crate) fn involved(&self) -> impl Iterator<Item = &Id> {
        self.written.keys()
    }

    /// The `VirtualService`s that this one delegates to, whether they exist or not.
    pub(crate) fn delegates_of(&self, root: &Id) -> impl Iterator<Item = Id> {
        let written = self.written.get_key_value(root).into_iter();
        written.flat_map(|(root, routes)| delegates(root, routes))
    }

    /// Merges the roots with their delegates.
    pub fn merge(&mut self, virtual_services: &Items<RouteSpec>) {
        let written = std::mem::take(&mut self.written);
        self.roots.clear();
        self.used.clear();
        for (id, routes) in &written {
            let root = virtual_services.get(id).filter(|root| !root.spec.hostnames.is_empty());
            let Some(root) = root else { continue };
            let mut merged = Merged::default();
            for (position, route) in routes.iter().enumerate() {
                match &route.value.delegate {
                    None => merged.routes.push(MergedRoute {
                        root: position,
                        delegated: None,
                    }),
                    Some(delegate) => {
                        let source = Source { root, position, route };
                        source.merge(&delegate.value, &written, virtual_services, &mut merged);
                    }
                }
            }
            let delegated = merged.routes.iter().filter_map(|route| route.delegated.as_ref());
            self.used.extend(delegated.map(|delegated| delegated.delegate.clone()));
            self.roots.insert(id.clone(), merged);
        }
        self.written = written;
    }

    /// What comes of a `VirtualService` that delegates.
    #[must_use]
    pub fn of_root(&self, id: &Id) -> Option<&Merged> {
        reads::note(Read::Object(Kind::VirtualService, id));
        self.roots.get(id)
    }

    /// Whether another `VirtualService` has routes of this one.
    #[must_use]
    pub fn is_used(&self, id: &Id) -> bool {
        reads::note(Read::Object(Kind::VirtualService, id));
        self.used.contains(id)
    }

    /// The merged routes of a delegate.
    pub fn of_delegate<'d>(&'d self, id: &'d Id) -> impl Iterator<Item = &'d Field<route::Rule>> {
        reads::note(Read::Object(Kind::VirtualService, id));
        let routes = self.roots.values().flat_map(|merged| &merged.routes);
        let delegated = routes.filter_map(|route| route.delegated.as_ref());
        delegated
            .filter(move |delegated| delegated.delegate == *id)
            .map(|delegated| &delegated.rule)
    }
}

/// The `VirtualService`s that the routes of a root delegate to.
fn delegates(root: &Id, routes: &[Field<HttpRoute>]) -> impl Iterator<Item = Id> {
    let named = routes.iter().filter_map(|route| route.value.delegate.as_ref());
    named.map(|delegate| delegate_id(root, &delegate.value))
}

/// The `VirtualService` that a root delegates to.
fn delegate_id(root: &Id, delegate: &Delegate) -> Id {
    let namespace = delegate
        .namespace
        .as_ref()
        .filter(|namespace| !namespace.value.is_empty());
    Id::new(
        namespace.map_or(&root.namespace, |field| &field.value),
        &delegate.name.value,
    )
}

/// A route that delegates.
struct Source<'a> {
    root: &'a Item<RouteSpec>,
    position: usize,
    route: &'a Field<HttpRoute>,
}

impl Source<'_> {
    fn merge(
        &self,
        delegate: &Delegate,
        written: &BTreeMap<Id, Vec<Field<HttpRoute>>>,
        virtual_services: &Items<RouteSpec>,
        merged: &mut Merged,
    ) {
        let id = delegate_id(&self.root.id, delegate);
        let namespace = id.namespace.as_str();
        let title = self.root.title();
        let location = self.root.location_of(&delegate.name);
        let omissions = |reason: String| {
            let message =
                format!("{title} delegates to the VirtualService {id}, {reason}: Istio leaves this http route out");
            Diagnostic::warning(Code::NoEffect, message).at(location)
        };
        let item = match virtual_services.find(&id) {
            Found::Item(item) => item,
            Found::Unknown => return merged.unread.push(id),
            Found::Nothing(instead) => {
                let finding = omissions("which is not in the input".to_owned());
                return merged.findings.push(finding.instead(&instead));
            }
        };
        if !item.spec.hostnames.is_empty() {
            let finding = omissions("which has hosts and so is no delegate".to_owned());
            return merged.findings.push(finding.with(item.location(), "this one"));
        }
        let exported = visibility::texts(&item.spec.export_to);
        if exported.clone().next().is_some() && !visibility::names(exported, namespace, &self.root.id.namespace) {
            let finding = omissions(format!(
                "which is not exported to the namespace {}",
                self.root.id.namespace
            ));
            let there = item
                .spec
                .export_to
                .first()
                .map_or(item.location(), |first| item.location_of(first));
            return merged.findings.push(finding.with(there, "its exportTo"));
        }
        for (position, route) in written.get(&id).into_iter().flatten().enumerate() {
            let here = self.root.location_of(self.route);
            let warn = |message: String| {
                let warning = Diagnostic::warning(Code::NoEffect, message).at(item.location_of(route));
                warning.with(here, "the route that delegates to it")
            };
            if let Some(next) = &route.value.delegate {
                let message = format!(
                    "{} is a delegate, and a delegate cannot delegate to another VirtualService, here `{}`",
                    item.title(),
                    next.value.name.value
                );
                merged.findings.push(warn(message));
                continue;
            }
            let Some((rule, matches)) = merge_routes(&self.route.value, route) else {
                let message = format!(
                    "this http route of {} has a match that is not narrower than those of the route in {title} that delegates to it: \
                     Istio leaves it out",
                    item.title()
                );
                merged.findings.push(warn(message));
                continue;
            };
            merged.routes.push(MergedRoute {
                root: self.position,
                delegated: Some(Delegated {
                    delegate: id.clone(),
                    position,
                    rule: Field {
                        value: rule.value.into(),
                        at: rule.at,
                    },
                    matches,
                }),
            });
        }
    }
}
