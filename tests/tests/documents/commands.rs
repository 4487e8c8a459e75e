//! Commands that a document shows: flags of `mooring`, targets of the Makefile.

use std::collections::{BTreeMap, BTreeSet};

use crate::{assert_none, markdown::Document, repository};

/// Flags of other programs that a document names without the program.
const OF_OTHERS: [(&str, &str); 6] = [
    ("curl", "--cookie"),
    ("mooring-bench", "--only"),
    ("mooring-bench", "--quick"),
    ("mooring-bench", "--write"),
    ("istiod", "--domain"),
    ("skopeo", "--preserve-digests"),
];

/// The flags of each subcommand, from `docs/command-line.md`, which is generated from the command's own definitions.
fn flags() -> BTreeMap<String, BTreeSet<String>> {
    let mut flags = BTreeMap::<String, BTreeSet<String>>::new();
    let mut command = String::new();
    for line in repository::read("docs/command-line.md").lines() {
        if let Some(title) = line.strip_prefix("## `mooring") {
            title.trim_end_matches('`').trim().clone_into(&mut command);
            flags
                .entry(command.clone())
                .or_default()
                .extend(["-h".to_owned(), "--help".to_owned()]);
        } else if let Some(option) = line.strip_prefix("* `-") {
            let names = format!("`-{option}");
            let names = names
                .split(" — ")
                .next()
                .unwrap_or_default()
                .split('`')
                .filter(|name| name.starts_with('-'));
            let names = names.filter_map(|name| name.split(' ').next()).map(ToOwned::to_owned);
            flags.entry(command.clone()).or_default().extend(names);
        }
    }
    assert!(flags.get("generate").is_some_and(|flags| flags.len() > 15), "{flags:?}");
    flags
}

/// The flags of the controller, from `docs/controller-flags.md`, which is generated like that page.
fn flags_of_the_controller() -> BTreeSet<String> {
    let text = repository::read("docs/controller-flags.md");
    let items = text.lines().filter_map(|line| line.strip_prefix("* `"));
    let words = items.flat_map(|item| item.split(['`', ' ', ',']));
    let flags: BTreeSet<String> = words
        .filter(|word| word.starts_with("--"))
        .map(ToOwned::to_owned)
        .collect();
    assert!(flags.contains("--lease-duration"), "{flags:?}");
    flags
}

/// The words of each simple command of a line, with those in `$(…)` first. A text in quotes is one word.
fn simple_commands(text: &str) -> Vec<Vec<String>> {
    let mut text = text.split(" # ").next().unwrap_or_default().to_owned();
    let mut commands = Vec::new();
    while let Some((before, rest)) = text.clone().rsplit_once("$(") {
        let (inner, after) = rest.split_once(')').unwrap_or((rest, ""));
        commands.extend(simple_commands(inner));
        text = format!("{before}…{after}");
    }
    for quote in ['"', '\''] {
        let parts = text.split(quote).enumerate();
        text = parts
            .map(|(index, part)| if index % 2 == 0 { part } else { "…" })
            .collect();
    }
    let words = text
        .split(['|', ';', '&', '(', ')'])
        .map(|command| command.split_whitespace().map(ToOwned::to_owned));
    commands.extend(words.map(Iterator::collect::<Vec<_>>).filter(|words| !words.is_empty()));
    commands
}

/// The words of a command after its name, if it is one of this program.
fn arguments<'a>(words: &'a [String], program: &str) -> Option<&'a [String]> {
    let assigned = words
        .iter()
        .take_while(|word| word.contains('=') && !word.starts_with('-'))
        .count();
    let (first, rest) = words.get(assigned..)?.split_first()?;
    (first.rsplit('/').next() == Some(program) && !first.ends_with("./mooring")).then_some(rest)
}

/// The longest name of a subcommand at the beginning of these words, such as `token inspect`, and the words after it.
fn subcommand<'a>(words: &'a [String], known: &BTreeMap<String, BTreeSet<String>>) -> (Option<String>, &'a [String]) {
    let names = (1..=words.len().min(2))
        .rev()
        .map(|count| (words[..count].join(" "), &words[count..]));
    let mut names = names.filter(|(name, _)| known.contains_key(name));
    names.next().map_or((None, words), |(name, rest)| (Some(name), rest))
}

/// `--flag=value` and `--flag,` are `--flag`.
fn flag_of(word: &str) -> Option<&str> {
    let flag = word.split(['=', ',', '.', ':', '`']).next()?;
    (flag.starts_with("--") && flag.len() > 2 && flag[2..].starts_with(|letter: char| letter.is_ascii_lowercase()))
        .then_some(flag)
}

#[test]
fn every_flag_that_a_document_names_is_one_of_the_command() {
    let known = flags();
    let of_the_controller = flags_of_the_controller();
    let all: BTreeSet<&str> = known
        .values()
        .flatten()
        .chain(&of_the_controller)
        .map(String::as_str)
        .chain(["--version"])
        .collect();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in Document::all()
        .into_iter()
        .filter(|document| !["docs/command-line.md", "docs/controller-flags.md"].contains(&document.path.as_str()))
    {
        for command in document.commands() {
            for words in simple_commands(&command.text) {
                let (subcommand, words) = match arguments(&words, "mooring") {
                    Some(rest) => subcommand(rest, &known),
                    None if words[0].starts_with("--") => (None, &words[..1]),
                    None => continue,
                };
                for flag in words.iter().filter_map(|word| flag_of(word)) {
                    checked += 1;
                    let exists = match &subcommand {
                        Some(name) => known[name].contains(flag),
                        None => all.contains(flag) || OF_OTHERS.iter().any(|(_, other)| *other == flag),
                    };
                    if !exists {
                        let of = subcommand.as_deref().unwrap_or("any command");
                        wrong.push(format!("{}: {flag} is no flag of `mooring`, {of}", command.location));
                    }
                }
            }
        }
    }
    println!("{checked} flags");
    assert!(checked > 100, "{checked} flags");
    assert_none(&wrong);
}

/// The targets of the Makefile.
pub fn targets() -> BTreeSet<String> {
    let makefile = repository::read("Makefile");
    let rules = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', ' ', '#', '.']) && !line.contains(":="));
    let names = rules
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(names, _)| names.split_whitespace());
    names.map(ToOwned::to_owned).collect()
}

#[test]
fn every_target_that_a_document_names_is_in_the_makefile() {
    let targets = targets();
    let makefile = repository::read("Makefile");
    let module = repository::between(&makefile, "MODULE := ", "");
    let exists = |name: &str| {
        targets.contains(name) || name == module || targets.contains("test-envoy-%") && name.starts_with("test-envoy-")
    };
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in Document::all() {
        for command in document.commands() {
            for words in simple_commands(&command.text) {
                let Some(words) = arguments(&words, "make") else {
                    continue;
                };
                for name in words
                    .iter()
                    .filter(|word| !word.contains('=') && !word.starts_with('-'))
                {
                    checked += 1;
                    if !exists(name) {
                        wrong.push(format!("{}: the Makefile has no target {name}", command.location));
                    }
                }
            }
        }
    }
    println!("{checked} targets");
    assert!(checked > 30, "{checked} targets");
    assert_none(&wrong);
}

/// The targets of the items of a numbered list in a section, in their order.
fn listed(document: &str) -> Vec<String> {
    let items = document
        .lines()
        .filter_map(|line| line.split_once(". `make "))
        .filter(|(number, _)| number.parse::<u8>().is_ok());
    items
        .filter_map(|(_, rest)| rest.split('`').next())
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn the_pipelines_run_the_targets_that_contributing_lists() {
    let listed = listed(&repository::read("CONTRIBUTING.md"));
    let script = repository::read(".ci/run");
    let mut run = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        for words in simple_commands(line) {
            if let Some([name, ..]) = arguments(&words, "make")
                && run.last() != Some(name)
            {
                run.push(name.clone());
            }
        }
    }
    assert_eq!(listed, run, "CONTRIBUTING.md lists what .ci/run runs, in its order");
    let workflow = repository::read(".github/workflows/ci.yml");
    let jobs: BTreeSet<&str> = workflow
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- target: "))
        .collect();
    let expected: BTreeSet<&str> = listed.iter().map(String::as_str).chain(["msrv"]).collect();
    assert_eq!(
        jobs, expected,
        "the jobs of .github/workflows/ci.yml are the targets that .ci/run runs, and `msrv`"
    );
}

#[test]
fn the_workflows_run_nothing_but_targets_of_the_makefile() {
    let targets = targets();
    let mut wrong = Vec::new();
    for (path, text) in repository::sources(&[".github"], ".yml") {
        for (index, line) in text.lines().enumerate() {
            let Some(command) = line.trim().trim_start_matches("- ").strip_prefix("run: ") else {
                continue;
            };
            let target = command.strip_prefix("make ").and_then(|rest| rest.split(' ').next());
            if !target.is_some_and(|target| targets.contains(target) || target.starts_with("${{")) {
                wrong.push(format!("{path}:{}: not a target of the Makefile: {command}", index + 1));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn a_line_is_split_into_commands() {
    let commands = simple_commands(
        "A=1 x/mooring generate --sum \"$(sha256sum a | cut -c1-64)\" --b 'c | d' | kubectl apply -f - # e",
    );
    let joined: Vec<String> = commands.iter().map(|words| words.join(" ")).collect();
    let expected = [
        "sha256sum a",
        "cut -c1-64",
        "A=1 x/mooring generate --sum … --b …",
        "kubectl apply -f -",
    ];
    assert_eq!(joined, expected);
    assert_eq!(arguments(&commands[2], "mooring").map(<[String]>::len), Some(5));
}
