//! Output of a stage: pipes pumped into files of bounded size, head and tail kept, nothing held in memory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::io::{read, Errno};

/// Bytes that one call of `Stream::pump` takes at most, so that a chatty stream does not starve timers and orders.
const ROUND: usize = 1 << 20;
/// Bytes of an answer that are kept.
const ANSWER_BYTES: usize = 1_000_000;
/// A log smaller than this makes no sense of a failure.
const SMALLEST_LOG: u64 = 1024;
const TAIL_CHARACTERS: usize = 4000;

/// Takes what comes out of a pipe.
pub(super) trait Sink {
    /// Takes the next bytes; never fails, as the stage must not notice a full disk of ours.
    fn take(&mut self, bytes: &[u8]);
}

/// The read end of a pipe with what takes its bytes.
pub(super) struct Stream<S> {
    source: Option<OwnedFd>,
    /// What takes the bytes.
    pub(super) sink: S,
}

impl<S: Sink> Stream<S> {
    /// `source` must not block.
    pub(super) fn new(source: OwnedFd, sink: S) -> Self {
        Stream { source: Some(source), sink }
    }

    /// The pipe, None once it has ended.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(AsFd::as_fd)
    }

    /// Takes what is there, at most about a megabyte.
    pub(super) fn pump(&mut self, buffer: &mut [u8]) {
        let mut taken = 0;
        while let Some(source) = self.source.as_ref().filter(|_| taken < ROUND) {
            match read(source, &mut *buffer) {
                Ok(0) => self.source = None,
                Ok(count) => {
                    self.sink.take(&buffer[..count]);
                    taken += count;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.source = None,
            }
        }
    }
}

/// The beginning of what comes; the rest is dropped.
#[derive(Default)]
pub(super) struct Answer {
    bytes: Vec<u8>,
}

impl Answer {
    /// As bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As text, invalid UTF-8 replaced.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Sink for Answer {
    fn take(&mut self, bytes: &[u8]) {
        let room = ANSWER_BYTES - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// A file cut to about `cap` bytes: the first half as it comes, the last half from a ring on disk.
pub(super) struct Log {
    file: File,
    ring: Option<File>,
    ring_path: PathBuf,
    head: u64,
    tail: u64,
    seen: u64,
    /// Whether the disk took something no more; nothing is written from then on.
    failed: bool,
}

impl Log {
    /// Makes the file anew; whatever stands in its place, a link or a pipe too, is removed and not opened.
    pub(super) fn create(path: &Path, cap: u64) -> io::Result<Self> {
        let cap = cap.max(SMALLEST_LOG);
        let mut ring_path = path.as_os_str().to_owned();
        ring_path.push(".tail");
        Ok(Log {
            file: fresh(path)?,
            ring: None,
            ring_path: ring_path.into(),
            head: cap / 2,
            tail: cap - cap / 2,
            seen: 0,
            failed: false,
        })
    }

    /// Bytes that came.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Appends the tail to the head; returns the last lines.
    pub(super) fn finish(&mut self) -> String {
        // A disk that is full leaves a shorter log, which is no reason to call the stage failed.
        let _ = self.join();
        self.last_lines().unwrap_or_default()
    }

    fn store(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.seen < self.head {
            let (first, rest) = bytes.split_at(bytes.len().min((self.head - self.seen) as usize));
            self.file.write_all_at(first, self.seen)?;
            self.seen += first.len() as u64;
            bytes = rest;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        if self.ring.is_none() {
            let ring = fresh(&self.ring_path)?;
            fs::remove_file(&self.ring_path)?;
            self.ring = Some(ring);
        }
        let Some(ring) = &self.ring else {
            return Ok(());
        };
        while !bytes.is_empty() {
            let at = (self.seen - self.head) % self.tail;
            let (first, rest) = bytes.split_at(bytes.len().min((self.tail - at) as usize));
            ring.write_all_at(first, at)?;
            self.seen += first.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    fn join(&mut self) -> io::Result<()> {
        let Some(ring) = &self.ring else {
            return Ok(());
        };
        let past = self.seen - self.head;
        let mut end = self.head;
        let mut append = |bytes: &[u8]| {
            end += bytes.len() as u64;
            self.file.write_all_at(bytes, end - bytes.len() as u64)
        };
        let left_out = past.saturating_sub(self.tail);
        if left_out > 0 {
            append(format!("\n... {left_out} bytes left out ...\n").as_bytes())?;
        }
        let seam = if left_out > 0 { past % self.tail } else { 0 };
        for (mut from, to) in [(seam, past.min(self.tail)), (0, seam)] {
            let mut buffer = [0; 65_536];
            while from < to {
                let length = (to - from).min(buffer.len() as u64) as usize;
                ring.read_exact_at(&mut buffer[..length], from)?;
                append(&buffer[..length])?;
                from += length as u64;
            }
        }
        Ok(())
    }

    fn last_lines(&self) -> io::Result<String> {
        let size = self.file.metadata()?.len();
        let length = size.min(4 * TAIL_CHARACTERS as u64);
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, size - length)?;
        let text = String::from_utf8_lossy(&bytes);
        let Some((cut, _)) = text.char_indices().rev().nth(TAIL_CHARACTERS) else {
            return Ok(text.into_owned());
        };
        let tail = text[cut..].trim_start_matches(|c| c != '\n').trim_start_matches('\n');
        let whole = text[cut..].chars().skip(1).collect();
        Ok(if tail.is_empty() { whole } else { tail.to_owned() })
    }
}

impl Sink for Log {
    fn take(&mut self, bytes: &[u8]) {
        let whole = self.seen + bytes.len() as u64;
        self.failed = self.failed || self.store(bytes).is_err();
        self.seen = whole;
    }
}

fn fresh(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).custom_flags(libc::O_NOFOLLOW).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(cap: u64, chunks: &[&[u8]]) -> (Vec<u8>, String) {
        let id = std::thread::current().name().unwrap_or("log").replace("::", "-");
        let path = std::env::temp_dir().join(format!("{id}-{}-{cap}-{}", std::process::id(), chunks.len()));
        let mut log = Log::create(&path, cap).unwrap();
        for chunk in chunks {
            log.take(chunk);
        }
        let tail = log.finish();
        let content = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        (content, tail)
    }

    #[test]
    fn short_output_is_kept_as_it_is() {
        assert_eq!(logged(4096, &[b"a\n", b"b\n"]), (b"a\nb\n".to_vec(), "a\nb\n".into()));
        assert_eq!(logged(4096, &[]), (vec![], String::new()));
    }

    #[test]
    fn output_of_exactly_the_cap_is_whole() {
        let text: Vec<u8> = (0..2048_u32).map(|n| (n % 251) as u8).collect();
        for size in [1, 7, 1000, 2048] {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(logged(2048, &chunks).0, text);
        }
    }

    #[test]
    fn long_output_keeps_head_and_tail() {
        let text: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        for size in [1, 333, 512, 513, 5000, 100_000] {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            let (content, _) = logged(1024, &chunks);
            let note = b"\n... 98976 bytes left out ...\n";
            let expected = [&text[..512], note.as_slice(), &text[text.len() - 512..]].concat();
            assert_eq!(content, expected, "chunks of {size}");
        }
    }

    #[test]
    fn last_lines_start_at_a_line_and_stay_short() {
        let text = "0123456789\n".repeat(1000);
        let (_, tail) = logged(100_000, &[text.as_bytes()]);
        assert!(tail.len() <= TAIL_CHARACTERS && tail.len() > TAIL_CHARACTERS - 11);
        assert!(tail.starts_with("0123456789\n") && tail.ends_with("0123456789\n"));
        let one_line = "x".repeat(10_000);
        assert_eq!(logged(100_000, &[one_line.as_bytes()]).1, "x".repeat(TAIL_CHARACTERS));
    }

    #[test]
    fn a_link_in_its_place_is_replaced_and_not_followed() {
        let folder = std::env::temp_dir().join(format!("arrl-log-link-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("precious"), "precious").unwrap();
        std::os::unix::fs::symlink(folder.join("precious"), folder.join("log")).unwrap();
        let mut log = Log::create(&folder.join("log"), 4096).unwrap();
        log.take(b"output");
        log.finish();
        assert_eq!(fs::read(folder.join("precious")).unwrap(), b"precious");
        assert_eq!(fs::read(folder.join("log")).unwrap(), b"output");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_answer_is_cut() {
        let mut answer = Answer::default();
        for _ in 0..20 {
            answer.take(&[b'x'; 100_000]);
        }
        assert_eq!(answer.text().len(), ANSWER_BYTES);
    }
}
