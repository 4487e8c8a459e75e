//! The findings of the whole plan, and a whole run on the same texts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Incremental, ObjectName};
use crate::{
    attachment::Attachments,
    diagnostic::Report,
    emit::{Output, istio},
    generate::{generate_for_istio, warn_of_options},
    source::{Home, Sources},
    translate::{self, Notes},
};

impl Incremental {
    /// All findings about the objects, as a run reports them.
    #[must_use]
    pub fn findings(&self) -> Report {
        let mut report = Report::default();
        for (found, elsewhere) in self.own.values() {
            report.extend(found.clone());
            if let Some(found) = elsewhere {
                report.add(found.clone());
            }
        }
        self.policies.findings().for_each(|found| report.extend(found.clone()));
        translate::check_named(&self.resources, &mut report);
        let mut notes = Notes::default();
        let (mut backends, mut dependencies, mut managed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for part in self.parts.values() {
            report.extend(part.report.clone());
            notes.extend(&part.notes);
            backends.extend(&part.backends);
            dependencies.extend(part.dependencies.iter().cloned());
            managed.extend(part.managed.iter().cloned());
        }
        let attachments = Attachments::kept(self.policies.attached());
        if !self.resources.any_route_unread() {
            report.extend(translate::unused(
                &attachments,
                |service| backends.contains(service),
                &self.resources,
            ));
        }
        notes.report(&mut report);
        translate::report_unread(&self.resources, &attachments, &dependencies, &mut report);
        istio::report_whole(!managed.is_empty(), &self.options, &mut report);
        if !self.objects.is_empty() {
            warn_of_options(&self.options, &mut report);
        }
        translate::check_replaced(&managed, &self.resources, false, &mut report);
        report
    }

    /// The objects and findings of a whole run on the same texts, and these texts.
    #[must_use]
    pub fn run(&self) -> (BTreeMap<ObjectName, Arc<Output>>, Report, Sources) {
        let mut sources = Sources::covering(self.sources.coverage.clone());
        for file in self.files.values() {
            sources.add(
                self.sources.name(*file),
                self.sources.text(*file).unwrap_or_default().to_owned(),
            );
        }
        for (file, text, _) in self.sources.earlier().filter(|(_, text, _)| !text.is_empty()) {
            sources.add_earlier(self.sources.name(file), text.to_owned(), Home::Cluster);
        }
        let mut report = Report::default();
        let outputs = generate_for_istio(&sources, &self.options, &self.resources.mesh, &mut report);
        let outputs = outputs
            .into_iter()
            .map(|output| (ObjectName::of(&output), Arc::new(output)));
        (outputs.collect(), report, sources)
    }
}
