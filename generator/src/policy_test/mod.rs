//! `mooring test`: unit tests for policies, without an Envoy.
//!
//! A test file ([`mod@format`]) names manifests and has cases: a request, what is different from the manifests, and what is
//! expected. [`checked`] checks it, [`run`] sends the requests through [`crate::simulate`], and [`expect`] compares. Nothing
//! here decides where a request goes. [`text`], [`json`] and `junit` are the output formats, and [`scaffold`] writes a first file.

pub mod checked;
mod checker;
pub mod coverage;
mod environment;
pub mod expect;
pub mod expected_cookie;
pub mod format;
pub mod json;
#[cfg(feature = "cluster")]
pub mod junit;
mod names;
pub mod observed;
pub mod request;
pub mod run;
pub mod scaffold;
mod suite;
pub mod text;
pub mod values;

pub use coverage::Coverage;
pub use run::{CaseResult, FileResult, RequestResult};
pub use suite::Suite;

/// The name of a test file in a directory.
pub const FILE_NAME: &str = "mooring-test.yaml";
