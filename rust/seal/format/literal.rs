//! The Python literals that numpy writes into a header, read without Python.

const DEEPEST_LITERAL: usize = 32;

/// Strings, whole numbers, booleans, tuples and lists, and dictionaries with strings for keys.
#[derive(Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Number(u64),
    Flag,
    Sequence(Vec<Literal>),
    Map(Vec<(String, Literal)>),
}

impl Literal {
    /// None for anything else.
    pub fn parse(text: &str) -> Option<Literal> {
        let mut rest = text;
        let value = Literal::take(&mut rest, 0)?;
        rest.trim().is_empty().then_some(value)
    }

    fn take(rest: &mut &str, depth: usize) -> Option<Literal> {
        *rest = rest.trim_start();
        let first = rest.chars().next().filter(|_| depth < DEEPEST_LITERAL)?;
        match first {
            '\'' | '"' => Literal::take_text(rest, first).map(Literal::Text),
            '(' | '[' => {
                *rest = &rest[1..];
                Literal::take_sequence(rest, if first == '(' { ')' } else { ']' }, depth)
            }
            '{' => {
                *rest = &rest[1..];
                Literal::take_map(rest, depth)
            }
            '0'..='9' => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let number = rest[..end].parse().ok()?;
                // Python 2 wrote long integers so.
                *rest = rest[end..].trim_start_matches('L');
                Some(Literal::Number(number))
            }
            _ => {
                *rest = rest.strip_prefix("True").or_else(|| rest.strip_prefix("False"))?;
                Some(Literal::Flag)
            }
        }
    }

    fn take_text(rest: &mut &str, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut characters = rest[1..].char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                // Only names of fields hold escapes, and what they are does not matter here.
                '\\' => text.push(characters.next()?.1),
                _ if character == quote => {
                    *rest = &rest[1 + at + 1..];
                    return Some(text);
                }
                _ => text.push(character),
            }
        }
        None
    }

    fn take_sequence(rest: &mut &str, close: char, depth: usize) -> Option<Literal> {
        let mut items = Vec::new();
        while !Literal::skip(rest, close) {
            items.push(Literal::take(rest, depth + 1)?);
            if !Literal::skip(rest, ',') && !rest.trim_start().starts_with(close) {
                return None;
            }
        }
        Some(Literal::Sequence(items))
    }

    fn take_map(rest: &mut &str, depth: usize) -> Option<Literal> {
        let mut items: Vec<(String, Literal)> = Vec::new();
        while !Literal::skip(rest, '}') {
            let Literal::Text(key) = Literal::take(rest, depth + 1)? else {
                return None;
            };
            if !Literal::skip(rest, ':') {
                return None;
            }
            let value = Literal::take(rest, depth + 1)?;
            if items.iter().any(|(known, _)| *known == key) {
                return None;
            }
            items.push((key, value));
            if !Literal::skip(rest, ',') && !rest.trim_start().starts_with('}') {
                return None;
            }
        }
        Some(Literal::Map(items))
    }

    /// Steps over one character, white space before it too, if it is there.
    fn skip(rest: &mut &str, character: char) -> bool {
        match rest.trim_start().strip_prefix(character) {
            Some(after) => {
                *rest = after;
                true
            }
            None => false,
        }
    }
}
