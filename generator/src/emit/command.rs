//! The command in the comment of an object: what a reader runs to generate the object again.
//!
//! It has the flags on which the object depends, with their effective values, in a fixed order. It has neither the flags that select
//! input and objects nor those about errors and files. So the same object has the same comment for everyone, and a new URL of the
//! module changes only the objects that have it.

use clap::ValueEnum as _;

use super::FailStrategy;
use crate::{
    ir::ProxyGroup,
    mesh::{CallerSelector, Mesh},
};

/// A command.
pub struct Command(String);

impl Command {
    /// The command without flags.
    pub fn new() -> Self {
        Self("mooring generate -f DIR".to_owned())
    }

    /// The command with this flag.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.0.extend([" ", name, " ", &shell_word(value)]);
        self
    }

    /// The command with this flag for each value.
    pub fn flags<'v>(self, name: &str, values: impl IntoIterator<Item = &'v str>) -> Self {
        values
            .into_iter()
            .fold(self, |command, value| command.flag(name, value))
    }

    /// The command with this flag, which has no value, if it is on.
    pub fn switch(mut self, name: &str, on: bool) -> Self {
        if on {
            self.0.extend([" ", name]);
        }
        self
    }

    /// The command for an object of these proxies.
    pub fn of_proxies(self, group: &ProxyGroup, mesh: &Mesh) -> Self {
        let callers = group.callers().map(|pods| CallerSelector {
            namespace: pods.namespace.clone(),
            labels: pods.labels.clone(),
        });
        let command = self.flags("--callers", callers.map(|callers| callers.to_string()).as_deref());
        let Some(item) = group.gateway().map(|gateway| gateway.item) else {
            return command;
        };
        let class = item.spec.gateway_class_name.as_ref().map(|class| class.value.as_str());
        let command = command.flags("--gateway-class", class.filter(|class| mesh.classes.contains(*class)));
        let of_istio = item.spec.gateway_class_name.is_none();
        let namespaces = mesh.gateway_namespaces.of(&item.id).filter(|_| of_istio);
        let namespaces = namespaces.into_iter().flatten();
        let namespaces: Vec<String> = namespaces.map(|namespace| format!("{}={namespace}", item.id)).collect();
        command.flags("--gateway-namespace", namespaces.iter().map(String::as_str))
    }

    /// The command with `--fail-strategy`, if it is not the default.
    pub fn fail_strategy(self, chosen: FailStrategy, default: FailStrategy) -> Self {
        match chosen.to_possible_value() {
            Some(value) if chosen != default => self.flag("--fail-strategy", value.get_name()),
            _ => self,
        }
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text as one word of a POSIX shell.
fn shell_word(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "@%+=:,./_-".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_word() {
        for (value, word) in [
            ("oci://a.example/b:1@sha256:0f", "oci://a.example/b:1@sha256:0f"),
            ("https://a/b?c=d&e", "'https://a/b?c=d&e'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(value), word);
        }
    }
}
