//! Where the hunks of a change stand in the file, and the file after it.
//!
//! First the hunks whose old rows stand in the file one after the other, then the others, between those. A hunk has one place
//! or is refused: the only one, or among several the stated line, the only one in the function that its header names, or
//! the only one between the hunks around it.

mod align;
mod choose;
mod contiguous;
mod fit;
mod fuzzy;
mod indents;
mod lines;
mod neighbours;
mod refuse;
mod work;
mod write;

use std::borrow::Cow;

use super::form::{is_blank, Hunk, Kind};
use super::refusal::Refusal;
use contiguous::Places;
use fit::Fit;
use fuzzy::Found;
use lines::Lines;
use work::{Costly, Work};

pub(super) use fuzzy::{is_ellipsis, is_said_ellipsis};
#[cfg(any(test, fuzzing))]
pub(super) use lines::plain;
pub(super) use lines::width;
pub(super) use write::replace;

/// Lines around the place that the numbers say that count as that place.
const NEAR: usize = 6;
/// Lines from the place that the numbers say where nothing is looked for if these are right for the other hunks.
const FAR: usize = 20;

/// The old rows of a hunk stand nowhere one after the other.
struct Apart;

/// Times that the text is taken anew for hunks that are written for it as others leave it.
const MAX_TURNS: usize = 16;

/// The text of `before` after its hunks.
pub(super) fn apply(path: &str, hunks: &[Hunk<'_>], before: &str) -> Result<String, Refusal> {
    let lines = Lines::new(before);
    let mut work = Work::allowed(lines.all.len());
    match at_once(path, hunks, lines, &mut work) {
        Err(refusal) => in_turn(path, hunks, before, &mut work, &refusal).ok_or(refusal),
        after => after,
    }
}

/// The text after hunks of which one that fits nowhere may be for what those before it leave.
fn in_turn(path: &str, hunks: &[Hunk<'_>], before: &str, work: &mut Work, refusal: &Refusal) -> Option<String> {
    let (mut text, mut rest, mut refusal) = (Cow::Borrowed(before), hunks, refusal.clone());
    for _ in 0..MAX_TURNS {
        let Refusal::NoMatch { hunk, .. } = refusal else { return None };
        let at = rest.iter().position(|other| other.number == hunk).filter(|at| *at > 0 && rest[*at].in_turn)?;
        text = Cow::Owned(at_once(path, &rest[..at], Lines::new(&text), work).ok()?);
        rest = &rest[at..];
        match at_once(path, rest, Lines::new(&text), work) {
            Ok(after) => return Some(after),
            Err(other) => refusal = other,
        }
    }
    None
}

/// The text after hunks that are all written for these lines of it.
fn at_once<'a>(path: &str, hunks: &[Hunk<'a>], lines: Lines<'a>, work: &mut Work) -> Result<String, Refusal> {
    let mut placer = Placer { path, lines, fits: vec![None; hunks.len()], work };
    let mut late = Vec::new();
    for (at, hunk) in hunks.iter().enumerate() {
        match placer.together(hunk).map_err(|Costly| placer.costly(hunk))? {
            Ok(Some(fit)) => placer.fits[at] = Some(fit),
            Ok(None) => late.push((at, true)),
            Err(Apart) => late.push((at, false)),
        }
    }
    for (at, together) in late {
        placer.fits[at] = Some(placer.late(hunks, at, together)?);
    }
    placer.check_order(hunks)?;
    placer.share_indents();
    let mut edits = Vec::with_capacity(hunks.len());
    for (hunk, fit) in hunks.iter().zip(&placer.fits) {
        let Some(fit) = fit else { continue };
        placer.refuse_elided(hunk, fit)?;
        edits.extend(fit.edits(hunk, &placer.lines).map_err(|doubt| placer.doubt(hunk, fit, doubt))?);
    }
    edits.sort_by_key(|edit| (edit.lines.start, edit.lines.end, edit.hunk));
    placer.check_overlaps(hunks, &mut edits)?;
    Ok(placer.after(hunks, edits))
}

struct Placer<'w, 'a> {
    path: &'w str,
    lines: Lines<'a>,
    fits: Vec<Option<Fit<'a>>>,
    work: &'w mut Work,
}

impl<'a> Placer<'_, 'a> {
    /// A hunk that stands together and needs no other hunk to be placed; an error in it if it stands nowhere together.
    fn together(&mut self, hunk: &Hunk<'a>) -> Result<Result<Option<Fit<'a>>, Apart>, Costly> {
        if self.is_anchorless(hunk) {
            return Ok(Ok(None));
        }
        Ok(match self.contiguous(hunk)? {
            Some(places) => Ok(self.pick(hunk, &places, None)?),
            None => Err(Apart),
        })
    }

    fn contiguous(&mut self, hunk: &Hunk<'a>) -> Result<Option<Places>, Costly> {
        let parts = [Some(0..hunk.rows.len()), hunk.cut.map(|cut| 0..cut), hunk.without_blank_ends()];
        for rows in parts.into_iter().flatten() {
            let found = contiguous::find(hunk, rows, &self.lines, self.work)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// A hunk that needs the others around it.
    fn late(&mut self, hunks: &[Hunk<'a>], at: usize, together: bool) -> Result<Fit<'a>, Refusal> {
        let hunk = &hunks[at];
        let costly = |placer: &Self| placer.costly(hunk);
        if self.is_anchorless(hunk) {
            return self.stated(hunks, at).ok_or_else(|| Refusal::NoAnchor { hunk: hunk.number, path: self.path.to_owned() });
        }
        let (lo, hi) = self.around(at);
        if let Some(places) = together.then(|| self.contiguous(hunk)).transpose().map_err(|Costly| costly(self))?.flatten() {
            let picked = self.pick(hunk, &places, Some((lo, hi))).map_err(|Costly| self.costly(hunk))?;
            return picked.ok_or_else(|| {
                let twin = self.twin(hunk, &places);
                self.ambiguous(hunk, places.starts.into_iter().chain(twin).collect())
            });
        }
        if hunk.expected().any(|row| row.kind == Kind::Keep && !is_blank(row.text)) {
            self.refuse_applied(hunk)?;
        }
        let drift = self.drift(hunks);
        let predicted = hunk.stated.zip(drift).and_then(|(stated, drift)| usize::try_from(stated as i64 + drift).ok());
        let mut several = None;
        for count in [Some(hunk.rows.len()), hunk.cut].into_iter().flatten() {
            let found = fuzzy::find(hunk, count, &self.lines, (lo, hi), predicted, self.work).map_err(|Costly| costly(self))?;
            match found {
                // The numbers of all other hunks are right: this one is not elsewhere.
                Found::One(fit) if self.agreeing(hunks) > 1 && predicted.is_some_and(|line| line.abs_diff(fit.start) > FAR) => {}
                Found::One(fit) => return Ok(fit),
                Found::Several(places) => several = Some(places),
                Found::None => {}
            }
        }
        match several {
            Some(places) => Err(self.ambiguous(hunk, places)),
            None => Err(self.no_match(hunk)),
        }
    }

    /// A hunk that no line with content holds.
    fn is_anchorless(&self, hunk: &Hunk<'_>) -> bool {
        hunk.expected().all(|row| is_blank(row.text))
    }

    /// Where one hunk shows that the patch is indented with tabs and the file is not, that holds for all its hunks.
    fn share_indents(&mut self) {
        let known = self.fits.iter().flatten().filter_map(|fit| fit.indents.as_ref()).find(|indents| indents.untabs()).cloned();
        if let Some(indents) = known {
            self.fits
                .iter_mut()
                .flatten()
                .filter(|fit| fit.indents.is_none())
                .for_each(|fit| fit.indents = Some(indents.only_tabs()));
        }
    }
}
