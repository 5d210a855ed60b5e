//! The lines of a file, and how they are compared with those of a patch.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;

use super::super::form::is_blank;
use super::is_ellipsis;

/// How lines are compared, strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Exact,
    /// But for blanks and carriage returns at the end.
    End,
    /// And quotes, dashes and blanks of typesetting for those of a keyboard.
    Plain,
    /// And whatever the indentation.
    Loose,
}

impl Class {
    fn normal(self, line: &str) -> Cow<'_, str> {
        let ends = |line: &'_ str| line.trim_end_matches([' ', '\t', '\r']).len();
        match self {
            Self::Exact => Cow::Borrowed(line),
            Self::End => Cow::Borrowed(&line[..ends(line)]),
            Self::Plain | Self::Loose => {
                let start = if self == Self::Loose { indent(line).len() } else { 0 };
                if line.is_ascii() {
                    return Cow::Borrowed(&line[start..ends(line).max(start)]);
                }
                let plain: String = line.chars().map(plain).collect();
                let start = if self == Self::Loose { indent(&plain).len() } else { 0 };
                Cow::Owned(plain[start..ends(&plain).max(start)].to_owned())
            }
        }
    }

    pub fn key(self, line: &str) -> u64 {
        hash(self.normal(line).as_bytes())
    }

    pub fn same(self, one: &str, other: &str) -> bool {
        self.normal(one) == self.normal(other)
    }
}

/// The character of a keyboard for one of typesetting.
pub(in super::super) fn plain(char: char) -> char {
    match char {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{a0}' | '\u{202f}' => ' ',
        other => other,
    }
}

/// A quick hash; equal hashes are always followed by a comparison of the lines.
fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut chunks = bytes.chunks_exact(8);
    let mut state = bytes.len() as u64 ^ FACTOR;
    let mut mix = |word: [u8; 8]| state = (state.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    for chunk in &mut chunks {
        mix(chunk.try_into().unwrap_or_default());
    }
    let mut last = [0; 8];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    mix(last);
    state ^ state >> 29
}

/// Blanks at the start.
pub(super) fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Columns of the blanks at the start; a tab goes to the next multiple of four.
pub(in super::super) fn width(line: &str) -> usize {
    indent(line).bytes().fold(0, |width, byte| if byte == b'\t' { width / 4 * 4 + 4 } else { width + 1 })
}

/// Characters that are no blanks, up to `most`.
pub(super) fn letters(line: &str, most: usize) -> usize {
    line.chars().filter(|char| !char.is_whitespace()).take(most).count()
}

/// Lines without their line feeds; only `\n` ends a line.
pub(super) struct Lines<'a> {
    pub all: Vec<&'a str>,
    /// Whether the last line has a line feed.
    pub terminated: bool,
    keys: [OnceCell<Vec<u64>>; 4],
    widths: OnceCell<Vec<u16>>,
    dots: OnceCell<HashMap<&'a str, Vec<usize>>>,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a str) -> Self {
        let terminated = text.is_empty() || text.ends_with('\n');
        let all = if text.is_empty() { Vec::new() } else { text.strip_suffix('\n').unwrap_or(text).split('\n').collect() };
        Self { all, terminated, keys: Default::default(), widths: OnceCell::new(), dots: OnceCell::new() }
    }

    /// Keys of all lines in a class.
    pub fn keys(&self, class: Class) -> &[u64] {
        self.keys[class as usize].get_or_init(|| self.all.iter().map(|line| class.key(line)).collect())
    }

    pub fn widths(&self) -> &[u16] {
        self.widths.get_or_init(|| self.all.iter().map(|line| width(line).min(u16::MAX.into()) as u16).collect())
    }

    /// Whether a text that looks as if it stood for others is one of some lines.
    pub fn has_dots(&self, text: &str, within: Range<usize>) -> bool {
        let places = self.dots.get_or_init(|| {
            let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
            let dots = self.all.iter().enumerate().filter(|(_, line)| is_ellipsis(line));
            dots.for_each(|(at, line)| places.entry(line.trim_end()).or_default().push(at));
            places
        });
        let next = |lines: &Vec<usize>| lines.get(lines.partition_point(|line| *line < within.start)).copied();
        places.get(text.trim_end()).and_then(next).is_some_and(|line| line < within.end)
    }

    pub fn is_blank(&self, line: usize) -> bool {
        is_blank(self.all[line])
    }
}
