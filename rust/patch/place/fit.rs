//! A hunk on its lines, and the edits of the file that follow from it.

use std::borrow::Cow;
use std::ops::Range;

use super::super::form::{is_blank, Hunk, Kind, Row};
use super::indents::Indents;
use super::lines::{letters, plain, width, Class, Lines};

/// What of a row is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Marked,
    /// Kept lines have lost their markers.
    Raw,
}

impl Reading {
    pub fn text<'a>(self, row: &Row<'a>) -> &'a str {
        match self {
            Self::Marked => row.text,
            Self::Raw => row.raw,
        }
    }
}

/// The first `rows` rows of a hunk, and for every old one among them the line on which it stands, if it does.
#[derive(Debug, Clone)]
pub(super) struct Fit<'a> {
    pub reading: Reading,
    pub class: Class,
    pub rows: usize,
    pub lines: Vec<Option<usize>>,
    /// What becomes of the indentation of added lines; none if it stays.
    pub indents: Option<Indents<'a>>,
    /// All old rows stand one after the other.
    pub exact: bool,
    /// The line of the first row.
    pub start: usize,
}

/// Lines that are replaced.
#[derive(Debug)]
pub(super) struct Edit<'a> {
    pub hunk: usize,
    pub lines: Range<usize>,
    pub new: Vec<Cow<'a, str>>,
}

/// Why the edits of a fit are not known.
#[derive(Debug, PartialEq)]
pub(super) enum Doubt {
    /// Lines between two rows were left out, the first of them this one, and the insertion may be on either side.
    Left(usize),
    /// No row beside an insertion stands anywhere.
    Loose,
    /// What would be added is already there.
    Repeated(usize),
}

impl<'a> Fit<'a> {
    pub fn last(&self) -> Option<usize> {
        self.lines.iter().rev().find_map(|line| *line)
    }

    /// The edits of all groups of changed rows.
    pub fn edits(&self, hunk: &Hunk<'a>, lines: &Lines<'a>) -> Result<Vec<Edit<'a>>, Doubt> {
        let rows = &hunk.rows[..self.rows];
        let (mut edits, mut at, mut old) = (Vec::new(), 0, 0);
        while at < rows.len() {
            if rows[at].kind == Kind::Keep {
                (at, old) = (at + 1, old + 1);
                continue;
            }
            let length = rows[at..].iter().take_while(|row| row.kind != Kind::Keep).count();
            let group = &rows[at..at + length];
            let removed = group.iter().filter(|row| row.kind == Kind::Remove).count();
            self.check_blanks(group, old, lines)?;
            self.check_gaps(group, old, lines)?;
            let position = match self.lines.get(old).filter(|_| removed > 0) {
                Some(line) => line.ok_or(Doubt::Loose)?,
                None => self.insertion(rows, (at, length), old, lines)?,
            };
            self.group(hunk.number, (at, group), (position, old), lines, &mut edits)?;
            (at, old) = (at + length, old + removed);
        }
        let typeset = self.typeset(rows, lines);
        for line in edits.iter_mut().flat_map(|edit| &mut edit.new).filter(|line| line.contains(&typeset[..])) {
            *line = line.chars().map(|char| if typeset.contains(&char) { plain(char) } else { char }).collect();
        }
        Ok(edits)
    }

    /// Characters of typesetting that the file does not have, and that stand for those of a keyboard in old rows.
    fn typeset(&self, rows: &[Row<'a>], lines: &Lines<'a>) -> Vec<char> {
        if self.class == Class::Exact {
            return Vec::new();
        }
        let old = rows.iter().filter(|row| row.kind != Kind::Add).zip(&self.lines);
        let stand = old.filter(|(row, line)| line.is_some() && !row.text.is_ascii());
        let mut chars: Vec<char> = stand.flat_map(|(row, _)| row.text.chars().filter(|char| plain(*char) != *char)).collect();
        chars.sort_unstable();
        chars.dedup();
        chars.retain(|char| !lines.all.iter().any(|line| line.contains(*char)));
        chars
    }

    /// Where lines with content were left out beside added rows, these may belong on either side of them, unless they take
    /// the place of as many removed ones.
    fn check_gaps(&self, group: &[Row<'a>], mut old: usize, lines: &Lines<'a>) -> Result<(), Doubt> {
        if self.exact || group.iter().all(|row| row.kind == Kind::Add) {
            return Ok(());
        }
        let gap = |below: usize| {
            let (above, below) = (*self.lines.get(below.checked_sub(1)?)?, *self.lines.get(below)?);
            (above? + 1..below?).find(|line| !lines.is_blank(*line))
        };
        let mut rest = group;
        while !rest.is_empty() {
            let removed = rest.iter().take_while(|row| row.kind == Kind::Remove).count();
            let added = rest[removed..].iter().take_while(|row| row.kind == Kind::Add).count();
            old += removed;
            if let Some(line) = gap(old).filter(|_| added > removed) {
                return Err(Doubt::Left(line));
            }
            rest = &rest[removed + added..];
        }
        Ok(())
    }

    /// Removed blank lines have to lie between the lines that the patch says they do: there are many others.
    fn check_blanks(&self, group: &[Row<'a>], old: usize, lines: &Lines<'a>) -> Result<(), Doubt> {
        let mut removed = group.iter().filter(|row| row.kind == Kind::Remove).peekable();
        if self.exact || removed.peek().is_none() || !removed.all(|row| is_blank(row.text)) {
            return Ok(());
        }
        let held = |line: &usize| !lines.is_blank(*line);
        let above = self.lines[..old].iter().rev().flatten().find(|line| held(line));
        let below = self.lines[old..].iter().flatten().find(|line| held(line));
        let from = above.map_or_else(|| self.lines[old].unwrap_or(0), |line| line + 1);
        let until = below.map_or_else(|| self.lines[old].unwrap_or(0), |line| *line);
        match (from..until).find(held) {
            Some(line) => Err(Doubt::Left(line)),
            None => Ok(()),
        }
    }

    /// The edits of one group: added rows go before the first removed one or after the one above them.
    fn group(
        &self,
        hunk: usize,
        (first, group): (usize, &[Row<'a>]),
        (mut position, mut old): (usize, usize),
        lines: &Lines<'a>,
        edits: &mut Vec<Edit<'a>>,
    ) -> Result<(), Doubt> {
        let mut edit = Edit { hunk, lines: position..position, new: Vec::new() };
        for (at, row) in group.iter().enumerate() {
            if row.kind == Kind::Add {
                edit.new.push(self.added(first + at, row.text, position, lines));
                continue;
            }
            let line = self.lines[old].ok_or(Doubt::Loose)?;
            if line != position {
                edits.push(std::mem::replace(&mut edit, Edit { hunk, lines: line..line, new: Vec::new() }));
            }
            edit.lines.end = line + 1;
            (position, old) = (line + 1, old + 1);
        }
        edits.push(edit);
        Ok(())
    }

    /// An added line with the indentation and the line ending of the lines around it, unless these match exactly.
    fn added(&self, row: usize, text: &'a str, position: usize, lines: &Lines<'a>) -> Cow<'a, str> {
        if self.class == Class::Exact && self.indents.is_none() {
            return Cow::Borrowed(text);
        }
        let text = text.strip_suffix('\r').unwrap_or(text);
        let text = self.indents.as_ref().map_or(Cow::Borrowed(text), |indents| indents.turn(row, text));
        let around = lines.all.get(position.saturating_sub(1)..(position + 1).min(lines.all.len())).unwrap_or(&[]);
        if around.iter().any(|line| line.ends_with('\r')) {
            Cow::Owned(text.into_owned() + "\r")
        } else {
            text
        }
    }

    /// The line before which `length` rows from row `at` are inserted; old row `old` comes after them.
    fn insertion(&self, rows: &[Row<'a>], (at, length): (usize, usize), old: usize, lines: &Lines<'a>) -> Result<usize, Doubt> {
        let before = old.checked_sub(1).map(|row| self.lines[row]);
        let after = self.lines.get(old).copied();
        let added = &rows[at..at + length];
        if let Some(line) = self.blanks_there(rows, (at, length), old, lines) {
            return Err(Doubt::Repeated(line));
        }
        let position = match (before.flatten(), after.flatten()) {
            (None, None) if self.lines.is_empty() => Ok(self.start),
            (None, None) => Err(Doubt::Loose),
            (Some(above), None) => Ok(above + 1),
            (None, Some(below)) => Ok(below),
            (Some(above), Some(below)) if below == above + 1 => Ok(below),
            (Some(above), Some(below)) => between(added, above, below, lines),
        };
        // Only where no context tells: on the open side of the insertion, and in what was left out beside it.
        let (above, below) = (before.flatten().map(|line| line + 1), after.flatten());
        let starts = match (above, below, position.as_ref().ok()) {
            (Some(from), Some(until), _) => from..(until + 1).saturating_sub(length),
            (Some(from), None, _) => from..from + 1,
            (None, Some(until), _) => until.saturating_sub(length)..(until + 1).saturating_sub(length),
            (None, None, Some(&at)) => at.saturating_sub(length)..at + 1,
            (None, None, None) => 0..0,
        };
        repeated(added, starts, lines).map_or(Ok(()), |line| Err(Doubt::Repeated(line)))?;
        position
    }
}

impl<'a> Fit<'a> {
    /// The line at which there are already as many blank lines as there would be after adding only such.
    fn blanks_there(&self, rows: &[Row<'a>], (at, length): (usize, usize), old: usize, lines: &Lines<'a>) -> Option<usize> {
        if self.exact || !rows[at..at + length].iter().all(|row| is_blank(row.text)) {
            return None;
        }
        let blank = |row: &&Row<'_>| row.kind == Kind::Keep && is_blank(row.text);
        let (lead, trail) =
            (rows[..at].iter().rev().take_while(blank).count(), rows[at + length..].iter().take_while(blank).count());
        let above = (*self.lines.get(old.checked_sub(lead + 1)?)?)?;
        let below = (*self.lines.get(old + trail)?)?;
        let blanks = (above + 1..below).all(|line| lines.is_blank(line));
        (blanks && below - above > lead + length + trail).then_some(above + 1)
    }
}

/// The one of some lines of the file at which the added rows already stand.
fn repeated(added: &[Row<'_>], mut starts: Range<usize>, lines: &Lines<'_>) -> Option<usize> {
    const TELLING: usize = 8;
    if added.iter().map(|row| letters(row.text, TELLING)).sum::<usize>() < TELLING {
        return None;
    }
    starts.find(|start| {
        let there = lines.all.get(*start..start + added.len());
        there.is_some_and(|there| there.iter().zip(added).all(|(line, row)| line.trim() == row.text.trim()))
    })
}

/// Where to insert between two lines that the patch takes for neighbours.
fn between(added: &[Row<'_>], above: usize, below: usize, lines: &Lines<'_>) -> Result<usize, Doubt> {
    let gap = above + 1..below;
    if let Some(left) = gap.clone().find(|line| !lines.is_blank(*line)) {
        return Err(Doubt::Left(left));
    }
    let (Some(first), Some(last)) = (added.first(), added.last()) else { return Ok(below) };
    let columns = |text: &str| width(text);
    Ok(match (is_blank(first.text), is_blank(last.text)) {
        // Blank lines in the patch stand for themselves: those of the file are on the other side.
        (true, false) => above + 1,
        (false, true) => below,
        (true, true) => below,
        // It belongs to the side with its indentation.
        (false, false) if columns(first.text) != columns(lines.all[above]) && columns(last.text) == columns(lines.all[below]) => {
            below
        }
        (false, false) => above + 1,
    })
}
