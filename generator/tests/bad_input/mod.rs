//! Wrong input: the exact message with its location, and an exit status that says whether something was left out (3), nothing
//! was written (1), or the run is complete (0).
//!
//! `SNAPSHOTS=overwrite cargo test -p mooring-generator --test integration bad_input::` writes the messages again.

/// Annotations, and attributes that contradict each other.
mod annotations;
/// `CanaryPolicy`.
mod canary_policies;
/// Session cookies that browsers replace, or send with some requests only.
mod cookies;
/// Objects in another namespace than the one in which they are looked for.
mod elsewhere;
/// What a local Envoy cannot do.
mod envoy;
/// Fields and values that Gateway API does not have.
mod fields;
/// Texts that are wrong as a whole.
mod files;
/// Istio's own objects.
mod istio_api;
/// Mistyped kinds, groups and versions.
mod kinds;
/// Matches of a rule that its own sessions break.
mod matches;
/// References to objects that do not exist or are not allowed.
mod references;
/// Rules that cannot keep sessions.
mod rules;
/// `sessionPersistence`, in both forms.
mod sessions;
