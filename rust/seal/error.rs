//! Why something was not sealed.

use std::io;

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

    pub(super) fn io(name: &str, error: impl Into<io::Error>) -> Self {
        SealError::Io { name: name.to_owned(), error: error.into() }
    }
}
