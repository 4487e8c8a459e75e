//! Parses texts into Kubernetes objects with locations. It splits a text into documents, unrolls `kind: List`, and
//! skips unrelated kinds.
//!
//! This module does not check whether objects fit together; `crate::resources` and the later steps do.

use std::cell::OnceCell;

use rayon::prelude::*;
use serde_json::Value;

use crate::{
    api::{
        field::{Any, Field},
        object::Metadata,
    },
    diagnostic::{Code, Diagnostic, Report, Severity},
    kind::{Kind, Reads, Recognized},
    location::{DocumentOffset, FileId},
    omissions::Omitted,
    source::Sources,
    yaml,
};

mod applied;
mod broken;
mod earlier;
mod fast_path;
mod foreign;
mod header;
mod kustomize;
mod list;
mod parsed;
mod raw;
mod split;
mod text;

use fast_path::FastPath;
use foreign::Foreign;
use header::{Header, ListHeader};
use kustomize::Patches;
use split::split;
use text::{Document, is_blank};

pub use parsed::Parsed;

pub use applied::{Applied, AppliedFilter, AppliedPlugin, ENVOY_FILTER, UnreadableConfig};

pub use raw::RawObjects;

pub use broken::{Broken, Wants};

use broken::Name;

pub use earlier::{Earlier, WASM_PLUGIN};

/// How many invalid items of a `List` are reported. For each of them, the whole list is parsed again.
const MAX_WRONG_ITEMS: usize = 20;

/// The result of parsing a document.
#[derive(Debug)]
pub enum Outcome {
    /// An object.
    Object(DocumentOffset, Box<Parsed>),
    /// An object of this kind that could not be parsed. It is reported later, because the severity depends on the
    /// objects that it affects.
    Broken(Box<Broken>),
    /// An object of this kind and with these metadata that an earlier run generated. It is not input.
    Generated(Kind, Box<Metadata>),
    /// A document that is not valid YAML, so it may be any object. That is already reported.
    Unknown,
}

/// The documents of a text that have content.
#[must_use]
pub fn texts(text: &str) -> Vec<String> {
    let documents = split(FileId(0), "", text).into_iter();
    documents
        .filter(Document::has_content)
        .map(|document| document.text.into_owned())
        .collect()
}

/// Parses every document of every source, and reports all errors.
pub fn read(sources: &Sources, report: &mut Report) -> Vec<Outcome> {
    read_kinds(sources, Reads::Routing, report)
}

/// Parses the documents of one file of the sources.
pub fn read_file(sources: &Sources, file: FileId, report: &mut Report) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let documents = split(file, sources.name(file), sources.text(file).unwrap_or_default());
    for document in documents.into_iter().filter(Document::has_content) {
        document.read(&mut outcomes, report);
    }
    outcomes
}

/// The same for a run that reads these kinds.
pub fn read_kinds(sources: &Sources, reads: Reads, report: &mut Report) -> Vec<Outcome> {
    let mut all = Vec::new();
    let patches = Patches::new(sources);
    for (file, text) in sources.texts() {
        let before = all.len();
        let name = sources.name(file);
        if patches.contain(name) {
            report.input_summary_mut().skip_foreign("kustomize patch");
            continue;
        }
        let documents = split(file, name, text).into_iter().filter(Document::has_content);
        all.extend(documents.map(|document| document.read_by(reads)));
        if all.len() == before {
            let message = format!("`{name}` is empty: it has no YAML document");
            // A user adds comments on purpose. A file without any may be the result of a failed write.
            let diagnostic = if text.trim().is_empty() {
                Diagnostic::warning(Code::Syntax, message)
            } else {
                Diagnostic::note(Code::Syntax, message)
            };
            report.add(diagnostic.skipping());
            report.input_summary_mut().skip_foreign("empty file");
        }
    }
    // The outcomes and findings keep the order of the text, regardless of which thread finishes first.
    let (outcomes, found) = all
        .par_iter()
        .fold(Read::default, |(mut outcomes, mut report), document| {
            document.read(&mut outcomes, &mut report);
            (outcomes, report)
        })
        .reduce(Read::default, |(mut outcomes, mut report), (more, found)| {
            outcomes.extend(more);
            report.extend(found);
            (outcomes, report)
        });
    report.extend(found);
    for outcome in &outcomes {
        match outcome {
            Outcome::Object(_, parsed) => report.input_summary_mut().read(parsed.kind()),
            Outcome::Broken(_) | Outcome::Unknown => report.input_summary_mut().fail(),
            Outcome::Generated(..) => {}
        }
    }
    // If nothing can be read, empty output is not what the user wants.
    let any = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Object(..)));
    if !report.input_summary().any_object() {
        report.forbid_skipping(Severity::Note);
    } else if !any {
        report.forbid_skipping(Severity::Warning);
    }
    if !any && report.has_errors() {
        report.abort();
    }
    outcomes
}

/// What was read, and the findings.
type Read = (Vec<Outcome>, Report);

/// The location of a list of items.
#[derive(Clone, Copy)]
enum Items {
    OfList,
    OfArray,
}

impl Document<'_> {
    fn read(&self, outcomes: &mut Vec<Outcome>, report: &mut Report) {
        if let Ok(object) = self.with(yaml::strict(), |deserializer| fast_path::read(deserializer, self.reads)) {
            return match object {
                FastPath::Read(parsed) => self.found(parsed, outcomes, report),
                FastPath::Unrelated(kind) => report.input_summary_mut().skip(&kind),
            };
        }
        let header: Header = match self.parse(yaml::lenient()) {
            Ok(header) => header,
            Err(error) => return self.no_object(&error, outcomes, report),
        };
        match header.recognize(self.offset, self.reads) {
            Ok(Recognized::Unrelated) if header.is_of_kustomize() => {
                self.skip(&Foreign::Kustomization(kustomize::changes(&self.values())), report);
            }
            Ok(Recognized::Unrelated) => match self.template().filter(|_| header.kind().contains("{{")) {
                Some(location) => self.skip(&Foreign::Template(location), report),
                None => report.input_summary_mut().skip(header.kind()),
            },
            Ok(Recognized::Known(kind)) => self.object(kind, outcomes, report),
            Ok(Recognized::List) => match self.parse::<ListHeader>(yaml::lenient()) {
                Ok(list) => self.list(Items::OfList, &list.items.unwrap_or_default(), outcomes, report),
                Err(error) => self.unknown(yaml::diagnostic(&error, self.offset), None, outcomes, report),
            },
            Err(unread) => match (unread.kind, self.without_kind(&header)) {
                (Some(kind), _) => outcomes.push(self.broken(kind, unread.diagnostic, None, &self.values())),
                (None, Some(foreign)) => self.skip(&foreign, report),
                (None, None) => self.unknown(unread.diagnostic, None, outcomes, report),
            },
        }
    }

    fn object(&self, kind: Kind, outcomes: &mut Vec<Outcome>, report: &mut Report) {
        let parsed = self.with(yaml::strict(), |deserializer| Parsed::deserialize(kind, deserializer));
        match parsed {
            Ok(parsed) => self.found(Box::new(parsed), outcomes, report),
            Err(error) => match self.unreadable(kind, &error) {
                Some(foreign) => self.skip(&foreign, report),
                None => outcomes.push(self.broken(kind, yaml::diagnostic(&error, self.offset), None, &self.values())),
            },
        }
    }

    /// A document that is not a mapping. It may be an array of objects or a template.
    fn no_object(&self, error: &serde_saphyr::Error, outcomes: &mut Vec<Outcome>, report: &mut Report) {
        if let Some(location) = self.template() {
            return self.skip(&Foreign::Template(location), report);
        }
        match self.parse::<Vec<Field<Header>>>(yaml::lenient()) {
            Ok(items) if items.is_empty() || items.iter().any(|item| item.value.has_any()) => {
                self.list(Items::OfArray, &items, outcomes, report);
            }
            _ if self.parse::<Vec<Any>>(yaml::lenient()).is_ok() => self.skip(&self.array_without_objects(), report),
            _ => self.unknown(yaml::no_object(error, self.offset), None, outcomes, report),
        }
    }

    /// Adds a parsed object, unless an earlier run generated it or it is incomplete. Generated objects are not input.
    fn found(&self, parsed: Box<Parsed>, outcomes: &mut Vec<Outcome>, report: &mut Report) {
        if parsed.is_generated() {
            report.input_summary_mut().skip_generated(parsed.kind());
            return outcomes.push(Outcome::Generated(parsed.kind(), Box::new(parsed.metadata().clone())));
        }
        if let Some(foreign) = self.unfinished(&parsed) {
            return self.skip(&foreign, report);
        }
        outcomes.push(Outcome::Object(self.offset, parsed));
    }

    /// The outcome for an object of which only the kind is known. `item` is its header if it is an item of a list.
    fn broken(&self, kind: Kind, diagnostic: Diagnostic, item: Option<&Field<Header>>, values: &Value) -> Outcome {
        Outcome::Broken(Box::new(Broken {
            kind,
            name: Name::of(values),
            wants: Wants::of(kind, values),
            label: self.label(item),
            diagnostic,
        }))
    }

    /// Reports a text that may be any object.
    fn unknown(
        &self,
        diagnostic: Diagnostic,
        item: Option<&Field<Header>>,
        outcomes: &mut Vec<Outcome>,
        report: &mut Report,
    ) {
        report.add(diagnostic);
        report.omit(Omitted::Document, self.label(item));
        outcomes.push(Outcome::Unknown);
    }

    /// The file and line at which the document, or an item of it, begins.
    fn label(&self, item: Option<&Field<Header>>) -> String {
        let first = self.text.lines().take_while(|line| is_blank(line)).count();
        let line = match item {
            Some(item) => self.offset.location(item).line,
            None => self.offset.lines_before.saturating_add(first).saturating_add(1),
        };
        format!("{}:{line}", self.file)
    }

    /// Parses the items of a `List` or array. The parser stops at each invalid item, and then starts again after that
    /// item.
    fn list(&self, of: Items, items: &[Field<Header>], outcomes: &mut Vec<Outcome>, report: &mut Report) {
        if items.is_empty() {
            return;
        }
        let values = OnceCell::new();
        let value = |position: usize| {
            let whole = values.get_or_init(|| self.values());
            let items = match of {
                Items::OfList => whole.get("items"),
                Items::OfArray => Some(whole),
            };
            items.and_then(|items| items.get(position)).unwrap_or(&Value::Null)
        };
        let mut kinds = Vec::new();
        for (position, item) in items.iter().enumerate() {
            let header = &item.value;
            let recognized = header.recognize(self.offset, self.reads);
            kinds.push(match recognized {
                Ok(Recognized::Known(kind)) => Some(kind),
                _ => None,
            });
            match recognized {
                Ok(Recognized::Known(_)) => {}
                Ok(Recognized::Unrelated) => report.input_summary_mut().skip(header.kind()),
                Ok(Recognized::List) => {
                    let message = "a List inside a List is not supported";
                    let diagnostic = Diagnostic::error(Code::Unsupported, message).at(self.offset.location(item));
                    self.unknown(diagnostic, Some(item), outcomes, report);
                }
                Err(unread) => match unread.kind {
                    Some(kind) => outcomes.push(self.broken(kind, unread.diagnostic, Some(item), value(position))),
                    None => self.unknown(unread.diagnostic, Some(item), outcomes, report),
                },
            }
        }
        let mut next = 0;
        for _ in 0..MAX_WRONG_ITEMS {
            let mut read = Vec::new();
            let result = self.with(yaml::strict(), |deserializer| {
                list::read(deserializer, &kinds, next, &mut read)
            });
            let at = next.saturating_add(read.len());
            for parsed in read.into_iter().flatten() {
                self.found(Box::new(parsed), outcomes, report);
            }
            let Err(error) = result else { return };
            let diagnostic = yaml::diagnostic(&error, self.offset);
            match kinds.get(at).copied().flatten() {
                Some(kind) => outcomes.push(self.broken(kind, diagnostic, items.get(at), value(at))),
                // The error is outside the items, so nothing more can be read.
                None => return self.unknown(diagnostic, None, outcomes, report),
            }
            next = at.saturating_add(1);
        }
        let rest = items.len().saturating_sub(next);
        if rest > 0 {
            let message =
                format!("{MAX_WRONG_ITEMS} items of this List are invalid, so the {rest} after them are not read");
            let location = items.get(next).map(|item| self.offset.location(item));
            let diagnostic = Diagnostic::error(Code::Syntax, message);
            let diagnostic = location.into_iter().fold(diagnostic, Diagnostic::at);
            self.unknown(diagnostic, items.get(next), outcomes, report);
        }
    }
}
