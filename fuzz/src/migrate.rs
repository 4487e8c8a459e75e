//! What holds for whatever `mooring migrate` reads.

use std::collections::BTreeSet;

use mooring_generator::{
    diagnostic::{Code, Report, Severity},
    emit::{istio::IstioVersion, target::Target},
    id::Id,
    mesh::Mesh,
    migrate::{DEFAULT_PREFIX, Options, PolicyKind, migrate},
    output::{self, format::Format},
    source::Sources,
    validate,
};

/// Checks that a translation is understood by the other commands: they find no error in the form of its objects.
pub fn check(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let mut sources = Sources::default();
    sources.add("input.yaml", text.to_owned());
    let mut report = Report::default();
    let options = Options {
        gateway: Some(Id::new("default", "front")),
        classes: BTreeSet::new(),
        prefix: DEFAULT_PREFIX.to_owned(),
        policy_kind: PolicyKind::default(),
        cookie_suffix: String::new(),
    };
    let outputs = migrate(&sources, Mesh::default(), &options, &mut report);
    for diagnostic in report.sorted() {
        let _ = diagnostic.render(&sources);
    }
    if report.is_fatal() || outputs.is_empty() {
        return;
    }
    let written = output::chunks(&outputs, Format::Yaml)
        .expect("it can be written")
        .concat();
    let mut sources = Sources::default();
    sources.add("routes.yaml", written.clone());
    let mut found = Report::default();
    let version = IstioVersion::default();
    validate::validate(&sources, Target::Istio, version, &Mesh::default(), &mut found);
    for diagnostic in found.sorted() {
        let of_form = matches!(diagnostic.code(), Code::Syntax | Code::Invalid | Code::Duplicate);
        assert!(
            !(of_form && diagnostic.severity() == Severity::Error),
            "{}\n{written}",
            diagnostic.render(&sources)
        );
    }
}
