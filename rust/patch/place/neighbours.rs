//! What the hunks that are placed say of those that are not: where these may lie, and how far the patch's numbers are off.

use super::super::form::Hunk;
use super::super::refusal::Refusal;
use super::fit::{Fit, Reading};
use super::lines::Class;
use super::{Placer, FAR, NEAR};

impl<'a> Placer<'_, 'a> {
    /// The lines between the hunks before and after hunk `at`; all if the hunks are not in order.
    pub(super) fn around(&self, at: usize) -> (usize, usize) {
        let placed = |fit: &Option<Fit<'a>>| fit.as_ref().and_then(|fit| Some((fit.start, fit.last()? + 1)));
        let lo = self.fits[..at].iter().filter_map(placed).map(|(_, end)| end).max().unwrap_or(0);
        let hi = self.fits[at + 1..].iter().filter_map(placed).map(|(start, _)| start).min().unwrap_or(self.lines.all.len());
        if lo <= hi {
            (lo, hi)
        } else {
            (0, self.lines.all.len())
        }
    }

    /// Hunks with a stated line that are placed.
    pub(super) fn agreeing(&self, hunks: &[Hunk<'a>]) -> usize {
        hunks.iter().zip(&self.fits).filter(|(hunk, fit)| hunk.stated.is_some() && fit.is_some()).count()
    }

    /// How many lines further down all hunks stand than they say.
    pub(super) fn drift(&self, hunks: &[Hunk<'a>]) -> Option<i64> {
        let mut drifts =
            hunks.iter().zip(&self.fits).filter_map(|(hunk, fit)| Some(fit.as_ref()?.start as i64 - hunk.stated? as i64));
        let first = drifts.next()?;
        drifts.all(|drift| drift == first).then_some(first)
    }

    /// Refuses the one hunk that stands far from where it says, and beyond another, where all others stand where they say.
    pub(super) fn check_order(&self, hunks: &[Hunk<'a>]) -> Result<(), Refusal> {
        let stated = hunks.iter().zip(&self.fits).filter_map(|(hunk, fit)| Some((hunk, hunk.stated?, fit.as_ref()?.start)));
        let (far, near): (Vec<_>, Vec<_>) = stated.partition(|(_, stated, start)| stated.abs_diff(*start) > NEAR);
        let [(hunk, stated, start)] = far[..] else { return Ok(()) };
        let beyond = near.iter().any(|(_, other, there)| (*other < stated) != (*there < start));
        let drifts = || near.iter().map(|(_, stated, start)| *start as i64 - *stated as i64);
        let agree = drifts().max().zip(drifts().min()).is_some_and(|(most, least)| most - least <= 2);
        let right = near.len() > 1 && agree && near.iter().all(|(other, ..)| other.counted);
        if right && beyond && stated.abs_diff(start) > FAR {
            let (path, line, stated) = (self.path.to_owned(), start + 1, stated + 1);
            return Err(Refusal::Misplaced { hunk: hunk.number, path, line, stated });
        }
        Ok(())
    }

    /// A hunk without content to hold on to: where it says, if the patch is right about the lines of everything else.
    pub(super) fn stated(&self, hunks: &[Hunk<'a>], at: usize) -> Option<Fit<'a>> {
        let hunk = &hunks[at];
        let old: Vec<&str> = hunk.expected().map(|row| row.text).collect();
        if self.lines.all.is_empty() && old.is_empty() {
            return Some(Fit {
                reading: Reading::Marked,
                class: Class::Exact,
                rows: hunk.rows.len(),
                lines: Vec::new(),
                indents: None,
                exact: true,
                start: 0,
            });
        }
        let start = hunk.stated.filter(|_| hunk.counted)?;
        let there = self.lines.all.get(start..start + old.len())?;
        let class = [Class::Exact, Class::End]
            .into_iter()
            .find(|class| there.iter().zip(&old).all(|(one, other)| class.same(one, other)))?;
        let trusted = match self.drift(hunks) {
            Some(drift) => drift == 0,
            // Blank lines that stand alone are told from their number only if that is the only hunk.
            None => self.fits.iter().all(Option::is_none) && !old.is_empty(),
        };
        let rows = hunk.rows.len();
        trusted.then(|| Fit {
            reading: Reading::Marked,
            class,
            rows,
            lines: (start..start + old.len()).map(Some).collect(),
            indents: None,
            exact: true,
            start,
        })
    }
}
