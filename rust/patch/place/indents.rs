//! Added lines in the indentation of the file, learnt from the lines that a hunk has in common with it.

use std::borrow::Cow;

use super::super::form::is_blank;
use super::lines::{indent, width};

/// What the indentation of rows is in the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Indents<'a> {
    /// Number of the row, its blanks at the start, and those of its line.
    pairs: Vec<(usize, &'a str, &'a str)>,
    /// Only lines that start with a tab are turned.
    only_tabs: bool,
}

impl<'a> Indents<'a> {
    /// From rows (with their number) and the lines that they stand on.
    pub fn learn(pairs: impl Iterator<Item = (usize, &'a str, &'a str)>) -> Self {
        let held = pairs.filter(|(_, row, _)| !is_blank(row));
        Self { pairs: held.map(|(number, row, line)| (number, indent(row), indent(line))).collect(), only_tabs: false }
    }

    /// Columns by which all lines are further in than their rows.
    pub fn shift(&self) -> Option<i64> {
        let mut shifts = self.pairs.iter().map(|(_, row, line)| width(line) as i64 - width(row) as i64);
        let first = shifts.next()?;
        shifts.all(|shift| shift == first).then_some(first)
    }

    /// Whether equal blanks stand for equal blanks, and more for more.
    pub fn is_consistent(&self) -> bool {
        let mut pairs: Vec<(usize, &str, usize, &str)> =
            self.pairs.iter().map(|(_, row, line)| (width(row), *row, width(line), *line)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].2 < pair[1].2)
    }

    /// Whether tabs stand for blanks.
    pub fn untabs(&self) -> bool {
        self.pairs.iter().any(|(_, row, line)| row.contains('\t') && !line.contains('\t'))
    }

    /// The same for lines that stand elsewhere.
    pub fn only_tabs(&self) -> Self {
        Self { only_tabs: true, ..self.clone() }
    }

    /// An added line, number `at` of its hunk, as it has to stand in the file.
    pub fn turn<'t>(&self, at: usize, text: &'t str) -> Cow<'t, str> {
        if self.only_tabs && !text.starts_with('\t') {
            return Cow::Borrowed(text);
        }
        if is_blank(text) {
            return Cow::Borrowed("");
        }
        let (blanks, rest) = text.split_at(indent(text).len());
        let near = |number: &usize| number.abs_diff(at);
        let known = self.pairs.iter().filter(|(_, row, _)| blanks.starts_with(row));
        let known = known.min_by_key(|(number, row, _)| (blanks.len() - row.len(), near(number)));
        let tabs = self.pairs.iter().any(|(_, _, line)| line.contains('\t'));
        let start = match known {
            Some((_, row, line)) if row.len() == blanks.len() => (*line).to_owned(),
            Some((_, row, line)) => format!("{line}{}", written(self.scaled(width(blanks) - width(row)), tabs)),
            None => {
                let nearest = self.pairs.iter().min_by_key(|(number, ..)| near(number));
                let (row, line) = nearest.map_or((0, 0), |(_, row, line)| (width(row), width(line)));
                let columns = width(blanks) as i64 + line as i64 - row as i64;
                written(usize::try_from(columns).unwrap_or(0), tabs)
            }
        };
        Cow::Owned(start + rest)
    }

    /// Columns of the file for columns of the patch, where all its steps are of another size.
    fn scaled(&self, columns: usize) -> usize {
        let widths = || self.pairs.iter().map(|(_, row, line)| (width(row), width(line)));
        let (Some((row, line)), Some((last_row, last_line))) = (widths().min(), widths().max()) else { return columns };
        let (rows, lines) = (last_row - row, last_line.saturating_sub(line));
        let even = widths().all(|(one, other)| (one - row) * lines == other.saturating_sub(line) * rows);
        if rows > 0 && lines > 0 && even {
            columns * lines / rows
        } else {
            columns
        }
    }
}

fn written(columns: usize, tabs: bool) -> String {
    if tabs {
        "\t".repeat(columns / 4) + &" ".repeat(columns % 4)
    } else {
        " ".repeat(columns)
    }
}
