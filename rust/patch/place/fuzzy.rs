//! Hunks of which some context is missing, out of date, or more than the file has.

use super::super::form::{is_blank, Hunk, Kind, Row};
use super::align::{align, Aligned, Cost};
use super::fit::{Fit, Reading};
use super::lines::{letters, width, Class, Lines};
use super::{Costly, Work};

const GAIN: i32 = 20;
const SHORT_GAIN: i32 = 8;
const BLANK_GAIN: i32 = 2;
const SKIP: i32 = 12;
const GAP: i32 = 9;
const JUMP: i32 = 40;
/// Loss of the second best place that makes the best one unique.
const MARGIN: i32 = 10;
/// Letters that make a line telling.
const TELLING: usize = 8;
/// Lines around the place that the numbers say where little context is enough.
const NEAR: usize = 6;

/// What came of looking for a hunk.
pub(super) enum Found<'a> {
    One(Fit<'a>),
    Several(Vec<usize>),
    None,
}

/// The place of the first `count` rows of a hunk among the lines `lo..hi`; `predicted` is where its first row should be.
pub(super) fn find<'a>(
    hunk: &Hunk<'a>,
    count: usize,
    lines: &Lines<'a>,
    (lo, hi): (usize, usize),
    predicted: Option<usize>,
    work: &mut Work,
) -> Result<Found<'a>, Costly> {
    let search = Search { rows: &hunk.rows[..count], lines, lo, hi: hi.min(lines.all.len()), predicted };
    let mut found = search.with(Reading::Marked, None, work)?;
    if matches!(found, Found::None) && !hunk.changes_blanks_only() {
        for shift in search.shifts() {
            found = search.with(Reading::Marked, Some(shift), work)?;
            if !matches!(found, Found::None) {
                break;
            }
        }
    }
    Ok(found)
}

struct Search<'s, 'a> {
    rows: &'s [Row<'a>],
    lines: &'s Lines<'a>,
    lo: usize,
    hi: usize,
    predicted: Option<usize>,
}

impl<'a> Search<'_, 'a> {
    fn old(&self) -> impl Iterator<Item = &Row<'a>> {
        self.rows.iter().filter(|row| row.kind != Kind::Add)
    }

    fn with(&self, reading: Reading, shift: Option<i64>, work: &mut Work) -> Result<Found<'a>, Costly> {
        let class = if shift.is_some() { Class::Loose } else { Class::Plain };
        let keys = self.lines.keys(class).get(self.lo..self.hi).unwrap_or(&[]);
        let old: Vec<&Row<'a>> = self.old().collect();
        // A kept line may have lost its marker, each on its own.
        let wanted: Vec<(u64, u64)> = old.iter().map(|row| (class.key(row.text), class.key(row.raw))).collect();
        work.spend(keys.len() + old.len())?;
        let must = old.iter().zip(&wanted).filter(|(row, _)| row.kind == Kind::Remove && !is_blank(row.text));
        for (_, (key, _)) in must {
            work.spend(keys.len() / 8)?;
            if !keys.contains(key) {
                return Ok(Found::None);
            }
        }
        work.spend(4 * keys.len() * old.len())?;
        let costs = self.costs(&old, &wanted, keys);
        let columns: Vec<i64> = old.iter().map(|row| width(row.text) as i64).collect();
        let blanks: Vec<bool> = (self.lo..self.hi).map(|line| self.lines.is_blank(line)).collect();
        let gaps: Vec<i32> = blanks.iter().map(|blank| if *blank { 1 } else { GAP }).collect();
        let widths = if shift.is_some() { self.lines.widths() } else { &[] };
        let aligned = align(&costs, &gaps, |row, line| {
            let (key, raw) = wanted[row];
            (keys[line] == key || keys[line] == raw)
                && shift.is_none_or(|shift| blanks[line] || i64::from(widths[self.lo + line]) - columns[row] == shift)
        });
        let Some(aligned) = aligned else { return Ok(Found::None) };
        if !self.is_told(&old, &aligned) {
            return Ok(Found::None);
        }
        let rivals = self.rivals(&old, &aligned);
        let lines = aligned.lines.iter().map(|line| line.map(|line| line + self.lo)).collect();
        let first = aligned.lines.iter().enumerate().find_map(|(row, line)| Some(((*line)? + self.lo).saturating_sub(row)));
        let start = first.unwrap_or(self.lo);
        let mut fit = Fit { reading, class, rows: self.rows.len(), lines, indents: None, exact: false, start };
        if !rivals.is_empty() && self.predicted != Some(start) {
            return Ok(Found::Several(rivals));
        }
        if !self.is_same(&old, &fit) {
            return Ok(Found::None);
        }
        if shift.is_some() {
            fit.indents = Some(fit.learn(self.rows, self.lines));
        }
        Ok(Found::One(fit))
    }

    /// What each old row is worth.
    fn costs(&self, old: &[&Row<'a>], wanted: &[(u64, u64)], keys: &[u64]) -> Vec<Cost> {
        // The rows between which any number of lines may be left out: kept ones with nothing added between them.
        let mut joined = vec![false; old.len()];
        let mut at = 0;
        for pair in self.rows.windows(2) {
            let kept = pair[0].kind == Kind::Keep && pair[1].kind == Kind::Keep;
            if pair[0].kind != Kind::Add {
                joined[at] = kept;
                at += 1;
            }
        }
        let cost = |(at, row): (usize, &&Row<'a>)| {
            let text = row.text;
            let dots = row.kind == Kind::Keep && is_ellipsis(text) && !keys.contains(&wanted[at].0);
            if dots {
                return Cost { gain: 0, skip: Some(0), jump: Some(0) };
            }
            let gain = match letters(text, TELLING) {
                0 => BLANK_GAIN,
                TELLING.. => GAIN,
                _ => SHORT_GAIN,
            };
            let skip = if is_blank(text) { 1 } else { SKIP };
            Cost { gain, skip: (row.kind == Kind::Keep).then_some(skip), jump: joined[at].then_some(JUMP) }
        };
        old.iter().enumerate().map(cost).collect()
    }

    /// Whether enough of the rows stands somewhere: half of the context, less only where the numbers say the same.
    fn is_told(&self, old: &[&Row<'a>], aligned: &Aligned) -> bool {
        let (mut stands, mut all, mut told) = (0, 0, 0);
        for (row, line) in old.iter().zip(&aligned.lines).filter(|(row, _)| !is_blank(row.text) && !is_ellipsis(row.text)) {
            let kept = usize::from(row.kind == Kind::Keep);
            all += kept;
            if line.is_some() {
                stands += kept;
                told += letters(row.text, TELLING);
            }
        }
        let first =
            aligned.lines.iter().enumerate().find_map(|(row, line)| Some((*line)? + self.lo - row.min(self.lo + (*line)?)));
        let near = self.predicted.zip(first).is_some_and(|(one, other)| one.abs_diff(other) <= NEAR);
        told >= TELLING && (2 * stands >= all || near)
    }

    /// Places that are as good, by the rows that decide where something changes.
    fn rivals(&self, old: &[&Row<'a>], aligned: &Aligned) -> Vec<usize> {
        let held = |row: usize| !is_blank(old[row].text) && aligned.lines[row].is_some();
        let mut deciding = Vec::new();
        let mut at = 0;
        for row in self.rows {
            if row.kind != Kind::Keep {
                deciding.extend((0..at).rev().find(|row| held(*row)));
                deciding.extend((at..old.len()).find(|row| held(*row)));
            }
            at += usize::from(row.kind != Kind::Add);
        }
        deciding.sort_unstable();
        deciding.dedup();
        let close = deciding.iter().filter(|row| aligned.rivals[**row].0 < MARGIN);
        let mut places: Vec<usize> =
            close.flat_map(|row| [aligned.lines[*row].unwrap_or(0), aligned.rivals[*row].1]).map(|line| line + self.lo).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Whether the lines are those of the rows, and not only their keys.
    fn is_same(&self, old: &[&Row<'a>], fit: &Fit<'a>) -> bool {
        old.iter().zip(&fit.lines).all(|(row, line)| {
            line.is_none_or(|line| {
                fit.class.same(self.lines.all[line], row.text) || fit.class.same(self.lines.all[line], row.raw)
            })
        })
    }

    /// By how many columns the rows may be moved, most likely first.
    fn shifts(&self) -> Vec<i64> {
        let keys = self.lines.keys(Class::Loose).get(self.lo..self.hi).unwrap_or(&[]);
        let mut votes: Vec<(i64, usize)> = Vec::new();
        for row in self.old().filter(|row| letters(row.text, TELLING) == TELLING).take(40) {
            let (key, columns) = (Class::Loose.key(row.text), width(row.text) as i64);
            for (at, _) in keys.iter().enumerate().filter(|(_, other)| **other == key).take(8) {
                let shift = i64::from(self.lines.widths()[self.lo + at]) - columns;
                match votes.iter_mut().find(|(other, _)| *other == shift) {
                    Some((_, count)) => *count += 1,
                    None => votes.push((shift, 1)),
                }
            }
        }
        votes.sort_by_key(|(shift, count)| (std::cmp::Reverse(*count), shift.abs()));
        votes.into_iter().map(|(shift, _)| shift).take(2).collect()
    }
}

/// Whether a line stands for lines that are left out, as `# ... existing code ...`.
pub(crate) fn is_ellipsis(text: &str) -> bool {
    let text = text.trim();
    let text = ["#", "//", "--", "/*", "<!--", "%", ";"].iter().find_map(|mark| text.strip_prefix(mark)).unwrap_or(text).trim();
    let Some(rest) = text.strip_prefix("...").or_else(|| text.strip_prefix('…')) else { return false };
    let rest = rest.trim_end_matches("*/").trim_end_matches("-->").trim().trim_end_matches('.').trim_end_matches('…');
    let rest = rest.trim().trim_start_matches(['(', '[']).trim_end_matches([')', ']']);
    let words = ["existing", "rest", "other", "unchanged", "omitted", "same", "remaining", "previous", "the rest", "code"];
    let lower = rest.to_lowercase();
    rest.is_empty() || rest.len() < 60 && words.iter().any(|word| lower.starts_with(word))
}
