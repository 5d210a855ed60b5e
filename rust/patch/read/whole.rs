//! A whole new file: the one fence of an answer that may be it, or the answer itself if it is the file but for some lines.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::form::{is_blank, Body, Change};
use super::super::place::{is_ellipsis, is_said_ellipsis, width};
use super::super::refusal::{shown, Refusal};
use super::layout::{fence, outdented};
use super::paths::{alone, in_fence, Paths};

/// Lines that a text needs to be taken for a file, if the file has as many.
const LEAST: usize = 3;

pub(super) fn read<'a>(lines: &[&'a str], files: &'a BTreeMap<String, String>) -> Result<Vec<Change<'a>>, Refusal> {
    let paths = Paths::Known(files);
    let parts = fences(&outdented(lines), paths)?;
    let mut olds = HashMap::new();
    if let (true, 1, Some((path, before))) = (parts.is_empty(), files.len(), files.first_key_value()) {
        let (bare, old) = (trimmed(lines), Old::new(before));
        return match old.is_mostly(bare) {
            true => old.refuse_elided(path, bare).map(|()| vec![Change { path, body: Body::Whole(bare.to_vec()) }]),
            false => Err(Refusal::NoDiff),
        };
    }
    let only = paths.only(1).ok();
    let (mut changes, mut unlike): (Vec<Change<'a>>, _) = (Vec::new(), Refusal::NoDiff);
    for part in parts {
        let Some(path) = part.path.map(|path| paths.one(path)).transpose()?.or(only) else { continue };
        let old = olds.entry(path).or_insert_with(|| Old::new(&files[path]));
        old.refuse_elided(path, &part.lines)?;
        if !old.resembles(&part.lines) {
            unlike = Refusal::Unlike { path: path.to_owned() };
            continue;
        }
        if changes.iter().any(|change| change.path == path) {
            return Err(Refusal::Several { path: path.to_owned() });
        }
        old.refuse_fragment(path, &part.lines)?;
        changes.push(Change { path, body: Body::Whole(part.lines) });
    }
    if changes.is_empty() {
        return Err(unlike);
    }
    Ok(changes)
}

/// Adds whole files to a patch in other notations, each under a line that names it, that the patch does not change otherwise.
pub(super) fn beside<'a>(lines: &[&'a str], files: &'a BTreeMap<String, String>, changes: &mut Vec<Change<'a>>) {
    if files.len() == 1 {
        return;
    }
    let (paths, mut olds) = (Paths::Known(files), HashMap::new());
    for part in fences(lines, paths).unwrap_or_default() {
        let Some(path) = part.path.and_then(|path| paths.one(path).ok()) else { continue };
        let old = olds.entry(path).or_insert_with(|| Old::new(&files[path]));
        let refused = old.refuse_elided(path, &part.lines).and_then(|()| old.refuse_fragment(path, &part.lines));
        if refused.is_ok() && old.resembles(&part.lines) && changes.iter().all(|change| change.path != path) {
            changes.push(Change { path, body: Body::Whole(part.lines) });
        }
    }
}

/// Lines with content, without the blanks around them.
fn held<'l, 'a>(lines: &'l [&'a str]) -> impl DoubleEndedIterator<Item = &'a str> + 'l {
    lines.iter().map(|line| line.trim()).filter(|line| !is_blank(line))
}

/// Without blank lines around.
fn trimmed<'l, 'a>(lines: &'l [&'a str]) -> &'l [&'a str] {
    let blank = |line: &&&str| is_blank(line);
    let (before, after) = (lines.iter().take_while(blank).count(), lines.iter().rev().take_while(blank).count());
    lines.get(before..lines.len() - after).unwrap_or(&[])
}

/// A line of a file: its first place among those with content, and how often it stands there.
struct Known {
    first: usize,
    count: usize,
}

/// The file that a text may be a new version of.
struct Old<'f> {
    /// Lines, blank ones too.
    all: usize,
    /// Lines with content.
    held: usize,
    known: HashMap<&'f str, Known>,
}

impl<'f> Old<'f> {
    fn new(text: &'f str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let mut known: HashMap<&str, Known> = HashMap::new();
        let mut count = 0;
        for (at, line) in held(&lines).enumerate() {
            known.entry(line).or_insert(Known { first: at, count: 0 }).count += 1;
            count = at + 1;
        }
        Self { all: lines.len(), held: count, known }
    }

    /// How many lines of the file are among others.
    fn common(&self, lines: &[&str]) -> usize {
        let distinct: HashSet<&str> = held(lines).collect();
        distinct.iter().filter_map(|line| self.known.get(line)).map(|line| line.count).sum()
    }

    /// Whether lines in a fence may be a new version: at least a third as long, or with a third of the file's lines.
    fn resembles(&self, lines: &[&str]) -> bool {
        lines.len() >= LEAST.min(self.all) && (3 * lines.len() >= self.all || 3 * self.common(lines) >= self.held)
    }

    /// Whether lines without a fence are a new version: mostly the file, from its first line to its last. Prose around it is not.
    fn is_mostly(&self, lines: &[&str]) -> bool {
        let stands = |line: Option<&str>| line.is_some_and(|line| self.known.contains_key(line));
        let kept = held(lines).filter(|line| self.known.contains_key(line)).count();
        let mostly = 2 * kept >= held(lines).count() && 2 * self.common(lines) >= self.held;
        lines.len() >= LEAST && mostly && stands(held(lines).next()) && stands(held(lines).next_back())
    }

    /// Refuses a text with a line that stands for others. Dots alone do so beside a line of the file, unless they are the body
    /// of a new line above, or between lines that are neighbours in the file.
    fn refuse_elided(&self, path: &str, lines: &[&str]) -> Result<(), Refusal> {
        let known = |line: Option<&str>| line.and_then(|line| self.known.get(line.trim())).map(|line| line.first);
        let mut held = lines.iter().copied().filter(|line| !is_blank(line)).peekable();
        let mut above: Option<&str> = None;
        while let Some(line) = held.next() {
            if is_ellipsis(line) && known(Some(line)).is_none() {
                let stands = match (known(above), known(held.peek().copied())) {
                    (Some(above), Some(below)) => above + 1 < below,
                    (None, None) => false,
                    (Some(_), None) => true,
                    (None, Some(_)) => above.is_none_or(|above| width(line) <= width(above)),
                };
                if stands || is_said_ellipsis(line) {
                    return Err(Refusal::Elided { path: path.to_owned(), line: shown(line.trim()) });
                }
            }
            above = Some(line);
        }
        Ok(())
    }

    /// Refuses what is mostly lines of one part of the file and leaves out a quarter of it above or below: a function, not a file.
    fn refuse_fragment(&self, path: &str, lines: &[&str]) -> Result<(), Refusal> {
        let new: Vec<&str> = held(lines).collect();
        let known = new.iter().enumerate().filter_map(|(at, line)| Some((at, self.known.get(line)?)));
        let mostly = 2 * known.clone().count() >= new.len();
        // Lines that stand in the file once tell which part it is.
        let once: Vec<(usize, usize)> = known.filter(|(_, line)| line.count == 1).map(|(at, line)| (at, line.first)).collect();
        let (Some((first, _)), Some((last, _))) = (once.first(), once.last()) else { return Ok(()) };
        let start = once.iter().map(|(_, line)| *line).min().unwrap_or(0);
        let end = once.iter().map(|(_, line)| line + 1).max().unwrap_or(self.held);
        let lacks = |left: usize, new: usize| 4 * left >= self.held.max(4 * LEAST) && left > 4 * new;
        if mostly && (lacks(start, *first) || lacks(self.held - end, new.len() - 1 - last)) {
            return Err(Refusal::Fragment { path: path.to_owned(), line: shown(new[0]), left: start + self.held - end });
        }
        Ok(())
    }
}

/// A fenced part of an answer and the path that is named before it.
struct Part<'a> {
    path: Option<&'a str>,
    lines: Vec<&'a str>,
}

fn fences<'a>(lines: &[&'a str], paths: Paths<'a>) -> Result<Vec<Part<'a>>, Refusal> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < lines.len() {
        let Some((mark, length, words)) = fence(lines[at]) else {
            at += 1;
            continue;
        };
        let inside = inside(&lines[at + 1..], (mark, length)).ok_or_else(|| Refusal::Unclosed { line: shown(lines[at]) })?;
        let before = lines[..at].iter().rev().take(2).find(|line| !is_blank(line));
        let path = in_fence(words).or_else(|| before.and_then(|line| alone(line).or_else(|| paths.mentioned(line))));
        parts.push(Part { path, lines: lines[at + 1..at + 1 + inside].to_vec() });
        at += inside + 2;
    }
    Ok(parts)
}

/// How many lines are in a fence that was opened: one with words opens another inside.
fn inside(lines: &[&str], (mark, least): (char, usize)) -> Option<usize> {
    let mut nested = 0;
    for (at, line) in lines.iter().enumerate() {
        match fence(line).filter(|(other, length, _)| *other == mark && *length >= least) {
            Some((.., "")) if nested == 0 => return Some(at),
            Some((.., "")) => nested -= 1,
            Some(_) => nested += 1,
            None => {}
        }
    }
    None
}
