//! A diff of three hunks for a file of 1,000 lines: made, applied, and applied where its context is inexact.

use std::collections::BTreeMap;

use _core::patch::{apply, diff};

use crate::clock;

pub fn measure() {
    let line = |at: usize| format!("{}value_{at} = compute({at}, scale={})\n", "    ".repeat(at % 3), at % 17);
    let before: String = (0..1_000).map(line).collect();
    let changed = |at: usize| if [100, 500, 900].contains(&at) { format!("changed_{at} = {at}\n") } else { line(at) };
    let after: String = (0..1_000).map(changed).collect();
    let (exact, files) = (diff(&before, &after, "train.py"), BTreeMap::from([("train.py".to_owned(), before.clone())]));
    let inexact = exact.replace("value_99 ", "value_98 ").replace("value_501 ", "value_500 ");
    clock::measure("patch: diff of 1,000 lines", || diff(&before, &after, "train.py"));
    for (name, patch) in [("apply three hunks to 1,000 lines", &exact), ("the same with context out of date", &inexact)] {
        assert_eq!(apply(&files, patch).expect("the patch fits")["train.py"], after);
        clock::measure(&format!("patch: {name}"), || apply(&files, patch));
    }
}
