//! The best alignment of the old rows of a hunk with the lines of a file, where rows or lines may be left out.
//!
//! A global alignment with costs for what is left out (after Needleman and Wunsch, 1970), free at both ends of the file. It
//! runs forwards and backwards; the sum of both tells, for every row, how much worse the best alignment is that puts the row
//! elsewhere. A placement is only as unique as that margin says.

/// What a row is worth and may cost; `NO` where it may not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Gain if the row stands in the file.
    pub gain: i32,
    /// Cost of leaving it out.
    pub skip: i32,
    /// Cost of leaving out any number of lines between this row and the next.
    pub jump: i32,
}

/// No number of lines may be left out, or the row not at all.
pub(super) const NO: i32 = 1 << 28;
const NEVER: i32 = -(1 << 29);

/// Lines that rows may stand on, in order, with what leaving out all lines before them, or up to them, would cost.
pub(super) struct Columns {
    pub keys: Vec<u32>,
    pub before: Vec<i32>,
    pub upto: Vec<i32>,
}

/// Gains of a table of rows by columns.
struct Table {
    width: usize,
    cells: Vec<i32>,
}

/// An alignment whose margins are not known yet.
pub(super) struct Forward<'p> {
    costs: &'p [Cost],
    rows: &'p [[u32; 2]],
    columns: &'p Columns,
    table: Table,
    best: i32,
    /// For every row its column, if it has one.
    pub at: Vec<Option<usize>>,
}

/// Aligns rows, each of which stands on columns with one of its two keys.
pub(super) fn align<'p>(costs: &'p [Cost], rows: &'p [[u32; 2]], columns: &'p Columns) -> Option<Forward<'p>> {
    let table = Table::fill(costs, rows, columns);
    let (best, last) = table.best(costs)?;
    let at = table.trace(costs, columns, last);
    Some(Forward { costs, rows, columns, table, best, at })
}

impl Forward<'_> {
    /// For each of some rows, how much the best alignment that puts it on another column loses, and that column.
    pub fn rivals(&self, wanted: &[usize]) -> Vec<(i32, usize)> {
        let (rows, width) = (self.costs.len(), self.table.width);
        // Backwards the jump after a row is the one before the next.
        let mut costs: Vec<Cost> = self.costs.iter().rev().copied().collect();
        for (row, cost) in costs.iter_mut().enumerate() {
            cost.jump = if row + 1 < rows { self.costs[rows - 2 - row].jump } else { NO };
        }
        let all = self.columns.upto.last().copied().unwrap_or(0);
        let turned = |sums: &[i32]| sums.iter().rev().map(|sum| all - sum).collect();
        let keys = self.columns.keys.iter().rev().copied().collect();
        let columns = Columns { keys, before: turned(&self.columns.upto), upto: turned(&self.columns.before) };
        let turned_rows: Vec<[u32; 2]> = self.rows.iter().rev().copied().collect();
        let backward = Table::fill(&costs, &turned_rows, &columns);
        let rival = |row: &usize| {
            let (one, other) = (self.table.row(*row), backward.row(rows - 1 - row));
            let through = one.iter().zip(other.iter().rev()).enumerate().filter(|(column, _)| self.at[*row] != Some(*column));
            let gains = through.filter(|(_, (one, other))| **one > NEVER / 2 && **other > NEVER / 2);
            let best = gains.map(|(column, (one, other))| (one + other - self.costs[*row].gain, column)).max();
            best.map_or((NO, 0), |(gain, column)| (self.best - gain, column))
        };
        debug_assert_eq!(width, columns.keys.len());
        wanted.iter().map(rival).collect()
    }
}

impl Table {
    fn fill(costs: &[Cost], rows: &[[u32; 2]], columns: &Columns) -> Self {
        let width = columns.keys.len();
        let mut cells = vec![NEVER; costs.len() * width];
        // The best gain of the rows so far that arrives before each column.
        let mut arrived = vec![0; width];
        for ((cost, [key, other]), cells) in costs.iter().zip(rows).zip(cells.chunks_exact_mut(width.max(1))) {
            let (mut near, mut far) = (NEVER, NEVER);
            let sums = columns.before.iter().zip(&columns.upto);
            for (((cell, arrived), column), (before, upto)) in cells.iter_mut().zip(&mut arrived).zip(&columns.keys).zip(sums) {
                let here = *arrived;
                *arrived = (near - before).max(far - cost.jump).max(here - cost.skip).max(NEVER);
                if (column == key || column == other) && here > NEVER / 2 {
                    *cell = here + cost.gain;
                    near = near.max(*cell + upto);
                    far = far.max(*cell);
                }
            }
        }
        Self { width, cells }
    }

    fn row(&self, row: usize) -> &[i32] {
        &self.cells[row * self.width..(row + 1) * self.width]
    }

    /// The best gain, and the last row that stands somewhere, with its column.
    fn best(&self, costs: &[Cost]) -> Option<(i32, (usize, usize))> {
        let (mut best, mut after) = (None, 0);
        for (row, cost) in costs.iter().enumerate().rev() {
            for (column, gain) in self.row(row).iter().enumerate() {
                if gain - after > best.map_or(0, |(gain, _)| gain) {
                    best = Some((gain - after, (row, column)));
                }
            }
            if cost.skip == NO {
                break;
            }
            after += cost.skip;
        }
        best
    }

    /// The columns of the rows up to the last one, found from the gains alone.
    fn trace(&self, costs: &[Cost], columns: &Columns, last: (usize, usize)) -> Vec<Option<usize>> {
        let mut at = vec![None; costs.len()];
        let mut next = Some(last);
        while let Some((row, column)) = next {
            at[row] = Some(column);
            let wanted = self.row(row)[column] - costs[row].gain;
            next = self.before(costs, columns, (row, column), wanted);
        }
        at
    }

    /// The row and column before, from which a gain of `wanted` arrives.
    fn before(&self, costs: &[Cost], columns: &Columns, (row, column): (usize, usize), wanted: i32) -> Option<(usize, usize)> {
        let mut skipped = 0;
        for earlier in (0..row).rev() {
            for there in (0..column).rev() {
                let gap = (columns.before[column] - columns.upto[there]).min(costs[earlier].jump);
                let gain = self.row(earlier)[there];
                if gain > NEVER / 2 && gain - gap - skipped == wanted {
                    return Some((earlier, there));
                }
            }
            if costs[earlier].skip == NO {
                return None;
            }
            skipped += costs[earlier].skip;
        }
        None
    }
}
