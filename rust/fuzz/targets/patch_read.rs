//! Any text as a patch.
#![no_main]

use _core::patch::properties;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| properties::reads(&String::from_utf8_lossy(data)));
