//! Copying and hashing in one pass, within bounds.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Format, SealError, Sealed};

pub(super) const BUFFER_BYTES: usize = 256 * 1024;

/// Copies a file to `name` below `destination`, made read-only, and checks the copy; nothing is left of one that is refused.
pub(super) fn copy(source: File, name: &str, destination: &Path, format: Format, max_bytes: u64) -> Result<Sealed, SealError> {
    let path = destination.join(name);
    let failed = |error: io::Error| SealError::io(name, error);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut copied = File::options().read(true).write(true).create_new(true).open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => failed(io::Error::other("it was sealed here before")),
        _ => failed(error),
    })?;
    let checked = transfer(source, Some(&mut copied), name, max_bytes).and_then(|(bytes, sha256)| {
        copied.rewind().map_err(failed)?;
        format.check(&copied, bytes, max_bytes).map_err(|problem| SealError::BadFormat { name: name.to_owned(), problem })?;
        let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        copied.set_permissions(read_only).map_err(failed)?;
        let name = name.to_owned();
        Ok(Sealed { name, bytes, sha256 })
    });
    if checked.is_err() {
        // What was refused is of no use to anybody; the error that is returned matters more than one of this.
        let _ = fs::remove_file(&path);
    }
    checked
}

/// Reads to the end, hashing, and writing where there is something to write to; returns size and SHA-256.
pub(super) fn transfer(
    mut from: File,
    mut to: Option<&mut File>,
    name: &str,
    max_bytes: u64,
) -> Result<(u64, String), SealError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut bytes, mut hash) = (0_u64, Sha256::new());
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hex(hash))),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(SealError::io(name, error)),
        };
        bytes += count as u64;
        if bytes > max_bytes {
            let name = name.to_owned();
            return Err(SealError::TooLarge { name, max_bytes });
        }
        hash.update(&buffer[..count]);
        if let Some(to) = to.as_deref_mut() {
            to.write_all(&buffer[..count]).map_err(|error| SealError::io(name, error))?;
        }
    }
}

/// A hash as it is written.
pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
