//! Input that is not that of a function.

/// Why the standard input is not the input of a function.
#[derive(Debug, thiserror::Error)]
pub enum InvalidList {
    /// It is neither YAML nor JSON.
    #[error("the input is not a ResourceList: {0}")]
    Syntax(String),
    /// It is another object.
    #[error(
        "the input is {0}: expected a ResourceList of config.kubernetes.io/v1, v1beta1 or v1alpha1, or a List of v1"
    )]
    Kind(String),
    /// It is a stream of objects, which has no `functionConfig`.
    #[error("the input has several documents: with --config, they are read as objects")]
    Stream,
    /// The items cannot be told apart by their lines.
    #[error(
        "the items of the input are in flow style, or share anchors: write them in block style, one `- ` each, or as JSON"
    )]
    Flow,
}
