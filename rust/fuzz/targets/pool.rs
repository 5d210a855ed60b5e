//! Any calls of a pool.
#![no_main]

use _core::pool::properties;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| properties::agrees_with_brute_force(data));
