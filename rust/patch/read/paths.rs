//! Which file a path in a patch means: exactly one of the files given, with at most one of the usual prefixes.

use std::collections::{BTreeMap, HashSet};

use super::super::refusal::{shown, Refusal, Unsupported};

/// The paths that a patch may name.
#[derive(Clone, Copy)]
pub(in super::super) enum Paths<'a> {
    Known(&'a BTreeMap<String, String>),
    /// Any path, for patches that are only read.
    Any,
}

impl<'a> Paths<'a> {
    /// The file that a path names, as it is or after `a/`, `b/` or `./`; a time or a remark in parentheses may follow.
    pub fn one(self, path: &'a str) -> Result<&'a str, Refusal> {
        let path = path.trim_end_matches('\r').trim_matches('"');
        let Self::Known(_) = self else { return Ok(path) };
        let before_remark = || {
            let (path, remark) = path.split_once(' ')?;
            remark.starts_with(|char: char| char == '(' || char.is_ascii_digit()).then(|| self.known(path))?
        };
        let found = self.known(path).or_else(before_remark);
        found.ok_or_else(|| Refusal::PathNotAllowed { path: shown(path), known: self.listed() })
    }

    fn known(self, path: &str) -> Option<&'a str> {
        let Self::Known(files) = self else { return None };
        let mut found = ["", "a/", "b/", "./"].iter().filter_map(|prefix| files.get_key_value(path.strip_prefix(prefix)?));
        found.next().map(|(path, _)| path.as_str())
    }

    /// The file that a line of prose speaks of, if of no other.
    pub fn mentioned(self, line: &str) -> Option<&'a str> {
        let plain = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '/');
        let words = line.split(|char| !plain(char)).map(|word| word.trim_end_matches('.'));
        let mut paths = words.filter(|word| is_path(word)).map(|word| self.known(word));
        let first = paths.next()??;
        paths.all(|path| path == Some(first)).then_some(first)
    }

    /// The file that both paths of a header name.
    pub fn both(self, old: &'a str, new: &'a str) -> Result<&'a str, Refusal> {
        let [old, new] = [old, new].map(|path| path.split('\t').next().unwrap_or(path).trim_end_matches([' ', '\r']));
        let unsupported = |what, path: &str| Refusal::Unsupported { what, line: shown(path) };
        match (old, new) {
            ("/dev/null", "/dev/null") => return Err(unsupported(Unsupported::Deletes, new)),
            ("/dev/null", _) => return self.one(new).and_then(|_| Err(unsupported(Unsupported::Creates, "--- /dev/null"))),
            (_, "/dev/null") => return self.one(old).and_then(|_| Err(unsupported(Unsupported::Deletes, "+++ /dev/null"))),
            _ => {}
        }
        let [old, new] = [old, new].map(|path| path.trim_matches('"'));
        let (old, new) = match [old, new].map(|path| self.is_word(path)) {
            [true, true] => return self.only(1),
            [true, false] => (new, new),
            [false, true] => (old, old),
            [false, false] => (old, new),
        };
        if let (Self::Known(files), Some(old), Some(new)) = (self, old.strip_prefix("a/"), new.strip_prefix("b/")) {
            if let Some((path, _)) = files.get_key_value(old).filter(|_| old == new) {
                return Ok(path);
            }
        }
        let (from, to) = (self.one(old)?, self.one(new)?);
        match self {
            Self::Known(_) if from != to => Err(unsupported(Unsupported::Renames, &format!("+++ {new}"))),
            _ => Ok(to),
        }
    }

    /// The file meant where a patch names none: the only one.
    pub fn only(self, hunk: usize) -> Result<&'a str, Refusal> {
        match self {
            Self::Any => Ok(""),
            Self::Known(files) if files.len() == 1 => Ok(files.keys().next().map_or("", String::as_str)),
            Self::Known(_) => Err(Refusal::NoPath { hunk, known: self.listed() }),
        }
    }

    /// The lines of a file that start so; none of a file that is not known.
    pub fn lines_with(self, path: &str, start: &str) -> Option<HashSet<&'a str>> {
        let Self::Known(files) = self else { return None };
        Some(files.get(path)?.lines().filter(|line| line.starts_with(start)).collect())
    }

    /// Whether a header has a word in the place of a path, as in `--- original` and `+++ modified`.
    fn is_word(self, path: &str) -> bool {
        let words = ["original", "modified", "before", "after", "old", "new", "previous", "current", "updated"];
        self.known(path).is_none() && words.iter().any(|word| path.eq_ignore_ascii_case(word))
    }

    fn listed(self) -> String {
        let Self::Known(files) = self else { return String::new() };
        files.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// The path that a line of prose consists of, as `train.py`, `**src/train.py**`, `# File: train.py`.
pub(super) fn alone(line: &str) -> Option<&str> {
    let ornament = |char: char| matches!(char, '*' | '`' | '#' | ':' | '"' | '\'' | ' ' | '\t' | '\r' | '[' | ']');
    let mut word = line.trim_matches(ornament);
    for label in ["File:", "file:", "Path:", "path:", "FILE:", "Filename:", "filename:", "File path:", "file path:"] {
        word = word.strip_prefix(label).unwrap_or(word).trim_matches(ornament);
    }
    is_path(word).then_some(word)
}

/// The path in the words after the opening of a fence, as in `python src/train.py` and `py:train.py`.
pub(super) fn in_fence(words: &str) -> Option<&str> {
    let words = words.split([' ', '\t', '{', '}', '=', '"', '\'', ':', ',']);
    words.map(str::trim).find(|word| is_path(word))
}

pub(super) fn is_path(word: &str) -> bool {
    let plain =
        |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '/' | '\\' | '+' | '@' | '~' | ':' | '\0');
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let has_ending = ending.len() <= 8
        && ending.starts_with(|char: char| char.is_ascii_alphabetic())
        && ending.chars().all(|char| char.is_alphanumeric() || char == '\0');
    word.chars().all(plain) && word.chars().any(char::is_alphanumeric) && (has_ending || word.contains(['/', '\\']))
}
