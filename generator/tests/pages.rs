//! Pages of `docs/` whose console blocks need nothing but the command: each shows what the command prints today.
//!
//! In a block, `$ mooring …` is a command without a shell, run at the root of the repository. The lines that follow are its standard
//! output and its standard error. `UPDATE_GENERATED=1` before `cargo test` writes them again.

use std::{env, fs, path::Path};

use snapbox::{Data, assert_data_eq};

use crate::common::mooring;

const PAGES: [&str; 2] = ["docs/testing-policies.md", "docs/validation.md"];

/// The page with the output of today in place of what it shows.
fn updated(page: &str, root: &Path) -> String {
    let mut updated = String::new();
    let mut inside = false;
    for line in page.lines() {
        let command = line.strip_prefix("$ mooring ").filter(|_| inside);
        let shown = inside && command.is_none() && !line.starts_with("```");
        if line.starts_with("```") {
            inside = line == "```console";
        }
        if shown {
            continue;
        }
        updated.push_str(line);
        updated.push('\n');
        if let Some(command) = command {
            let run = mooring().current_dir(root).args(command.split(' ')).assert();
            let run = run.get_output();
            let printed = [run.stdout.as_slice(), &run.stderr].concat();
            updated.push_str(&String::from_utf8(printed).unwrap());
        }
    }
    updated
}

#[test]
fn pages_show_what_the_command_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for page in PAGES {
        let text = fs::read_to_string(root.join(page)).unwrap();
        assert!(text.contains("\n$ mooring "), "{page} shows no command");
        let updated = updated(&text, &root);
        if env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(root.join(page), &updated).unwrap();
        }
        assert_data_eq!(text, Data::text(updated).raw());
    }
}
