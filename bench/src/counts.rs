//! The instructions of each gateway, as they were counted.

use crate::variant::Setup;

/// The instructions of one Envoy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// Live and new sessions are on the last rule.
    pub(crate) setup: Setup,
    pub(crate) live: Count,
    pub(crate) new: Count,
    pub(crate) unmatched: Count,
    pub(crate) elsewhere: Count,
}

/// Instructions for one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// All of them, outside the kernel.
    pub(crate) all: u64,
    /// Those of code that was compiled at run time: the module's own.
    pub(crate) module: u64,
}

/// The counts in thousands, as Markdown.
pub(crate) fn table(counted: &[Counted]) -> String {
    let mut text = "In thousands for one request over HTTP/1.1, those of the kernel not counted.\n\n\
         | gateway | rules | live session | of these the module's own | new session | route without a rule | in a virtual host without rules |\n\
         |---|---|---|---|---|---|---|\n"
        .to_owned();
    for one in counted {
        let counts = [
            one.live.all,
            one.live.module,
            one.new.all,
            one.unmatched.all,
            one.elsewhere.all,
        ];
        let cells = counts.map(|count| format!("{:.1}", count as f64 / 1000.0));
        text += &format!(
            "| {} | {} | {} |\n",
            one.setup.title(),
            one.setup.routes,
            cells.join(" | ")
        );
    }
    text
}
