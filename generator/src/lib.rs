//! The `mooring` command: Gateway API policies in, Istio or Envoy configuration out.
//!
//! The way of an input, one module for each step:
//!
//! | step | module |
//! |---|---|
//! | texts and places in them | [`source`]; from an API server, [`cluster`] |
//! | texts to objects, in the shapes in which they are written | [`document`], [`spec`], [`kind`], `yaml` |
//! | objects by kind and name | [`resources`] |
//! | every dialect of session persistence to one type | [`policies`], [`session`] |
//! | canary policies | [`canary`] |
//! | which policy holds where | [`attachment`] |
//! | gateways, rules, backends, names | [`ir`] |
//! | a plan to the objects of a target | [`emit`] |
//! | objects to bytes | [`output`], or to what is different: [`drift`]; both from what is there: [`directory`] |
//! | or instead of that, what became of each policy | [`validate`] |
//!
//! Whatever is found to be wrong on the way is a [`diagnostic::Diagnostic`]; a step reports all that it finds and goes on. An
//! error takes out the rule, route or policy that it is about, and nothing else: [`omissions`]. What was read and what was
//! skipped is counted: [`input_summary`].

#![forbid(unsafe_code)]
// A test may overflow: that is how it fails.
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
