//! The name of the label whose value is the version of a backend.

use crate::dns;

/// Why a text is not the name of a label, if it is not.
pub fn problem(text: &str) -> Option<String> {
    (!dns::is_label_name(text))
        .then(|| format!("`{text}` is not the name of a label, such as `version` or `app.kubernetes.io/version`"))
}
