//! Seals what an untrusted stage left: copies by descriptors, hashed in the same pass, checked before anybody opens them.
//!
//! Every path is walked one component at a time with `O_NOFOLLOW`, so no symlink is followed anywhere below the folder that
//! is given, on any kernel. Only regular files are opened, without blocking, and what is read is bounded, also where a
//! file grows meanwhile. Formats are checked on the copy, which nobody else can write to.
//!
//! What this does not protect against: a process that still runs can change a file while it is copied; the hash is of
//! what was copied. A reader that takes an archive or a JSON text for something else than we do is not our doing either.

mod format;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{fstat, openat, statat, AtFlags, Dir, FileType, Mode, OFlags, Stat, CWD};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

pub use format::Format;

const BUFFER_BYTES: usize = 256 * 1024;
/// Folders in folders; each level keeps a descriptor open.
const DEEPEST: usize = 64;

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

/// Why something was not sealed. `name` is relative to the folder that was given.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// There is nothing of this name.
    #[error("{name} does not exist; write it before the stage ends")]
    Missing {
        /// Which.
        name: String,
    },
    /// More bytes than were declared.
    #[error("{name} is larger than {max_bytes} bytes; write less, or declare a larger max_bytes in task.yaml")]
    TooLarge {
        /// Which.
        name: String,
        /// What was declared.
        max_bytes: u64,
    },
    /// More files, or folders, than were declared.
    #[error("{name} holds more than {max_files} files or folders; write fewer, or declare a larger max_files in task.yaml")]
    TooMany {
        /// Which.
        name: String,
        /// What was declared.
        max_files: u64,
    },
    /// A folder, pipe, socket or device.
    #[error("{name} is {kind}, and only regular files are taken; write a regular file")]
    NotRegular {
        /// Which.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// A symbolic link, or one of several hard links.
    #[error("{name} is {kind}, which could stand for a file elsewhere; write a copy")]
    Linked {
        /// Which.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// Not what its format says.
    #[error("{name} is not accepted: {problem}")]
    BadFormat {
        /// Which.
        name: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// The system refused.
    #[error("{name}: {error}; check permissions and free space")]
    Io {
        /// Which.
        name: String,
        /// What it said.
        error: io::Error,
    },
}

impl SealError {
    /// Stable short name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            SealError::Missing { .. } => "missing",
            SealError::TooLarge { .. } | SealError::TooMany { .. } => "too_large",
            SealError::NotRegular { .. } => "not_regular",
            SealError::Linked { .. } => "linked",
            SealError::BadFormat { .. } => "bad_format",
            SealError::Io { .. } => "io",
        }
    }

    /// What was to be sealed.
    pub fn name(&self) -> &str {
        match self {
            SealError::Missing { name }
            | SealError::TooLarge { name, .. }
            | SealError::TooMany { name, .. }
            | SealError::NotRegular { name, .. }
            | SealError::Linked { name, .. }
            | SealError::BadFormat { name, .. }
            | SealError::Io { name, .. } => name,
        }
    }

    fn io(name: &str, error: impl Into<io::Error>) -> Self {
        SealError::Io { name: name.to_owned(), error: error.into() }
    }
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

// ------------------------------------------------------------------ opening

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Folder,
    File,
}

fn open_root(path: &Path) -> Result<OwnedFd, SealError> {
    let shown = path.display().to_string();
    Ok(open_below(CWD, path.as_os_str(), &shown, Kind::Folder)?.0)
}

/// Opens one component without following it where it is a link, and without waiting where it is a pipe.
fn open_below(folder: BorrowedFd<'_>, part: &OsStr, name: &str, kind: Kind) -> Result<(OwnedFd, Stat), SealError> {
    let failed = |errno: Errno| match errno {
        Errno::NOENT => SealError::Missing { name: name.to_owned() },
        other => SealError::io(name, other),
    };
    // Opening a device can do things, so look first. Who swaps it in between is caught by the flags or the second look.
    expect(&statat(folder, part, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?, name, kind)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let opened = openat(folder, part, flags, Mode::empty()).map_err(failed)?;
    let stat = fstat(&opened).map_err(failed)?;
    expect(&stat, name, kind)?;
    Ok((opened, stat))
}

fn expect(stat: &Stat, name: &str, kind: Kind) -> Result<(), SealError> {
    let name = name.to_owned();
    let found = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if kind == Kind::File => return Ok(()),
        FileType::Directory if kind == Kind::Folder => return Ok(()),
        FileType::Symlink => {
            let kind = "a symbolic link, or lies behind one";
            return Err(SealError::Linked { name, kind });
        }
        FileType::RegularFile => "below a file",
        FileType::Directory => "a folder",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        _ => "a device",
    };
    Err(SealError::NotRegular { name, kind: found })
}

fn single(stat: &Stat, name: &str) -> Result<(), SealError> {
    if stat.st_nlink == 1 {
        return Ok(());
    }
    Err(SealError::Linked { name: name.to_owned(), kind: "one of several hard links" })
}

type Visit<'a> = dyn FnMut(File, &[u8], &Stat) -> Result<(), SealError> + 'a;

/// Visits all files below a folder; folders count as files do.
fn walk(root: OwnedFd, max_files: u64, visit: &mut Visit<'_>) -> Result<(), SealError> {
    let mut left = max_files;
    descend(root, &mut Vec::new(), 0, &mut left, visit).map_err(|error| match error {
        SealError::TooMany { name, .. } => SealError::TooMany { name, max_files },
        other => other,
    })
}

fn descend(folder: OwnedFd, prefix: &mut Vec<u8>, depth: usize, left: &mut u64, visit: &mut Visit<'_>) -> Result<(), SealError> {
    let here = match prefix.is_empty() {
        true => "the folder".to_owned(),
        false => String::from_utf8_lossy(prefix).into_owned(),
    };
    if depth > DEEPEST {
        let problem = format!("folders lie more than {DEEPEST} deep in each other; write flatter ones");
        return Err(SealError::BadFormat { name: here, problem });
    }
    for entry in Dir::read_from(&folder).map_err(|error| SealError::io(&here, error))? {
        let entry = entry.map_err(|error| SealError::io(&here, error))?;
        let part = entry.file_name().to_bytes();
        if part == b"." || part == b".." {
            continue;
        }
        *left = left.checked_sub(1).ok_or(SealError::TooMany { name: here.clone(), max_files: 0 })?;
        let before = prefix.len();
        if before > 0 {
            prefix.push(b'/');
        }
        prefix.extend_from_slice(part);
        let name = String::from_utf8_lossy(prefix).into_owned();
        let part = OsStr::from_bytes(part);
        match open_below(folder.as_fd(), part, &name, Kind::Folder) {
            Ok((below, _)) => descend(below, prefix, depth + 1, left, visit)?,
            Err(SealError::NotRegular { .. }) => {
                let (file, stat) = open_below(folder.as_fd(), part, &name, Kind::File)?;
                visit(file.into(), prefix, &stat)?;
            }
            Err(error) => return Err(error),
        }
        prefix.truncate(before);
    }
    Ok(())
}

// ------------------------------------------------------------------ copying

fn copy(source: File, name: &str, destination: &Path, format: Format, max_bytes: u64) -> Result<Sealed, SealError> {
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
fn transfer(mut from: File, mut to: Option<&mut File>, name: &str, max_bytes: u64) -> Result<(u64, String), SealError> {
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

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
