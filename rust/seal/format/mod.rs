//! Formats of outputs, checked without building what the files hold: no pickle, no zip bomb, no number that is not finite.

mod json;
mod literal;
mod npy;
mod npz;
mod safetensors;
mod text;

use std::fs::File;
use std::io::BufReader;
use std::str::FromStr;

use super::copy::BUFFER_BYTES;
use json::{json, jsonl};
use npy::npy;
use npz::npz;
use safetensors::safetensors;
use text::text;

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = npy(&mut bytes.as_slice(), bytes.len() as u64);
            let _ = safetensors(&mut bytes.as_slice(), bytes.len() as u64);
            let _ = text(bytes.as_slice());
            let _ = jsonl(bytes.as_slice());
        }
    }
}
