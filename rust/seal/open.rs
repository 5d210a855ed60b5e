//! Opening files and folders by descriptors, without following a link or waiting on a pipe.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{fstat, openat, statat, AtFlags, Dir, FileType, Mode, OFlags, Stat, CWD};
use rustix::io::Errno;

use super::SealError;

/// Folders in folders; each level keeps a descriptor open.
const DEEPEST: usize = 64;

/// What is to be opened.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Folder,
    File,
}

/// Opens the folder that was given.
pub(super) fn open_root(path: &Path) -> Result<OwnedFd, SealError> {
    let shown = path.display().to_string();
    Ok(open_below(CWD, path.as_os_str(), &shown, Kind::Folder)?.0)
}

/// Opens one component without following it where it is a link, and without waiting where it is a pipe.
pub(super) fn open_below(folder: BorrowedFd<'_>, part: &OsStr, name: &str, kind: Kind) -> Result<(OwnedFd, Stat), SealError> {
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

/// Refuses a file that has other names too.
pub(super) fn single(stat: &Stat, name: &str) -> Result<(), SealError> {
    if stat.st_nlink == 1 {
        return Ok(());
    }
    Err(SealError::Linked { name: name.to_owned(), kind: "one of several hard links" })
}

type Visit<'a> = dyn FnMut(File, &[u8], &Stat) -> Result<(), SealError> + 'a;

/// Visits all files below a folder; folders count as files do.
pub(super) fn walk(root: OwnedFd, max_files: u64, visit: &mut Visit<'_>) -> Result<(), SealError> {
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
