//! What the controller does with session keys.

use clap::Args;

/// What the controller does with session keys.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[group(skip)]
pub struct Options {
    /// Report pods of gateways and callers that get no session keys, in the status of the policies that need them
    #[arg(long)]
    pub check_keys: bool,

    /// Create the Secret with session keys where the pods of a gateway name it and it does not exist
    #[arg(long)]
    pub create_keys: bool,

    /// Replace session keys when the annotation mooring.dev/rotate of their Secret changes
    #[arg(long)]
    pub rotate_keys: bool,

    /// The name of the Secrets with session keys
    #[arg(long, value_name = "NAME", default_value = "mooring-keys")]
    pub keys_secret: String,
}
