//! Why a hunk is refused, and what of the file to show for it.

use super::super::form::{is_blank, Hunk, Kind, Row};
use super::super::nearest::nearest;
use super::super::refusal::{shown, Refusal};
use super::contiguous;
use super::fit::{Doubt, Fit};
use super::lines::{letters, Class};
use super::work::Costly;
use super::{is_said_ellipsis, Placer};

/// Old rows by which the nearest place is found.
const NEAREST_ROWS: usize = 200;
/// Context around the changes of a diff that a program made.
const CONTEXT: usize = 3;
/// Places listed in a message.
const LISTED: usize = 6;
/// Letters that added lines need so that finding them elsewhere says something.
const TELLING: usize = 8;

impl<'a> Placer<'_, 'a> {
    pub(super) fn costly(&self, hunk: &Hunk<'_>) -> Refusal {
        Refusal::TooCostly { hunk: hunk.number, path: self.path.to_owned() }
    }

    pub(super) fn ambiguous(&self, hunk: &Hunk<'_>, mut starts: Vec<usize>) -> Refusal {
        starts.truncate(LISTED);
        let lines = starts.iter().map(|start| start + 1).collect();
        Refusal::Ambiguous { hunk: hunk.number, path: self.path.to_owned(), lines }
    }

    pub(super) fn doubt(&self, hunk: &Hunk<'_>, fit: &Fit<'a>, doubt: Doubt) -> Refusal {
        let (hunk, path) = (hunk.number, self.path.to_owned());
        match doubt {
            Doubt::Repeated(line) => Refusal::AlreadyApplied { hunk, path, line: line + 1 },
            Doubt::Left(line) => Refusal::Unclear { hunk, path, line: line + 1, found: shown(self.lines.all[line].trim()) },
            Doubt::Loose => {
                let found = self.lines.all.get(fit.start).copied().map_or_else(String::new, |line| shown(line.trim()));
                Refusal::Unclear { hunk, path, line: fit.start + 1, found }
            }
        }
    }

    /// Refuses to write a line that stands for others into the file, unless all else is as in a diff that a program made.
    pub(super) fn refuse_elided(&self, hunk: &Hunk<'_>, fit: &Fit<'_>) -> Result<(), Refusal> {
        let kept = |row: &&Row<'_>| row.kind == Kind::Keep;
        let (lead, trail) = (hunk.rows.iter().take_while(kept).count(), hunk.rows.iter().rev().take_while(kept).count());
        let below = self.lines.all.len() - fit.last().map_or(fit.start, |last| last + 1);
        let whole = lead >= CONTEXT.min(lead + fit.start) && trail >= CONTEXT.min(trail + below);
        if whole && hunk.counted && fit.exact && fit.class == Class::Exact && hunk.stated == Some(fit.start) {
            return Ok(());
        }
        match hunk.added().find(|row| is_said_ellipsis(row.text) && !self.lines.has_dots(row.text, 0..usize::MAX)) {
            Some(row) => Err(Refusal::Elided { path: self.path.to_owned(), line: shown(row.text.trim()) }),
            None => Ok(()),
        }
    }

    /// Refuses a hunk of which the result stands in the file.
    pub(super) fn refuse_applied(&mut self, hunk: &Hunk<'a>) -> Result<(), Refusal> {
        if hunk.added().map(|row| letters(row.text, TELLING)).sum::<usize>() < TELLING {
            return Ok(());
        }
        let longest = hunk.added().max_by_key(|row| row.text.len()).map_or("", |row| row.text);
        self.work.spend(self.lines.all.len() / 4).map_err(|Costly| self.costly(hunk))?;
        if !self.lines.keys(Class::Loose).contains(&Class::Loose.key(longest)) {
            return Ok(());
        }
        let mut result = Hunk::new(hunk.number, "");
        result.stated = hunk.stated;
        result.rows = hunk.written().map(|row| Row { kind: Kind::Keep, ..*row }).collect();
        let there = contiguous::find(&result, 0..result.rows.len(), &self.lines, self.work);
        let there = there.map_err(|Costly| self.costly(hunk))?;
        match there.and_then(|places| places.starts.first().copied()) {
            Some(start) => Err(Refusal::AlreadyApplied { hunk: hunk.number, path: self.path.to_owned(), line: start + 1 }),
            None => Ok(()),
        }
    }

    /// Why a hunk stands nowhere: it is already applied, or this is the nearest place.
    pub(super) fn no_match(&mut self, hunk: &Hunk<'a>) -> Refusal {
        if let Err(refusal) = self.refuse_applied(hunk) {
            return refusal;
        }
        let path = self.path.to_owned();
        let old: Vec<&str> = hunk.expected().map(|row| row.text).collect();
        let near = nearest(&self.lines.all, &old[..old.len().min(NEAREST_ROWS)], hunk.stated);
        let readable = |text: &str| if is_blank(text) { "(a blank line)".to_owned() } else { shown(text) };
        let found = self.lines.all.get(near.line).copied().map_or_else(|| "(end of file)".to_owned(), readable);
        let (line, expected) = (near.line + 1, readable(old[near.row]));
        let old = match hunk.in_turn {
            true => "the SEARCH lines",
            false => "context and removed lines (those without `+`)",
        };
        Refusal::NoMatch { hunk: hunk.number, path, line, expected, found, similarity: near.similarity, old }
    }
}
