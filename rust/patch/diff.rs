//! The canonical unified diff of two texts.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, Hunk, InternedInput};

const CONTEXT: usize = 3;

/// Unified diff with three lines of context, empty if the texts are equal. Only `\n` ends a line.
pub fn diff(before: &str, after: &str, path: &str) -> String {
    let input = InternedInput::new(before, after);
    let mut changes = Diff::compute(Algorithm::Histogram, &input);
    changes.postprocess_lines(&input);
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let mut out = String::new();
    for group in grouped(changes.hunks()) {
        if out.is_empty() {
            out = format!("--- a/{path}\n+++ b/{path}\n");
        }
        write(&mut out, &group, &old, &new);
    }
    out
}

/// Changes in groups that share their context.
fn grouped(changes: impl Iterator<Item = Hunk>) -> Vec<Vec<Hunk>> {
    let mut groups: Vec<Vec<Hunk>> = Vec::new();
    for change in changes {
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(|last| change.before.start - last.before.end <= 2 * CONTEXT as u32) => {
                group.push(change);
            }
            _ => groups.push(vec![change]),
        }
    }
    groups
}

fn write(out: &mut String, group: &[Hunk], old: &[&str], new: &[&str]) {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
    let lead = CONTEXT.min(first.before.start as usize);
    let trail = CONTEXT.min(old.len() - last.before.end as usize);
    let olds = first.before.start as usize - lead..last.before.end as usize + trail;
    let news = first.after.start as usize - lead..last.after.end as usize + trail;
    out.push_str(&format!("@@ -{} +{} @@\n", stated(&olds), stated(&news)));
    let mut at = olds.start;
    for change in group {
        let (removed, added) = (change.before.start as usize..change.before.end as usize, &change.after);
        old[at..removed.start].iter().for_each(|line| push(out, ' ', line));
        old[removed.clone()].iter().for_each(|line| push(out, '-', line));
        new[added.start as usize..added.end as usize].iter().for_each(|line| push(out, '+', line));
        at = removed.end;
    }
    old[at..olds.end].iter().for_each(|line| push(out, ' ', line));
}

fn push(out: &mut String, marker: char, line: &str) {
    out.push(marker);
    out.push_str(line);
    if !line.ends_with('\n') {
        out.push_str("\n\\ No newline at end of file\n");
    }
}

/// A range as hunk headers state it: the line before an empty one, and no count of one.
fn stated(range: &Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => format!("{}", range.start + 1),
        count => format!("{},{count}", range.start + 1),
    }
}
