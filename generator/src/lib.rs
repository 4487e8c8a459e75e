//! The `mooring` command: Gateway API policies in, Istio or Envoy configuration out.
//!
//! The steps from manifests to output, with the modules that do each of them:
//!
//! | step | modules |
//! |---|---|
//! | read texts from files or from an API server | [`source`], [`cluster`] |
//! | parse the texts into objects | [`document`], [`api`], [`kind`], `yaml` |
//! | store the objects by kind and name | [`resources`] |
//! | read the route kinds into one model | [`model`] |
//! | parse session policies and canary policies | [`policies`], [`session`], [`canary`] |
//! | resolve which policy applies to which rule | [`attachment`] |
//! | translate the resources into gateways, rules and backends | [`translate`] into [`ir`] |
//! | write the objects of a target | [`emit`] |
//! | print the objects, or compare them with a directory | [`output`], [`directory`], [`drift`] |
//! | report the state of each policy | [`validate`], and [`status`] for a cluster |
//! | simulate requests to the routes and rules, explain them, and compare them with what a user expects | [`simulate`], [`explain`], [`policy_test`] |
//! | do all that in a pipeline of kustomize | [`krm`] |
//! | translate Ingresses and consistent hashing into routes and policies | [`migrate`] |
//!
//! Apart from these steps, [`image`] packs the module and the command as container images, and [`token`] shows what is in a session
//! token.
//!
//! A step reports each error as a [`diagnostic::Diagnostic`] and continues. An error removes only the rule, route or policy that
//! contains it ([`omissions`]). [`input_summary`] counts the objects that were read and skipped.

#![forbid(unsafe_code)]
// A test may overflow, because the panic makes the test fail.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod api;
pub mod attachment;
pub mod canary;
pub mod cli;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod cluster_domain;
#[cfg(feature = "cluster")]
pub mod commands;
pub mod conflict;
pub mod delegation;
pub mod diagnostic;
pub mod directory;
pub mod dns;
pub mod document;
pub mod drift;
pub mod emit;
pub mod explain;
pub mod generate;
pub mod id;
#[cfg(feature = "cluster")]
pub mod image;
pub mod incremental;
pub mod input_summary;
pub mod ir;
pub mod key_ring;
pub mod kind;
pub mod krm;
pub mod labels;
pub mod location;
pub mod mesh;
pub mod migrate;
pub mod model;
mod name_hash;
mod object_size;
pub mod object_text;
pub mod omissions;
pub mod output;
pub mod policies;
pub mod policy_test;
pub mod reads;
pub mod resources;
pub mod rule_id;
pub mod session;
mod shorten;
pub mod simulate;
pub mod source;
pub mod status;
mod suggest;
mod table;
#[cfg(feature = "cluster")]
mod terminal_report;
pub mod token;
pub mod translate;
pub mod validate;
mod visibility;
mod yaml;
