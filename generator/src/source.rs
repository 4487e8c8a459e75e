//! The input files: their origin, their text, and locations in them.
//!
//! This module does not parse YAML; `crate::document` does.

use std::{
    cell::OnceCell,
    collections::BTreeSet,
    fs, io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    location::FileId,
    omissions::Omitted,
};

mod ignore;
pub mod walk;

pub use ignore::IgnoredGlob;

use walk::Entries;

/// The name of the standard input for `-f`.
const STDIN: &str = "-";

/// How many entries of a directory one warning names.
const MAX_SHOWN: usize = 5;

/// All input files, in the order of the command line.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<File>,
    /// How much of the cluster the input covers.
    pub coverage: Coverage,
}

/// How much of a cluster an input covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Coverage {
    /// Unknown.
    #[default]
    Unknown,
    /// All objects in these namespaces of a cluster.
    Namespaces(BTreeSet<String>),
    /// All objects of a cluster.
    Everything,
}

impl Coverage {
    /// Whether a namespace may have objects that are not in the input.
    #[must_use]
    pub fn may_lack(&self, namespace: &str) -> bool {
        match self {
            Self::Unknown => true,
            Self::Namespaces(read) => !read.contains(namespace),
            Self::Everything => false,
        }
    }
}

/// The role of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Input.
    Input,
    /// Output of an earlier run.
    Earlier(Home),
}

/// Where the output of an earlier run was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In the directory to which the output is written, or with which it is compared.
    Directory,
    /// In the cluster.
    Cluster,
}

#[derive(Clone, Debug)]
struct File {
    name: Arc<str>,
    text: Arc<str>,
    role: Role,
    /// The offset at which each line begins. Computed on first use.
    lines: OnceCell<Vec<usize>>,
}

impl Sources {
    /// No files of an input that covers this much.
    #[must_use]
    pub fn covering(coverage: Coverage) -> Self {
        Self {
            files: Vec::new(),
            coverage,
        }
    }

    /// Reads files, directories and `-`, the standard input, except for ignored paths. Directories are read
    /// recursively, in sorted order, and only regular files are read.
    ///
    /// A file that cannot be read is reported. If the command line names that file, the run fails.
    pub fn read(names: &[PathBuf], ignored: &[IgnoredGlob], stdin: &mut dyn io::Read, report: &mut Report) -> Self {
        let mut reader = Reader {
            sources: Self::default(),
            seen: BTreeSet::new(),
            ignored,
            report,
        };
        for name in names {
            if name.as_os_str() == STDIN {
                // Standard input can be read only once.
                if reader.seen.insert(name.clone()) {
                    reader.stdin(stdin);
                }
            } else if name.is_dir() {
                reader.directory(name);
            } else if !ignore::is_ignored(ignored, name) {
                reader.file(name, true);
            }
        }
        reader.sources
    }

    /// Adds a text under a name. Byte order marks are removed. Windows tools write one at the start of a file, and a
    /// concatenation of such files has one at the start of each part.
    pub fn add(&mut self, name: &str, text: String) {
        self.push(name, text, Role::Input);
    }

    /// Replaces the text of a file, and its name.
    pub fn replace(&mut self, id: FileId, name: &str, text: String) {
        if let Some(file) = self.files.get_mut(id.0) {
            *file = File::new(name, text, file.role);
        }
    }

    /// The id of the next file that is added.
    #[must_use]
    pub fn next(&self) -> FileId {
        FileId(self.files.len())
    }

    /// The same texts, with these input files in this order, and without earlier output that is gone.
    #[must_use]
    pub fn ordered(&self, inputs: impl Iterator<Item = FileId>) -> Self {
        let inputs = inputs.filter_map(|id| self.files.get(id.0));
        let is_earlier = |file: &&File| file.role != Role::Input && !file.text.is_empty();
        let earlier = self.files.iter().filter(is_earlier);
        Self {
            files: inputs.chain(earlier).cloned().collect(),
            coverage: self.coverage.clone(),
        }
    }

    /// Adds output of an earlier run. It is not input, but it shows what this run would replace.
    pub fn add_earlier(&mut self, name: &str, text: String, home: Home) {
        self.push(name, text, Role::Earlier(home));
    }

    fn push(&mut self, name: &str, text: String, role: Role) {
        self.files.push(File::new(name, text, role));
    }

    /// The id and text of every input file.
    pub fn texts(&self) -> impl Iterator<Item = (FileId, &str)> {
        let files = self.files.iter().enumerate();
        let files = files.filter(|(_, file)| file.role == Role::Input);
        files.map(|(index, file)| (FileId(index), &*file.text))
    }

    /// The text of an input file.
    #[must_use]
    pub fn text(&self, id: FileId) -> Option<&str> {
        let file = self.files.get(id.0).filter(|file| file.role == Role::Input)?;
        Some(&file.text)
    }

    /// The id, text and place of each output of an earlier run.
    pub fn earlier(&self) -> impl Iterator<Item = (FileId, &str, Home)> {
        let files = self.files.iter().enumerate();
        files.filter_map(|(index, file)| match file.role {
            Role::Earlier(home) => Some((FileId(index), &*file.text, home)),
            Role::Input => None,
        })
    }

    /// The name of a file, as the user gave it.
    #[must_use]
    pub fn name(&self, id: FileId) -> &str {
        self.files.get(id.0).map_or("", |file| &file.name)
    }

    /// These lines of a file, counted from 1. Lines after the end of the file are omitted.
    #[must_use]
    pub fn lines(&self, id: FileId, lines: RangeInclusive<usize>) -> &str {
        self.files.get(id.0).map_or("", |file| file.lines(&lines))
    }
}

impl File {
    fn new(name: &str, text: String, role: Role) -> Self {
        let text = if text.contains('\u{feff}') {
            text.trim_start_matches('\u{feff}').replace("\n\u{feff}", "\n")
        } else {
            text
        };
        Self {
            name: name.into(),
            text: text.into(),
            role,
            lines: OnceCell::new(),
        }
    }

    fn lines(&self, lines: &RangeInclusive<usize>) -> &str {
        let starts = self.lines.get_or_init(|| {
            let ends = self.text.match_indices('\n').map(|(end, _)| end.saturating_add(1));
            std::iter::once(0).chain(ends).collect()
        });
        let end = self.text.len();
        let start = |line: usize| starts.get(line).copied().unwrap_or(end);
        self.text
            .get(start(lines.start().saturating_sub(1))..start(*lines.end()))
            .unwrap_or("")
    }
}

struct Reader<'a> {
    sources: Sources,
    seen: BTreeSet<PathBuf>,
    ignored: &'a [IgnoredGlob],
    report: &'a mut Report,
}

impl Reader<'_> {
    fn stdin(&mut self, stdin: &mut dyn io::Read) {
        let mut bytes = Vec::new();
        match stdin.read_to_end(&mut bytes) {
            Ok(_) => self.bytes("<stdin>", bytes),
            Err(error) => self.fatal("the standard input", &error),
        }
    }

    fn file(&mut self, path: &Path, named: bool) {
        // A file may be named twice, for example by itself and by its directory. It is read only once.
        if let Ok(canonical) = path.canonicalize()
            && !self.seen.insert(canonical)
        {
            return;
        }
        match fs::read(path) {
            Ok(bytes) => self.bytes(&path.display().to_string(), bytes),
            Err(error) if named => self.fatal(&format!("`{}`", path.display()), &error),
            Err(error) => {
                self.unreadable(&format!("`{}`", path.display()), &error);
                self.report.omit(Omitted::File, path.display().to_string());
            }
        }
    }

    fn directory(&mut self, path: &Path) {
        let found = match Entries::below(path, self.ignored) {
            Ok(found) => found,
            Err(error) => return self.fatal(&format!("the directory `{}`", path.display()), &error),
        };
        if let Some((first, _)) = found.skipped.first_key_value() {
            let shown = found.skipped.iter().take(MAX_SHOWN);
            let shown: Vec<String> = shown
                .map(|(path, kind)| format!("`{}` ({kind})", path.display()))
                .collect();
            let more = match found.skipped.len().saturating_sub(shown.len()) {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            let message = format!(
                "Mooring reads only regular files in the directory `{}`, so it skips {}{more}",
                path.display(),
                shown.join(", ")
            );
            let help = format!("to read such a file, name it: -f {}", first.display());
            self.report
                .add(Diagnostic::warning(Code::Unreadable, message).help(help));
        }
        if found.files.is_empty() {
            let message = format!(
                "the directory `{}` has no file that ends in .yaml, .yml or .json",
                path.display()
            );
            self.report.add(Diagnostic::error(Code::Unreadable, message));
            self.report.abort();
        }
        for file in found.files {
            self.file(&file, false);
        }
    }

    fn bytes(&mut self, name: &str, bytes: Vec<u8>) {
        if let Some(encoding) = wide_encoding(&bytes) {
            return self.no_text(name, &format!("`{name}` is {encoding}: save it as UTF-8"));
        }
        match String::from_utf8(bytes) {
            Ok(text) => self.sources.add(name, text),
            Err(error) => {
                let position = error.utf8_error().valid_up_to();
                self.no_text(
                    name,
                    &format!("`{name}` is not YAML: the byte at offset {position} is not UTF-8"),
                );
            }
        }
    }

    fn no_text(&mut self, name: &str, message: &str) {
        self.report.add(Diagnostic::error(Code::Syntax, message));
        self.report.omit(Omitted::File, name);
    }

    fn fatal(&mut self, what: &str, error: &io::Error) {
        self.unreadable(what, error);
        self.report.abort();
    }

    fn unreadable(&mut self, what: &str, error: &io::Error) {
        let message = format!("cannot read {what}: {error}");
        self.report.add(Diagnostic::error(Code::Unreadable, message));
    }
}

/// The encoding of a text in UTF-16 or UTF-32, which Windows tools write. It is detected by the byte order mark, or
/// because every second one of the first bytes is zero, as in English text.
fn wide_encoding(bytes: &[u8]) -> Option<&'static str> {
    match *bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [0, a, 0, b, ..] | [a, 0, b, 0, ..] if a != 0 && b != 0 => Some("UTF-16"),
        _ => None,
    }
}
