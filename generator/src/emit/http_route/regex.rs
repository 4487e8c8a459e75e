//! Checks that RE2, Envoy's engine, accepts a regular expression.
//!
//! Mooring does not contain RE2, so this check accepts less than RE2 does. It rejects expressions that Rust's parser
//! cannot read, and those that RE2 does not support.

use regex_syntax::ast::{
    self, AssertionKind, Ast, ClassUnicodeKind, ErrorKind, Flag, FlagsItemKind, HexLiteralKind, LiteralKind,
    RepetitionKind, RepetitionRange, Visitor, parse::Parser, visit,
};
use serde::{Deserialize, Serialize};

/// The maximum number of repetitions, multiplied by those of the surrounding groups (RE2: `kMaxRepeat`).
const MAX_REPETITIONS: u32 = 1_000;

/// The maximum size of an expression, estimated in RE2's instructions. Istio configures Envoy to accept ten times as
/// many.
const MAX_SIZE: u64 = 3_000;

/// The maximum number of instructions for a class of Unicode characters.
const UNICODE_CLASS: u64 = 300;

/// Why a regular expression is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}` is not a regular expression that Envoy accepts: {reason}")]
pub struct InvalidRegex {
    expression: String,
    reason: String,
}

/// A regular expression.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Regex {
    text: String,
    groups: u32,
}

impl Regex {
    /// Whether a substitution can refer to this group. Group 0 is the whole match.
    #[must_use]
    pub fn has_group(&self, group: u32) -> bool {
        group <= self.groups
    }
}

impl From<Regex> for String {
    fn from(regex: Regex) -> Self {
        regex.text
    }
}

impl TryFrom<String> for Regex {
    type Error = InvalidRegex;

    fn try_from(text: String) -> Result<Self, InvalidRegex> {
        let refused = |reason: String| InvalidRegex {
            expression: text.clone(),
            reason,
        };
        let parsed = Parser::new()
            .parse(&text)
            .map_err(|error| refused(reason_of(error.kind())))?;
        let groups = visit(&parsed, Checker::default()).map_err(|reason| refused(reason.to_owned()))?;
        Ok(Self { text, groups })
    }
}

fn reason_of(kind: &ErrorKind) -> String {
    kind.to_string()
}

/// A regular expression for a value. The expression `*` matches any value (Istio: `canBeConvertedToPresentMatch`).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct ValueRegex(String);

impl TryFrom<String> for ValueRegex {
    type Error = InvalidRegex;

    fn try_from(text: String) -> Result<Self, InvalidRegex> {
        if text == "*" {
            return Ok(Self(text));
        }
        Regex::try_from(text).map(|regex| Self(regex.text))
    }
}

/// Visits an expression, rejects what RE2 does not support, and counts groups and instructions.
#[derive(Default)]
struct Checker {
    groups: u32,
    /// The number of repetitions of the current group and of each surrounding one.
    repeated: Vec<u32>,
    size: u64,
}

impl Checker {
    fn times(&self) -> u32 {
        self.repeated.iter().fold(1, |times, more| times.saturating_mul(*more))
    }

    fn grow(&mut self, instructions: u64) -> Result<(), &'static str> {
        self.size = self
            .size
            .saturating_add(instructions.saturating_mul(self.times().into()));
        if self.size > MAX_SIZE {
            return Err("it is too large");
        }
        Ok(())
    }
}

impl Visitor for Checker {
    type Output = u32;
    type Err = &'static str;

    fn finish(self) -> Result<u32, &'static str> {
        Ok(self.groups)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), &'static str> {
        match ast {
            Ast::Literal(literal) => {
                check_literal(&literal.kind)?;
                self.grow(literal.c.len_utf8().try_into().unwrap_or(4))
            }
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText
                | AssertionKind::WordBoundary
                | AssertionKind::NotWordBoundary => self.grow(1),
                _ => Err("it has a word boundary that RE2 does not support"),
            },
            Ast::Flags(flags) => check_flags(&flags.flags),
            Ast::Group(group) => {
                if let ast::GroupKind::NonCapturing(flags) = &group.kind {
                    return check_flags(flags);
                }
                self.groups = self.groups.saturating_add(1);
                self.grow(2)
            }
            Ast::Repetition(repetition) => {
                if let Ast::Repetition(_) = *repetition.ast {
                    return Err("it repeats a repetition that is not in a group");
                }
                self.repeated.push(maximum(&repetition.op.kind));
                if self.times() > MAX_REPETITIONS {
                    return Err("it repeats a part more than 1000 times");
                }
                self.grow(2)
            }
            Ast::ClassUnicode(class) => {
                check_class(&class.kind)?;
                self.grow(UNICODE_CLASS)
            }
            Ast::ClassPerl(_) | Ast::ClassBracketed(_) | Ast::Dot(_) => self.grow(10),
            Ast::Empty(_) | Ast::Alternation(_) | Ast::Concat(_) => self.grow(1),
        }
    }

    fn visit_post(&mut self, ast: &Ast) -> Result<(), &'static str> {
        if let Ast::Repetition(_) = ast {
            self.repeated.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), &'static str> {
        match item {
            ast::ClassSetItem::Literal(literal) => check_literal(&literal.kind),
            ast::ClassSetItem::Range(range) => {
                check_literal(&range.start.kind)?;
                check_literal(&range.end.kind)
            }
            ast::ClassSetItem::Unicode(class) => {
                check_class(&class.kind)?;
                self.grow(UNICODE_CLASS)
            }
            ast::ClassSetItem::Bracketed(_) => Err("it has a character class inside another one"),
            _ => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), &'static str> {
        Err("it has a set operation on character classes")
    }
}

fn check_literal(kind: &LiteralKind) -> Result<(), &'static str> {
    match kind {
        LiteralKind::HexFixed(HexLiteralKind::X) | LiteralKind::HexBrace(HexLiteralKind::X) => Ok(()),
        LiteralKind::HexFixed(_) | LiteralKind::HexBrace(_) => Err("RE2 writes a character by its number as \\x{…}"),
        _ => Ok(()),
    }
}

fn check_flags(flags: &ast::Flags) -> Result<(), &'static str> {
    let known = |item: &ast::FlagsItem| {
        matches!(
            item.kind,
            FlagsItemKind::Negation
                | FlagsItemKind::Flag(
                    Flag::CaseInsensitive | Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed
                )
        )
    };
    if flags.items.iter().all(known) {
        Ok(())
    } else {
        Err("RE2 supports only the flags i, m, s and U")
    }
}

/// The categories and some scripts have the same names in both engines.
fn check_class(kind: &ClassUnicodeKind) -> Result<(), &'static str> {
    const SCRIPTS: [&str; 12] = [
        "Arabic",
        "Armenian",
        "Cyrillic",
        "Devanagari",
        "Georgian",
        "Greek",
        "Han",
        "Hangul",
        "Hebrew",
        "Hiragana",
        "Katakana",
        "Latin",
    ];
    let known = match kind {
        ClassUnicodeKind::OneLetter(letter) => "LMNPSZC".contains(*letter),
        ClassUnicodeKind::Named(name) if name.len() <= 2 => {
            let mut letters = name.chars();
            letters.next().is_some_and(|first| "LMNPSZC".contains(first))
                && letters
                    .next()
                    .is_none_or(|second| "udlctmneocdsfiakpscz".contains(second))
                && regex_syntax::parse(&format!("\\p{{{name}}}")).is_ok()
        }
        ClassUnicodeKind::Named(name) => SCRIPTS.contains(&name.as_str()),
        ClassUnicodeKind::NamedValue { .. } => false,
    };
    if known {
        Ok(())
    } else {
        Err("it has a Unicode class that RE2 does not know")
    }
}

/// The maximum number of repetitions that counts for the size.
fn maximum(kind: &RepetitionKind) -> u32 {
    match kind {
        RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => 1,
        RepetitionKind::Range(
            RepetitionRange::Exactly(times) | RepetitionRange::AtLeast(times) | RepetitionRange::Bounded(_, times),
        ) => (*times).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<u32, InvalidRegex> {
        Regex::try_from(text.to_owned()).map(|regex| regex.groups)
    }

    #[test]
    fn what_re2_takes_is_taken() {
        for (text, groups) in [
            ("/blog/[a-z0-9-]{1,64}", 0),
            ("^/a(/?)(.*)", 2),
            ("(?i)/A|/b", 0),
            (r"\d+\.\w{2,}[^/\s]*", 0),
            (r"\p{Greek}\pL\x{1F600}", 0),
            ("(?P<id>[0-9a-f]{8}(-[0-9a-f]{4}){3})", 2),
            ("", 0),
            (".*", 0),
            ("a{1000}", 0),
        ] {
            assert_eq!(check(text), Ok(groups), "{text}");
        }
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for text in [
            "[",
            "(",
            "a)",
            "*",
            "a**",
            "a{1001}",
            "(a{100}){11}",
            "(?=a)",
            "(?!a)",
            r"(a)\1",
            r"\u0041",
            r"\p{Letter}",
            "(?x)a",
            "[a&&b]",
            r"\b{start}",
            r"\<a",
            "a{2,1}",
            r"\",
            r"(\pL{50}){10}",
            r"\p{script=Greek}",
            "(?R)a",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn any_value_is_a_star() {
        assert!(ValueRegex::try_from("*".to_owned()).is_ok());
        assert!(ValueRegex::try_from("**".to_owned()).is_err());
    }
}
