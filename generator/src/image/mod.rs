//! Container images for `mooring image`: one of the module, in the form that Istio's agent reads, and those of the command and the controller.
//!
//! The same input gives the same bytes, and so the same digest. Specification: OCI Image Format 1.1,
//! <https://github.com/opencontainers/image-spec>.

mod blob;
mod contents;
mod elf;
mod layout;
mod manifest;

pub use contents::{Contents, ContentsError};
pub use layout::{Layout, LayoutError};
