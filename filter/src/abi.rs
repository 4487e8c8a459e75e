//! The proxy-wasm ABI, version 0.2.1, as far as it is used: what Envoy calls, what the module calls, and the memory in
//! which values are handed over. All unsafe code of the project is here.
//!
//! The proxy-wasm crate does the same for everything that a module can do, with a general dispatcher and copies on the path
//! of every request. Without it a request costs up to 4 µs less, and the module is 15 KB smaller (`docs/performance.md`).
//!
//! A value comes in memory that Envoy asks the module for, during the call that returns it. The module keeps owning that
//! memory: [`proxy_on_memory_allocate`] leaves it in [`HANDED_OVER`], and the call takes it from there. So no pointer
//! from outside is ever followed.

use std::{cell::Cell, ptr};

use crate::{context, host, metrics};

/// A call that Envoy refused, by the ABI's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(u32);

impl Status {
    const OK: u32 = 0;
    const NOT_FOUND: u32 = 1;

    fn check(status: u32) -> Result<(), Self> {
        match status {
            Self::OK => Ok(()),
            refused => Err(Self(refused)),
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let meaning = match self.0 {
            Self::NOT_FOUND => "not found",
            2 => "bad argument",
            3 => "serialisation failure",
            4 => "parse failure",
            6 => "invalid memory access",
            7 => "empty",
            8 => "changed meanwhile",
            10 => "internal failure",
            12 => "unimplemented",
            other => return write!(f, "status {other}"),
        };
        f.write_str(meaning)
    }
}

/// Whose headers.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Map {
    Request = 0,
    Response = 2,
}

/// How loud a line in Envoy's log is.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Level {
    Error = 4,
    Critical = 5,
}

/// What a metric can do.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Kind {
    Counter = 0,
    Gauge = 1,
}

/// The buffer that holds the plugin configuration.
const PLUGIN_CONFIGURATION: u32 = 7;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: Level, text: *const u8, length: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_get_buffer_bytes(buffer: u32, start: usize, most: usize, value: *mut *mut u8, length: *mut usize) -> u32;
    fn proxy_get_property(path: *const u8, length: usize, value: *mut *mut u8, value_length: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, length: usize, value: *const u8, value_length: usize) -> u32;
    fn proxy_get_header_map_pairs(map: Map, pairs: *mut *mut u8, length: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: Map,
        name: *const u8,
        name_length: usize,
        value: *mut *mut u8,
        length: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: Map,
        name: *const u8,
        name_length: usize,
        value: *const u8,
        length: usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: Map,
        name: *const u8,
        name_length: usize,
        value: *const u8,
        length: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: Map, name: *const u8, name_length: usize) -> u32;
    fn proxy_define_metric(kind: Kind, name: *const u8, length: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_length: usize,
        value: *mut *mut u8,
        length: *mut usize,
        version: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(key: *const u8, key_length: usize, value: *const u8, length: usize, version: u32) -> u32;
}

thread_local! {
    /// The memory that Envoy asked for last, until the call that returns the value takes it.
    static HANDED_OVER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Makes a call that returns a value. None where there is no such value.
fn value(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Option<Vec<u8>>, Status> {
    let mut address = ptr::null_mut();
    let mut length = 0;
    match call(&raw mut address, &raw mut length) {
        Status::OK => {
            let mut memory = HANDED_OVER.take();
            // Envoy asks for no memory where the value is empty.
            memory.truncate(length);
            Ok(Some(memory))
        }
        Status::NOT_FOUND => Ok(None),
        refused => Err(Status(refused)),
    }
}

pub(crate) fn log(level: Level, text: &str) -> Result<(), Status> {
    // SAFETY: the pointer and the length are those of one slice.
    Status::check(unsafe { proxy_log(level, text.as_ptr(), text.len()) })
}

/// The wall clock, in nanoseconds since the Unix epoch.
pub(crate) fn time() -> Result<u64, Status> {
    let mut time = 0;
    // SAFETY: the pointer is that of a place for one number.
    Status::check(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) })?;
    Ok(time)
}

pub(crate) fn plugin_configuration() -> Result<Option<Vec<u8>>, Status> {
    // SAFETY: the pointers are those of places for one number each.
    value(|address, length| unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, usize::MAX, address, length) })
}

/// A property by its path, whose parts are divided by NUL.
pub(crate) fn property(path: &[u8]) -> Result<Option<Vec<u8>>, Status> {
    // SAFETY: each pointer and length are those of one slice, and the others are places for one number each.
    value(|address, length| unsafe { proxy_get_property(path.as_ptr(), path.len(), address, length) })
}

/// Sets a property, which Envoy keeps in the filter state of the request under the name `wasm.<path>`.
pub(crate) fn set_property(path: &[u8], value: &[u8]) -> Result<(), Status> {
    // SAFETY: each pointer and length are those of one slice.
    Status::check(unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// All header lines, as the ABI writes them: their number, the lengths of each name and value, then the names and
/// values, each with a NUL behind it. Numbers have four bytes, little-endian.
pub(crate) fn header_pairs(map: Map) -> Result<Option<Vec<u8>>, Status> {
    // SAFETY: the pointers are those of places for one number each.
    value(|address, length| unsafe { proxy_get_header_map_pairs(map, address, length) })
}

/// The value of the first header line called `name`.
pub(crate) fn header(map: Map, name: &[u8]) -> Result<Option<Vec<u8>>, Status> {
    // SAFETY: as in `property`.
    value(|address, length| unsafe { proxy_get_header_map_value(map, name.as_ptr(), name.len(), address, length) })
}

pub(crate) fn replace_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), Status> {
    // SAFETY: each pointer and length are those of one slice.
    Status::check(unsafe {
        proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

pub(crate) fn add_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), Status> {
    // SAFETY: each pointer and length are those of one slice.
    Status::check(unsafe { proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

pub(crate) fn remove_header(map: Map, name: &[u8]) -> Result<(), Status> {
    // SAFETY: the pointer and the length are those of one slice.
    Status::check(unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) })
}

pub(crate) fn define_metric(kind: Kind, name: &str) -> Result<u32, Status> {
    let mut id = 0;
    // SAFETY: the pointer and the length are those of one slice, and `id` is a place for one number.
    Status::check(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

pub(crate) fn increment_metric(id: u32) -> Result<(), Status> {
    // SAFETY: there are no pointers.
    Status::check(unsafe { proxy_increment_metric(id, 1) })
}

pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), Status> {
    // SAFETY: there are no pointers.
    Status::check(unsafe { proxy_record_metric(id, value) })
}

/// What all virtual machines of the module share under this key.
pub(crate) fn shared_data(key: &str) -> Result<Option<Vec<u8>>, Status> {
    let mut version = 0;
    // SAFETY: as in `property`.
    value(|address, length| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), address, length, &raw mut version)
    })
}

/// Sets what all virtual machines of the module share under this key, whatever was there.
pub(crate) fn set_shared_data(key: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: each pointer and length are those of one slice.
    Status::check(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), 0) })
}

unsafe extern "C" {
    /// Made by the linker: what runs before anything else. That it is called here keeps the linker from calling it in
    /// every export.
    safe fn __wasm_call_ctors();
}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    __wasm_call_ctors();
    host::log_panics();
}

/// Tells Envoy which version of the ABI this is.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// Gives Envoy memory for a value that a call is about to return.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let mut memory = vec![0; size];
    let address = memory.as_mut_ptr();
    HANDED_OVER.set(memory);
    address
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(id: u32, parent: u32) {
    context::create(id, parent);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(_id: u32, _configuration_size: usize) -> bool {
    metrics::define();
    true
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(id: u32, _configuration_size: usize) -> bool {
    context::configure(id)
}

/// What Envoy is told after the headers: go on.
const CONTINUE: u32 = 0;

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(id: u32, _count: usize, _end_of_stream: u32) -> u32 {
    context::on_request(id);
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(id: u32, count: usize, _end_of_stream: u32) -> u32 {
    context::on_response(id, count);
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(id: u32) {
    context::delete(id);
}
