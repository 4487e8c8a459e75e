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
//! | report the state of each policy | [`validate`] |
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
pub mod generate;
pub mod id;
pub mod input_summary;
pub mod ir;
pub mod key_ring;
pub mod kind;
pub mod labels;
pub mod location;
pub mod mesh;
pub mod model;
mod name_hash;
mod object_size;
pub mod omissions;
pub mod output;
pub mod policies;
pub mod resources;
mod rule_id;
pub mod session;
mod shorten;
pub mod source;
mod suggest;
pub mod translate;
pub mod validate;
mod visibility;
mod yaml;
