//! Zip archives of numpy arrays.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use zip::{CompressionMethod, ZipArchive};

use super::super::copy::BUFFER_BYTES;
use super::npy::npy;

const MOST_MEMBERS: usize = 10_000;
const ZIP_START: &[u8] = b"PK\x03\x04";
const ZIP_ENTRY: &[u8] = b"PK\x01\x02";

/// Checks an archive whose arrays unpack to at most `max_bytes`.
pub(super) fn npz(mut reader: BufReader<&File>, max_bytes: u64) -> Result<(), String> {
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
