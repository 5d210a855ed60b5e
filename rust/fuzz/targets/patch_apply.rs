//! A patch, and after NUL each the files `t.py` and `u.py`.
#![no_main]

use std::collections::BTreeMap;

use _core::patch::properties;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\0');
    let patch = parts.next().unwrap_or_default();
    let files = ["t.py", "u.py"].into_iter().zip(parts).map(|(path, text)| (path.to_owned(), text.to_owned()));
    properties::applies_wholly(&files.collect::<BTreeMap<_, _>>(), patch);
});
