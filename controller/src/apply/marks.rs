//! How the API server and the controller itself recognize what the controller wrote.

/// The field manager of the controller's writes.
pub const MANAGER: &str = "mooring";

/// The annotation with the hash of the object as it was rendered. Its name does not contain `istio.io`, so istiod ignores a change
/// of it.
pub const APPLIED_ANNOTATION: &str = "mooring.dev/applied";

/// The annotation with the Gateways to which `--gateway` limits the controller. Without that flag, there is none.
pub const GATEWAYS_ANNOTATION: &str = "mooring.dev/gateways";
