//! The best alignment of the old rows of a hunk with the lines of a file, where rows or lines may be left out.
//!
//! A global alignment with costs for what is left out (after Needleman and Wunsch, 1970), free at both ends of the file. It
//! runs forwards and backwards; the sum of both tells, for every row, how much worse the best alignment is that puts the row
//! elsewhere. A placement is only as unique as that margin says.

/// What a row is worth and may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Gain if the row stands in the file.
    pub gain: i32,
    /// Cost of leaving it out; none if it must stand there.
    pub skip: Option<i32>,
    /// Any number of lines may be left out between this row and the next, at this cost; none if only few may.
    pub jump: Option<i32>,
}

/// Rows on lines.
pub(super) struct Aligned {
    /// For every row its line, if it has one.
    pub lines: Vec<Option<usize>>,
    /// For every row with a line, how much the best alignment with another line for it loses, and that line.
    pub rivals: Vec<(i32, usize)>,
}

const NEVER: i32 = i32::MIN / 4;

/// Gains of a table of rows by lines.
struct Table {
    width: usize,
    cells: Vec<i32>,
}

/// Aligns rows with lines whose cost of being left out is `gaps`. `equal` says whether a row can stand on a line.
pub(super) fn align(costs: &[Cost], gaps: &[i32], equal: impl Fn(usize, usize) -> bool) -> Option<Aligned> {
    let (rows, width) = (costs.len(), gaps.len());
    let mut sums = Vec::with_capacity(width + 1);
    sums.push(0);
    gaps.iter().for_each(|gap| sums.push(sums[sums.len() - 1] + gap));
    let forward = Table::fill(costs, &sums, &equal);
    let (best, last) = forward.best(costs)?;
    // Backwards the jump after a row is the one before the next.
    let mut turned: Vec<Cost> = costs.iter().rev().copied().collect();
    for row in 0..rows {
        if turned[row].skip != Some(0) {
            turned[row].jump = if row + 1 < rows { costs[rows - 2 - row].jump } else { None };
        }
    }
    let back_sums: Vec<i32> = sums.iter().rev().map(|sum| sums[width] - sum).collect();
    let backward = Table::fill(&turned, &back_sums, |row, line| equal(rows - 1 - row, width - 1 - line));
    let lines = forward.trace(costs, &sums, last);
    let rivals = (0..rows).map(|row| {
        let Some(at) = lines[row] else { return (0, 0) };
        let through = |line: usize| {
            let (one, other) = (forward.at(row, line), backward.at(rows - 1 - row, width - 1 - line));
            if one <= NEVER / 2 || other <= NEVER / 2 {
                NEVER
            } else {
                one + other - costs[row].gain
            }
        };
        let rival = (0..width).filter(|line| *line != at).map(|line| (through(line), line)).max().unwrap_or((NEVER, at));
        (best - rival.0, rival.1)
    });
    let rivals = rivals.collect();
    Some(Aligned { lines, rivals })
}

impl Table {
    fn fill(costs: &[Cost], sums: &[i32], equal: impl Fn(usize, usize) -> bool) -> Self {
        let width = sums.len() - 1;
        let mut cells = vec![NEVER; costs.len() * width];
        // The best gain of the rows so far that arrives at each line.
        let mut arrived = vec![0; width + 1];
        for (row, cost) in costs.iter().enumerate() {
            let cells = &mut cells[row * width..(row + 1) * width];
            for line in 0..width {
                if arrived[line] > NEVER / 2 && equal(row, line) {
                    cells[line] = arrived[line] + cost.gain;
                }
            }
            let (mut near, mut far) = (NEVER, NEVER);
            for line in 0..=width {
                let mut gain = near - sums[line];
                if let Some(jump) = cost.jump {
                    gain = gain.max(far - jump);
                }
                if let Some(skip) = cost.skip {
                    gain = gain.max(arrived[line] - skip);
                }
                if line < width {
                    // What arrives here may only be passed on once it has been read.
                    let passes = if cost.skip == Some(0) { cells[line].max(arrived[line]) } else { cells[line] };
                    near = near.max(cells[line].saturating_add(sums[line + 1]));
                    far = far.max(passes);
                }
                arrived[line] = gain.max(NEVER);
            }
        }
        Self { width, cells }
    }

    fn at(&self, row: usize, line: usize) -> i32 {
        self.cells[row * self.width + line]
    }

    /// The best gain, and the last row that stands somewhere, with its line.
    fn best(&self, costs: &[Cost]) -> Option<(i32, (usize, usize))> {
        let (mut best, mut after) = (None, 0);
        for row in (0..costs.len()).rev() {
            for line in 0..self.width {
                let gain = self.at(row, line) - after;
                if gain > best.map_or(0, |(gain, _)| gain) {
                    best = Some((gain, (row, line)));
                }
            }
            let Some(skip) = costs[row].skip else { break };
            after += skip;
        }
        best
    }

    /// The lines of the rows up to the last one, found from the gains alone.
    fn trace(&self, costs: &[Cost], sums: &[i32], last: (usize, usize)) -> Vec<Option<usize>> {
        let mut lines = vec![None; costs.len()];
        let mut at = Some(last);
        while let Some((row, line)) = at {
            lines[row] = Some(line);
            let wanted = self.at(row, line) - costs[row].gain;
            at = self.before(costs, sums, (row, line), wanted);
        }
        lines
    }

    /// The row and line before, from which a gain of `wanted` arrives.
    fn before(&self, costs: &[Cost], sums: &[i32], (row, line): (usize, usize), wanted: i32) -> Option<(usize, usize)> {
        let (mut skipped, mut free) = (0, false);
        for earlier in (0..row).rev() {
            let jump = if free { Some(0) } else { costs[earlier].jump };
            for there in (0..line).rev() {
                let near = sums[line] - sums[there + 1];
                let gap = jump.map_or(near, |jump| near.min(jump));
                if self.at(earlier, there) > NEVER / 2 && self.at(earlier, there) - gap - skipped == wanted {
                    return Some((earlier, there));
                }
            }
            let skip = costs[earlier].skip?;
            skipped += skip;
            free |= skip == 0;
        }
        None
    }
}
