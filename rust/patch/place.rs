//! Where the hunks of a change stand in the file, and the file after it.
//!
//! A hunk stands where all its old lines do: first compared exactly, then without blanks and carriage returns at their ends.
//! The stated line decides between several places only if it is exactly one of them; else the hunk is ambiguous.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::nearest::nearest;
use super::parse::{Change, Hunk, Kind, Row};
use super::{shown, Refusal};

/// Most lines walked over while placing the hunks of one patch: keeps the worst case well below a second.
const MAX_WORK: usize = 20_000_000;
/// Places listed in a message.
const LISTED: usize = 6;
/// Characters that added lines need so that finding them elsewhere says something.
const TELLING: usize = 8;

/// Counts the work of one patch.
#[derive(Default)]
pub(super) struct Work(usize);

/// The text of `before` after a change.
pub(super) fn apply(change: &Change<'_, '_>, before: &str, work: &mut Work) -> Result<String, Refusal> {
    let mut file = File::new(change.path, before);
    let mut placed = Vec::new();
    for hunk in &change.hunks {
        placed.push(file.place(hunk, work)?);
    }
    placed.sort_by_key(|placed| (placed.core.start, placed.lines.start, placed.hunk.number));
    file.check_overlaps(&placed)?;
    Ok(file.after(&placed))
}

/// How lines are compared, strictest first.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    Exact,
    TrimmedEnd,
}

impl Class {
    const ALL: [Self; 2] = [Self::Exact, Self::TrimmedEnd];

    fn key(self, line: &str) -> &str {
        match self {
            Self::Exact => line,
            Self::TrimmedEnd => line.trim_end_matches([' ', '\t', '\r']),
        }
    }
}

/// The lines of a file as numbers, equal where a class takes them as equal.
struct Interned<'f> {
    numbers: HashMap<&'f str, u32>,
    lines: Vec<u32>,
}

/// Lines without their line feeds; only `\n` ends a line.
struct File<'f> {
    path: &'f str,
    lines: Vec<&'f str>,
    terminated: bool,
    interned: [Option<Interned<'f>>; 2],
}

/// A hunk with the lines of the file that it spans, and those among them from its first change to its last.
struct Placed<'h, 'p> {
    hunk: &'h Hunk<'p>,
    class: Class,
    lines: Range<usize>,
    core: Range<usize>,
}

impl<'f> File<'f> {
    fn new(path: &'f str, text: &'f str) -> Self {
        let terminated = text.is_empty() || text.ends_with('\n');
        let lines = if text.is_empty() { Vec::new() } else { text.strip_suffix('\n').unwrap_or(text).split('\n').collect() };
        Self { path, lines, terminated, interned: [None, None] }
    }

    fn place<'h, 'p>(&mut self, hunk: &'h Hunk<'p>, work: &mut Work) -> Result<Placed<'h, 'p>, Refusal> {
        let old: Vec<&str> = hunk.expected().map(|row| row.text).collect();
        if old.is_empty() {
            if self.lines.is_empty() {
                return Ok(Placed { hunk, class: Class::Exact, lines: 0..0, core: 0..0 });
            }
            return Err(Refusal::NoAnchor { hunk: hunk.number, path: self.path.to_owned() });
        }
        for class in Class::ALL {
            match self.find(&old, class, hunk, work)?[..] {
                [] => {}
                [start] => {
                    let placed = Placed { hunk, class, lines: start..start + old.len(), core: core(hunk, start) };
                    return self.refuse_repeated(&placed).map(|()| placed);
                }
                ref several => {
                    let lines = several.iter().take(LISTED).map(|start| start + 1).collect();
                    return Err(Refusal::Ambiguous { hunk: hunk.number, path: self.path.to_owned(), lines });
                }
            }
        }
        Err(self.no_match(hunk, &old, work)?)
    }

    /// Where `wanted` stands: only the stated line if it is one of the places.
    fn find(&mut self, wanted: &[&str], class: Class, hunk: &Hunk<'_>, work: &mut Work) -> Result<Vec<usize>, Refusal> {
        let lines = &self.lines;
        let interned = self.interned[class as usize].get_or_insert_with(|| Interned::new(lines, class));
        let Some(wanted) = interned.numbers_of(wanted, class) else { return Ok(Vec::new()) };
        if let Some(stated) = hunk.stated {
            if interned.lines.get(stated..).is_some_and(|rest| rest.starts_with(&wanted)) {
                return Ok(vec![stated]);
            }
        }
        work.0 += interned.lines.len() + wanted.len();
        if work.0 > MAX_WORK {
            return Err(Refusal::TooCostly { hunk: hunk.number, path: self.path.to_owned() });
        }
        Ok(occurrences(&interned.lines, &wanted))
    }

    /// Refuses to insert lines where they already stand, just outside of a hunk with context on the other side only.
    fn refuse_repeated(&self, placed: &Placed<'_, '_>) -> Result<(), Refusal> {
        let rows = &placed.hunk.rows;
        let added: Vec<&str> = rows.iter().filter(|row| row.kind == Kind::Add).map(|row| row.text).collect();
        if rows.iter().any(|row| row.kind == Kind::Remove) || !is_telling(&added) {
            return Ok(());
        }
        let trailing = rows.iter().rev().take_while(|row| row.kind == Kind::Add).count() == added.len();
        let leading = rows.iter().take_while(|row| row.kind == Kind::Add).count() == added.len();
        let at = match (leading, trailing) {
            (_, true) => Some(placed.lines.end),
            (true, _) => placed.lines.start.checked_sub(added.len()),
            _ => None,
        };
        let same = |start: usize| {
            let there = self.lines.get(start..start + added.len());
            there.is_some_and(|there| {
                there.iter().zip(&added).all(|(one, other)| placed.class.key(one) == placed.class.key(other))
            })
        };
        match at.filter(|&start| same(start)) {
            Some(start) => Err(Refusal::AlreadyApplied { hunk: placed.hunk.number, path: self.path.to_owned(), line: start + 1 }),
            None => Ok(()),
        }
    }

    /// Why a hunk stands nowhere: it is already applied, or this is the nearest place.
    fn no_match(&mut self, hunk: &Hunk<'_>, old: &[&str], work: &mut Work) -> Result<Refusal, Refusal> {
        let path = self.path.to_owned();
        let added: Vec<&str> = hunk.rows.iter().filter(|row| row.kind == Kind::Add).map(|row| row.text).collect();
        let new: Vec<&str> = hunk.written().map(|row| row.text).collect();
        if is_telling(&added) {
            if let Some(start) = self.find(&new, Class::TrimmedEnd, hunk, work)?.first() {
                return Ok(Refusal::AlreadyApplied { hunk: hunk.number, path, line: start + 1 });
            }
        }
        let near = nearest(&self.lines, old, hunk.stated);
        let found = self.lines.get(near.line).copied().map_or_else(|| "(end of file)".to_owned(), shown);
        let (line, expected) = (near.line + 1, shown(old[near.row]));
        Ok(Refusal::NoMatch { hunk: hunk.number, path, line, expected, found, similarity: near.similarity })
    }

    /// Refuses hunks of which one changes what another one spans. They may share context.
    fn check_overlaps(&self, placed: &[Placed<'_, '_>]) -> Result<(), Refusal> {
        for pair in placed.windows(2) {
            let (one, other) = (&pair[0], &pair[1]);
            if one.core.end > other.lines.start || one.lines.end > other.core.start {
                let (path, line) = (self.path.to_owned(), other.core.start + 1);
                return Err(Refusal::Overlap { hunk: other.hunk.number, other: one.hunk.number, path, line });
            }
        }
        Ok(())
    }

    fn after(&self, placed: &[Placed<'_, '_>]) -> String {
        let mut lines: Vec<Cow<'_, str>> = Vec::with_capacity(self.lines.len());
        let mut terminated = self.terminated;
        let mut at = 0;
        for placed in placed {
            lines.extend(self.lines[at..placed.core.start].iter().map(|line| Cow::Borrowed(*line)));
            at = placed.core.start;
            for row in core_rows(placed.hunk) {
                match row.kind {
                    Kind::Add => lines.push(self.added(placed, row.text)),
                    Kind::Keep => lines.push(Cow::Borrowed(self.lines[at])),
                    Kind::Remove => {}
                }
                at += usize::from(row.kind != Kind::Add);
            }
            terminated = self.ends_terminated(placed, terminated);
        }
        lines.extend(self.lines[at..].iter().map(|line| Cow::Borrowed(*line)));
        if let (false, Some(Cow::Owned(last))) = (terminated, lines.last_mut()) {
            last.pop(); // the carriage return of a line ending that is not there
        }
        let mut text = lines.join("\n");
        if terminated && !lines.is_empty() {
            text.push('\n');
        }
        text
    }

    /// An added line with the line ending of the lines around it, unless these were matched exactly; owned if it got one.
    fn added<'t>(&self, placed: &Placed<'_, '_>, text: &'t str) -> Cow<'t, str> {
        if placed.class == Class::Exact {
            return Cow::Borrowed(text);
        }
        let text = text.strip_suffix('\r').unwrap_or(text);
        if self.lines[placed.lines.clone()].iter().any(|line| line.ends_with('\r')) {
            Cow::Owned(format!("{text}\r"))
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Whether the file ends with a line feed after a hunk that says so consistently; else as before.
    fn ends_terminated(&self, placed: &Placed<'_, '_>, before: bool) -> bool {
        let old = placed.hunk.expected().any(|row| row.unterminated);
        let new = placed.hunk.written().any(|row| row.unterminated);
        let consistent = placed.lines.end == self.lines.len() && old != self.terminated;
        if consistent && (old || new) {
            !new
        } else {
            before
        }
    }
}

impl<'f> Interned<'f> {
    fn new(lines: &[&'f str], class: Class) -> Self {
        let mut numbers = HashMap::with_capacity(lines.len());
        let lines = lines.iter().map(|line| {
            let next = numbers.len() as u32;
            *numbers.entry(class.key(line)).or_insert(next)
        });
        let lines = lines.collect();
        Self { numbers, lines }
    }

    fn numbers_of(&self, lines: &[&str], class: Class) -> Option<Vec<u32>> {
        lines.iter().map(|line| self.numbers.get(class.key(line)).copied()).collect()
    }
}

/// Rows from the first change to the last, none if there is no change.
fn core_rows<'h, 'p>(hunk: &'h Hunk<'p>) -> &'h [Row<'p>] {
    let is_change = |row: &Row<'_>| row.kind != Kind::Keep;
    let first = hunk.rows.iter().position(is_change).unwrap_or(hunk.rows.len());
    let last = hunk.rows.iter().rposition(is_change).map_or(first, |last| last + 1);
    &hunk.rows[first..last]
}

fn core(hunk: &Hunk<'_>, start: usize) -> Range<usize> {
    let first = start + hunk.rows.iter().take_while(|row| row.kind == Kind::Keep).count();
    first..first + core_rows(hunk).iter().filter(|row| row.kind != Kind::Add).count()
}

fn is_telling(added: &[&str]) -> bool {
    added.iter().flat_map(|line| line.chars()).filter(|char| !char.is_whitespace()).take(TELLING).count() == TELLING
}

/// All starts of `wanted`, which is not empty, in `lines`, in time proportional to their lengths (Knuth, Morris, Pratt).
fn occurrences(lines: &[u32], wanted: &[u32]) -> Vec<usize> {
    let mut borders = vec![0; wanted.len()];
    for end in 1..wanted.len() {
        let mut border: usize = borders[end - 1];
        while border > 0 && wanted[end] != wanted[border] {
            border = borders[border - 1];
        }
        borders[end] = border + usize::from(wanted[end] == wanted[border]);
    }
    let (mut starts, mut matched) = (Vec::new(), 0);
    for (at, line) in lines.iter().enumerate() {
        while matched > 0 && (matched == wanted.len() || wanted[matched] != *line) {
            matched = borders[matched - 1];
        }
        matched += usize::from(wanted[matched] == *line);
        if matched == wanted.len() {
            starts.push(at + 1 - matched);
        }
    }
    starts
}
