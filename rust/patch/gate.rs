//! Characters that no patch may bring into a file: those that hide what a line does from who reads it.
//!
//! A character that the file has already may be added again. This does not find names that look alike within one script.

use std::collections::HashSet;

use super::refusal::{shown, Refusal};

/// Checks the lines that a patch adds to a file.
pub(super) fn check<'l>(path: &str, before: &str, added: impl Iterator<Item = &'l str>) -> Result<(), Refusal> {
    let mut known: Option<HashSet<char>> = None;
    for line in added {
        let Some((character, what)) = forbidden(line) else { continue };
        let known = known.get_or_insert_with(|| before.chars().filter(|char| is_suspect(*char)).collect());
        let unknown = line.chars().any(|char| is_suspect(char) && !known.contains(&char));
        if unknown {
            return Err(Refusal::ForbiddenCharacter {
                path: path.to_owned(),
                line: shown(line),
                character: character.into(),
                what,
            });
        }
    }
    Ok(())
}

/// Checks that a new text does not declare another encoding than the text before.
pub(super) fn check_encoding(path: &str, before: &str, after: &str) -> Result<(), Refusal> {
    match encoding(after).filter(|(_, name)| encoding(before).is_none_or(|(_, other)| other != *name)) {
        Some((line, _)) => Err(Refusal::Encoding { path: path.to_owned(), line: shown(line) }),
        None => Ok(()),
    }
}

/// The line and the name of an encoding other than UTF-8 that Python reads from one of the first two lines (PEP 263).
fn encoding(text: &str) -> Option<(&str, &str)> {
    text.split(['\n', '\r']).take(3).find_map(|line| {
        let comment = line.trim_start_matches([' ', '\t', '\u{c}']).strip_prefix('#')?;
        let (_, rest) = comment.split_once("coding")?;
        let rest = rest.strip_prefix([':', '='])?.trim_start_matches([' ', '\t']);
        let name = &rest[..rest.find(|char: char| !(char.is_alphanumeric() || "-_.".contains(char))).unwrap_or(rest.len())];
        let plain = name.to_ascii_lowercase().replace('_', "-");
        (!name.is_empty() && !["utf-8", "utf8", "ascii", "us-ascii"].contains(&plain.as_str())).then_some((line, name))
    })
}

/// The first character of a line that hides something, and what it is.
fn forbidden(line: &str) -> Option<(char, &'static str)> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_ascii() {
        return line.chars().find(|char| is_control(*char)).map(|char| (char, "a control character"));
    }
    let mut before = None;
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        let joins = |other: Option<char>| other.is_some_and(|other| !other.is_ascii());
        match char {
            _ if is_control(char) => return Some((char, "a control character")),
            '\u{85}' | '\u{2028}' | '\u{2029}' => return Some((char, "an unusual line break")),
            '\u{200c}' | '\u{200d}' if joins(before) && joins(chars.peek().copied()) => {}
            _ if is_invisible(char) => return Some((char, "an invisible character")),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => return Some((char, "a change of the writing direction")),
            _ => {}
        }
        before = Some(char);
    }
    line.split(|char: char| !(char.is_alphanumeric() || char == '_'))
        .find_map(disguised)
        .map(|char| (char, "a letter that looks like a plain one"))
}

/// A letter of a word of plain letters that only looks like one of them.
fn disguised(word: &str) -> Option<char> {
    let plain = word.chars().filter(char::is_ascii_alphabetic).count();
    // A whole word of such letters is taken for one of plain letters.
    let posing = word.chars().count() > 2 && word.chars().all(is_lookalike);
    let compatible = word.chars().filter(|char| is_compatible(*char)).count();
    word.chars()
        .find(|char| (plain > 0 || posing) && is_lookalike(*char) || is_compatible(*char) && (plain > 1 || compatible > 2))
}

fn is_suspect(char: char) -> bool {
    is_control(char)
        || is_invisible(char)
        || is_lookalike(char)
        || is_compatible(char)
        || matches!(char, '\u{85}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_control(char: char) -> bool {
    char.is_ascii_control() && !matches!(char, '\t' | '\u{c}') || matches!(char, '\u{80}'..='\u{9f}')
}

fn is_invisible(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}')
        || matches!(char, '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Cyrillic and Greek letters with the shape of a Latin one.
fn is_lookalike(char: char) -> bool {
    "аеорсухіјѕԁԛԝһӏАВЕЗКМНОРСТУХІЈЅԌԚԜҺӀοΑΒΕΖΗΙΚΜΝΟΡΤΥΧϲϳ".contains(char)
}

/// Letters that Python reads as plain ones in names: full-width, mathematical, raised, and joined ones.
fn is_compatible(char: char) -> bool {
    matches!(char, '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}' | '\u{ff3f}' | '\u{1d400}'..='\u{1d6a3}' | '\u{fb00}'..='\u{fb06}')
        || matches!(char, 'ª' | 'º' | 'ſ' | '\u{212a}' | '\u{1d2c}'..='\u{1d6a}' | '\u{2090}'..='\u{209c}' | '\u{2c7c}' | '\u{2071}' | '\u{207f}')
        || matches!(char, '\u{2b0}'..='\u{2b8}' | '\u{2e0}'..='\u{2e3}' | '\u{24b6}'..='\u{24e9}' | '\u{2160}'..='\u{217f}')
}
