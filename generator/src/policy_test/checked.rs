//! A checked test file: cases whose values are valid, each with its place.

use mooring_policy::duration::Duration;

use super::{
    checker::Checker,
    expect::{Expectation, expectations},
    format::{self, PolicyTest},
    request::Request,
};
use crate::{
    api::field::{Any, Field, OptionalField, Text},
    diagnostic::{Code, Diagnostic, Report},
    dns::{self, ClusterDomain},
    kind::TEST_FILE,
    location::{DocumentOffset, FileId, SourceLocation, Spanned},
    mesh::CallerSelector,
    simulate::DRAWS,
    source::Sources,
    suggest,
    token::time::parse_rfc3339,
    yaml,
};

/// The time of the first case if the file names none: 2026-01-01T00:00:00Z.
const DEFAULT_START: u64 = 1_767_225_600;

/// A test file.
#[derive(Debug)]
pub struct TestFile {
    /// The paths of the manifests, as they are written.
    pub manifests: Vec<Spanned<String>>,
    /// The `GatewayClass`es to treat as Istio's.
    pub gateway_classes: Vec<String>,
    /// The domain of the cluster.
    pub cluster_domain: Option<ClusterDomain>,
    /// The pods whose sidecars get the requests.
    pub as_sidecar: Option<CallerSelector>,
    /// The time of the first case, in seconds since the Unix epoch.
    pub start: u64,
    /// The cases.
    pub cases: Vec<Case>,
}

/// A case.
#[derive(Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Where it begins: its name.
    pub location: SourceLocation,
    /// Its requests.
    pub requests: Vec<Request>,
    /// The position of the earlier case whose client sends the request.
    pub client: Option<Spanned<usize>>,
    /// When the request is sent.
    pub time: Time,
    /// Where the draw among the weights falls, from 0 to 99.
    pub draw: Option<u8>,
    /// Weights by backend.
    pub weights: Vec<(Spanned<String>, u32)>,
    /// Versions by backend.
    pub versions: Vec<(Spanned<String>, String)>,
    /// Backends without a healthy host, and hosts that are gone.
    pub down: Vec<Spanned<String>>,
    /// What is expected of each request.
    pub expectations: Vec<Expectation>,
}

/// When a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// So many seconds after the case of the client, or after the previous one.
    After(u64),
    /// At this time, in seconds since the Unix epoch.
    At(u64),
}

/// The fields that say what a file is.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    api_version: OptionalField<String>,
    kind: OptionalField<String>,
    #[serde(default, rename = "cases")]
    _cases: Option<Any>,
}

/// Parses a file of the sources. Everything that is invalid is reported.
pub fn parse(sources: &Sources, file: FileId, text: &str, report: &mut Report) -> Option<TestFile> {
    let offset = DocumentOffset {
        file,
        lines_before: 0,
        columns_before: 0,
    };
    let read = parsed::<Header>(text, yaml::lenient())
        .map_err(|error| yaml::no_object(&error, offset))
        .and_then(|header| check_kind(&header, sources.name(file), offset))
        .and_then(|()| parsed::<PolicyTest>(text, yaml::strict()).map_err(|error| yaml::diagnostic(&error, offset)));
    let read = match read {
        Ok(read) => read,
        Err(diagnostic) => {
            report.add(diagnostic);
            return None;
        }
    };
    let mut found = Report::default();
    let file = Checker {
        offset,
        report: &mut found,
    }
    .file(&read);
    let result = found.result();
    report.extend(found);
    result.is_ok().then_some(file)
}

fn parsed<T: for<'de> serde::Deserialize<'de>>(
    text: &str,
    options: serde_saphyr::Options,
) -> Result<T, serde_saphyr::Error> {
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| T::deserialize(deserializer))
}

fn check_kind(header: &Header, name: &str, offset: DocumentOffset) -> Result<(), Diagnostic> {
    let value = |field: &'_ OptionalField<String>| field.as_ref().map_or(String::new(), |field| field.value.clone());
    let (api_version, kind) = (value(&header.api_version), value(&header.kind));
    if (api_version.as_str(), kind.as_str()) == TEST_FILE {
        return Ok(());
    }
    let (expected_version, expected) = TEST_FILE;
    let message = match (api_version.as_str(), kind.as_str()) {
        ("", "") => {
            format!("`{name}` is not a test file: write `apiVersion: {expected_version}` and `kind: {expected}`")
        }
        (_, kind) if kind == expected => {
            format!("the apiVersion of a {expected} is `{expected_version}`, not `{api_version}`")
        }
        _ => format!(
            "`{name}` is of the kind `{kind}` of `{api_version}`: expected `{expected}` of `{expected_version}`"
        ),
    };
    let location = match (&header.kind, &header.api_version) {
        (Some(kind), _) if kind.value != expected => offset.location(kind),
        (_, Some(version)) => offset.location(version),
        (Some(kind), None) => offset.location(kind),
        (None, None) => offset.at(1, 1, 1),
    };
    Err(Diagnostic::error(Code::Invalid, message).at(location))
}

impl Checker<'_> {
    fn file(&mut self, test: &PolicyTest) -> TestFile {
        let start = test.start.as_ref().and_then(|start| self.time(start));
        let mut names: Vec<&Field<String>> = Vec::new();
        let mut cases = Vec::new();
        for case in &test.cases {
            cases.push(self.case(&case.value, &names, &cases));
            names.push(&case.value.name);
        }
        if test.cases.is_empty() {
            let message = "`cases` is empty: a test file has at least one case";
            self.report.error(Code::Invalid, message, self.offset.at(1, 1, 1));
        }
        TestFile {
            manifests: test.manifests.iter().map(|path| self.spanned(path)).collect(),
            gateway_classes: test.gateway_classes.iter().map(|class| class.value.clone()).collect(),
            cluster_domain: self.parsed(test.cluster_domain.as_ref()),
            as_sidecar: self.parsed(test.as_sidecar.as_ref()),
            start: start.unwrap_or(DEFAULT_START),
            cases,
        }
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, field: Option<&Field<String>>) -> Option<T> {
        let field = field?;
        match field.value.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(field, error.to_string());
                None
            }
        }
    }

    /// `names` and `earlier` are those of the cases before this one.
    fn case(&mut self, case: &format::Case, names: &[&Field<String>], earlier: &[Case]) -> Case {
        let name = &case.name;
        if name.value.is_empty() {
            self.error(name, "the name of a case is empty");
        }
        if let Some(other) = names.iter().find(|other| other.value == name.value) {
            let message = format!("two cases have the name `{}`", name.value);
            let other = self.offset.location(other);
            let duplicate = Diagnostic::error(Code::Duplicate, message).at(self.offset.location(name));
            self.report.reject(duplicate.with(other, "the other one"));
        }
        let requests = self.requests(&case.request.value);
        let client = case
            .session
            .as_ref()
            .and_then(|of| self.client(of, name, names, earlier));
        Case {
            name: name.value.clone(),
            location: self.offset.location(name),
            requests,
            client,
            time: self.when(case),
            draw: case.draw.as_ref().and_then(|draw| self.draw(draw)),
            weights: self.weights(&case.weights.0),
            versions: self.versions(&case.versions.0),
            down: case.down.iter().map(|down| self.spanned(down)).collect(),
            expectations: case
                .expect
                .as_ref()
                .map_or_else(Vec::new, |expect| expectations(&expect.value, self)),
        }
    }

    /// The position of the case that `session` names.
    fn client(
        &mut self,
        of: &Field<String>,
        own: &Field<String>,
        names: &[&Field<String>],
        earlier: &[Case],
    ) -> Option<Spanned<usize>> {
        let Some(position) = names.iter().position(|name| name.value == of.value) else {
            let message = if of.value == own.value {
                "a case cannot have its own session".to_owned()
            } else {
                format!("no earlier case has the name `{}`", of.value)
            };
            let similar = suggest::find(&of.value, names.iter().map(|name| name.value.as_str()));
            let error = Diagnostic::error(Code::Invalid, message).at(self.offset.location(of));
            self.report.reject(error.help_similar(similar));
            return None;
        };
        let requests = earlier.get(position).map_or(1, |case| case.requests.len());
        if requests > 1 {
            let message = format!(
                "the case `{}` has {requests} requests of different clients; `session` needs a case with one request",
                of.value
            );
            self.error(of, message);
        }
        Some(Spanned {
            value: position,
            location: self.offset.location(of),
        })
    }

    fn when(&mut self, case: &format::Case) -> Time {
        match (&case.after, &case.at) {
            (Some(after), Some(at)) => {
                self.error(at, "a case has `after` or `at`, not both");
                Time::After(self.seconds(after))
            }
            (Some(after), None) => Time::After(self.seconds(after)),
            (None, Some(at)) => self.time(at).map_or(Time::After(0), Time::At),
            (None, None) => Time::After(0),
        }
    }

    fn seconds(&mut self, text: &Field<Text>) -> u64 {
        if text.value.0 == "0" || text.value.0 == "0s" {
            return 0;
        }
        let duration = text.value.0.parse::<Duration>().map_err(|error| error.to_string());
        let seconds = duration.and_then(|duration| {
            let whole = duration.whole_seconds();
            whole.map_err(|_| format!("`{duration}` is not a number of whole seconds, and the clock counts seconds"))
        });
        seconds.unwrap_or_else(|message| {
            self.error(text, message);
            0
        })
    }

    fn time(&mut self, text: &Field<Text>) -> Option<u64> {
        let seconds = parse_rfc3339(&text.value.0).ok();
        if seconds.is_none() {
            let message = format!(
                "`{}` is not a time from 1970 on as RFC 3339 writes it, such as 2026-03-01T08:30:00Z",
                text.value.0
            );
            self.error(text, message);
        }
        seconds
    }

    fn draw(&mut self, text: &Field<Text>) -> Option<u8> {
        let draw = text.value.0.parse().ok().filter(|draw| *draw < DRAWS);
        if draw.is_none() {
            let message = format!("`{}` is not a draw: a whole number from 0 to 99", text.value.0);
            self.error(text, message);
        }
        draw
    }

    fn weights(&mut self, weights: &[(Field<String>, Field<u32>)]) -> Vec<(Spanned<String>, u32)> {
        let mut checked = Vec::new();
        for (backend, weight) in weights {
            if weight.value > MAX_WEIGHT {
                self.error(
                    weight,
                    format!("expected a weight: a whole number from 0 to {MAX_WEIGHT}"),
                );
            }
            checked.push((self.spanned(backend), weight.value));
        }
        checked
    }

    fn versions(&mut self, versions: &[(Field<String>, Field<Text>)]) -> Vec<(Spanned<String>, String)> {
        let mut checked = Vec::new();
        for (backend, version) in versions {
            let text = &version.value.0;
            if text.is_empty() || !dns::is_label_value(text) {
                self.error(
                    version,
                    format!("`{text}` is not a version: it must be the value of a label"),
                );
            }
            checked.push((self.spanned(backend), text.clone()));
        }
        checked
    }
}

/// The largest weight that Gateway API allows.
const MAX_WEIGHT: u32 = 1_000_000;
