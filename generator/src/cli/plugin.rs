//! The flags for what users may set in the generated objects of Istio.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks would stay visible"
)]

use clap::Args;

use super::values;
use crate::emit::istio::{Annotation, Label, Phase, PullPolicy};

/// What users may set in the generated WasmPlugins, and in the metadata of all generated objects.
#[derive(Debug, Args)]
pub struct ObjectArgs {
    /// The Secret with the credentials of the registry, for a module at oci://. Its type is kubernetes.io/dockerconfigjson, and it must
    /// exist in the namespace of each WasmPlugin (only with --target istio). Default: the credentials of Istio's agent in the gateway
    #[arg(long, value_name = "NAME", value_parser = values::pull_secret)]
    pub image_pull_secret: Option<String>,

    /// When Istio's agent fetches a module again that it has: Always after every change of the WasmPlugin, IfNotPresent never. A module
    /// with a checksum is never fetched again (only with --target istio). Default: Always for an oci:// image with the tag latest, else
    /// IfNotPresent
    #[arg(long, value_enum)]
    pub image_pull_policy: Option<PullPolicy>,

    /// The position of the module among Istio's HTTP filters: AUTHZ before authorization, STATS after it. AUTHN is refused: the module
    /// would look up its session before authentication, on which the route of a request can depend. With AUTHZ, such routes have no
    /// sessions either (only with --target istio). Default: after the plugins of all phases
    #[arg(long, value_enum)]
    pub plugin_phase: Option<Phase>,

    /// The position of the module among the WasmPlugins of its phase: one with a higher priority is earlier. Plugins that change the
    /// route of a request must be earlier than the module (only with --target istio)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub plugin_priority: Option<i32>,

    /// A label of every generated object; may be repeated. Keys of Mooring, Istio and Kubernetes are refused, except
    /// app.kubernetes.io/ other than managed-by (only with --target istio)
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<Label>,

    /// An annotation of every generated object; may be repeated. The same keys are refused (only with --target istio)
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    pub annotations: Vec<Annotation>,
}

impl ObjectArgs {
    /// Which flags are given.
    pub(super) fn given(&self) -> [(&'static str, bool); 6] {
        [
            ("--image-pull-secret", self.image_pull_secret.is_some()),
            ("--image-pull-policy", self.image_pull_policy.is_some()),
            ("--plugin-phase", self.plugin_phase.is_some()),
            ("--plugin-priority", self.plugin_priority.is_some()),
            ("--label", !self.labels.is_empty()),
            ("--annotation", !self.annotations.is_empty()),
        ]
    }
}
