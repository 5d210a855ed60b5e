//! Patches: `read` turns a text into changes by file, `place` finds each hunk in its file and applies it, `diff` writes.
//!
//! A further notation is one more reader into the same form. Everything is text in, text out; all hunks apply or none. Line
//! numbers and counts are hints, what counts are the lines themselves. No language's syntax is looked at.

mod diff;
mod form;
mod gate;
mod history;
mod nearest;
mod place;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod read;
mod refusal;

use std::collections::BTreeMap;

pub use diff::diff;
use form::Body;
pub use history::{reintroduced, Reintroduced};
pub use refusal::{Refusal, Unsupported};

/// Largest patch in bytes.
pub const MAX_PATCH: usize = 1 << 21;
/// Largest file in bytes.
pub const MAX_FILE: usize = 1 << 24;
/// Most lines of a patch.
pub const MAX_LINES: usize = 100_000;
/// Most hunks of a patch.
pub const MAX_HUNKS: usize = 5_000;

/// Applies a patch to texts by path; returns the new texts of the files that it changes.
pub fn apply(files: &BTreeMap<String, String>, patch: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let too_large = |what: &str, count, limit| Err(Refusal::TooLarge { what: what.to_owned(), count, unit: "bytes", limit });
    if patch.len() > MAX_PATCH {
        return too_large("the patch", patch.len(), MAX_PATCH);
    }
    let mut changed = BTreeMap::new();
    for change in read::changes(patch, files)? {
        let before = &files[change.path];
        if before.len() > MAX_FILE {
            return too_large(change.path, before.len(), MAX_FILE);
        }
        let after = match &change.body {
            Body::Hunks(hunks) => {
                gate::check(change.path, before, hunks.iter().flat_map(form::Hunk::added).map(|row| row.text))?;
                place::apply(change.path, hunks, before)?
            }
            Body::Whole(lines) => {
                gate::check(change.path, before, lines.iter().copied())?;
                place::replace(lines, before)
            }
        };
        gate::check_encoding(change.path, before, &after)?;
        if after != *before {
            changed.insert(change.path.to_owned(), after);
        }
    }
    if changed.is_empty() {
        return Err(Refusal::NoChange);
    }
    Ok(changed)
}

#[cfg(test)]
mod tests;
