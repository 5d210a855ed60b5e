//! A text, and after NUL the text that it becomes.
#![no_main]

use _core::patch::properties;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Some((before, after)) = text.split_once('\0') {
        properties::diff_leads(before, after);
    }
});
