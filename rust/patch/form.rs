//! The form that every notation is brought into: by file, hunks of rows, or a whole new text.

use std::ops::Range;

/// What a row of a hunk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Keep,
    Remove,
    Add,
}

/// A line of a hunk, without its line feed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row<'a> {
    pub kind: Kind,
    /// Without the marker.
    pub text: &'a str,
    /// As it stands in the patch: what a kept line is if its marker was left out.
    pub raw: &'a str,
    /// The patch says that this line ends the file without a line feed.
    pub unterminated: bool,
}

impl<'a> Row<'a> {
    pub fn new(kind: Kind, text: &'a str) -> Self {
        Self { kind, text, raw: text, unterminated: false }
    }

    /// A kept line that holds nothing.
    pub fn is_blank_context(&self) -> bool {
        self.kind == Kind::Keep && !self.unterminated && is_blank(self.text)
    }
}

/// A place to change: old lines (kept and removed) and what becomes of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hunk<'a> {
    /// From 1, over all files of the patch.
    pub number: usize,
    /// Index of the line at which the old lines are said to start.
    pub stated: Option<usize>,
    /// Text of the header after the numbers: most often the function around.
    pub scope: &'a str,
    /// The header states as many lines as there are.
    pub counted: bool,
    /// The header states fewer old lines than there are.
    pub overlong: bool,
    pub rows: Vec<Row<'a>>,
    /// Rows after which the stated counts are reached and text without markers follows, which may be no part of the hunk.
    pub cut: Option<usize>,
    /// The patch says that the hunk ends the file.
    pub ends_file: bool,
    /// Written for the text as the hunks before it leave it.
    pub in_turn: bool,
}

impl<'a> Hunk<'a> {
    pub fn new(number: usize, scope: &'a str) -> Self {
        Self {
            number,
            stated: None,
            scope,
            counted: false,
            overlong: false,
            rows: Vec::new(),
            cut: None,
            ends_file: false,
            in_turn: false,
        }
    }

    pub fn expected(&self) -> impl Iterator<Item = &Row<'a>> {
        self.rows.iter().filter(|row| row.kind != Kind::Add)
    }

    pub fn written(&self) -> impl Iterator<Item = &Row<'a>> {
        self.rows.iter().filter(|row| row.kind != Kind::Remove)
    }

    pub fn added(&self) -> impl Iterator<Item = &Row<'a>> {
        self.rows.iter().filter(|row| row.kind == Kind::Add)
    }

    /// Whether another hunk, in whatever notation, has the same rows.
    pub fn repeats(&self, other: &Self) -> bool {
        let rows = |hunk: &Self| hunk.rows.iter().map(|row| (row.kind, row.text)).collect::<Vec<_>>();
        rows(self) == rows(other)
    }

    pub fn changes(&self) -> bool {
        self.rows.iter().any(|row| row.kind != Kind::Keep)
    }

    /// The rows without kept blank ones at both ends, where there are such.
    pub fn without_blank_ends(&self) -> Option<Range<usize>> {
        let blank = |row: &&Row<'_>| row.is_blank_context();
        let (before, after) = (self.rows.iter().take_while(blank).count(), self.rows.iter().rev().take_while(blank).count());
        (before + after > 0 && before < self.rows.len()).then(|| before..self.rows.len() - after)
    }

    /// Whether only blanks change.
    pub fn changes_blanks_only(&self) -> bool {
        let texts = |kind| {
            self.rows.iter().filter(move |row| row.kind == kind).map(|row| row.text.trim()).filter(|text| !text.is_empty())
        };
        texts(Kind::Remove).eq(texts(Kind::Add)) && texts(Kind::Add).next().is_some()
    }
}

/// What becomes of one file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change<'a> {
    pub path: &'a str,
    pub body: Body<'a>,
}

impl Change<'_> {
    /// Number of the last hunk.
    pub fn last_number(&self) -> Option<usize> {
        match &self.body {
            Body::Hunks(hunks) => hunks.last().map(|hunk| hunk.number),
            Body::Whole(_) => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body<'a> {
    Hunks(Vec<Hunk<'a>>),
    /// The lines of the new text.
    Whole(Vec<&'a str>),
}

/// Adds a hunk to the change of its file.
pub(super) fn add<'a>(changes: &mut Vec<Change<'a>>, path: &'a str, hunk: Hunk<'a>) {
    for change in changes.iter_mut().filter(|change| change.path == path) {
        if let Body::Hunks(hunks) = &mut change.body {
            return hunks.push(hunk);
        }
    }
    changes.push(Change { path, body: Body::Hunks(vec![hunk]) });
}

pub(super) fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}
