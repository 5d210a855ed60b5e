//! Why a patch is refused: a code, the place, and one sentence fit to be shown to a language model.

use std::fmt;

use thiserror::Error;

/// What a patch may not do, whatever the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unsupported {
    Creates,
    Deletes,
    Renames,
    Copies,
    ChangesMode,
    Symlink,
    Submodule,
    Binary,
    Combined,
}

impl Unsupported {
    fn remedy(self) -> &'static str {
        match self {
            Self::Creates | Self::Deletes => "change lines of the file instead, after `--- a/PATH` and `+++ b/PATH`",
            Self::Combined => "send a plain unified diff",
            _ => "leave it out",
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Creates => "creates a file",
            Self::Deletes => "deletes a file",
            Self::Renames => "renames a file",
            Self::Copies => "copies a file",
            Self::ChangesMode => "changes a file's mode",
            Self::Symlink => "is about a symbolic link",
            Self::Submodule => "is about a submodule",
            Self::Binary => "is about a binary file",
            Self::Combined => "is a combined diff of a merge",
        })
    }
}

/// Why a patch was refused as a whole: one sentence fit to be shown to a language model.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)] // the messages say it
pub enum Refusal {
    #[error("{what} has {count} {unit}, more than the {limit} that can be patched; make it smaller")]
    TooLarge { what: String, count: usize, unit: &'static str, limit: usize },
    #[error("no change was found; send a unified diff with `--- a/PATH`, `+++ b/PATH` and hunks that start with `@@`, or SEARCH/REPLACE blocks, or the whole new file in a fence")]
    NoDiff,
    #[error("the fenced text is no diff and too little of {path} to be all of it; send a unified diff with `--- a/PATH`, `+++ b/PATH` and hunks that start with `@@`, or SEARCH/REPLACE blocks, or the whole new file")]
    Unlike { path: String },
    #[error("the patch has no added and no removed line; mark removed lines with `-` and added ones with `+`")]
    Empty,
    #[error("no `{missing}` follows `{line}`; send the whole patch again with all its markers")]
    Truncated { line: String, missing: &'static str },
    #[error("`{line}` belongs to no block; write each as `<<<<<<< SEARCH`, old lines, `=======`, new lines, `>>>>>>> REPLACE`")]
    Stray { line: String },
    #[error("`{line}` has a line number that no file reaches; write the number of the line, or `@@` alone")]
    BadHunkHeader { line: String },
    #[error("hunk {hunk} does not say which file it changes; put `--- a/PATH` and `+++ b/PATH` before it, with one of: {known}")]
    NoPath { hunk: usize, known: String },
    #[error("`{path}` may not be changed; the paths that may be are: {known}")]
    PathNotAllowed { path: String, known: String },
    #[error("`{line}` {what}, but a patch may only change lines of existing text files; {}", .what.remedy())]
    Unsupported { what: Unsupported, line: String },
    #[error("the added line `{line}` has the character U+{character:04X} ({what}), which {path} does not have; write it in plain characters")]
    ForbiddenCharacter { path: String, line: String, character: u32, what: &'static str },
    #[error(
        "`{line}` has a file's header behind the character U+{character:04X}; begin each line of the patch with a line feed"
    )]
    Hidden { line: String, character: u32 },
    #[error("`{line}` declares that {path} is not UTF-8, which it is; leave it out")]
    Encoding { path: String, line: String },
    #[error("hunk {hunk} has no line of {path} to hold on to; add context lines around what it inserts")]
    NoAnchor { hunk: usize, path: String },
    #[error("hunk {hunk} does not fit {path}: the nearest place has `{found}` at line {line} where the hunk expects `{expected}`; copy {old} exactly as they stand in the file")]
    NoMatch { hunk: usize, path: String, line: usize, expected: String, found: String, similarity: f64, old: &'static str },
    #[error("hunk {hunk} fits {path} in several places, at lines {}; add context lines that stand in one of them only, or its exact line number", numbers(.lines))]
    Ambiguous { hunk: usize, path: String, lines: Vec<usize> },
    #[error("hunk {hunk} fits {path} at line {line} only, but says line {stated} and stands between others that are where they say; look what stands at line {stated} now and quote that")]
    Misplaced { hunk: usize, path: String, line: usize, stated: usize },
    #[error("hunk {hunk} leaves out what stands in {path} at line {line}, `{found}`, so that it is not clear on which side of it to insert; quote that line")]
    Unclear { hunk: usize, path: String, line: usize, found: String },
    #[error("hunk {hunk} seems to be applied already: what it writes stands in {path} at line {line}; leave it out")]
    AlreadyApplied { hunk: usize, path: String, line: usize },
    #[error("hunks {other} and {hunk} both change {path} at line {line}; join them into one hunk")]
    Overlap { hunk: usize, other: usize, path: String, line: usize },
    #[error("`{line}` stands for lines that are left out of the new text of {path}; write the whole file, or only the changed lines as a diff")]
    Elided { path: String, line: String },
    #[error("the new text of {path} begins with `{line}` and leaves out {left} lines above or below what it has of the file; write the whole file, or only the changed lines as a diff")]
    Fragment { path: String, line: String, left: usize },
    #[error("several fenced parts may be the new text of {path}; send one only, or the changed lines as a diff")]
    Several { path: String },
    #[error("the fence that is opened by {line} is never closed; send all of it, in a longer fence (````) if the text has fences itself")]
    Unclosed { line: String },
    #[error("the patch changes nothing; what it removes equals what it adds")]
    NoChange,
    #[error("hunk {hunk} takes too long to place in {path}; send fewer and smaller hunks with exact line numbers")]
    TooCostly { hunk: usize, path: String },
}

impl Refusal {
    /// Short name, stable across versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::NoDiff | Self::Unlike { .. } => "no_diff",
            Self::Empty => "empty",
            Self::Truncated { .. } | Self::Unclosed { .. } | Self::Stray { .. } => "truncated",
            Self::Elided { .. } | Self::Fragment { .. } => "truncated",
            Self::BadHunkHeader { .. } => "bad_hunk_header",
            Self::NoPath { .. } => "no_path",
            Self::PathNotAllowed { .. } => "path_not_allowed",
            Self::Unsupported { .. } => "unsupported_header",
            Self::ForbiddenCharacter { .. } | Self::Hidden { .. } => "forbidden_character",
            Self::Encoding { .. } => "forbidden_character",
            Self::NoAnchor { .. } => "no_anchor",
            Self::NoMatch { .. } | Self::Misplaced { .. } => "no_match",
            Self::Ambiguous { .. } | Self::Unclear { .. } | Self::Several { .. } => "ambiguous",
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
            Self::AlreadyApplied { hunk, line, .. }
            | Self::Overlap { hunk, line, .. }
            | Self::Unclear { hunk, line, .. }
            | Self::Misplaced { hunk, line, .. } => (*hunk, *line, 1.0),
            Self::NoPath { hunk, .. } | Self::NoAnchor { hunk, .. } | Self::TooCostly { hunk, .. } => (*hunk, 0, 0.0),
            _ => (0, 0, 0.0),
        }
    }
}

fn numbers(lines: &[usize]) -> String {
    lines.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// A text as it is shown in a message: one line of at most 80 characters.
pub(super) fn shown(text: &str) -> String {
    let line = text.trim_end();
    let mut start: String = line.chars().take(80).map(|char| if char.is_control() { ' ' } else { char }).collect();
    if line.chars().nth(80).is_some() {
        start.push('…');
    }
    start
}
