//! What an image holds: one file, of which its first bytes show that it is what the image is for.

use std::io;

use super::elf::{self, ElfError};

/// The first bytes of a core module: the magic number and version 1 of the binary format. The version of a component, which
/// a proxy cannot load, differs.
const WASM_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Why a file does not become an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentsError {
    /// The file is not a module of WebAssembly.
    #[error("it is not a WebAssembly module: it does not begin with \\0asm and version 1")]
    NotWasm,
    /// The file is not a program that a container without any other file can run.
    #[error(transparent)]
    NotStatic(#[from] ElfError),
}

/// The one file of an image, and how the image runs it.
#[derive(Debug, Clone)]
pub struct Contents {
    /// The path of the file in the image, without the leading slash.
    pub(super) path: &'static str,
    /// The permissions of the file.
    pub(super) mode: u32,
    pub(super) bytes: Vec<u8>,
    /// The architecture, as Go names it.
    pub(super) architecture: &'static str,
    /// Whether the file is the program that the image runs.
    pub(super) runs: bool,
}

impl Contents {
    /// The module, as `plugin.wasm`: the name that Istio's agent looks for (`pkg/wasm/imagefetcher.go`). Other consumers pull images
    /// for the architecture of the machine, so the image says amd64, as an image that a Dockerfile builds does there.
    pub fn module(bytes: Vec<u8>) -> Result<Self, ContentsError> {
        if !bytes.starts_with(WASM_MODULE) {
            return Err(ContentsError::NotWasm);
        }
        Ok(Self {
            path: "plugin.wasm",
            mode: 0o644,
            bytes,
            architecture: "amd64",
            runs: false,
        })
    }

    /// The command, as `/mooring`.
    pub fn command(bytes: Vec<u8>) -> Result<Self, ContentsError> {
        Self::program("mooring", bytes)
    }

    /// The controller, as `/mooring-controller`.
    pub fn controller(bytes: Vec<u8>) -> Result<Self, ContentsError> {
        Self::program("mooring-controller", bytes)
    }

    /// A program. The image has no other file, so it must be statically linked.
    fn program(path: &'static str, bytes: Vec<u8>) -> Result<Self, ContentsError> {
        let architecture = elf::static_program(&bytes)?;
        Ok(Self {
            path,
            mode: 0o755,
            bytes,
            architecture,
            runs: true,
        })
    }

    /// The architecture, as Go names it.
    #[must_use]
    pub fn architecture(&self) -> &'static str {
        self.architecture
    }

    /// A tar archive of the file. Its owner is root and its time is 0, whatever the file on disk has.
    pub(super) fn archive(&self) -> io::Result<Vec<u8>> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(self.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(u64::try_from(self.bytes.len()).map_err(io::Error::other)?);
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_data(&mut header, self.path, self.bytes.as_slice())?;
        archive.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_not_a_module() {
        let component = b"\0asm\x0d\0\x01\0".to_vec();
        assert_eq!(Contents::module(component).unwrap_err(), ContentsError::NotWasm);
        assert_eq!(Contents::module(Vec::new()).unwrap_err(), ContentsError::NotWasm);
        assert!(Contents::module(b"\0asm\x01\0\0\0".to_vec()).is_ok());
    }
}
