//! `mooring migrate` on Ingresses of ingress-nginx and DestinationRules.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use mooring_fuzz::{manifest, migrate};

fuzz_target!(|text: &[u8]| migrate::check(text));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    manifest::mutate(data, size, max_size, seed, &["Ingress", "DestinationRule"])
});
