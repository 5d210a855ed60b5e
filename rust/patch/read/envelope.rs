//! The envelope `*** Begin Patch` … `*** End Patch` with `*** Update File: PATH`, `@@ scope` and rows with markers.

use super::super::form::{add, Change, Hunk};
use super::super::refusal::{shown, Refusal, Unsupported};
use super::paths::{is_path, Paths};
use super::unified::{row, Header};

const UPDATE: &str = "*** Update File:";
const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";

/// Reads all envelopes, and returns the lines outside of them.
pub(super) fn read<'a>(lines: &[&'a str], paths: Paths<'a>) -> Result<(Vec<Change<'a>>, Vec<&'a str>), Refusal> {
    let mut reader = Reader { paths, changes: Vec::new(), path: None, hunk: None, count: 0 };
    let (mut rest, mut region) = (Vec::new(), Region::Outside);
    for line in lines {
        let bare = line.trim_end();
        match region {
            Region::Outside if bare == BEGIN => region = Region::Begun,
            Region::Outside if bare.starts_with(UPDATE) => {
                reader.directive(bare)?;
                region = Region::Bare;
            }
            Region::Outside => rest.push(*line),
            Region::Begun | Region::Bare if bare == END => {
                reader.leave();
                reader.path = None;
                region = Region::Outside;
            }
            Region::Bare if bare.starts_with("```") => {
                reader.leave();
                region = Region::Outside;
            }
            Region::Begun | Region::Bare if bare.starts_with("*** ") => reader.directive(bare)?,
            Region::Begun | Region::Bare => reader.row(line)?,
        }
    }
    reader.leave();
    match region {
        Region::Begun => Err(Refusal::Truncated { line: BEGIN.to_owned(), missing: END }),
        _ => Ok((reader.changes, rest)),
    }
}

/// Where in the text the reader is.
enum Region {
    Outside,
    Begun,
    /// After a file's directive without the beginning of an envelope.
    Bare,
}

struct Reader<'a> {
    paths: Paths<'a>,
    changes: Vec<Change<'a>>,
    path: Option<&'a str>,
    hunk: Option<Hunk<'a>>,
    count: usize,
}

impl<'a> Reader<'a> {
    fn directive(&mut self, line: &'a str) -> Result<(), Refusal> {
        let unsupported = |what| Err(Refusal::Unsupported { what, line: shown(line) });
        if line == "*** End of File" {
            if let Some(hunk) = &mut self.hunk {
                hunk.ends_file = true;
            }
            return Ok(());
        }
        self.leave();
        if let Some(path) = line.strip_prefix(UPDATE) {
            self.path = Some(self.paths.one(path.trim())?);
        } else if let Some(path) = line.strip_prefix("*** Add File:") {
            return self.paths.one(path.trim()).and_then(|_| unsupported(Unsupported::Creates));
        } else if let Some(path) = line.strip_prefix("*** Delete File:") {
            return self.paths.one(path.trim()).and_then(|_| unsupported(Unsupported::Deletes));
        } else if line.starts_with("*** Move to:") {
            return unsupported(Unsupported::Renames);
        }
        Ok(())
    }

    fn row(&mut self, line: &'a str) -> Result<(), Refusal> {
        let header = line.strip_prefix("--- ").or_else(|| line.strip_prefix("+++ "));
        if let Some(path) = header.filter(|path| self.hunk.is_none() && is_path(path.trim())) {
            self.path = Some(self.paths.one(path.trim())?); // of a diff that was put into an envelope
        } else if line.starts_with("@@") {
            self.leave();
            let header = Header::read(line.trim_end())?;
            self.open(header.scope)?.stated = header.stated;
        } else if self.hunk.is_some() || !line.trim().is_empty() {
            if self.hunk.is_none() {
                self.open("")?;
            }
            if let Some(hunk) = &mut self.hunk {
                row(&mut hunk.rows, line);
            }
        }
        Ok(())
    }

    fn open(&mut self, scope: &'a str) -> Result<&mut Hunk<'a>, Refusal> {
        self.count += 1;
        if self.path.is_none() {
            self.path = Some(self.paths.only(self.count)?);
        }
        Ok(self.hunk.insert(Hunk::new(self.count, scope)))
    }

    fn leave(&mut self) {
        let (Some(mut hunk), Some(path)) = (self.hunk.take(), self.path) else { return };
        while hunk.rows.last().is_some_and(|row| row.is_blank_context()) {
            hunk.rows.pop();
        }
        add(&mut self.changes, path, hunk);
    }
}
