//! Seals what an untrusted stage left: copies by descriptors, hashed in the same pass, checked before anybody opens them.
//!
//! Every path is walked one component at a time with `O_NOFOLLOW`, so no symlink is followed anywhere below the folder that
//! is given, on any kernel. Only regular files are opened, without blocking, and what is read is bounded, also where a
//! file grows meanwhile. Formats are checked on the copy, which nobody else can write to.
//!
//! What this does not protect against: a process that still runs can change a file while it is copied; the hash is of
//! what was copied. A reader that takes an archive or a JSON text for something else than we do is not our doing either.

mod copy;
mod error;
mod format;
mod open;

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::CWD;
use sha2::{Digest, Sha256};

pub use error::SealError;
pub use format::Format;

use copy::{copy, hex, transfer};
use open::{open_below, open_root, single, walk, Kind};

/// A file that was copied and hashed in one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Path relative to the destination.
    pub name: String,
    /// Size.
    pub bytes: u64,
    /// SHA-256 in hex.
    pub sha256: String,
}

/// Copies the regular file `name` below `source` to the same name below `destination`, and checks its format.
pub fn seal_file(source: &Path, name: &str, destination: &Path, format: &str, max_bytes: u64) -> Result<Sealed, SealError> {
    let bad = |problem: String| SealError::BadFormat { name: name.to_owned(), problem };
    let format: Format = format.parse().map_err(bad)?;
    let components: Vec<&str> = name.split('/').collect();
    if components.iter().any(|part| matches!(*part, "" | "." | "..")) || name.contains('\0') {
        return Err(bad("its name is no plain relative path; declare one like predictions.npz".into()));
    }
    let mut folder = open_root(source)?;
    for part in &components[..components.len() - 1] {
        folder = open_below(folder.as_fd(), OsStr::new(part), name, Kind::Folder)?.0;
    }
    let last = OsStr::new(components[components.len() - 1]);
    let (file, stat) = open_below(folder.as_fd(), last, name, Kind::File)?;
    single(&stat, name)?;
    copy(file.into(), name, destination, format, max_bytes)
}

/// Copies all regular files below `source`; `max_bytes` is for all of them together.
pub fn seal_tree(source: &Path, destination: &Path, max_bytes: u64, max_files: u64) -> Result<Vec<Sealed>, SealError> {
    let mut sealed = Vec::new();
    let mut left = max_bytes;
    walk(open_root(source)?, max_files, &mut |file, name, stat| {
        let name = String::from_utf8(name.to_vec()).map_err(|_| SealError::BadFormat {
            name: String::from_utf8_lossy(name).into_owned(),
            problem: "its name is not UTF-8; give it another".into(),
        })?;
        single(stat, &name)?;
        let item = copy(file, &name, destination, Format::Binary, left).map_err(|error| match error {
            SealError::TooLarge { name, .. } => SealError::TooLarge { name: format!("the folder with {name}"), max_bytes },
            other => other,
        })?;
        left -= item.bytes;
        sealed.push(item);
        Ok(())
    })?;
    sealed.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(sealed)
}

/// SHA-256 of a regular file in hex.
pub fn hash_file(path: &Path) -> Result<String, SealError> {
    let shown = path.display().to_string();
    let (file, _) = open_below(CWD, path.as_os_str(), &shown, Kind::File)?;
    let (_, sha256) = transfer(file.into(), None, &shown, u64::MAX)?;
    Ok(sha256)
}

/// SHA-256 over the sorted pairs of path and SHA-256 of the regular files below a folder.
pub fn hash_tree(path: &Path) -> Result<String, SealError> {
    let mut pairs: Vec<(Vec<u8>, String)> = Vec::new();
    walk(open_root(path)?, u64::MAX, &mut |file, name, _| {
        let (_, sha256) = transfer(file, None, &String::from_utf8_lossy(name), u64::MAX)?;
        pairs.push((name.to_vec(), sha256));
        Ok(())
    })?;
    pairs.sort();
    let mut hash = Sha256::new();
    for (name, sha256) in pairs {
        // A name holds no NUL, so pairs cannot run into each other.
        hash.update(&name);
        hash.update([0]);
        hash.update(sha256.as_bytes());
    }
    Ok(hex(hash))
}
