//! The tests of the generator through its command, `mooring`: input in, output, messages and exit status out.
//!
//! One program: it links once, and `cargo test -p mooring-generator --test integration MODULE::` runs the tests of a module.
//! `SNAPSHOTS=overwrite` before it writes the expected messages again.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::needless_raw_string_hashes,
    clippy::panic,
    clippy::unwrap_used,
    reason = "that is how a test fails, and snapbox writes hashes"
)]

/// The sample objects, the command, and assertions about a run. No tests.
mod common;

// Reading input.

/// Wrong input: the exact message with its location, and what is left out.
mod bad_input;
/// `--from-cluster`, against a stand-in for an API server.
mod from_cluster;
/// Plans that follow a cluster: the parts against whole runs.
mod incremental;
/// The files that are read, the forms in which they hold objects, and texts that hold none.
mod input_files;
/// An error removes the rule, route or policy that it concerns; everything else is generated as before.
mod local_errors;
/// Input that lacks some of the routes of a Gateway: the warning before it is applied.
mod partial_input;
/// The validity of fields as an API server decides it, a file for each row.
mod verdicts;

// From objects to rules.

/// `--callers` and `--as-sidecar`: routes of the mesh, and the sidecars that they apply to.
mod callers;
/// `CanaryPolicy`: the match rules, weights and `hashOn` that it becomes, and which of several policies holds.
mod canary;
/// The cluster's domain, from which istiod makes the names of its clusters.
mod cluster_domain;
/// A `DestinationRule` with `consistentHash` beside sessions.
mod consistent_hash;
/// Policies of Services in another namespace than the route's.
mod foreign_policies;
/// The pods of a Gateway and their namespace, which generated objects select.
mod gateway_pods;
/// The Gateways that are generated for: by class, and by the command line.
mod gateways;
/// `GRPCRoute`, for both targets.
mod grpc;
/// `VirtualService`, `DestinationRule` and Istio's `Gateway`, for both targets.
mod istio_api;
/// What istiod makes of the user's objects, which the generator reproduces: virtual hosts, route names, visibility.
mod istiod;
/// Session policies: every source, annotations, attachment and conflicts.
mod policies;
/// `rebalance` of a `CanaryPolicy`: the weights that the filter gets for it, and at which changes.
mod rebalance;
/// The note about rules without a name.
mod terminal;
mod token;
mod unnamed_rules;
/// `versionLabel`: the versions that sessions follow.
mod versions;
/// Routes whose parent is a Service with a waypoint.
mod waypoints;
/// `whenWeightZero`: the backends whose sessions the filter releases.
mod when_weight_zero;

// From other proxies.

/// `mooring migrate`: Ingresses of ingress-nginx and consistent hashing of Istio.
mod migrate;

// Writing output.

/// `--target envoy`: listeners, virtual hosts, routes, clusters and endpoints.
mod envoy_target;
/// The Envoy extensions in the output for an Istio release, against those that its Envoy has.
mod extensions;
/// The committed files that this repository generates, against what the generator writes today.
mod generated;
/// `--target istio`: the contents of the `WasmPlugin` and the `EnvoyFilter`s.
mod istio_target;
/// `--istio-version`: the output for each release, and what is refused for it.
mod istio_versions;
/// What a user sets in generated objects: how the module is fetched, its position, labels and annotations.
mod object_options;
/// The order of the generated objects.
mod order;
/// Annotations and comments that say where a generated object comes from.
mod origin;
/// Many routes on one Gateway: the sizes of objects.
mod scale;
/// Session routes: what they copy from the user's rule, their names, and how objects are split.
mod session_routes;

/// The outputs that pages of `docs/` show.
mod pages;

// The commands.

/// The last line of a run, which counts what was read.
mod closing_line;
/// Flags, files and exit status of each command.
mod command_line;
/// `mooring diff` and `mooring generate --check`.
mod drift;
/// `mooring explain`.
mod explain;
/// `--findings github`.
mod findings;
/// `mooring fn`, as kustomize and kpt run it.
mod function;
/// `mooring image`: OCI image layouts of the module and of the command.
mod image;
/// `mooring keygen`.
mod keygen;
/// `generate --output-dir` on a directory that holds files already.
mod output_directory;
/// `mooring test`: unit tests for policies.
mod policy_test;
/// The files of a release, as `deploy/pack` makes them.
mod release;
/// `mooring validate -o sarif`.
mod sarif;
/// `mooring completions` in real shells, and `mooring man`.
mod shells;
/// The library's simulation of requests: routes, sessions and canaries without Envoy.
mod simulate;
/// The library's states of policies for a status in a cluster.
mod status;
/// `mooring validate`: its findings, for people and for programs.
mod validate;
/// `mooring validate` finds what `mooring generate` finds.
mod validate_and_generate;
/// `mooring validate`: what it says about each rule, and for several targets.
mod validate_rules;
