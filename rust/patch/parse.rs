//! From the text of a unified or git diff to changes by file.
//!
//! Forgiving where nothing can go wrong: prose and fences around the diff, wrong or missing counts and line numbers, missing
//! file headers if there is one file only, empty context lines without their blank, context without its marker.

use std::collections::BTreeMap;
use std::fmt;

use super::{shown, Refusal};

/// What a row of a hunk does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Keep,
    Remove,
    Add,
}

/// A line of a hunk, without its marker and line feed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row<'p> {
    pub kind: Kind,
    pub text: &'p str,
    /// The patch says that this line ends the file without a line feed.
    pub unterminated: bool,
}

/// A place to change: old lines (kept and removed) and what becomes of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hunk<'p> {
    /// From 1, over all files of the patch.
    pub number: usize,
    /// Index of the line at which the old lines are said to start.
    pub stated: Option<usize>,
    pub rows: Vec<Row<'p>>,
}

impl<'p> Hunk<'p> {
    pub fn expected(&self) -> impl Iterator<Item = &Row<'p>> {
        self.rows.iter().filter(|row| row.kind != Kind::Add)
    }

    pub fn written(&self) -> impl Iterator<Item = &Row<'p>> {
        self.rows.iter().filter(|row| row.kind != Kind::Remove)
    }
}

/// All hunks of one file: the form that every notation is brought into.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change<'f, 'p> {
    pub path: &'f str,
    pub hunks: Vec<Hunk<'p>>,
}

/// What a patch may not do, whatever the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unsupported {
    Creates,
    Deletes,
    Renames,
    Copies,
    ChangesMode,
    Symlink,
    Binary,
    Combined,
}

impl Unsupported {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Creates => "creates_file",
            Self::Deletes => "deletes_file",
            Self::Renames => "renames_file",
            Self::Copies => "copies_file",
            Self::ChangesMode => "changes_mode",
            Self::Symlink => "symlink",
            Self::Binary => "binary",
            Self::Combined => "combined_diff",
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Creates => "creates a file",
            Self::Deletes => "deletes a file",
            Self::Renames => "renames a file",
            Self::Copies => "copies a file",
            Self::ChangesMode => "changes a file's mode",
            Self::Symlink => "is about a symbolic link",
            Self::Binary => "is about a binary file",
            Self::Combined => "is a combined diff of a merge",
        })
    }
}

/// Reads a unified or git diff. Every change has at least one hunk, every hunk at least one row.
pub(super) fn unified<'f, 'p>(patch: &'p str, files: &'f BTreeMap<String, String>) -> Result<Vec<Change<'f, 'p>>, Refusal> {
    let patch = patch.strip_prefix('\u{feff}').unwrap_or(patch);
    let lines: Vec<&str> = patch.strip_suffix('\n').unwrap_or(patch).split('\n').collect();
    let mut reader = Reader { files, changes: Vec::new(), region: Region::Prose, path: None, git: None, hunks: 0 };
    let mut at = 0;
    while at < lines.len() {
        at += reader.read(&lines[at..])?;
    }
    reader.leave(Region::Prose);
    if reader.changes.is_empty() {
        return Err(Refusal::NoHunks);
    }
    Ok(reader.changes)
}

/// Where in the text the reader is.
enum Region<'p> {
    Prose,
    /// After `diff --git`.
    Git,
    /// After `---` and `+++`.
    Header,
    Hunk(Open<'p>),
}

/// A hunk that is being read: the counts that it states, and its rows.
struct Open<'p> {
    counts: Option<(usize, usize)>,
    hunk: Hunk<'p>,
}

struct Reader<'f, 'p> {
    files: &'f BTreeMap<String, String>,
    changes: Vec<Change<'f, 'p>>,
    region: Region<'p>,
    path: Option<&'f str>,
    git: Option<(&'p str, &'p str)>,
    hunks: usize,
}

impl<'f, 'p> Reader<'f, 'p> {
    /// Reads the first of `lines`; returns how many were consumed.
    fn read(&mut self, lines: &[&'p str]) -> Result<usize, Refusal> {
        let bare = lines[0].trim_end_matches('\r');
        if bare.starts_with("@@@") {
            return Err(unsupported(Unsupported::Combined, bare));
        }
        if bare.starts_with("@@") {
            self.open(bare)?;
        } else if let Some((old, new)) = self.file_header(lines) {
            self.leave(Region::Header);
            self.path = Some(self.resolve(old, new)?);
            return Ok(2);
        } else if let Some(paths) = bare.strip_prefix("diff --git ") {
            self.leave(Region::Git);
            self.path = None;
            self.git = halves(paths);
        } else if bare.starts_with("```") {
            self.leave(Region::Prose);
            (self.path, self.git) = (None, None);
        } else {
            match self.region {
                Region::Hunk(_) => self.row(lines[0]),
                Region::Header if bare.starts_with([' ', '+', '-']) => {
                    self.open("")?;
                    self.row(lines[0]);
                }
                Region::Git => extended(bare)?,
                _ if bare.starts_with("Binary files ") && bare.ends_with(" differ") => {
                    return Err(unsupported(Unsupported::Binary, bare));
                }
                _ => {}
            }
        }
        Ok(1)
    }

    /// The two paths, if `lines` start with a file header; inside a hunk only if a hunk's header follows, as its rows may
    /// look like one.
    fn file_header(&self, lines: &[&'p str]) -> Option<(&'p str, &'p str)> {
        let old = lines[0].strip_prefix("--- ")?;
        let new = lines.get(1)?.strip_prefix("+++ ")?;
        let inside = matches!(self.region, Region::Hunk(_));
        (!inside || lines.get(2).is_some_and(|line| line.starts_with("@@"))).then_some((old, new))
    }

    fn open(&mut self, header: &str) -> Result<(), Refusal> {
        self.leave(Region::Prose);
        self.hunks += 1;
        if self.path.is_none() {
            self.path = Some(match self.git {
                Some((old, new)) => self.resolve(old, new)?,
                None if self.files.len() == 1 => self.files.keys().next().map_or("", String::as_str),
                None => return Err(Refusal::NoPath { hunk: self.hunks, known: self.known() }),
            });
        }
        let stated = numbers(header);
        let hunk = Hunk { number: self.hunks, stated: stated.map(|(line, ..)| line), rows: Vec::new() };
        self.region = Region::Hunk(Open { counts: stated.map(|(_, old, new)| (old, new)), hunk });
        Ok(())
    }

    fn row(&mut self, line: &'p str) {
        let Region::Hunk(open) = &mut self.region else { return };
        let signs_off = line.trim_end_matches('\r') == "-- " && open.is_complete();
        let rows = &mut open.hunk.rows;
        let (kind, text) = match line.as_bytes().first() {
            Some(b' ') => (Kind::Keep, &line[1..]),
            Some(b'+') => (Kind::Add, &line[1..]),
            Some(b'-') if signs_off => return self.leave(Region::Prose), // the signature of a mailed patch
            Some(b'-') => (Kind::Remove, &line[1..]),
            Some(b'\\') if line.starts_with("\\ No newline") => {
                if let Some(row) = rows.last_mut() {
                    row.unterminated = true;
                }
                return;
            }
            _ => (Kind::Keep, line),
        };
        rows.push(Row { kind, text, unterminated: false });
    }

    /// Ends the hunk that is being read, if there is one.
    fn leave(&mut self, region: Region<'p>) {
        let left = std::mem::replace(&mut self.region, region);
        let (Region::Hunk(mut open), Some(path)) = (left, self.path) else { return };
        open.trim();
        if open.hunk.rows.is_empty() {
            return;
        }
        match self.changes.iter_mut().find(|change| change.path == path) {
            Some(change) => change.hunks.push(open.hunk),
            None => self.changes.push(Change { path, hunks: vec![open.hunk] }),
        }
    }

    /// The file that both paths of a header name.
    fn resolve(&self, old: &str, new: &str) -> Result<&'f str, Refusal> {
        let [old, new] = [old, new].map(|path| path.split('\t').next().unwrap_or(path).trim_end_matches('\r'));
        match (old, new) {
            ("/dev/null", _) => return Err(unsupported(Unsupported::Creates, &format!("--- {old}"))),
            (_, "/dev/null") => return Err(unsupported(Unsupported::Deletes, &format!("+++ {new}"))),
            _ => {}
        }
        let [old, new] = [old, new].map(|path| path.trim_matches('"'));
        if let (Some(old), Some(new)) = (old.strip_prefix("a/"), new.strip_prefix("b/")) {
            if let Some((path, _)) = self.files.get_key_value(old).filter(|_| old == new) {
                return Ok(path);
            }
        }
        let (from, to) = (self.known_path(old)?, self.known_path(new)?);
        if from != to {
            return Err(unsupported(Unsupported::Renames, &format!("+++ {new}")));
        }
        Ok(to)
    }

    fn known_path(&self, path: &str) -> Result<&'f str, Refusal> {
        let prefixes = ["", "a/", "b/", "./"];
        let found = prefixes.iter().find_map(|prefix| self.files.get_key_value(path.strip_prefix(prefix)?));
        let refusal = || Refusal::PathNotAllowed { path: shown(path), known: self.known() };
        found.map(|(path, _)| path.as_str()).ok_or_else(refusal)
    }

    fn known(&self) -> String {
        self.files.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl Open<'_> {
    fn is_complete(&self) -> bool {
        self.counts == Some((self.hunk.expected().count(), self.hunk.written().count()))
    }

    /// Drops blank context at the end unless the stated counts confirm it: it may belong to the text around the diff.
    fn trim(&mut self) {
        let is_blank = |row: &Row<'_>| row.kind == Kind::Keep && row.text.trim().is_empty() && !row.unterminated;
        while !self.is_complete() && self.hunk.rows.last().is_some_and(is_blank) {
            self.hunk.rows.pop();
        }
    }
}

/// Index of the first old line and the counts of `@@ -LINE,OLD +LINE,NEW @@`, if it has numbers that make sense.
fn numbers(header: &str) -> Option<(usize, usize, usize)> {
    let mut words = header.trim_start_matches('@').split_whitespace();
    let mut range = |sign: char| {
        let word = words.next()?.strip_prefix(sign)?;
        let (line, count) = word.split_once(',').unwrap_or((word, "1"));
        Some((line.parse::<u32>().ok()? as usize, count.parse::<u32>().ok()? as usize))
    };
    let ((line, old), (_, new)) = (range('-')?, range('+')?);
    let start = if old == 0 { line } else { line.checked_sub(1)? };
    Some((start, old, new))
}

/// The two equal paths of `a/PATH b/PATH`.
fn halves(paths: &str) -> Option<(&str, &str)> {
    let (old, new) = (paths.get(..paths.len() / 2)?, paths.get(paths.len() / 2 + 1..)?);
    (old.get(2..) == new.get(2..)).then_some((old, new))
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
        _ if modes && line.ends_with(" 120000") => Err(unsupported(Unsupported::Symlink, line)),
        Some(what) => Err(unsupported(what, line)),
        None => Ok(()),
    }
}

fn unsupported(what: Unsupported, line: &str) -> Refusal {
    Refusal::Unsupported { what, line: shown(line) }
}
