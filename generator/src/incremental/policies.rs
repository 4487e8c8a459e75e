//! The session policies and which of them holds for each Service, kept from plan to plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    attachment,
    diagnostic::Report,
    id::Id,
    kind::Kind,
    location::FileId,
    policies::{self, Policy},
    reads::{self, Changes, Read, Reads},
    resources::Resources,
};

/// The session policies.
#[derive(Debug, Default)]
pub struct Policies {
    all: BTreeMap<(Kind, Id), Unit>,
    /// The policies that target each Service.
    candidates: BTreeMap<Id, BTreeSet<(Kind, Id)>>,
    /// The policy that holds for each Service.
    attached: BTreeMap<Id, Arc<Policy>>,
    /// The findings about policies that do not hold for a Service because of others, by the file of the policy.
    conflicts: BTreeMap<Id, BTreeMap<FileId, Report>>,
}

/// A policy.
#[derive(Debug)]
struct Unit {
    policy: Arc<Policy>,
    /// The findings about the policy itself.
    parsed: Report,
    /// The findings about its targets.
    targets: Report,
    /// What these depend on.
    reads: Reads,
}

impl Policies {
    /// The policy that holds for each Service.
    pub fn attached(&self) -> &BTreeMap<Id, Arc<Policy>> {
        &self.attached
    }

    /// The policies that are not valid, and so take no part.
    pub fn invalid(&self) -> impl Iterator<Item = &Id> {
        let invalid = self.all.iter().filter(|(_, unit)| unit.policy.session.is_err());
        invalid.map(|((_, id), _)| id)
    }

    /// The policies that target a Service.
    pub fn targeting(&self, service: &Id) -> impl Iterator<Item = &(Kind, Id)> {
        self.candidates.get(service).into_iter().flatten()
    }

    /// A policy with the findings about it and its file.
    pub fn with_findings(&self, key: &(Kind, Id)) -> Option<(&Policy, Report, FileId)> {
        let unit = self.all.get(key)?;
        let mut report = unit.parsed.clone();
        report.extend(unit.targets.clone());
        let file = unit.policy.location.file;
        let conflicts = unit
            .services()
            .filter_map(|service| self.conflicts.get(&service)?.get(&file).cloned());
        conflicts.for_each(|found| report.extend(found));
        Some((&unit.policy, report, file))
    }

    /// The Services for which a policy holds.
    pub fn held_by<'p>(&'p self, key: &'p (Kind, Id)) -> impl Iterator<Item = Id> + 'p {
        let services = self.all.get(key).into_iter().flat_map(Unit::services);
        services.filter(|service| {
            let held = self.attached.get(service);
            held.is_some_and(|policy| (policy.kind, &policy.id) == (key.0, &key.1))
        })
    }

    /// All findings.
    pub fn findings(&self) -> impl Iterator<Item = &Report> {
        let own = self.all.values().flat_map(|unit| [&unit.parsed, &unit.targets]);
        own.chain(self.conflicts.values().flat_map(BTreeMap::values))
    }

    /// Reads the policies that have changed, and what the others depend on. The Services of changed policies become changes. Returns the
    /// policies with other findings.
    pub fn update(
        &mut self,
        own: &BTreeSet<(Kind, Id)>,
        services: bool,
        resources: &Resources,
        changes: &mut Changes,
    ) -> BTreeSet<(Kind, Id)> {
        let mut others = own.clone();
        let mut affected = BTreeSet::new();
        for key in own {
            affected.extend(self.remove(key));
            affected.extend(self.read(key, resources));
        }
        if services {
            let units = self.all.iter_mut();
            for (key, unit) in units.filter(|(_, unit)| unit.reads.meet(changes)) {
                unit.find_targets(resources);
                others.insert(key.clone());
            }
        }
        for service in affected {
            self.attach(&service);
            // Also the state of a policy that does not hold is determined with the routes to the Service.
            changes.add(Read::Attachment(&service));
            others.extend(self.targeting(&service).cloned());
        }
        others
    }

    fn remove(&mut self, key: &(Kind, Id)) -> Vec<Id> {
        let Some(unit) = self.all.remove(key) else {
            return Vec::new();
        };
        let services: Vec<Id> = unit.services().collect();
        for service in &services {
            if let Some(candidates) = self.candidates.get_mut(service) {
                candidates.remove(key);
                if candidates.is_empty() {
                    self.candidates.remove(service);
                }
            }
        }
        services
    }

    fn read(&mut self, key: &(Kind, Id), resources: &Resources) -> Vec<Id> {
        let mut parsed = Report::default();
        let (kind, id) = key;
        let Some(policy) = policies::policy(*kind, id, resources, &mut parsed) else {
            return Vec::new();
        };
        let mut unit = Unit {
            policy: Arc::new(policy),
            parsed,
            targets: Report::default(),
            reads: Reads::default(),
        };
        unit.find_targets(resources);
        let services: Vec<Id> = unit.services().collect();
        // Also an invalid one, which has a state on the gateways of the routes to the Service.
        for service in &services {
            self.candidates.entry(service.clone()).or_default().insert(key.clone());
        }
        self.all.insert(key.clone(), unit);
        services
    }

    /// Finds the policy that holds for a Service.
    fn attach(&mut self, service: &Id) {
        let candidates = self.targeting(service).filter_map(|key| self.all.get(key));
        // An invalid policy does not take part (GEP-713).
        let candidates = candidates.filter(|unit| unit.policy.session.is_ok());
        let candidates: Vec<&Policy> = candidates.map(|unit| unit.policy.as_ref()).collect();
        let mut conflicts = Report::default();
        let accepted = attachment::accepted(service, &candidates, &mut conflicts);
        let accepted = accepted.map(|policy| (policy.kind, policy.id.clone()));
        let accepted = accepted.and_then(|key| Some(Arc::clone(&self.all.get(&key)?.policy)));
        self.conflicts.remove(service);
        let mut of_files: BTreeMap<FileId, Report> = BTreeMap::new();
        for found in conflicts.sorted() {
            if let Some(location) = found.location() {
                of_files.entry(location.file).or_default().add(found.clone());
            }
        }
        if !of_files.is_empty() {
            self.conflicts.insert(service.clone(), of_files);
        }
        match accepted {
            Some(policy) => drop(self.attached.insert(service.clone(), policy)),
            None => drop(self.attached.remove(service)),
        }
    }
}

impl Unit {
    /// The Services that the policy targets.
    fn services(&self) -> impl Iterator<Item = Id> {
        let targets = self.policy.targets.iter();
        targets.map(|target| Id::new(&self.policy.id.namespace, &target.value))
    }

    fn find_targets(&mut self, resources: &Resources) {
        let mut targets = Report::default();
        let ((), reads) = reads::record(|| attachment::check_targets(&self.policy, &resources.services, &mut targets));
        (self.targets, self.reads) = (targets, reads);
    }
}
