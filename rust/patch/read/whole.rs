//! A whole new file: the one fence of an answer that may be it, or the answer itself if it is the file but for some lines.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::super::form::{is_blank, Body, Change};
use super::super::place::is_ellipsis;
use super::super::refusal::{shown, Refusal};
use super::layout::{fence, outdented};
use super::paths::{alone, in_fence, Paths};

/// Lines that a text needs to be taken for a file, if the file has as many.
const LEAST: usize = 3;

pub(super) fn read<'a>(lines: &[&'a str], files: &'a BTreeMap<String, String>) -> Result<Vec<Change<'a>>, Refusal> {
    let paths = Paths::Known(files);
    let parts = fences(&outdented(lines), paths)?;
    let named = parts.iter().filter_map(|part| Some(paths.one(part.path?).map(|path| (path, &part.lines))));
    let mut texts: Vec<(&str, &Vec<&str>)> = named.collect::<Result<_, _>>()?;
    if texts.is_empty() && files.len() == 1 {
        let path = paths.only(1)?;
        texts.extend(parts.iter().map(|part| (path, &part.lines)));
    }
    let mut changes: Vec<Change<'a>> = Vec::new();
    for (path, lines) in texts {
        let before = &files[path];
        elided(path, lines, before)?;
        if !resembles(lines, before) {
            continue;
        }
        if changes.iter().any(|change| change.path == path) {
            return Err(Refusal::Several { path: path.to_owned() });
        }
        fragment(path, lines, before)?;
        changes.push(Change { path, body: Body::Whole(lines.clone()) });
    }
    if let (true, 1, Some((path, before))) = (parts.is_empty(), files.len(), files.first_key_value()) {
        let bare = trimmed(lines);
        if is_file(bare, before) {
            elided(path, bare, before)?;
            changes.push(Change { path, body: Body::Whole(bare.to_vec()) });
        }
    }
    if changes.is_empty() {
        return Err(Refusal::NoDiff);
    }
    Ok(changes)
}

fn held<'l, 'a>(lines: &'l [&'a str]) -> impl DoubleEndedIterator<Item = &'a str> + 'l {
    lines.iter().map(|line| line.trim()).filter(|line| !is_blank(line))
}

/// Without blank lines around.
fn trimmed<'l, 'a>(lines: &'l [&'a str]) -> &'l [&'a str] {
    let blank = |line: &&&str| is_blank(line);
    let (before, after) = (lines.iter().take_while(blank).count(), lines.iter().rev().take_while(blank).count());
    lines.get(before..lines.len() - after).unwrap_or(&[])
}

/// How many of some lines, blank ones and blanks around them aside, are among others.
fn common(lines: &[&str], others: &[&str]) -> usize {
    let others: HashSet<&str> = held(others).collect();
    held(lines).filter(|line| others.contains(line)).count()
}

/// Whether lines in a fence may be a new version of a file: at least a third as long, or with a third of its lines.
fn resembles(lines: &[&str], before: &str) -> bool {
    let old: Vec<&str> = before.lines().collect();
    lines.len() >= LEAST.min(old.len()) && (3 * lines.len() >= old.len() || 3 * common(&old, lines) >= held(&old).count())
}

/// Whether lines without a fence are a new version of a file: mostly it, from its first line to its last. Prose around it is not.
fn is_file(lines: &[&str], before: &str) -> bool {
    let old: Vec<&str> = before.lines().collect();
    let stands = |line: Option<&str>| line.is_some_and(|line| old.iter().any(|other| other.trim() == line));
    lines.len() >= LEAST
        && 2 * common(lines, &old) >= held(lines).count()
        && 2 * common(&old, lines) >= held(&old).count()
        && stands(held(lines).next())
        && stands(held(lines).next_back())
}

/// Refuses a text with a line that stands for others. Dots alone do so only between lines of the file that are apart there.
fn elided(path: &str, lines: &[&str], before: &str) -> Result<(), Refusal> {
    let old: Vec<&str> = before.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let (mut above, mut rest) = (None, lines);
    while let Some((line, below)) = rest.split_first() {
        rest = below;
        if is_blank(line) {
            continue;
        }
        if is_ellipsis(line) && !old.contains(&line.trim()) {
            let bare = line.trim().chars().all(|char| matches!(char, '.' | '…'));
            let apart = |above: &str, below: &str| {
                let at = |line: &str| old.iter().position(|other| *other == line);
                at(above).zip(at(below)).is_some_and(|(above, below)| above + 1 < below)
            };
            if !bare || above.zip(held(below).next()).is_some_and(|(above, below)| apart(above, below)) {
                return Err(Refusal::Elided { path: path.to_owned(), line: shown(line.trim()) });
            }
        }
        above = Some(line.trim());
    }
    Ok(())
}

/// Refuses what is mostly lines of one part of a file and leaves out a quarter of it above or below: a function, not a file.
fn fragment(path: &str, lines: &[&str], before: &str) -> Result<(), Refusal> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), held(lines).collect());
    let mut places: HashMap<&str, Range<usize>> = HashMap::new();
    for (at, line) in held(&old).enumerate() {
        places.entry(line).or_insert(at..at).end = at;
    }
    let count = held(&old).count();
    let known: Vec<(usize, &Range<usize>)> =
        new.iter().enumerate().filter_map(|(at, line)| Some((at, places.get(line)?))).collect();
    let (Some((first, _)), Some((last, _))) = (known.first(), known.last()) else { return Ok(()) };
    let start = known.iter().map(|(_, places)| places.start).min().unwrap_or(0);
    let end = known.iter().map(|(_, places)| places.end + 1).max().unwrap_or(count);
    let lacks = |left: usize, new: usize| 4 * left >= count.max(4 * LEAST) && left > 4 * new;
    if 2 * known.len() >= new.len() && (lacks(start, *first) || lacks(count - end, new.len() - 1 - last)) {
        return Err(Refusal::Fragment { path: path.to_owned(), line: shown(new[0]), left: start + count - end });
    }
    Ok(())
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
