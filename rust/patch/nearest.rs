//! The place in a file that looks most like the old lines of a hunk: only for messages, never for placing.

use std::collections::HashMap;

/// Pairs of equal lines counted at most; beyond it the place is found from those counted so far.
const MAX_VOTES: usize = 1_000_000;
/// Lines of the file, and characters of a line, that are compared letter by letter.
const MAX_LINES: usize = 50_000;
const MAX_LETTERS: usize = 160;

/// A place: index of the first line that differs, the row of the hunk that stands against it, similarity from 0 to 1.
#[derive(Debug, PartialEq)]
pub(super) struct Near {
    pub line: usize,
    pub row: usize,
    pub similarity: f64,
}

/// The nearest place of `old`, which is not empty. Of equally near ones that nearest to the stated line.
pub(super) fn nearest(lines: &[&str], old: &[&str], stated: Option<usize>) -> Near {
    let start = best_start(lines, old, stated.unwrap_or(0) as i64);
    let at = |row: usize| usize::try_from(start + row as i64).ok().filter(|line| *line < lines.len());
    let similar = |row: usize| at(row).map_or(0.0, |line| similarity(lines[line], old[row]));
    let row = (0..old.len()).find(|&row| at(row).is_none_or(|line| lines[line] != old[row])).unwrap_or(0);
    let line = (start + row as i64).clamp(0, lines.len() as i64) as usize;
    Near { line, row, similarity: (0..old.len()).map(similar).sum::<f64>() / old.len() as f64 }
}

/// The start at which most lines are equal but for blanks, else that of the line most similar to the first telling row.
fn best_start(lines: &[&str], old: &[&str], stated: i64) -> i64 {
    let mut places: HashMap<&str, Vec<i64>> = HashMap::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        places.entry(line.trim()).or_default().push(at as i64);
    }
    let votes = old.iter().enumerate().flat_map(|(row, line)| {
        let equal = places.get(line.trim()).into_iter().flatten();
        equal.map(move |at| at - row as i64)
    });
    let mut counts: HashMap<i64, u32> = HashMap::new();
    for start in votes.take(MAX_VOTES) {
        *counts.entry(start).or_default() += 1;
    }
    let best = counts.into_iter().max_by_key(|(start, count)| (*count, -(start - stated).abs(), -start));
    best.map_or_else(|| most_similar(lines, old, stated), |(start, _)| start)
}

fn most_similar(lines: &[&str], old: &[&str], stated: i64) -> i64 {
    let row = old.iter().position(|line| !line.trim().is_empty()).unwrap_or(0);
    let scored = lines.iter().take(MAX_LINES).enumerate().map(|(at, line)| (similarity(line, old[row]), at as i64));
    let best = scored.max_by(|(one, at), (other, there)| {
        let nearer = (there - stated).abs().cmp(&(at - stated).abs());
        one.total_cmp(other).then(nearer).then(there.cmp(at))
    });
    best.map_or(0, |(_, at)| at - row as i64)
}

/// Share of pairs of neighbouring letters that two lines have in common (Dice), 1 for equal lines but for blanks around.
fn similarity(one: &str, other: &str) -> f64 {
    let (one, other) = (one.trim(), other.trim());
    if one == other {
        return 1.0;
    }
    let (one, other) = (letter_pairs(one), letter_pairs(other));
    let (mut at, mut there, mut common) = (0, 0, 0);
    while at < one.len() && there < other.len() {
        match one[at].cmp(&other[there]) {
            std::cmp::Ordering::Less => at += 1,
            std::cmp::Ordering::Greater => there += 1,
            std::cmp::Ordering::Equal => (at, there, common) = (at + 1, there + 1, common + 1),
        }
    }
    2.0 * f64::from(common) / (one.len() + other.len()).max(1) as f64
}

fn letter_pairs(line: &str) -> Vec<(char, char)> {
    let letters: Vec<char> = line.chars().take(MAX_LETTERS).collect();
    let mut pairs: Vec<(char, char)> = letters.windows(2).map(|pair| (pair[0], pair[1])).collect();
    pairs.sort_unstable();
    pairs
}
