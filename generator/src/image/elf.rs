//! The architecture of a Linux program, and whether it is statically linked.
//!
//! Only the few fields that answer this are read, of 64-bit little-endian programs: `man 5 elf` has the offsets.

/// The first bytes: the magic number, 64-bit, little-endian, version 1.
const IDENT: &[u8] = b"\x7fELF\x02\x01\x01";

/// The type of the program header that names the dynamic linker.
const PT_INTERP: u32 = 3;

/// Values of `e_machine`, with Go's name of the architecture.
const MACHINES: [(u16, &str); 2] = [(62, "amd64"), (183, "arm64")];

/// Why a program cannot run in an image without other files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// The file is not a Linux program, or is incomplete.
    #[error("it is not a Linux program (64-bit ELF)")]
    NotElf,
    /// The program is for another architecture.
    #[error("it is for another architecture than x86_64 and aarch64 (ELF machine {0})")]
    Machine(u16),
    /// The program needs the dynamic linker and libraries.
    #[error("it is dynamically linked, but the image has no libraries: build it for a musl target (make dist)")]
    Dynamic,
}

/// The architecture of a statically linked program, as Go names it.
pub(super) fn static_program(bytes: &[u8]) -> Result<&'static str, ElfError> {
    if !bytes.starts_with(IDENT) {
        return Err(ElfError::NotElf);
    }
    let half = |offset| array(bytes, offset).map(u16::from_le_bytes).ok_or(ElfError::NotElf);
    let machine = half(18)?;
    let architecture = MACHINES.iter().find(|(number, _)| *number == machine);
    let (_, architecture) = architecture.ok_or(ElfError::Machine(machine))?;
    // Where the program headers begin, how long each is, and how many there are.
    let start = array(bytes, 32).map(u64::from_le_bytes).ok_or(ElfError::NotElf)?;
    let start = usize::try_from(start).map_err(|_| ElfError::NotElf)?;
    let size = usize::from(half(54)?);
    for index in 0..usize::from(half(56)?) {
        let header = index.checked_mul(size).and_then(|offset| start.checked_add(offset));
        let kind = header.and_then(|header| array(bytes, header)).map(u32::from_le_bytes);
        if kind.ok_or(ElfError::NotElf)? == PT_INTERP {
            return Err(ElfError::Dynamic);
        }
    }
    Ok(architecture)
}

/// The bytes at an offset.
fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of one program header of this type.
    fn program(machine: u16, kind: u32) -> Vec<u8> {
        let mut bytes = vec![0; 120];
        bytes[..7].copy_from_slice(IDENT);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes
    }

    #[test]
    fn static_programs_have_their_architecture() {
        assert_eq!(static_program(&program(62, 1)), Ok("amd64"));
        assert_eq!(static_program(&program(183, 1)), Ok("arm64"));
    }

    #[test]
    fn a_program_that_needs_the_dynamic_linker_is_refused() {
        assert_eq!(static_program(&program(62, PT_INTERP)), Err(ElfError::Dynamic));
        let this_test = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        if cfg!(all(
            target_os = "linux",
            target_env = "gnu",
            target_pointer_width = "64"
        )) {
            assert_eq!(static_program(&this_test), Err(ElfError::Dynamic));
        }
    }

    #[test]
    fn other_files_are_refused_at_any_length() {
        assert_eq!(static_program(&program(8, 1)), Err(ElfError::Machine(8)));
        let whole = program(62, 1);
        for length in 0..68 {
            assert_eq!(static_program(&whole[..length]), Err(ElfError::NotElf), "{length}");
        }
        let mut far = whole;
        far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(static_program(&far), Err(ElfError::NotElf));
    }
}
