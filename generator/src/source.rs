//! The input files: where they come from, their text, and places in them.
//!
//! Not for YAML: what stands in a text is `crate::document`'s business.

use std::{
    cell::OnceCell,
    collections::BTreeSet,
    fs, io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use crate::{
    diagnostic::{Code, Diagnostic, Report},
    location::FileId,
    omissions::Omitted,
};

mod ignore;
mod walk;

pub use ignore::IgnoredGlob;

use walk::Entries;

/// How `-f` names the standard input.
const STDIN: &str = "-";

/// How many entries of a directory a warning names.
const MAX_SHOWN: usize = 5;

/// All input files in the order in which they were named.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<File>,
    /// How much of what there is the input has.
    pub coverage: Coverage,
}

/// How much of what there is an input has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Coverage {
    /// That cannot be told.
    #[default]
    Unknown,
    /// Everything in these namespaces of a cluster.
    Namespaces(BTreeSet<String>),
    /// Everything in a cluster.
    Everything,
}

impl Coverage {
    /// Whether there may be something in a namespace that the input does not have.
    #[must_use]
    pub fn may_lack(&self, namespace: &str) -> bool {
        match self {
            Self::Unknown => true,
            Self::Namespaces(read) => !read.contains(namespace),
            Self::Everything => false,
        }
    }
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It is input.
    Input,
    /// An earlier run has generated it.
    Earlier(Home),
}

/// Where something is that an earlier run has generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In the directory that is written or compared.
    Directory,
    /// In the cluster.
    Cluster,
}

#[derive(Debug)]
struct File {
    name: String,
    text: String,
    role: Role,
    /// Where each line begins; found out when first asked for.
    lines: OnceCell<Vec<usize>>,
}

impl Sources {
    /// Reads files, directories (recursively, sorted, regular files only) and `-`, the standard input, except for what is to be
    /// ignored. What cannot be read is reported; where it is named here and not only in a directory, nothing can be written.
    pub fn read(names: &[PathBuf], ignored: &[IgnoredGlob], stdin: &mut dyn io::Read, report: &mut Report) -> Self {
        let mut reader = Reader {
            sources: Self::default(),
            seen: BTreeSet::new(),
            ignored,
            report,
        };
        for name in names {
            if name.as_os_str() == STDIN {
                // It can be read once only.
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

    /// Adds a text under a name. Byte order marks go: one begins each file that Windows tools write, also where several files have
    /// become one.
    pub fn add(&mut self, name: &str, text: String) {
        self.push(name, text, Role::Input);
    }

    /// Adds what an earlier run has generated. It is no input: it tells what this run would replace.
    pub fn add_earlier(&mut self, name: &str, text: String, home: Home) {
        self.push(name, text, Role::Earlier(home));
    }

    fn push(&mut self, name: &str, text: String, role: Role) {
        let text = if text.contains('\u{feff}') {
            text.trim_start_matches('\u{feff}').replace("\n\u{feff}", "\n")
        } else {
            text
        };
        self.files.push(File {
            name: name.to_owned(),
            text,
            role,
            lines: OnceCell::new(),
        });
    }

    /// Every input file's id and text.
    pub fn texts(&self) -> impl Iterator<Item = (FileId, &str)> {
        let files = self.files.iter().enumerate();
        let files = files.filter(|(_, file)| file.role == Role::Input);
        files.map(|(index, file)| (FileId(index), file.text.as_str()))
    }

    /// The id and text of everything that an earlier run has generated, and where it is.
    pub fn earlier(&self) -> impl Iterator<Item = (FileId, &str, Home)> {
        let files = self.files.iter().enumerate();
        files.filter_map(|(index, file)| match file.role {
            Role::Earlier(home) => Some((FileId(index), file.text.as_str(), home)),
            Role::Input => None,
        })
    }

    /// The name of a file as the user gave it.
    #[must_use]
    pub fn name(&self, id: FileId) -> &str {
        self.files.get(id.0).map_or("", |file| &file.name)
    }

    /// These lines of a file, counted from 1; what is beyond its end is left out.
    #[must_use]
    pub fn lines(&self, id: FileId, lines: RangeInclusive<usize>) -> &str {
        self.files.get(id.0).map_or("", |file| file.lines(&lines))
    }
}

impl File {
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
        // One file may be named twice, by itself and by its directory; it counts once.
        if let Ok(canonical) = path.canonicalize()
            && !self.seen.insert(canonical)
        {
            return;
        }
        match fs::read(path) {
            Ok(bytes) => self.bytes(&path.display().to_string(), bytes),
            Err(error) if named => self.fatal(&format!("`{}`", path.display()), &error),
            Err(error) => {
                self.report.omit(Omitted::File, path.display().to_string());
                self.unreadable(&format!("`{}`", path.display()), &error);
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
                "in the directory `{}` only regular files are read, which leaves out {}{more}",
                path.display(),
                shown.join(", ")
            );
            let help = format!("name what is to be read anyway: -f {}", first.display());
            self.report
                .add(Diagnostic::warning(Code::Unreadable, message).help(help));
        }
        if found.files.is_empty() {
            let message = format!(
                "the directory `{}` has no YAML in it; files that end in .yaml, .yml or .json are read",
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
        self.report.omit(Omitted::File, name);
        self.report.add(Diagnostic::error(Code::Syntax, message));
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

/// The encoding of a text that has two or four bytes for each character, as Windows tools write it: by its byte order mark, or
/// because every other one of its first bytes is zero, as in a text in English.
fn wide_encoding(bytes: &[u8]) -> Option<&'static str> {
    match *bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [0, a, 0, b, ..] | [a, 0, b, 0, ..] if a != 0 && b != 0 => Some("UTF-16"),
        _ => None,
    }
}
