//! The file names of objects.

use super::format::Format;
use crate::emit::Output;

/// The name of the file of an object.
#[must_use]
pub fn file_name(output: &Output, format: Format) -> String {
    let ending = match format {
        Format::Yaml => "yaml",
        Format::Json => "json",
    };
    format!("{}.{ending}", output.file_stem)
}
