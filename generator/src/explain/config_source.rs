//! Whose rules decide about a request, and why they cannot be used.

use crate::document::UnreadableConfig;

/// Whose rules decide.
#[expect(
    clippy::doc_markdown,
    reason = "these comments are help text, where backticks would stay visible"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ConfigSource {
    /// Those of the WasmPlugin in the input, if there is one, else those that would be generated
    #[default]
    Auto,
    /// Those of the WasmPlugin in the input
    Applied,
    /// Those that would be generated
    Generated,
}

/// Why the configuration that a proxy runs cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The input has no configuration of the proxy.
    #[error("the input has no WasmPlugin {0}, which would hold the rules of {1}")]
    NotApplied(String, String),
    /// The configuration of the proxy cannot be read.
    #[error("{location}: the WasmPlugin {plugin} cannot be explained{}: {reason}", by_release(.release.as_deref()))]
    Unreadable {
        /// Where it is.
        location: String,
        /// Its namespace and name.
        plugin: String,
        /// The release that generated it.
        release: Option<String>,
        /// Why.
        reason: UnreadableConfig,
    },
}

fn by_release(release: Option<&str>) -> String {
    match release {
        Some(release) if release != crate::emit::VERSION => {
            format!(
                " by mooring {}, because mooring {release} generated it",
                crate::emit::VERSION
            )
        }
        _ => String::new(),
    }
}
