//! SEARCH/REPLACE blocks, with the markers of several tools:
//! `<<<<<<< SEARCH`, `<<<<<<< ORIGINAL`, `<<<<<<< HEAD` or `------- SEARCH`, then `=======`, then `>>>>>>> REPLACE`,
//! `>>>>>>> UPDATED`, `>>>>>>> anything` or `+++++++ REPLACE`; after the first one lines as `:start_line:12` and `-------`.

use imara_diff::{Algorithm, Diff, InternedInput};

use super::super::form::{add, Change, Hunk, Kind, Row};
use super::super::refusal::{shown, Refusal};
use super::layout::fence;
use super::paths::{alone, in_fence, is_path, Paths};

const OPENINGS: [&str; 7] = ["SEARCH", "ORIGINAL", "HEAD", "OLD", "BEFORE", "FIND", "CURRENT"];
const CLOSINGS: [&str; 6] = ["REPLACE", "UPDATED", "NEW", "AFTER", "REPLACED", "MODIFIED"];

/// Reads all blocks, and returns the lines outside of them; a block without a path of its own is of the file of the block
/// before it.
pub(super) fn read<'a>(lines: &[&'a str], paths: Paths<'a>) -> Result<(Vec<Change<'a>>, Vec<&'a str>), Refusal> {
    let (mut changes, mut rest, mut path, mut number, mut at) = (Vec::new(), Vec::new(), None, 0, 0);
    while at < lines.len() {
        if !begins(&lines[at..]) {
            rest.push(lines[at]);
            at += 1;
            continue;
        }
        number += 1;
        if let Some(named) = opening(lines[at]).flatten().or_else(|| path_before(&lines[..at], paths)) {
            path = Some(paths.one(named)?);
        }
        let owner = path.map_or_else(|| paths.only(number), Ok)?;
        let block = Block::read(&lines[at..])?;
        at += block.length;
        add(&mut changes, owner, block.hunk(number));
    }
    match rest.iter().find(|line| !changes.is_empty() && marker(line, ['<', '>'], 7).is_some()) {
        Some(line) => Err(Refusal::Stray { line: shown(line) }),
        None => Ok((changes, rest)),
    }
}

/// A block in the patch: its two parts, the line it says it starts at, and its length in lines.
struct Block<'l, 'a> {
    search: &'l [&'a str],
    replace: &'l [&'a str],
    stated: Option<usize>,
    length: usize,
}

impl<'l, 'a> Block<'l, 'a> {
    fn read(lines: &'l [&'a str]) -> Result<Self, Refusal> {
        let truncated = |missing| Refusal::Truncated { line: shown(lines[0]), missing };
        let (mut start, mut stated) = (1, None);
        while let Some(number) = lines.get(start).and_then(|line| directive(line)) {
            stated = number.or(stated);
            start += 1;
        }
        if start > 1 && lines.get(start).is_some_and(|line| is_run(line, '-')) {
            start += 1;
        }
        let rest = &lines[start.min(lines.len())..];
        let end = rest.iter().position(|line| closes(line)).ok_or_else(|| truncated(">>>>>>> REPLACE"))?;
        if rest[..end].iter().any(|line| opens(line)) {
            return Err(truncated(">>>>>>> REPLACE"));
        }
        let middle = Self::middle(lines[0], &rest[..end]).ok_or_else(|| truncated("======="))?;
        let (search, replace) = (&rest[..middle], &rest[middle + 1..end]);
        Ok(Self { search, replace, stated, length: start + end + 1 })
    }

    /// The line between the parts: of several candidates the only one as long as the opening.
    fn middle(opening: &str, lines: &[&str]) -> Option<usize> {
        let candidates: Vec<usize> = (0..lines.len()).filter(|&at| is_run(lines[at], '=')).collect();
        let length = opening.trim_start().chars().take_while(|char| matches!(char, '<' | '-')).count();
        let mut equal = candidates.iter().filter(|&&at| lines[at].trim_end().len() == length);
        match (candidates.as_slice(), equal.next(), equal.next()) {
            ([only], ..) | (_, Some(only), None) => Some(*only),
            _ => None,
        }
    }

    /// What both parts have in common is kept, so that it keeps its bytes.
    fn hunk(&self, number: usize) -> Hunk<'a> {
        let mut input = InternedInput::default();
        input.update_before(self.search.iter().copied());
        input.update_after(self.replace.iter().copied());
        let changes = Diff::compute(Algorithm::Histogram, &input);
        let mut hunk = Hunk::new(number, "");
        (hunk.stated, hunk.in_turn) = (self.stated, true);
        let mut at = 0;
        for change in changes.hunks() {
            let (old, new) = (change.before.start as usize..change.before.end as usize, change.after);
            hunk.rows.extend(self.search[at..old.start].iter().map(|line| Row::new(Kind::Keep, line)));
            hunk.rows.extend(self.search[old.clone()].iter().map(|line| Row::new(Kind::Remove, line)));
            hunk.rows.extend(self.replace[new.start as usize..new.end as usize].iter().map(|line| Row::new(Kind::Add, line)));
            at = old.end;
        }
        hunk.rows.extend(self.search[at..].iter().map(|line| Row::new(Kind::Keep, line)));
        hunk
    }
}

/// The path in the two lines before a block, or in the words of its fence or before that.
fn path_before<'a>(lines: &[&'a str], paths: Paths<'a>) -> Option<&'a str> {
    let mut near = lines.iter().rev().take(3);
    let mut line = near.next()?;
    if let Some((_, _, words)) = fence(line) {
        if let Some(path) = in_fence(words) {
            return Some(path);
        }
        line = near.next()?;
    } else if is_tag(line) {
        line = near.next()?;
    }
    if line.trim().is_empty() {
        line = near.next()?;
    }
    alone(line).or_else(|| paths.mentioned(line))
}

/// Whether a line is as `<source>`, which some use as a fence.
fn is_tag(line: &str) -> bool {
    let name = line.trim().strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

/// Whether lines begin with a block. In a diff, `--- SEARCH` may be a removed line: only with the line between the parts it is not.
fn begins(lines: &[&str]) -> bool {
    let parts = || lines[1..].iter().take_while(|line| !opens(line) && !closes(line)).any(|line| is_run(line, '='));
    opens(lines[0]) && (lines[0].starts_with('<') || parts())
}

fn opens(line: &str) -> bool {
    opening(line).is_some()
}

/// The path, if there is one, behind the word of a marker that opens a block.
fn opening(line: &str) -> Option<Option<&str>> {
    let (mark, words) = marker(line, ['<', '-'], 3)?;
    let (word, path) = words.split_once([' ', ':']).unwrap_or((words, ""));
    let known = OPENINGS.iter().any(|opening| word.eq_ignore_ascii_case(opening));
    let path = Some(path.trim()).filter(|path| !path.is_empty());
    (known && (mark == '<' || word.eq_ignore_ascii_case("SEARCH")) && path.is_none_or(is_path)).then_some(path)
}

fn closes(line: &str) -> bool {
    let word = |word: &str| CLOSINGS.iter().any(|closing| word.eq_ignore_ascii_case(closing));
    let strict = marker(line, ['>', '+'], 3)
        .is_some_and(|(mark, text)| word(text) && (mark == '>' || text.eq_ignore_ascii_case("REPLACE")));
    strict || marker(line, ['>', '>'], 7).is_some()
}

/// The character and the word of a marker at the start of a line.
fn marker(line: &str, marks: [char; 2], least: usize) -> Option<(char, &str)> {
    let mark = line.chars().next().filter(|char| marks.contains(char))?;
    let length = line.bytes().take_while(|byte| *byte == mark as u8).count();
    let word = line[length..].trim().trim_end_matches([':', '>']).trim();
    (length >= least && length <= 12).then_some((mark, word))
}

fn is_run(line: &str, mark: char) -> bool {
    let line = line.trim_end();
    (3..=12).contains(&line.len()) && line.chars().all(|char| char == mark)
}

/// A line as `:start_line:12`; the index of the line, if it is about the start.
fn directive(line: &str) -> Option<Option<usize>> {
    let (name, number) = line.trim().strip_prefix(':')?.split_once(':')?;
    let number = number.trim().parse::<u32>().ok()? as usize;
    matches!(name, "start_line" | "end_line").then(|| number.checked_sub(1).filter(|_| name == "start_line"))
}
