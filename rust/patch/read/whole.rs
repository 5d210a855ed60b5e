//! A whole new file: the only fence of an answer, or the answer itself if it is the file but for some lines.

use std::collections::{BTreeMap, HashSet};

use super::super::form::{is_blank, Body, Change};
use super::super::place::is_ellipsis;
use super::super::refusal::{shown, Refusal};
use super::fence;
use super::paths::{alone, in_fence, Paths};

/// Lines that a text needs to be taken for a file.
const LEAST: usize = 3;

pub(super) fn read<'a>(lines: &[&'a str], files: &'a BTreeMap<String, String>) -> Result<Vec<Change<'a>>, Refusal> {
    let fences = fences(lines)?;
    let paths = Paths::Known(files);
    let mut changes = Vec::new();
    for part in &fences {
        let path = match part.path {
            Some(path) => paths.one(path)?,
            None if fences.len() == 1 && files.len() == 1 => paths.only(1)?,
            None => continue,
        };
        if resembles(&part.lines, &files[path]) {
            changes.push(change(path, &part.lines, &files[path])?);
        }
    }
    if let (true, 1, Some((path, text))) = (fences.is_empty(), files.len(), files.first_key_value()) {
        let blank = |line: &&&str| is_blank(line);
        let (before, after) = (lines.iter().take_while(blank).count(), lines.iter().rev().take_while(blank).count());
        let lines = lines.get(before..lines.len() - after).unwrap_or(&[]);
        let held = |lines: &mut dyn Iterator<Item = &str>| lines.filter(|line| !is_blank(line)).count();
        let before: Vec<&str> = text.lines().collect();
        let known = 2 * common(lines.iter().copied(), &before) >= held(&mut lines.iter().copied());
        // Without a fence only what is mostly the file is taken for it: prose is not.
        if lines.len() >= LEAST && known && 2 * common(text.lines(), lines) >= held(&mut text.lines()) {
            changes.push(change(path, lines, text)?);
        }
    }
    let mut named = HashSet::new();
    if changes.is_empty() || !changes.iter().all(|change| named.insert(change.path)) {
        return Err(Refusal::NoDiff);
    }
    Ok(changes)
}

fn change<'a>(path: &'a str, lines: &[&'a str], before: &str) -> Result<Change<'a>, Refusal> {
    let elided = lines.iter().find(|line| is_ellipsis(line) && !before.lines().any(|old| old.trim() == line.trim()));
    match elided {
        Some(line) => Err(Refusal::Elided { path: path.to_owned(), line: shown(line.trim()) }),
        None => Ok(Change { path, body: Body::Whole(lines.to_vec()) }),
    }
}

/// Whether lines may be a new version of a file: at least a third as long, or with a third of its lines.
fn resembles(lines: &[&str], before: &str) -> bool {
    let held = before.lines().filter(|line| !is_blank(line)).count();
    lines.len() >= LEAST && (3 * lines.len() >= before.lines().count() || 3 * common(before.lines(), lines) >= held)
}

/// How many of some lines, blank ones and blanks around them aside, are among others.
fn common<'l>(lines: impl Iterator<Item = &'l str>, others: &[&str]) -> usize {
    let others: HashSet<&str> = others.iter().map(|line| line.trim()).collect();
    lines.filter(|line| !is_blank(line) && others.contains(line.trim())).count()
}

/// A fenced part of an answer and the path that is named before it.
struct Part<'a> {
    path: Option<&'a str>,
    lines: Vec<&'a str>,
}

fn fences<'a>(lines: &[&'a str]) -> Result<Vec<Part<'a>>, Refusal> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < lines.len() {
        let Some((mark, length, words)) = fence(lines[at]) else {
            at += 1;
            continue;
        };
        let closes =
            |line: &&str| fence(line).is_some_and(|(other, count, words)| other == mark && count >= length && words.is_empty());
        let Some(inside) = lines[at + 1..].iter().position(closes) else {
            return Err(Refusal::Truncated { line: shown(lines[at]), missing: "```" });
        };
        let before = lines[..at].iter().rev().take(2).find(|line| !is_blank(line));
        let path = in_fence(words).or_else(|| before.and_then(|line| alone(line)));
        parts.push(Part { path, lines: lines[at + 1..at + 1 + inside].to_vec() });
        at += inside + 2;
    }
    Ok(parts)
}
