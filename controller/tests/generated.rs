//! `docs/controller-flags.md` is current. `make generated` updates it.

use std::{env, fs, path::Path};

#[test]
fn the_page_of_flags_is_current() {
    let options = clap_markdown::MarkdownOptions::new()
        .title("Flags of the controller".to_owned())
        .show_footer(false)
        .show_table_of_contents(false);
    let mut command = mooring_controller::cli::command();
    command.build();
    let text = clap_markdown::help_markdown_command_custom(&command, &options);
    let text = text.replace(
        "This document contains the help content for the `mooring-controller` command-line program.",
        "The flags of `mooring-controller`, which [the controller](controller.md) describes. This file is generated (`make generated`).",
    );
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let text = lines.join("\n").replace("\n\n\n", "\n\n").trim_end().to_owned() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/controller-flags.md");
    if env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let current = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(current, text, "run `make generated`");
}
