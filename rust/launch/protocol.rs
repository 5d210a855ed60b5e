//! What controller and keeper say to each other: JSON, one object a line.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Bytes as JSON can carry them: one character below U+0100 for each, so that paths which are not UTF-8 survive.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Raw(pub(super) Vec<u8>);

impl TryFrom<String> for Raw {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = text.chars().map(|c| u8::try_from(u32::from(c)));
        bytes.collect::<Result<_, _>>().map(Raw).map_err(|_| "a character above U+00FF stands for no byte")
    }
}

/// One stage, as the controller asks for it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Job {
    /// The command; a program without a slash is looked up in the environment's PATH.
    pub(super) argv: Vec<Raw>,
    /// The whole environment.
    pub(super) env: Vec<(Raw, Raw)>,
    /// Working directory.
    pub(super) cwd: Raw,
    /// File that receives stdout; what stands there is replaced.
    pub(super) stdout: Raw,
    /// File that receives stderr; what stands there is replaced.
    pub(super) stderr: Raw,
    /// Whether there is an answer pipe.
    pub(super) answer: bool,
    /// Seconds after which the whole tree is killed.
    pub(super) timeout_s: f64,
    /// Size to which each log is cut.
    pub(super) log_bytes: u64,
    /// Address space of each process.
    pub(super) memory_bytes: Option<u64>,
    /// Largest file that may be written.
    pub(super) file_bytes: Option<u64>,
}

/// Ends a stage: SIGTERM to its process group now, SIGKILL to its tree after the grace period.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Terminate {
    /// Seconds between the two.
    pub(super) grace_s: f64,
}

/// How a stage ended.
#[derive(Debug, Default, Serialize)]
pub(super) struct Ended {
    /// None where a signal ended it.
    pub(super) exit_code: Option<i32>,
    /// That signal.
    pub(super) signal: Option<i32>,
    /// Whether the timeout killed it.
    pub(super) timed_out: bool,
    /// Wall seconds from its start to the death of its tree.
    pub(super) elapsed_s: f64,
    /// User and system seconds of all its processes.
    pub(super) cpu_s: f64,
    /// Share of its time, 0 to 1, for which others kept it from CPUs; None where the system does not tell.
    pub(super) contention: Option<f64>,
    /// Resident memory of its largest process at its largest.
    pub(super) peak_rss_bytes: u64,
    /// What it wrote to stdout and stderr, before the cut.
    pub(super) output_bytes: u64,
    /// Last lines of stderr.
    pub(super) stderr_tail: String,
    /// What came on the answer pipe.
    pub(super) answer: Option<String>,
    /// Why it says nothing about the stage.
    pub(super) lost: String,
    /// Why the command could not be started.
    pub(super) unstartable: String,
}

/// The moment `seconds` from now; None where that is beyond what the clock can count.
pub(super) fn after(seconds: f64) -> Option<Instant> {
    Duration::try_from_secs_f64(seconds.max(0.0)).ok().and_then(|wait| Instant::now().checked_add(wait))
}

/// Splits what comes from a socket into lines.
pub(super) struct Lines {
    socket: UnixStream,
    pending: Vec<u8>,
}

impl Lines {
    pub(super) fn new(socket: UnixStream) -> Self {
        Lines { socket, pending: Vec::new() }
    }

    /// The socket that is read.
    pub(super) fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Reads once; whether the other end is still open.
    pub(super) fn fill(&mut self) -> bool {
        let mut buffer = [0; 65_536];
        match self.socket.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.pending.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) => error.kind() == io::ErrorKind::Interrupted,
        }
    }

    /// The next whole line, without its end.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let end = self.pending.iter().position(|&byte| byte == b'\n')?;
        let mut line: Vec<u8> = self.pending.drain(..=end).collect();
        line.pop();
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn raw_carries_every_byte() {
        let text: String = (1..=255_u8).map(char::from).collect();
        let raw: Raw = serde_json::from_value(text.into()).unwrap();
        assert_eq!(raw.0, (1..=255).collect::<Vec<u8>>());
        assert!(serde_json::from_str::<Raw>("\"\u{100}\"").is_err());
    }

    #[test]
    fn lines_come_whole_however_they_arrive() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(far);
        near.write_all(b"one\ntw").unwrap();
        assert!(lines.fill());
        assert_eq!(lines.next().unwrap(), b"one");
        assert!(lines.next().is_none());
        near.write_all(b"o\n").unwrap();
        drop(near);
        assert!(lines.fill());
        assert_eq!(lines.next().unwrap(), b"two");
        assert!(!lines.fill());
    }

    #[test]
    fn a_moment_beyond_the_clock_is_none() {
        assert!(after(1.0).is_some());
        assert!(after(-1.0).is_some());
        assert!(after(1e300).is_none());
    }
}
