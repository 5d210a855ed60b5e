//! Hunks whose old rows stand in the file one after the other.

use std::ops::Range;

use super::super::form::{is_blank, Hunk, Kind, Row};
use super::fit::{Fit, Reading};
use super::indents::Indents;
use super::lines::{letters, Class, Lines};
use super::work::{Costly, Work};

/// Letters that rows need in all to be found at another indentation.
const TELLING: usize = 8;

/// How rows are compared with lines as a whole, strictest first.
const LADDER: [(Reading, Class, Shape); 8] = [
    (Reading::Marked, Class::Exact, Shape::Same),
    (Reading::Marked, Class::End, Shape::Same),
    (Reading::Raw, Class::End, Shape::Same),
    (Reading::Marked, Class::Plain, Shape::Same),
    (Reading::Raw, Class::Plain, Shape::Same),
    (Reading::Marked, Class::Loose, Shape::Mixed),
    (Reading::Marked, Class::Loose, Shape::Shifted),
    (Reading::Marked, Class::Loose, Shape::Scaled),
];

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Same,
    /// Some kept rows have lost their markers, others have not.
    Mixed,
    /// All further in or out by the same.
    Shifted,
    /// Further in where the rows are.
    Scaled,
}

/// Places of some rows of a hunk.
pub(super) struct Places {
    reading: Reading,
    class: Class,
    shape: Shape,
    /// All others are blank, or no part of the hunk.
    rows: Range<usize>,
    old: usize,
    /// Lines of the first old row, in order.
    pub starts: Vec<usize>,
}

impl Places {
    pub fn end(&self, start: usize) -> usize {
        start + self.old
    }

    pub fn fit<'a>(&self, hunk: &Hunk<'a>, start: usize, lines: &Lines<'a>) -> Fit<'a> {
        let left = (0..self.rows.start).map(|_| None);
        let (rows, at) = (self.rows.end, left.chain((start..self.end(start)).map(Some)).collect());
        let exact = rows == hunk.rows.len() && self.rows.start == 0;
        let mut fit = Fit { reading: self.reading, class: self.class, rows, lines: at, indents: None, exact, start };
        if matches!(self.shape, Shape::Shifted | Shape::Scaled) {
            fit.indents = Some(fit.learn(&hunk.rows[..rows], lines));
        }
        fit
    }
}

/// All places of some rows of a hunk by the strictest comparison that has one.
pub(super) fn find<'a>(
    hunk: &Hunk<'a>,
    rows: Range<usize>,
    lines: &Lines<'a>,
    work: &mut Work,
) -> Result<Option<Places>, Costly> {
    let old: Vec<&Row<'a>> = hunk.rows[rows.clone()].iter().filter(|row| row.kind != Kind::Add).collect();
    let stated = hunk.stated.map(|line| line + rows.start);
    let has_raw = old.iter().any(|row| row.raw != row.text && !is_blank(row.raw));
    let only_blanks_change = hunk.changes_blanks_only();
    // Where kept lines have lost their markers they pass for lines that are one column further out.
    let may_shift = |shift: i64| !only_blanks_change && (shift != 1 || !has_raw);
    let unmarked = has_raw && old.iter().any(|row| row.kind == Kind::Keep && row.raw == row.text && !is_blank(row.raw));
    let told: usize = old.iter().map(|row| letters(row.text, TELLING)).sum();
    for (reading, class, shape) in LADDER {
        if (reading == Reading::Raw || shape == Shape::Mixed) && !has_raw || shape != Shape::Same && told < TELLING {
            continue;
        }
        let texts: Vec<&str> = old.iter().map(|row| reading.text(row)).collect();
        let starts = search(&texts, class, stated, lines, work)?;
        let mut places = Places { reading, class, shape, rows: rows.clone(), old: old.len(), starts: Vec::new() };
        let stands = |(row, line): (&&Row<'_>, &&str)| {
            Class::Plain.same(line, row.text) || row.kind == Kind::Keep && Class::Plain.same(line, row.raw)
        };
        let fits = |start: &usize| {
            let indents = || places.fit(hunk, *start, lines).indents.unwrap_or_default();
            match shape {
                Shape::Same => true,
                Shape::Mixed => old.iter().zip(&lines.all[*start..]).all(stands),
                Shape::Shifted => indents().shift().is_some_and(|shift| shift == 0 || may_shift(shift)),
                Shape::Scaled => !only_blanks_change && !unmarked && indents().is_consistent(),
            }
        };
        let starts: Vec<usize> = starts.into_iter().filter(fits).collect();
        if !starts.is_empty() {
            places.starts = starts;
            return Ok(Some(places));
        }
    }
    Ok(None)
}

/// All places of `wanted`, only the stated one if it is exactly there.
fn search(
    wanted: &[&str],
    class: Class,
    stated: Option<usize>,
    lines: &Lines<'_>,
    work: &mut Work,
) -> Result<Vec<usize>, Costly> {
    let stands = |start: usize| {
        let there = lines.all.get(start..start + wanted.len());
        there.is_some_and(|there| there.iter().zip(wanted).all(|(one, other)| class.same(one, other)))
    };
    if class == Class::Exact {
        if let Some(stated) = stated.filter(|stated| stands(*stated)) {
            return Ok(vec![stated]);
        }
    }
    let keys = lines.keys(class);
    work.spend(keys.len() / 2 + wanted.len())?;
    let wanted_keys: Vec<u64> = wanted.iter().map(|line| class.key(line)).collect();
    let Some(rarest) = (0..wanted.len()).max_by_key(|row| wanted[*row].trim().len()) else { return Ok(Vec::new()) };
    let found =
        keys.iter().enumerate().filter(|(_, key)| **key == wanted_keys[rarest]).filter_map(|(at, _)| at.checked_sub(rarest));
    let starts: Vec<usize> = found.collect();
    let starts: Vec<usize> = if starts.len() * wanted.len() > 4 * keys.len() {
        occurrences(keys, &wanted_keys)
    } else {
        starts.into_iter().filter(|start| keys.get(*start..start + wanted.len()) == Some(&wanted_keys[..])).collect()
    };
    // Comparing the lines themselves costs as much as there are places; equal keys of unlike lines are made on purpose only.
    let most = starts.len().min(1 + MOST_COMPARED / wanted.len().max(1));
    Ok(starts[..most].iter().copied().filter(|start| stands(*start)).collect())
}

/// Lines compared themselves at most, after their keys.
const MOST_COMPARED: usize = 20_000;

/// All starts of `wanted`, which is not empty, in time proportional to their lengths (Knuth, Morris, Pratt).
fn occurrences(lines: &[u64], wanted: &[u64]) -> Vec<usize> {
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

impl<'a> Fit<'a> {
    /// The indentation of the lines that the rows stand on.
    pub(super) fn learn(&self, rows: &[Row<'a>], lines: &Lines<'a>) -> Indents<'a> {
        let old = rows.iter().enumerate().filter(|(_, row)| row.kind != Kind::Add);
        let on =
            old.zip(&self.lines).filter_map(|((number, row), line)| Some((number, self.reading.text(row), lines.all[(*line)?])));
        Indents::learn(on)
    }
}
