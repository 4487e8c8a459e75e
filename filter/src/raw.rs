//! The two host calls whose SDK wrappers this module cannot use.
//!
//! `hostcalls::get_map_bytes` copies every name and value, and panics if a name is not UTF-8; another filter can add such a name.
//! `hostcalls::set_property` panics if Envoy refuses the property, for example because another module declared it read-only.

use std::ptr;

use proxy_wasm::types::{MapType, Status};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: MapType, pairs: *mut *mut u8, length: *mut usize) -> Status;
    fn proxy_set_property(path: *const u8, length: usize, value: *const u8, value_length: usize) -> Status;
}

/// All headers, in the format of the ABI.
pub(crate) fn header_pairs(map: MapType) -> Result<Vec<u8>, Status> {
    let (mut address, mut length) = (ptr::null_mut(), 0);
    // SAFETY: each pointer is valid for writing one value.
    match unsafe { proxy_get_header_map_pairs(map, &raw mut address, &raw mut length) } {
        Status::Ok if address.is_null() => Ok(Vec::new()),
        // SAFETY: Envoy allocated this memory with the SDK's `proxy_on_memory_allocate`, which leaks a boxed slice of this length.
        Status::Ok => Ok(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(address, length)) }.into()),
        status => Err(status),
    }
}

/// Sets a property of the stream.
pub(crate) fn set_property(name: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: each pointer and length come from one slice.
    match unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) } {
        Status::Ok => Ok(()),
        status => Err(status),
    }
}
