//! The `ResourceList` of `mooring fn`: what the function leaves alone stays as it is.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use mooring_fuzz::{manifest, resource_list};

fuzz_target!(|text: &[u8]| resource_list::check(text));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    manifest::mutate(data, size, max_size, seed, &["ResourceList", "List"])
});
