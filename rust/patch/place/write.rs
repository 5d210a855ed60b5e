//! The file after its edits.

use std::borrow::Cow;

use super::super::form::Hunk;
use super::super::refusal::Refusal;
use super::fit::{Edit, Fit};
use super::Placer;

impl Placer<'_, '_> {
    /// Refuses edits of the same lines, and two insertions at one place. A hunk that is written twice counts once.
    pub(super) fn check_overlaps(&self, hunks: &[Hunk<'_>], edits: &mut Vec<Edit<'_>>) -> Result<(), Refusal> {
        let overlap = |pair: &[Edit<'_>]| {
            let (one, other) = (&pair[0].lines, &pair[1].lines);
            one.end > other.start || one == other && one.is_empty()
        };
        let hunk_of = |number| hunks.iter().find(|hunk| hunk.number == number);
        while let Some(pair) = edits.windows(2).find(|pair| overlap(pair)) {
            let (other, hunk) = (pair[0].hunk, pair[1].hunk);
            let repeated = hunk_of(other).zip(hunk_of(hunk)).is_some_and(|(one, other)| one.repeats(other));
            if other == hunk || !repeated {
                let (path, line) = (self.path.to_owned(), pair[1].lines.start + 1);
                return Err(Refusal::Overlap { hunk, other, path, line });
            }
            edits.retain(|edit| edit.hunk != hunk);
        }
        Ok(())
    }

    pub(super) fn after(&self, hunks: &[Hunk<'_>], edits: Vec<Edit<'_>>) -> String {
        let all = &self.lines.all;
        let mut text = String::new();
        let (mut at, mut count, mut returned) = (0, 0, false);
        let mut push = |line: &str| {
            if count > 0 {
                text.push('\n');
            }
            text.push_str(line);
            count += 1;
        };
        for edit in edits {
            all[at..edit.lines.start].iter().for_each(|line| push(line));
            edit.new.iter().for_each(|line| push(line));
            at = edit.lines.end;
            returned = at == all.len() && edit.new.last().is_some_and(|line| matches!(line, Cow::Owned(_)));
        }
        all[at..].iter().for_each(|line| push(line));
        let terminated = hunks
            .iter()
            .zip(&self.fits)
            .fold(self.lines.terminated, |before, (hunk, fit)| self.ends_terminated(hunk, fit, before));
        if terminated && count > 0 {
            text.push('\n');
        } else if !terminated && returned && text.ends_with('\r') {
            text.pop(); // of a line ending that is not there
        }
        text
    }

    /// Whether the file ends with a line feed after a hunk that says so consistently; else as before.
    fn ends_terminated(&self, hunk: &Hunk<'_>, fit: &Option<Fit<'_>>, before: bool) -> bool {
        let Some(fit) = fit else { return before };
        let old = hunk.expected().any(|row| row.unterminated);
        let new = hunk.written().any(|row| row.unterminated);
        let reaches = fit.last().map_or(0, |last| last + 1) == self.lines.all.len();
        if reaches && old != self.lines.terminated && (old || new) {
            !new
        } else {
            before
        }
    }
}

/// A whole new text with the line endings of the one before.
pub(in super::super) fn replace(lines: &[&str], before: &str) -> String {
    let returns = 2 * before.matches("\r\n").count() > before.matches('\n').count();
    let end = if returns { "\r\n" } else { "\n" };
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        text.push_str(line.strip_suffix('\r').unwrap_or(line));
        if at + 1 < lines.len() || before.is_empty() || before.ends_with('\n') {
            text.push_str(end);
        }
    }
    text
}
