//! Formats of outputs, checked without building what the files hold: no pickle, no zip bomb, no number that is not finite.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zip::{CompressionMethod, ZipArchive};

use super::BUFFER_BYTES;

/// numpy itself reads no longer header from a file that is not trusted.
const LONGEST_NPY_HEADER: usize = 10_000;
const LONGEST_TENSOR_HEADER: u64 = 10_000_000;
const DEEPEST_LITERAL: usize = 32;
const MOST_MEMBERS: usize = 10_000;
const ZIP_START: &[u8] = b"PK\x03\x04";
const ZIP_ENTRY: &[u8] = b"PK\x01\x02";

/// What an output is declared to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One numpy array without objects.
    Npy,
    /// A zip archive of such arrays.
    Npz,
    /// One JSON text.
    Json,
    /// One JSON text a line.
    Jsonl,
    /// Tensors by name.
    Safetensors,
    /// UTF-8.
    Text,
    /// Anything.
    Binary,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "npy" => Format::Npy,
            "npz" => Format::Npz,
            "json" => Format::Json,
            "jsonl" => Format::Jsonl,
            "safetensors" => Format::Safetensors,
            "text" => Format::Text,
            "binary" => Format::Binary,
            _ => {
                let known = "npy, npz, json, jsonl, safetensors, text or binary";
                return Err(format!("its format {name:?} is unknown; declare {known}"));
            }
        })
    }
}

impl Format {
    /// Whether the file, which stands at its start and is `bytes` long, is what it should be; a sentence says why not.
    pub(super) fn check(self, file: &File, bytes: u64, max_bytes: u64) -> Result<(), String> {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
        match self {
            Format::Npy => npy(&mut reader, bytes),
            Format::Npz => npz(reader, max_bytes),
            Format::Json => json(reader).map_err(|problem| format!("it is no JSON text ({problem}); write one with json.dump")),
            Format::Jsonl => jsonl(reader),
            Format::Safetensors => safetensors(&mut reader, bytes),
            Format::Text => text(reader),
            Format::Binary => Ok(()),
        }
    }
}

// ------------------------------------------------------------------ numpy

fn npz(mut reader: BufReader<&File>, max_bytes: u64) -> Result<(), String> {
    let remedy = "write it with numpy.savez";
    let no_archive = |error: &dyn std::fmt::Display| format!("it is no npz archive ({error}); {remedy}");
    let mut start = [0; 4];
    reader.read_exact(&mut start).map_err(|error| no_archive(&error))?;
    if start != ZIP_START {
        return Err(no_archive(&"it does not begin as one, or holds nothing"));
    }
    // The archive's directory is read into memory at once.
    if entries(&mut reader).map_err(|error| no_archive(&error))? > MOST_MEMBERS {
        return Err(format!("it holds more than {MOST_MEMBERS} arrays; write fewer"));
    }
    reader.rewind().map_err(|error| no_archive(&error))?;
    let mut archive = ZipArchive::new(reader).map_err(|error| no_archive(&error))?;
    let mut left = max_bytes;
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(|error| no_archive(&error))?;
        let name: String = member.name().chars().take(100).collect();
        if !member.is_file() || !name.ends_with(".npy") {
            return Err(format!("it holds {name:?}, which is no array; {remedy}"));
        }
        if !matches!(member.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
            return Err(format!("its array {name:?} is compressed in a way that numpy does not write; {remedy}"));
        }
        let bytes = member.size();
        left = left
            .checked_sub(bytes)
            .ok_or(format!("its arrays unpack to more than {max_bytes} bytes; write less, or declare a larger max_bytes"))?;
        // One byte more than was said would show.
        let mut member = member.take(bytes.saturating_add(1));
        npy(&mut member, bytes).map_err(|problem| format!("array {name:?}: {problem}"))?;
        let rest = io::copy(&mut member, &mut io::sink()).map_err(|error| no_archive(&error))?;
        if member.limit() != 1 {
            return Err(format!(
                "its array {name:?} has not the size that the archive tells ({rest} bytes of content); {remedy}"
            ));
        }
    }
    Ok(())
}

/// How many entries a zip archive's directory can have at most.
fn entries(reader: &mut impl Read) -> io::Result<usize> {
    let mut window = vec![0; BUFFER_BYTES];
    let (mut kept, mut found) = (0, 0);
    loop {
        let count = reader.read(&mut window[kept..])?;
        if count == 0 {
            return Ok(found);
        }
        let end = kept + count;
        found += window[..end].windows(4).filter(|&four| four == ZIP_ENTRY).count();
        kept = end.min(3);
        window.copy_within(end - kept..end, 0);
    }
}

/// Checks the header of an array that is `bytes` long with it, and that its content is as long as the header says.
fn npy(reader: &mut impl Read, bytes: u64) -> Result<(), String> {
    let remedy = "write it with numpy.save";
    let short = |error: io::Error| format!("its header cannot be read ({error}); {remedy}");
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(short)?;
    if &start[..6] != b"\x93NUMPY" {
        return Err(format!("it is no npy file; {remedy}"));
    }
    let (prefix, length) = match start[6] {
        1 => {
            let mut length = [0; 2];
            reader.read_exact(&mut length).map_err(short)?;
            (10, usize::from(u16::from_le_bytes(length)))
        }
        2 | 3 => {
            let mut length = [0; 4];
            reader.read_exact(&mut length).map_err(short)?;
            (12, u32::from_le_bytes(length) as usize)
        }
        version => return Err(format!("its npy version {version} is unknown; {remedy}")),
    };
    if length > LONGEST_NPY_HEADER {
        return Err(format!("its header is longer than {LONGEST_NPY_HEADER} bytes, which numpy does not read; use fewer fields"));
    }
    let mut header = vec![0; length];
    reader.read_exact(&mut header).map_err(short)?;
    let (item, count) = header_sizes(&String::from_utf8_lossy(&header))?;
    let content = item.checked_mul(count).and_then(|size| size.checked_add(prefix + length as u64));
    match content {
        Some(expected) if expected == bytes => Ok(()),
        _ => Err(format!("its header tells of {count} items of {item} bytes, but the file has {bytes} bytes; {remedy}")),
    }
}

/// Bytes of one item, and number of items.
fn header_sizes(header: &str) -> Result<(u64, u64), String> {
    let remedy = "write it with numpy.save";
    let Some(Literal::Map(fields)) = Literal::parse(header) else {
        return Err(format!("its header is no dictionary; {remedy}"));
    };
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let (Some(descr), Some(Literal::Flag), Some(shape)) = (field("descr"), field("fortran_order"), field("shape")) else {
        return Err(format!("its header lacks descr, fortran_order or shape; {remedy}"));
    };
    if fields.len() != 3 {
        return Err(format!("its header has other fields than descr, fortran_order and shape; {remedy}"));
    }
    Ok((item_bytes(descr)?, product(shape)?))
}

fn item_bytes(descr: &Literal) -> Result<u64, String> {
    let unknown = || "its header names an unknown type; use numbers, booleans, strings or records of them".to_owned();
    match descr {
        Literal::Text(name) => type_bytes(name).unwrap_or_else(|| Err(unknown())),
        Literal::Sequence(fields) if !fields.is_empty() => {
            let mut total = 0_u64;
            for field in fields {
                let Literal::Sequence(field) = field else {
                    return Err(unknown());
                };
                let (item, count) = match field.as_slice() {
                    [_, descr] => (item_bytes(descr)?, 1),
                    [_, descr, shape] => (item_bytes(descr)?, product(shape)?),
                    _ => return Err(unknown()),
                };
                total = item.checked_mul(count).and_then(|size| total.checked_add(size)).ok_or_else(unknown)?;
            }
            Ok(total)
        }
        _ => Err(unknown()),
    }
}

/// Bytes of `<f8` and the like; None where there is no such type.
fn type_bytes(name: &str) -> Option<Result<u64, String>> {
    let name = name.trim_start_matches(['<', '>', '|', '=']);
    let kind = name.chars().next()?;
    if kind == 'O' {
        return Some(Err("it holds Python objects, which are pickles; write arrays of numbers or strings".into()));
    }
    let rest = name.get(1..)?;
    let digits = match kind {
        'M' | 'm' => rest.split('[').next()?,
        _ => rest,
    };
    let bytes: u64 = if kind == '?' { 1 } else { digits.parse().ok()? };
    match kind {
        'b' | 'i' | 'u' | 'f' | 'c' | '?' | 'S' | 'a' | 'V' | 'M' | 'm' => Some(Ok(bytes)),
        'U' => Some(Ok(bytes.checked_mul(4)?)),
        _ => None,
    }
}

fn product(shape: &Literal) -> Result<u64, String> {
    let bad = || "its header has a shape that is no tuple of sizes; write it with numpy.save".to_owned();
    let sizes = match shape {
        Literal::Sequence(sizes) => sizes.as_slice(),
        Literal::Number(_) => std::slice::from_ref(shape),
        _ => return Err(bad()),
    };
    sizes.iter().try_fold(1_u64, |so_far, size| match size {
        Literal::Number(size) => so_far.checked_mul(*size).ok_or_else(bad),
        _ => Err(bad()),
    })
}

/// The Python literals that numpy writes into a header.
#[derive(Debug, PartialEq)]
enum Literal {
    Text(String),
    Number(u64),
    Flag,
    Sequence(Vec<Literal>),
    Map(Vec<(String, Literal)>),
}

impl Literal {
    /// None for anything else.
    fn parse(text: &str) -> Option<Literal> {
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

// ------------------------------------------------------------------ texts

/// Any JSON value of finite numbers; the parser limits its depth.
struct Finite;

impl<'de> Deserialize<'de> for Finite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FiniteVisitor)
    }
}

struct FiniteVisitor;

impl<'de> Visitor<'de> for FiniteVisitor {
    type Value = Finite;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Finite, E> {
        Ok(Finite)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Finite, E> {
        Ok(Finite)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Finite, E> {
        Ok(Finite)
    }

    // The parser itself refuses numbers beyond a double's range.
    fn visit_f64<E>(self, _: f64) -> Result<Finite, E> {
        Ok(Finite)
    }

    fn visit_str<E>(self, _: &str) -> Result<Finite, E> {
        Ok(Finite)
    }

    fn visit_unit<E>(self) -> Result<Finite, E> {
        Ok(Finite)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Finite, A::Error> {
        while items.next_element::<Finite>()?.is_some() {}
        Ok(Finite)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Finite, A::Error> {
        while items.next_entry::<IgnoredAny, Finite>()?.is_some() {}
        Ok(Finite)
    }
}

fn json(reader: impl Read) -> Result<(), String> {
    serde_json::from_reader::<_, Finite>(reader).map(|_| ()).map_err(|error| error.to_string())
}

fn jsonl(mut reader: impl BufRead) -> Result<(), String> {
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.trim_ascii().is_empty() => {}
            Ok(_) => {
                let checked = serde_json::from_slice::<Finite>(&line);
                checked.map_err(|error| format!("line {number} is no JSON text ({error}); write one json.dumps a line"))?;
            }
            Err(error) => return Err(format!("line {number} cannot be read: {error}")),
        }
    }
    Ok(())
}

fn text(mut reader: impl Read) -> Result<(), String> {
    let mut window = vec![0; BUFFER_BYTES];
    let (mut kept, mut before) = (0, 0_u64);
    loop {
        let count = reader.read(&mut window[kept..]).map_err(|error| error.to_string())?;
        let end = kept + count;
        let valid = match std::str::from_utf8(&window[..end]) {
            Ok(_) => end,
            // A character may be cut by the end of the window, not by the end of the file.
            Err(error) if error.error_len().is_none() && count > 0 => error.valid_up_to(),
            Err(error) => {
                let at = before + error.valid_up_to() as u64;
                return Err(format!("it is not UTF-8 at byte {at}; write it with encoding=\"utf-8\""));
            }
        };
        if count == 0 {
            return Ok(());
        }
        before += valid as u64;
        kept = end - valid;
        window.copy_within(valid..end, 0);
    }
}

// ------------------------------------------------------------------ safetensors

#[derive(serde::Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

fn safetensors(reader: &mut impl Read, bytes: u64) -> Result<(), String> {
    let bad = |problem: &dyn std::fmt::Display| format!("it is no safetensors file ({problem}); write it with safetensors");
    let mut length = [0; 8];
    reader.read_exact(&mut length).map_err(|error| bad(&error))?;
    let length = u64::from_le_bytes(length);
    let content = bytes.checked_sub(8).and_then(|rest| rest.checked_sub(length));
    let content = content.ok_or_else(|| bad(&"its header is longer than the file"))?;
    if length > LONGEST_TENSOR_HEADER {
        return Err(bad(&format!("its header is longer than {LONGEST_TENSOR_HEADER} bytes")));
    }
    let mut header = vec![0; length as usize];
    reader.read_exact(&mut header).map_err(|error| bad(&error))?;
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&header).map_err(|error| bad(&error))?;
    let mut spans = Vec::new();
    for (name, value) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
        let tensor: Tensor = serde_json::from_value(value).map_err(|error| bad(&format!("tensor {name:?}: {error}")))?;
        let (begin, end) = tensor.data_offsets;
        let item =
            dtype_bytes(&tensor.dtype).ok_or_else(|| bad(&format!("tensor {name:?} has unknown type {:?}", tensor.dtype)))?;
        let size = tensor.shape.iter().try_fold(item, |size, &length| size.checked_mul(length));
        if end.checked_sub(begin) != size || size.is_none() {
            return Err(bad(&format!("tensor {name:?} has not the size of its shape")));
        }
        spans.push((begin, end));
    }
    spans.sort_unstable();
    let mut reached = 0;
    for (begin, end) in spans {
        if begin != reached {
            return Err(bad(&"its tensors overlap or leave gaps"));
        }
        reached = end;
    }
    if reached != content {
        return Err(bad(&format!("its tensors take {reached} bytes of {content}")));
    }
    Ok(())
}

fn dtype_bytes(name: &str) -> Option<u64> {
    Some(match name {
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" => 1,
        "U16" | "I16" | "F16" | "BF16" => 2,
        "U32" | "I32" | "F32" => 4,
        "U64" | "I64" | "F64" | "C64" => 8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn header_sizes_as_numpy_writes_them() {
        let header = |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}   \n");
        let cases = [
            ("'<f8'", "(3, 4)", (8, 12)),
            ("'|b1'", "()", (1, 1)),
            ("'<U7'", "(5,)", (28, 5)),
            ("'<M8[ns]'", "(2,)", (8, 2)),
            ("[('a', '<i4'), ('b', '<f8', (2, 3))]", "(1,)", (52, 1)),
            ("[('it\\'s', [('x', '|u1')], (4,))]", "(0,)", (4, 0)),
        ];
        for (descr, shape, sizes) in cases {
            assert_eq!(header_sizes(&header(descr, shape)), Ok(sizes), "{descr} {shape}");
        }
        for descr in ["'|O'", "[('a', '<i4'), ('b', '|O')]", "[('a', [('b', 'O')], (2,))]"] {
            assert!(header_sizes(&header(descr, "(1,)")).is_err_and(|problem| problem.contains("objects")));
        }
        for (descr, shape) in
            [("'<f8'", "(-1,)"), ("'<q8'", "(1,)"), ("'<f8'", "(18446744073709551615, 2)"), ("[]", "(1,)"), ("''", "()")]
        {
            assert!(header_sizes(&header(descr, shape)).is_err(), "{descr} {shape}");
        }
    }

    #[test]
    fn utf8_is_followed_across_windows() {
        let long = "ä".repeat(BUFFER_BYTES) + "x";
        assert_eq!(text(long.as_bytes()), Ok(()));
        assert_eq!(text(&b"x\xc3"[..]).unwrap_err(), "it is not UTF-8 at byte 1; write it with encoding=\"utf-8\"");
        assert!(text([long.as_bytes(), b"\xff"].concat().as_slice()).unwrap_err().contains(&format!("byte {}", long.len())));
    }

    #[test]
    fn json_is_finite_and_shallow() {
        assert!(json(&b"{\"a\": [1, 2.5, -3e4, null, true, \"x\"]}"[..]).is_ok());
        let deep = "[".repeat(100_000);
        for bad in ["", "NaN", "[1e999]", "{\"a\": Infinity}", "[1] 2", deep.as_str(), "\"\u{1}\""] {
            assert!(json(bad.as_bytes()).is_err(), "{:.20}", bad);
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(header in "[\\[\\](){}',:0-9a-zA-Z<>|L\\\\ ]{0,80}") {
            let _ = header_sizes(&header);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = npy(&mut bytes.as_slice(), bytes.len() as u64);
            let _ = safetensors(&mut bytes.as_slice(), bytes.len() as u64);
            let _ = text(bytes.as_slice());
            let _ = jsonl(bytes.as_slice());
        }
    }
}
