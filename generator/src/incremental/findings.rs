//! The findings of the whole plan, and a whole run on the same texts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    graph::ComponentId,
    known::Known,
    part::{ObjectName, Part},
};
use crate::{
    attachment::Attachments,
    diagnostic::Report,
    emit::{Output, istio},
    generate::{generate_for_istio, warn_of_options},
    source::Sources,
    translate::{self, Notes},
};

/// All findings about the objects, as a run reports them.
pub fn all(known: &Known, parts: &BTreeMap<ComponentId, Part>, any_object: bool, options: &istio::Options) -> Report {
    let mut report = Report::default();
    for (found, elsewhere) in known.own.values() {
        report.extend(found.clone());
        if let Some(found) = elsewhere {
            report.add(found.clone());
        }
    }
    known.policies.findings().for_each(|found| report.extend(found.clone()));
    translate::check_named(&known.resources, &mut report);
    let mut notes = Notes::default();
    let (mut backends, mut managed) = (BTreeSet::new(), BTreeSet::new());
    for part in parts.values() {
        report.extend(part.report.clone());
        notes.extend(&part.notes);
        backends.extend(&part.backends);
        managed.extend(part.managed.iter().cloned());
    }
    let attachments = Attachments::kept(known.policies.attached());
    if !known.resources.any_route_unread() {
        report.extend(translate::unused(
            &attachments,
            |service| backends.contains(service),
            &known.resources,
        ));
    }
    notes.report(&mut report);
    report.extend(of_unread(known, parts));
    istio::report_whole(!managed.is_empty(), options, &mut report);
    if any_object {
        warn_of_options(options, &mut report);
    }
    translate::check_replaced(&managed, &known.resources, false, &mut report);
    report
}

/// What is found about the objects that could not be read.
pub fn of_unread(known: &Known, parts: &BTreeMap<ComponentId, Part>) -> Report {
    let mut report = Report::default();
    if known.resources.unread.is_empty() {
        return report;
    }
    let of_parts = parts.values().map(|part| &part.report);
    for found in of_parts.chain(known.policies.findings()) {
        found.missed().iter().for_each(|(kind, id)| report.miss(*kind, id));
    }
    let dependencies = parts.values().flat_map(|part| part.dependencies.iter().cloned());
    let attachments = Attachments::kept(known.policies.attached());
    translate::report_unread(&known.resources, &attachments, &dependencies.collect(), &mut report);
    report
}

/// The objects and findings of a whole run on the same texts, and these texts.
pub fn of_run(known: &Known, options: &istio::Options) -> (BTreeMap<ObjectName, Arc<Output>>, Report, Sources) {
    let sources = known.sources.ordered(known.files.values().copied());
    let mut report = Report::default();
    let outputs = generate_for_istio(&sources, options, &known.resources.mesh, &mut report);
    let outputs = outputs
        .into_iter()
        .map(|output| (ObjectName::of(&output), Arc::new(output)));
    (outputs.collect(), report, sources)
}
