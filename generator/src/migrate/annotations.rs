//! Reads the annotations of one Ingress. Each is looked up by its name without the prefix, and its value is checked as
//! ingress-nginx checks it. A wrong value is an error at its location; ingress-nginx ignores such an annotation and
//! writes a line to its log, so it is left out here too.

use std::{cell::RefCell, collections::BTreeSet, fmt::Display};

use crate::{
    api::{field::Field, ingress::IngressSpec},
    diagnostic::{Code, Diagnostic, Report},
    location::{SourceLocation, Spanned},
    resources::Item,
};

/// The annotations of an Ingress with the prefix of ingress-nginx.
pub struct Annotations<'a> {
    item: &'a Item<IngressSpec>,
    prefix: &'a str,
    read: RefCell<BTreeSet<&'static str>>,
}

/// The words that Go reads as a boolean (`strconv.ParseBool`).
const TRUE: [&str; 6] = ["true", "True", "TRUE", "t", "T", "1"];
const FALSE: [&str; 6] = ["false", "False", "FALSE", "f", "F", "0"];

impl<'a> Annotations<'a> {
    /// The annotations of this Ingress. `prefix` has no slash.
    pub fn new(item: &'a Item<IngressSpec>, prefix: &'a str) -> Self {
        Self {
            item,
            prefix,
            read: RefCell::default(),
        }
    }

    /// The full name of an annotation.
    pub fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// All of them: the short name, the field of the name, and the field of the value.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a Field<String>, &'a Field<String>)> {
        let prefix = self.prefix;
        self.item.metadata.annotations.iter().filter_map(move |(name, value)| {
            let short = name.value.strip_prefix(prefix)?.strip_prefix('/')?;
            Some((short, name, value))
        })
    }

    /// Whether an annotation was looked up.
    pub fn was_read(&self, name: &str) -> bool {
        self.read.borrow().contains(name)
    }

    /// The location of the name of an annotation.
    pub fn location(&self, name: &str) -> Option<SourceLocation> {
        let mut all = self.iter();
        all.find_map(|(short, field, _)| (short == name).then(|| self.item.location_of(field)))
    }

    /// The value of an annotation, without surrounding white space. An empty one is an error.
    pub fn text(&self, name: &'static str, report: &mut Report) -> Option<Spanned<String>> {
        self.read.borrow_mut().insert(name);
        let (_, field, value) = self.iter().find(|(short, ..)| *short == name)?;
        let text = value.value.trim();
        if text.is_empty() {
            let message = format!("`{}` has no value", self.full(name));
            report.error(Code::Invalid, message, self.item.location_of(field));
            return None;
        }
        Some(Spanned {
            value: text.to_owned(),
            location: self.item.location_of(value),
        })
    }

    /// The value of an annotation that is true or false.
    pub fn boolean(&self, name: &'static str, report: &mut Report) -> Option<Spanned<bool>> {
        self.parsed(name, "allowed: \"true\", \"false\"", report, |text| {
            let is = |words: [&str; 6]| words.contains(&text);
            is(TRUE).then_some(true).or_else(|| is(FALSE).then_some(false))
        })
    }

    /// The value of an annotation that is one of these words. Their case does not matter.
    pub fn word<const N: usize>(
        &self,
        name: &'static str,
        words: [&'static str; N],
        report: &mut Report,
    ) -> Option<Spanned<&'static str>> {
        let allowed = format!("allowed: {}", words.map(|word| format!("\"{word}\"")).join(", "));
        self.parsed(name, &allowed, report, |text| {
            words.into_iter().find(|word| word.eq_ignore_ascii_case(text))
        })
    }

    /// The value of an annotation, parsed. `allowed` completes the message about a value that is not.
    pub fn parsed<T>(
        &self,
        name: &'static str,
        allowed: &str,
        report: &mut Report,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Spanned<T>> {
        let text = self.text(name, report)?;
        let Some(value) = parse(&text.value) else {
            self.invalid(name, &text, allowed, report);
            return None;
        };
        let location = text.location;
        Some(Spanned { value, location })
    }

    /// Reports a value that is not allowed.
    pub fn invalid(&self, name: &str, text: &Spanned<String>, allowed: impl Display, report: &mut Report) {
        let message = format!("`{}` is \"{}\"; {allowed}", self.full(name), text.value);
        report.error(Code::Invalid, message, text.location);
    }

    /// Reports an annotation without effect, at its name.
    pub fn no_effect(&self, name: &'static str, why: impl Display, report: &mut Report) {
        self.read.borrow_mut().insert(name);
        if let Some(location) = self.location(name) {
            let message = format!("`{}` has no effect: {why}", self.full(name));
            report.add(Diagnostic::warning(Code::NoEffect, message).at(location));
        }
    }

    /// Reports an annotation whose behaviour is not translated, at its name.
    pub fn unsupported(&self, name: &'static str, why: impl Display, report: &mut Report) {
        self.read.borrow_mut().insert(name);
        if let Some(location) = self.location(name) {
            let message = format!("`{}` is not translated: {why}", self.full(name));
            report.add(Diagnostic::warning(Code::Unsupported, message).at(location));
        }
    }

    /// Notes a difference in behaviour, at the name of an annotation.
    pub fn note(&self, name: &'static str, what: impl Display, report: &mut Report) {
        if let Some(location) = self.location(name) {
            let message = format!("`{}`: {what}", self.full(name));
            report.add(Diagnostic::note(Code::Accepted, message).at(location));
        }
    }
}
