//! `mooring fn`: a function of the Kubernetes resource model, which kustomize and kpt run on their objects.
//!
//! Its input and output is a `ResourceList` (kustomize: `functions-spec.md`). [`resource_list`] reads and writes it, [`config`] turns
//! its `functionConfig` into the flags of `mooring generate`, and [`results`] puts findings into it.

pub mod config;
pub mod resource_list;
pub mod results;
