//! Patches: `parse` turns a text into changes by file, `place` finds each hunk in its file and applies it, `diff` writes.
//!
//! A further notation (SEARCH/REPLACE, envelopes, whole files) is one more parser into the same `parse::Change`s. Everything
//! is text in, text out; all hunks apply or none. Line numbers and counts are hints, what counts are the lines themselves.

mod diff;
mod nearest;
mod parse;
mod place;

use std::collections::BTreeMap;

use thiserror::Error;

pub use diff::diff;
pub use parse::Unsupported;

/// Largest patch in bytes.
pub const MAX_PATCH: usize = 1 << 22;
/// Largest file in bytes.
pub const MAX_FILE: usize = 1 << 24;

/// Why a patch was refused as a whole: one sentence fit to be shown to a language model.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)] // the messages say it
pub enum Refusal {
    #[error("{what} has {bytes} bytes, more than the {limit} that can be patched; make it smaller")]
    TooLarge { what: String, bytes: usize, limit: usize },
    #[error("no hunk was found; send a unified diff with `--- a/PATH`, `+++ b/PATH` and hunks that start with `@@`")]
    NoHunks,
    #[error("hunk {hunk} does not say which file it changes; put `--- a/PATH` and `+++ b/PATH` before it, with one of: {known}")]
    NoPath { hunk: usize, known: String },
    #[error("`{path}` may not be changed; the paths that may be are: {known}")]
    PathNotAllowed { path: String, known: String },
    #[error("`{line}` {what}, but a patch may only change lines of existing text files; leave it out")]
    Unsupported { what: Unsupported, line: String },
    #[error("hunk {hunk} has no line of {path} to hold on to; add context lines around what it inserts")]
    NoAnchor { hunk: usize, path: String },
    #[error("hunk {hunk} does not fit {path}: the nearest place has `{found}` at line {line} where the hunk expects `{expected}`; copy context and removed lines exactly as they stand in the file")]
    NoMatch { hunk: usize, path: String, line: usize, expected: String, found: String, similarity: f64 },
    #[error("hunk {hunk} fits {path} in several places, at lines {}; add context lines that stand in one of them only, or its exact line number", numbers(.lines))]
    Ambiguous { hunk: usize, path: String, lines: Vec<usize> },
    #[error("hunk {hunk} seems to be applied already: what it writes stands in {path} at line {line}; leave it out")]
    AlreadyApplied { hunk: usize, path: String, line: usize },
    #[error("hunks {other} and {hunk} both change {path} at line {line}; join them into one hunk")]
    Overlap { hunk: usize, other: usize, path: String, line: usize },
    #[error("the patch changes nothing; what it removes equals what it adds")]
    NoChange,
    #[error("hunk {hunk} takes too long to place in {path}; send fewer hunks with exact line numbers")]
    TooCostly { hunk: usize, path: String },
}

impl Refusal {
    /// Short name, stable across versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::NoHunks => "no_hunks",
            Self::NoPath { .. } => "no_path",
            Self::PathNotAllowed { .. } => "path_not_allowed",
            Self::Unsupported { what, .. } => what.code(),
            Self::NoAnchor { .. } => "no_anchor",
            Self::NoMatch { .. } => "no_match",
            Self::Ambiguous { .. } => "ambiguous",
            Self::AlreadyApplied { .. } => "already_applied",
            Self::Overlap { .. } => "overlap",
            Self::NoChange => "no_change",
            Self::TooCostly { .. } => "too_costly",
        }
    }

    /// Number of the hunk, line of the nearest place (both from 1, 0 if there is none) and its similarity from 0 to 1.
    pub fn place(&self) -> (usize, usize, f64) {
        match self {
            Self::NoMatch { hunk, line, similarity, .. } => (*hunk, *line, *similarity),
            Self::Ambiguous { hunk, lines, .. } => (*hunk, lines.first().copied().unwrap_or(0), 1.0),
            Self::AlreadyApplied { hunk, line, .. } | Self::Overlap { hunk, line, .. } => (*hunk, *line, 1.0),
            Self::NoPath { hunk, .. } | Self::NoAnchor { hunk, .. } | Self::TooCostly { hunk, .. } => (*hunk, 0, 0.0),
            _ => (0, 0, 0.0),
        }
    }
}

/// Applies a patch to texts by path; returns the new texts of the files that it changes.
pub fn apply(files: &BTreeMap<String, String>, patch: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let too_large = |what: String, bytes, limit| Err(Refusal::TooLarge { what, bytes, limit });
    if patch.len() > MAX_PATCH {
        return too_large("the patch".to_owned(), patch.len(), MAX_PATCH);
    }
    let mut work = place::Work::default();
    let mut changed = BTreeMap::new();
    for change in parse::unified(patch, files)? {
        let before = &files[change.path];
        if before.len() > MAX_FILE {
            return too_large(change.path.to_owned(), before.len(), MAX_FILE);
        }
        let after = place::apply(&change, before, &mut work)?;
        if after != *before {
            changed.insert(change.path.to_owned(), after);
        }
    }
    if changed.is_empty() {
        return Err(Refusal::NoChange);
    }
    Ok(changed)
}

fn numbers(lines: &[usize]) -> String {
    lines.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// A text as it is shown in a message: one line of at most 80 characters.
fn shown(text: &str) -> String {
    let line = text.trim_end();
    let mut start: String = line.chars().take(80).map(|char| if char.is_control() { ' ' } else { char }).collect();
    if line.chars().nth(80).is_some() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests;
