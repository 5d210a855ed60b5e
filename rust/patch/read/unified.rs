//! Unified and git diffs.
//!
//! Forgiving where nothing can go wrong: prose and fences around the diff, wrong or missing counts and line numbers, missing
//! file headers if there is one file only, empty context lines without their blank, context without its marker.

use std::collections::{HashMap, HashSet};

use super::super::form::{add, is_blank, Change, Hunk, Kind, Row};
use super::super::refusal::{shown, Refusal, Unsupported};
use super::layout::fence;
use super::paths::{is_path, Paths};

/// Digits that a line number may have.
const MAX_DIGITS: usize = 9;

/// Lines that end a patch in an answer with tags.
const ENDS: [&str; 6] = ["</patch>", "</diff>", "</edit>", "</change>", "</answer>", "</response>"];

/// Reads a unified or git diff, if there is a hunk in it.
pub(super) fn read<'a>(lines: &[&'a str], paths: Paths<'a>) -> Result<Option<Vec<Change<'a>>>, Refusal> {
    let bare = holds_rows(lines) && lines.iter().all(|line| fence(line).is_none());
    let mut reader = Reader {
        paths,
        changes: Vec::new(),
        region: if bare { Region::Header } else { Region::Prose },
        path: None,
        git: None,
        hunks: 0,
        fenced: None,
        dashes: HashMap::new(),
    };
    let mut at = 0;
    while at < lines.len() {
        at += reader.read(&lines[at..])?;
    }
    reader.leave(Region::Prose)?;
    Ok((reader.hunks > 0).then_some(reader.changes))
}

/// The line above a hunk.
#[derive(Default)]
pub(super) struct Header<'a> {
    /// Index of the first old line.
    pub stated: Option<usize>,
    /// Old and new lines.
    pub counts: Option<(usize, usize)>,
    pub scope: &'a str,
}

impl<'a> Header<'a> {
    /// Reads `@@ -LINE,OLD +LINE,NEW @@ scope`; every part may be missing, but numbers must be such.
    pub fn read(line: &'a str) -> Result<Self, Refusal> {
        let bare = line.trim_matches(['@', ' ', '\t']);
        if let Some((old, new, rest)) = ranges(bare) {
            if [old, new].iter().any(|range| range.split(',').any(|number| number.len() > MAX_DIGITS)) {
                return Err(Refusal::BadHunkHeader { line: shown(line) });
            }
            let number = |text: &str| text.parse::<usize>().ok();
            let range = |range: &str| match range.split_once(',') {
                Some((line, count)) => Some((number(line)?, number(count)?)),
                None => Some((number(range)?, 1)),
            };
            if let (Some((line, old)), Some((_, new))) = (range(old), range(new)) {
                let stated = if old == 0 { Some(line) } else { line.checked_sub(1) };
                // `-0,0` is right for an empty file only; else it says that there are no numbers.
                let counts = (line > 0 || old > 0 || new > 0).then_some((old, new));
                return Ok(Self { stated: stated.filter(|_| counts.is_some()), counts, scope: scope(rest) });
            }
        }
        Ok(Self { scope: scope(bare), ..Self::default() })
    }
}

/// The old and the new range, without their signs, and what follows.
fn ranges(text: &str) -> Option<(&str, &str, &str)> {
    let numeric = |char: char| char.is_ascii_digit() || char == ',';
    let split = |text: &'_ str| text.find(|char| !numeric(char)).unwrap_or(text.len());
    let text = text.strip_prefix('-')?;
    let (old, rest) = text.split_at(split(text));
    let text = rest.trim_start().strip_prefix('+')?;
    let (new, rest) = text.split_at(split(text));
    (!old.is_empty() && !new.is_empty()).then_some((old, new, rest))
}

/// What a header says besides numbers.
fn scope(text: &str) -> &str {
    let scope = text.trim_matches(|char: char| char.is_whitespace() || char == '@');
    let scope = scope.strip_prefix("...").unwrap_or(scope).trim_matches(|char: char| char.is_whitespace() || char == '@');
    if scope.chars().any(char::is_alphanumeric) {
        scope
    } else {
        ""
    }
}

/// Appends a line of a hunk.
pub(super) fn row<'a>(rows: &mut Vec<Row<'a>>, line: &'a str) {
    let (kind, text) = match line.as_bytes().first() {
        Some(b' ') => (Kind::Keep, &line[1..]),
        Some(b'+') => (Kind::Add, &line[1..]),
        Some(b'-') => (Kind::Remove, &line[1..]),
        Some(b'\\') if line.starts_with("\\ No newline") => {
            if let Some(row) = rows.last_mut() {
                row.unterminated = true;
            }
            return;
        }
        _ => (Kind::Keep, line),
    };
    let raw = if kind == Kind::Keep { line } else { text };
    rows.push(Row { kind, text, raw, unterminated: false });
}

/// Where in the text the reader is.
enum Region<'a> {
    Prose,
    /// After `diff --git`.
    Git,
    /// After `---` and `+++`, or at the start of a text or a fence that is a diff: rows may begin without a hunk's header.
    Header,
    Hunk(Open<'a>),
}

/// A hunk that is being read: the counts that it states, and its rows.
struct Open<'a> {
    counts: Option<(usize, usize)>,
    /// Old and new lines so far.
    seen: (usize, usize),
    hunk: Hunk<'a>,
}

struct Reader<'a> {
    paths: Paths<'a>,
    changes: Vec<Change<'a>>,
    region: Region<'a>,
    path: Option<&'a str>,
    git: Option<(&'a str, &'a str)>,
    hunks: usize,
    fenced: Option<char>,
    /// Lines of each file that look like a removed row that looks like a file header.
    dashes: HashMap<&'a str, Option<HashSet<&'a str>>>,
}

impl<'a> Reader<'a> {
    /// Reads the first of `lines`; returns how many were consumed.
    fn read(&mut self, lines: &[&'a str]) -> Result<usize, Refusal> {
        let bare = lines[0].trim_end_matches('\r');
        if let Some(character) = hides(bare).filter(|_| self.hunks > 0) {
            return Err(Refusal::Hidden { line: shown(bare), character: character.into() });
        }
        if bare.starts_with("@@@") {
            return Err(unsupported(Unsupported::Combined, bare));
        }
        if bare.starts_with("@@") {
            self.open(bare)?;
        } else if let Some((old, new)) = self.file_header(lines) {
            self.leave(Region::Header)?;
            self.path = Some(self.paths.both(old, new)?);
            return Ok(2);
        } else if let Some(path) = self.lone_header(lines) {
            self.leave(Region::Header)?;
            self.path = Some(self.paths.one(path)?);
        } else if let Some(paths) = bare.strip_prefix("diff --git ") {
            self.leave(Region::Git)?;
            self.path = None;
            self.git = halves(paths);
        } else if let Some(mark) = self.fence(bare) {
            let words = fence(bare).map_or("", |(_, _, words)| words);
            let diff = ["diff", "patch", "udiff"].contains(&words) || holds_rows(&lines[1..]);
            self.leave(if diff && self.fenced.is_none() { Region::Header } else { Region::Prose })?;
            (self.path, self.git) = (None, None);
            self.fenced = if self.fenced.is_none() { Some(mark) } else { None };
        } else {
            match self.region {
                Region::Hunk(_) => self.row(lines[0])?,
                Region::Header if bare.starts_with([' ', '+', '-']) => {
                    self.open("")?;
                    self.row(lines[0])?;
                }
                Region::Git => extended(bare)?,
                // Outside of a git header only what is no prose.
                _ if bare.starts_with("Binary files ") && bare.ends_with(" differ") || states_mode(bare) => extended(bare)?,
                _ => {}
            }
        }
        Ok(1)
    }

    /// The character of a fence that opens or closes; inside a hunk one that was not opened is a line as any other.
    fn fence(&self, line: &str) -> Option<char> {
        let (mark, _, words) = fence(line).filter(|_| line.starts_with(['`', '~']))?;
        match self.fenced {
            Some(open) => (mark == open && words.is_empty()).then_some(mark),
            None => (!matches!(self.region, Region::Hunk(_))).then_some(mark),
        }
    }

    /// The two paths, if `lines` start with a file header; inside a hunk, where rows may look like one, only if a hunk's header
    /// follows and these are not the very rows that the hunk's counts still ask for, of a line that the file has.
    fn file_header(&mut self, lines: &[&'a str]) -> Option<(&'a str, &'a str)> {
        let old = lines[0].strip_prefix("--- ")?;
        let new = lines.get(1)?.strip_prefix("+++ ")?;
        let Region::Hunk(open) = &self.region else { return Some((old, new)) };
        let asked = Some((open.seen.0 + 1, open.seen.1 + 1)) == open.counts;
        let begins = lines.get(2).is_some_and(|line| line.starts_with("@@"));
        (begins && !(asked && self.may_hold(&lines[0][1..]))).then_some((old, new))
    }

    /// Whether the file has a line that starts with two dashes; one that is not known may.
    fn may_hold(&mut self, line: &str) -> bool {
        let Some(path) = self.path else { return true };
        let dashes = self.dashes.entry(path).or_insert_with(|| self.paths.lines_with(path, "-- "));
        dashes.as_ref().is_none_or(|lines| lines.contains(line))
    }

    /// The path of a file header of which one line is missing, before a hunk's header or where rows may begin.
    fn lone_header(&self, lines: &[&'a str]) -> Option<&'a str> {
        let path = lines[0].strip_prefix("--- ").or_else(|| lines[0].strip_prefix("+++ "))?;
        let path = path.split('\t').next().unwrap_or(path).trim();
        let begins = match self.region {
            Region::Hunk(_) => false,
            Region::Header => true,
            _ => lines.get(1)?.starts_with("@@"),
        };
        (begins && is_path(path)).then_some(path)
    }

    fn open(&mut self, header: &'a str) -> Result<(), Refusal> {
        self.leave(Region::Prose)?;
        self.hunks += 1;
        if self.path.is_none() {
            self.path = Some(match self.git {
                Some((old, new)) => self.paths.both(old, new)?,
                None => self.paths.only(self.hunks)?,
            });
        }
        let header = Header::read(header)?;
        let hunk = Hunk { stated: header.stated, ..Hunk::new(self.hunks, header.scope) };
        self.region = Region::Hunk(Open { counts: header.counts, seen: (0, 0), hunk });
        Ok(())
    }

    fn row(&mut self, line: &'a str) -> Result<(), Refusal> {
        if ENDS.contains(&line.trim_end()) {
            return self.leave(Region::Prose); // of what the patch was put into
        }
        let Region::Hunk(open) = &mut self.region else { return Ok(()) };
        let marked = line.starts_with([' ', '+', '-', '\\']);
        if (!marked || line == "-- ") && open.hunk.cut.is_none() && open.is_complete() {
            if line == "-- " {
                return self.leave(Region::Prose); // the signature of a mailed patch
            }
            open.hunk.cut = Some(open.hunk.rows.len());
        }
        let before = open.hunk.rows.len();
        row(&mut open.hunk.rows, line);
        for row in &open.hunk.rows[before..] {
            open.seen.0 += usize::from(row.kind != Kind::Add);
            open.seen.1 += usize::from(row.kind != Kind::Remove);
        }
        Ok(())
    }

    /// Ends the hunk that is being read, if there is one. Also a file without a hunk has to be one that may be changed.
    fn leave(&mut self, region: Region<'a>) -> Result<(), Refusal> {
        match (std::mem::replace(&mut self.region, region), self.path) {
            (Region::Hunk(mut open), Some(path)) => {
                open.trim();
                open.hunk.counted = open.is_complete();
                open.hunk.overlong = open.counts.is_some_and(|(old, _)| old < open.seen.0);
                add(&mut self.changes, path, open.hunk);
            }
            (Region::Git, None) => {
                if let Some((old, new)) = self.git {
                    self.paths.both(old, new)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Open<'_> {
    fn is_complete(&self) -> bool {
        self.counts == Some(self.seen)
    }

    /// Drops blank context at the end unless the stated counts confirm it: it may belong to the text around the diff.
    fn trim(&mut self) {
        while !self.is_complete() && self.hunk.rows.last().is_some_and(Row::is_blank_context) {
            self.hunk.rows.pop();
            self.seen = (self.seen.0 - 1, self.seen.1 - 1);
        }
        self.hunk.cut = self.hunk.cut.filter(|cut| *cut < self.hunk.rows.len());
    }
}

/// Whether all up to a fence are rows, and some of them added ones: removed ones alone may be a list.
fn holds_rows(lines: &[&str]) -> bool {
    let inside = || lines.iter().take_while(|line| fence(line).is_none());
    inside().all(|line| is_blank(line) || line.starts_with([' ', '+', '-'])) && inside().any(|line| line.starts_with('+'))
}

/// The unusual line break, in a line that is no row, before what would be a file's header.
fn hides(line: &str) -> Option<char> {
    let marked = line.starts_with([' ', '+', '-']);
    let breaks = |char: &char| matches!(char, '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let header = |rest: &str| ["--- ", "+++ ", "diff --git ", "*** "].iter().any(|start| rest.starts_with(start));
    let mut breaks = line.char_indices().filter(|(_, char)| !marked && breaks(char));
    breaks.find(|(at, char)| header(&line[at + char.len_utf8()..])).map(|(_, char)| char)
}

/// The two equal paths of `a/PATH b/PATH`.
fn halves(paths: &str) -> Option<(&str, &str)> {
    let (old, new) = (paths.get(..paths.len() / 2)?, paths.get(paths.len() / 2 + 1..)?);
    (old.get(2..) == new.get(2..)).then_some((old, new))
}

/// Whether a line is as `new mode 120000`.
fn states_mode(line: &str) -> bool {
    let mode = line.rsplit(' ').next().unwrap_or(line);
    line.contains("mode ") && mode.len() == 6 && mode.bytes().all(|byte| byte.is_ascii_digit())
}

/// Refuses what a line between `diff --git` and the first hunk asks for.
fn extended(line: &str) -> Result<(), Refusal> {
    let rules = [
        ("new file mode", Unsupported::Creates),
        ("deleted file mode", Unsupported::Deletes),
        ("old mode", Unsupported::ChangesMode),
        ("new mode", Unsupported::ChangesMode),
        ("rename ", Unsupported::Renames),
        ("copy ", Unsupported::Copies),
        ("GIT binary patch", Unsupported::Binary),
        ("Binary files ", Unsupported::Binary),
    ];
    let asked = rules.iter().find(|(start, _)| line.starts_with(start)).map(|(_, what)| *what);
    let modes = asked.is_some() || line.starts_with("index ");
    match asked {
        _ if modes && line.ends_with(" 160000") => Err(unsupported(Unsupported::Submodule, line)),
        _ if modes && line.ends_with(" 120000") => Err(unsupported(Unsupported::Symlink, line)),
        Some(what) => Err(unsupported(what, line)),
        None => Ok(()),
    }
}

fn unsupported(what: Unsupported, line: &str) -> Refusal {
    Refusal::Unsupported { what, line: shown(line) }
}
