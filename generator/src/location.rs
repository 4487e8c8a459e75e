//! Positions in the input: which file, which line, which column.

use serde_saphyr::Location;

/// The number of an input file. `crate::source::Sources` assigns it and knows the file's name and text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(crate) usize);

/// A position in an input file. Lines and columns count from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceLocation {
    /// The file.
    pub file: FileId,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// The number of characters of the line that are meant; at least 1.
    pub length: usize,
}

/// A value with its position in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its position.
    pub location: SourceLocation,
}

/// A position in one YAML document. Lines and columns count from 1; columns and lengths count characters.
///
/// Every field of every object has one, so it is as small as it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
    /// The length of the text.
    pub length: u32,
}

impl Span {
    /// The first character of a document.
    pub const START: Self = Self {
        line: 1,
        column: 1,
        length: 1,
    };
}

impl From<Location> for Span {
    fn from(location: Location) -> Self {
        let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            line: number(location.line()),
            column: number(location.column()),
            length: number(location.span().len()),
        }
    }
}

/// Where a document begins in its file: turns a position in the document into a position in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentOffset {
    /// The file.
    pub file: FileId,
    /// How many lines of the file precede the document.
    pub lines_before: usize,
    /// How many characters of its first line precede the document.
    pub columns_before: usize,
}

impl DocumentOffset {
    /// The position in the file of a position in the document.
    #[must_use]
    pub fn locate(self, span: impl Into<Span>) -> SourceLocation {
        let Span { line, column, length } = span.into();
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        self.at(number(line), number(column), number(length))
    }

    /// The position in the file of a line and column of the document.
    #[must_use]
    pub fn at(self, line: usize, column: usize, length: usize) -> SourceLocation {
        let columns_before = if line <= 1 { self.columns_before } else { 0 };
        SourceLocation {
            file: self.file,
            line: line.saturating_add(self.lines_before),
            column: column.max(1).saturating_add(columns_before),
            length: length.max(1),
        }
    }

    /// The offset of a document that follows directly after `text`, which begins at this offset.
    #[must_use]
    pub fn after(self, text: &str) -> Self {
        let last_line = text.rsplit('\n').next().unwrap_or(text);
        let lines = text.matches('\n').count();
        Self {
            file: self.file,
            lines_before: self.lines_before.saturating_add(lines),
            columns_before: last_line
                .chars()
                .count()
                .saturating_add(if lines == 0 { self.columns_before } else { 0 }),
        }
    }
}
