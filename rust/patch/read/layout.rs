//! How an answer is laid out around a patch: thoughts before it, fences, and what stands further in as a whole.

use super::super::form::is_blank;

/// The fence that a line opens or closes: its character, its length, and the words after it.
pub(super) fn fence(line: &str) -> Option<(char, usize, &str)> {
    let text = line.trim_start_matches(' ');
    let mark = text.chars().next().filter(|char| matches!(char, '`' | '~'))?;
    let length = text.chars().take_while(|char| *char == mark).count();
    let words = text[length..].trim();
    (length >= 3 && line.len() - text.len() <= 3 && !words.contains('`')).then_some((mark, length, words))
}

/// How many lines at the start are the thoughts of a model: `<think>` … `</think>`.
pub(super) fn thoughts(lines: &[&str]) -> usize {
    let first = lines.iter().find(|line| !is_blank(line)).copied().unwrap_or_default();
    let ends = ["think", "thinking"].into_iter().find_map(|name| {
        let rest = first.strip_prefix('<')?.strip_prefix(name)?;
        rest.starts_with('>').then(|| format!("</{name}>"))
    });
    ends.and_then(|end| lines.iter().position(|line| line.trim_end().ends_with(&end))).map_or(0, |last| last + 1)
}

/// Lines as they are in a list or in a block of code by indentation: without what fences, or all lines, are further in.
pub(super) fn outdented<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let blanks = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let common = lines.iter().filter(|line| !is_blank(line)).map(|line| blanks(line)).min().unwrap_or(0);
    let mut open: Option<(usize, char, usize)> = None;
    let moved = lines.iter().map(|line| {
        let line = &line[common.min(blanks(line))..];
        let (column, bare) = (blanks(line), line.trim_start_matches(' '));
        match (open, fence(bare)) {
            (None, Some((mark, length, _))) => {
                open = Some((column, mark, length));
                bare
            }
            (Some((_, mark, least)), Some((other, length, ""))) if mark == other && length >= least => {
                open = None;
                bare
            }
            (Some((inside, ..)), _) => &line[inside.min(column)..],
            (None, None) => line,
        }
    });
    moved.collect()
}
