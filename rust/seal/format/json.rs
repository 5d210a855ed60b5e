//! JSON texts of finite numbers, one or one a line.

use std::io::{BufRead, Read};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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

/// Checks one text.
pub(super) fn json(reader: impl Read) -> Result<(), String> {
    serde_json::from_reader::<_, Finite>(reader).map(|_| ()).map_err(|error| error.to_string())
}

/// Checks one text a line.
pub(super) fn jsonl(mut reader: impl BufRead) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_finite_and_shallow() {
        assert!(json(&b"{\"a\": [1, 2.5, -3e4, null, true, \"x\"]}"[..]).is_ok());
        let deep = "[".repeat(100_000);
        for bad in ["", "NaN", "[1e999]", "{\"a\": Infinity}", "[1] 2", deep.as_str(), "\"\u{1}\""] {
            assert!(json(bad.as_bytes()).is_err(), "{:.20}", bad);
        }
    }
}
