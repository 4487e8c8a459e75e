//! How Mooring marks the objects that it generates.

/// The label of every generated object, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "mooring");

/// The prefix of the name of every generated object.
pub const NAME_PREFIX: &str = "mooring-";

/// The annotation of a session route that names its rule.
pub const RULE_ANNOTATION: &str = "mooring.dev/rule";
