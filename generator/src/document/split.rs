//! Finds the boundaries between the documents of a text.

use serde::de::IgnoredAny;

use super::text::{Document, is_blank};
use crate::location::{DocumentOffset, FileId};

/// Splits a text at its `---` lines. Such a line is never part of a value (YAML 1.2.2, section 9.1.2), so the split
/// does not cut a value, and an error in one document does not hide the next one. JSON values may also follow each
/// other without a separator.
pub fn split<'a>(file: FileId, name: &'a str, text: &'a str) -> Vec<Document<'a>> {
    let mut documents = Vec::new();
    let mut offset = DocumentOffset {
        file,
        lines_before: 0,
        columns_before: 0,
    };
    let (mut start, mut end) = (0_usize, 0_usize);
    let mut directives_only = true;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if marker && !directives_only {
            documents.extend(text.get(start..end).map(|text| (offset, text)));
            (start, offset.lines_before) = (end, number);
        }
        directives_only &= !marker && matches!(line.trim_start().chars().next(), None | Some('#' | '%'));
        end = end.saturating_add(line.len());
    }
    documents.extend(text.get(start..).map(|text| (offset, text)));
    let values = documents
        .into_iter()
        .flat_map(|(offset, text)| json_values(offset, text));
    values.map(|(offset, text)| Document::new(offset, name, text)).collect()
}

/// The separate JSON values of a document. Text after the last value is one more part. A document that is not a
/// sequence of JSON values stays whole.
fn json_values(offset: DocumentOffset, text: &str) -> Vec<(DocumentOffset, &str)> {
    if !text.trim_start().starts_with(['{', '[']) {
        return vec![(offset, text)];
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut ends = Vec::new();
    while let Some(Ok(_)) = values.next() {
        ends.push(values.byte_offset());
    }
    let mut parts = Vec::new();
    let (mut rest, mut origin_of_rest, mut before) = (text, offset, 0_usize);
    for end in ends {
        let (value, more) = rest.split_at_checked(end.saturating_sub(before)).unwrap_or((rest, ""));
        parts.push((origin_of_rest, value));
        origin_of_rest = origin_of_rest.after(value);
        (rest, before) = (more, end);
    }
    if parts.is_empty() || !rest.lines().all(is_blank) {
        parts.push((origin_of_rest, rest));
    }
    parts
}
