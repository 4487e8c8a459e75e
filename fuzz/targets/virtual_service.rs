//! The generator on `VirtualService` and `DestinationRule` of Istio.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use mooring_fuzz::{generator, manifest};

fuzz_target!(|text: &[u8]| generator::check(text));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    manifest::mutate(data, size, max_size, seed, &["VirtualService", "DestinationRule"])
});
