//! How the story is shown: headings, colours where there is a terminal, a clock, and the table at the end.

use std::{
    fmt::Display,
    io::{IsTerminal, Write, stdout},
};

/// The screen.
pub struct Screen {
    terminal: bool,
    colours: bool,
    act: u32,
    checks: Vec<Check>,
}

/// A statement of the demo, and what was seen.
struct Check {
    what: String,
    expected: String,
    seen: String,
    ok: bool,
}

/// A colour or weight of text.
#[derive(Clone, Copy)]
pub enum Ink {
    Bold,
    Dim,
    Green,
    Red,
    Yellow,
    Cyan,
}

impl Screen {
    /// Standard output. Colours only on a terminal, and not where `NO_COLOR` says no (<https://no-color.org>).
    pub fn new() -> Self {
        let terminal = stdout().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            terminal,
            colours: terminal && !refused,
            act: 0,
            checks: Vec::new(),
        }
    }

    /// Text in a colour.
    pub fn ink(&self, ink: Ink, text: impl Display) -> String {
        if !self.colours {
            return text.to_string();
        }
        let code = match ink {
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Green => "32",
            Ink::Red => "31",
            Ink::Yellow => "33",
            Ink::Cyan => "36",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Text in a colour of its own for each pod.
    pub fn pod(&self, name: &str) -> String {
        let ink = match name.bytes().last() {
            Some(b'1') => Ink::Cyan,
            Some(b'2') => Ink::Yellow,
            _ => Ink::Green,
        };
        self.ink(ink, name)
    }

    /// Begins an act.
    pub fn act(&mut self, title: &str) {
        self.act = self.act.saturating_add(1);
        let title = format!("{}. {title}", self.act);
        println!("\n{}\n", self.ink(Ink::Bold, title));
    }

    /// A line of the story.
    pub fn say(&self, text: impl Display) {
        let _ = self;
        println!("   {text}");
    }

    /// A line of explanation.
    pub fn explain(&self, text: impl Display) {
        println!("   {}", self.ink(Ink::Dim, text));
    }

    /// Something to read, such as YAML.
    pub fn quote(&self, text: &str) {
        for line in text.lines() {
            println!("   {} {}", self.ink(Ink::Dim, "|"), self.ink(Ink::Cyan, line));
        }
    }

    /// A clock that moves on in its place; where there is no terminal, a line for each text that is new.
    pub fn clock(&self, text: impl Display) {
        if self.terminal {
            print!("\r\u{1b}[K   {text}");
            let _shown = stdout().flush();
        }
    }

    /// What the clock shows at the end.
    pub fn clock_ends(&self, text: impl Display) {
        if self.terminal {
            print!("\r\u{1b}[K");
        }
        println!("   {text}");
    }

    /// Records a statement and what was seen. Prints a difference at once.
    pub fn check(&mut self, what: &str, expected: impl Display, seen: impl Display, ok: bool) {
        if !ok {
            println!("   {} expected {expected}, seen {seen}", self.ink(Ink::Red, "FAILED:"));
        }
        self.checks.push(Check {
            what: what.to_owned(),
            expected: expected.to_string(),
            seen: seen.to_string(),
            ok,
        });
    }

    /// Prints the table of all checks. Returns whether all of them passed.
    pub fn summary(&self) -> bool {
        println!("\n{}\n", self.ink(Ink::Bold, "Expected and seen"));
        let width = |column: fn(&Check) -> &str, heading: &str| {
            let widths = self.checks.iter().map(|check| column(check).chars().count());
            widths.max().unwrap_or(0).max(heading.len())
        };
        let what = width(|check| &check.what, "what");
        let expected = width(|check| &check.expected, "expected");
        let seen = width(|check| &check.seen, "seen");
        let heading = format!("{:what$}  {:expected$}  {:seen$}", "what", "expected", "seen");
        self.explain(heading);
        for check in &self.checks {
            let result = if check.ok {
                self.ink(Ink::Green, "ok")
            } else {
                self.ink(Ink::Red, "FAILED")
            };
            self.say(format!(
                "{:what$}  {:expected$}  {:seen$}  {result}",
                check.what, check.expected, check.seen
            ));
        }
        let failed = self.checks.iter().filter(|check| !check.ok).count();
        println!();
        if failed == 0 {
            self.say(self.ink(Ink::Green, "Everything was as expected."));
        } else {
            self.say(self.ink(
                Ink::Red,
                format!("{failed} of {} were not as expected.", self.checks.len()),
            ));
        }
        failed == 0
    }
}
