//! Hunks of which some context is missing, out of date, or more than the file has.

use std::collections::HashMap;

use super::super::form::{is_blank, Hunk, Kind, Row};
use super::align::{align, Columns, Cost, Forward, NO};
use super::fit::{Fit, Reading};
use super::lines::{letters, width, Class, Lines};
use super::work::{Costly, Work};
use super::NEAR;

const GAIN: i32 = 20;
const SHORT_GAIN: i32 = 8;
const BLANK_GAIN: i32 = 2;
const SKIP: i32 = 12;
const GAP: i32 = 9;
const JUMP: i32 = 40;
/// Loss of the second best place that makes the best one unique.
const MARGIN: i32 = 24;
/// Letters that make a line telling.
const TELLING: usize = 8;

/// Lines around twice the length of a hunk where its rows are looked for if one of them is there only.
const AROUND: usize = 200;

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
    let hi = hi.min(lines.all.len());
    let is_dots = |row: &Row<'_>| row.kind == Kind::Keep && is_ellipsis(row.text) && !lines.has_dots(row.text, lo..hi);
    let (mut rows, mut dots, mut old) = (Vec::with_capacity(count), Vec::new(), 0);
    for row in &hunk.rows[..count] {
        if is_dots(row) {
            dots.push(old);
        } else {
            rows.push(*row);
        }
        old += usize::from(row.kind != Kind::Add);
    }
    let search = Search { rows, dots, lines, lo, hi, predicted, hunk };
    let mut found = search.with(None, work)?;
    if matches!(found, Found::None) && !hunk.changes_blanks_only() {
        for shift in search.shifts() {
            found = search.with(Some(shift), work)?;
            if !matches!(found, Found::None) {
                break;
            }
        }
    }
    if let Found::One(fit) = &mut found {
        search.dots.iter().for_each(|row| fit.lines.insert(*row, None));
        fit.rows = count;
    }
    Ok(found)
}

struct Search<'s, 'a> {
    /// But for those that stand for any lines, which are the old rows with these numbers.
    rows: Vec<Row<'a>>,
    dots: Vec<usize>,
    lines: &'s Lines<'a>,
    lo: usize,
    hi: usize,
    predicted: Option<usize>,
    hunk: &'s Hunk<'a>,
}

impl<'a> Search<'_, 'a> {
    fn old(&self) -> impl Iterator<Item = &Row<'a>> {
        self.rows.iter().filter(|row| row.kind != Kind::Add)
    }

    fn with(&self, shift: Option<i64>, work: &mut Work) -> Result<Found<'a>, Costly> {
        let class = if shift.is_some() { Class::Loose } else { Class::Plain };
        let keys = self.lines.keys(class).get(self.lo..self.hi).unwrap_or(&[]);
        let old: Vec<&Row<'a>> = self.old().collect();
        // A kept line may have lost its marker, each on its own.
        let wanted: Vec<[u64; 2]> = old.iter().map(|row| [class.key(row.text), class.key(row.raw)]).collect();
        let mut only = None;
        for (_, [key, _]) in old.iter().zip(&wanted).filter(|(row, _)| row.kind == Kind::Remove && !is_blank(row.text)) {
            work.spend(keys.len() / 4)?;
            let mut found = keys.iter().enumerate().filter(|(_, other)| *other == key);
            match (found.next(), found.next()) {
                (None, _) => return Ok(Found::None),
                (Some((line, _)), None) => only = Some(line),
                _ => {}
            }
        }
        // What is removed stands on one line only: the others are near, unless lines may be left out at will.
        let reach = 2 * old.len() + AROUND;
        let near = only.filter(|_| self.dots.is_empty() && !self.hunk.overlong);
        let (lo, hi) = near.map_or((0, keys.len()), |line| (line.saturating_sub(reach), (line + reach).min(keys.len())));
        work.spend(8 * (hi - lo))?;
        let (rows, columns, lines) = self.columns(&old, &wanted, (&keys[lo..hi], self.lo + lo), shift);
        work.spend(6 * old.len() * lines.len())?;
        let costs = self.costs(&old);
        let Some(aligned) = align(&costs, &rows, &columns) else { return Ok(Found::None) };
        let at: Vec<Option<usize>> = aligned.at.iter().map(|column| Some(lines[(*column)?])).collect();
        let first = at.iter().enumerate().find_map(|(row, line)| Some((*line)?.saturating_sub(row)));
        let start = first.unwrap_or(self.lo);
        if !self.is_told(&old, &at, start) || !self.is_same(&old, &at, class) {
            return Ok(Found::None);
        }
        let rivals = self.rivals(&old, &aligned, &lines);
        if !rivals.is_empty() && self.predicted != Some(start) {
            return Ok(Found::Several(rivals));
        }
        let mut fit =
            Fit { reading: Reading::Marked, class, rows: self.rows.len(), lines: at, indents: None, exact: false, start };
        if shift.is_some() {
            fit.indents = Some(fit.learn(&self.rows, self.lines));
        }
        Ok(Found::One(fit))
    }

    /// Rows and the lines that any of them may stand on as small keys, and which lines these are.
    fn columns(
        &self,
        old: &[&Row<'a>],
        wanted: &[[u64; 2]],
        (keys, lo): (&[u64], usize),
        shift: Option<i64>,
    ) -> (Vec<[u32; 2]>, Columns, Vec<usize>) {
        let widths = if shift.is_some() { self.lines.widths() } else { &[] };
        let mut numbers: HashMap<(u64, i64), u32> = HashMap::with_capacity(2 * old.len());
        // Where the indentation is moved, a line has to have the width of its row after it.
        let moved = |text: &str| shift.filter(|_| !is_blank(text)).map_or(0, |shift| width(text) as i64 + shift);
        let mut number = |key: u64, columns: i64| {
            let next = numbers.len() as u32;
            *numbers.entry((key, columns)).or_insert(next)
        };
        let rows = old.iter().zip(wanted).map(|(row, [key, raw])| {
            [number(*key, moved(row.text)), number(*raw, moved(if shift.is_some() { row.text } else { row.raw }))]
        });
        let rows = rows.collect();
        let (mut columns, mut lines, mut sum) =
            (Columns { keys: Vec::new(), before: Vec::new(), upto: Vec::new() }, Vec::new(), 0);
        for (at, key) in keys.iter().enumerate() {
            let line = lo + at;
            let blank = self.lines.is_blank(line);
            let before = sum;
            sum += if blank { 1 } else { GAP };
            let place = if shift.is_some() && !blank { i64::from(widths[line]) } else { 0 };
            if let Some(number) = numbers.get(&(*key, place)) {
                columns.keys.push(*number);
                columns.before.push(before);
                columns.upto.push(sum);
                lines.push(line);
            }
        }
        (rows, columns, lines)
    }

    /// What each old row is worth.
    fn costs(&self, old: &[&Row<'a>]) -> Vec<Cost> {
        // The rows between which any number of lines may be left out, as where the header of a second hunk is missing: kept
        // ones with nothing added between them, in a hunk that is longer than it says.
        let mut joined = vec![false; old.len()];
        let mut at = 0;
        for pair in self.rows.windows(2) {
            let kept = self.hunk.overlong && pair[0].kind == Kind::Keep && pair[1].kind == Kind::Keep;
            if pair[0].kind != Kind::Add {
                joined[at] = kept;
                at += 1;
            }
        }
        // Before a row that stands for any lines these cost nothing.
        let mut free = vec![false; old.len()];
        for (before, row) in self.dots.iter().enumerate() {
            if let Some(row) = (row - before).checked_sub(1) {
                free[row] = true;
            }
        }
        let cost = |(at, row): (usize, &&Row<'a>)| {
            let text = row.text;
            let gain = match letters(text, TELLING) {
                0 => BLANK_GAIN,
                TELLING.. => GAIN,
                _ => SHORT_GAIN,
            };
            let skip = match row.kind {
                Kind::Keep if is_blank(text) => 1,
                Kind::Keep => SKIP,
                _ => NO,
            };
            let jump = match (free[at], joined[at]) {
                (true, _) => 0,
                (_, true) => JUMP,
                _ => NO,
            };
            Cost { gain, skip, jump }
        };
        old.iter().enumerate().map(cost).collect()
    }

    /// Whether enough of the rows stands somewhere: half of the context and what is next to a change; less only where the
    /// numbers say the same.
    fn is_told(&self, old: &[&Row<'a>], at: &[Option<usize>], start: usize) -> bool {
        let (mut stands, mut all, mut told) = (0, 0, 0);
        for (row, line) in old.iter().zip(at).filter(|(row, _)| !is_blank(row.text)) {
            let kept = usize::from(row.kind == Kind::Keep);
            all += kept;
            if line.is_some() {
                stands += kept;
                told += letters(row.text, TELLING);
            }
        }
        let near = self.predicted.or(self.hunk.stated).is_some_and(|line| line.abs_diff(start) <= NEAR);
        let beside = self.beside(|row| !is_blank(old[row].text));
        // Unless the counts say that it is context, a row that stands nowhere beside a change may be one to add without its marker.
        let context = near && self.hunk.counted || beside.iter().all(|row| at[*row].is_some());
        told >= TELLING && (near || 2 * stands >= all) && context
    }

    /// The old rows, of those that count, that are next to something that changes, and that are removed.
    fn beside(&self, counts: impl Fn(usize) -> bool) -> Vec<usize> {
        let (mut rows, mut at) = (Vec::new(), 0);
        let count = self.old().count();
        for row in &self.rows {
            if row.kind != Kind::Keep {
                rows.extend((0..at).rev().find(|row| counts(*row)));
                rows.extend((at..count).find(|row| counts(*row)));
            }
            at += usize::from(row.kind != Kind::Add);
        }
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// Places that are as good, by the rows that decide where something changes.
    fn rivals(&self, old: &[&Row<'a>], aligned: &Forward<'_>, lines: &[usize]) -> Vec<usize> {
        let deciding = self.beside(|row| !is_blank(old[row].text) && aligned.at[row].is_some());
        let rivals = aligned.rivals(&deciding);
        let close = deciding.iter().zip(rivals).filter(|(_, (loss, _))| *loss < MARGIN);
        let mut places: Vec<usize> =
            close.flat_map(|(row, (_, rival))| [aligned.at[*row].unwrap_or(rival), rival]).map(|column| lines[column]).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Whether the lines are those of the rows, and not only their keys.
    fn is_same(&self, old: &[&Row<'a>], at: &[Option<usize>], class: Class) -> bool {
        let all = &self.lines.all;
        let same = |row: &Row<'_>, line: usize| class.same(all[line], row.text) || class.same(all[line], row.raw);
        old.iter().zip(at).all(|(row, line)| line.is_none_or(|line| same(row, line)))
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
        // One column further out is what kept lines pass for that have lost their markers.
        let unmarked = self.old().any(|row| row.raw != row.text && !is_blank(row.raw));
        votes.into_iter().map(|(shift, _)| shift).filter(|shift| *shift != 1 || !unmarked).take(2).collect()
    }
}

/// Whether a line stands for lines that are left out, as `# ... existing code ...`.
pub(crate) fn is_ellipsis(text: &str) -> bool {
    let Some(rest) = after_dots(text) else { return false };
    let words = ["existing", "rest", "other", "unchanged", "omitted", "same", "remaining", "previous", "the rest", "code"];
    let lower = rest.to_lowercase();
    rest.is_empty() || rest.len() < 60 && words.iter().any(|word| lower.starts_with(word))
}

/// Whether a line does so beyond doubt: dots alone may be code.
pub(crate) fn is_said_ellipsis(text: &str) -> bool {
    is_ellipsis(text) && after_dots(text).is_some_and(|rest| !rest.is_empty())
}

/// What a comment, or a line, says between dots.
fn after_dots(text: &str) -> Option<&str> {
    let text = text.trim();
    let text = ["#", "//", "--", "/*", "<!--", "%", ";"].iter().find_map(|mark| text.strip_prefix(mark)).unwrap_or(text).trim();
    let rest = text.strip_prefix("...").or_else(|| text.strip_prefix('…'))?;
    let rest = rest.trim_end_matches("*/").trim_end_matches("-->").trim().trim_end_matches('.').trim_end_matches('…');
    Some(rest.trim().trim_start_matches(['(', '[']).trim_end_matches([')', ']']))
}
